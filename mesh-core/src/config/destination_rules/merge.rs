//! Merging DestinationRules for the same host in the same namespace (`mergeDestinationRule`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::labels::Labels;
use crate::model::Notice;
use crate::origin::{FieldPath, Origin};
use crate::resource::Resource;
use crate::resource::istio::DestinationRule;
use crate::resource::istio::destination_rule::{Subset, TrafficPolicy};
use crate::workload::Workload;

/// DestinationRules for one host in one namespace, as one.
#[derive(Clone, Debug)]
pub struct MergedRule {
    // The oldest first. There is at least one.
    rules: Vec<Arc<Resource<DestinationRule>>>,
    // Index of the rule whose traffic policy counts.
    policy: Option<usize>,
    // Indices of the rule, and of the subset in it.
    subsets: Vec<(usize, usize)>,
    export_to: BTreeSet<String>,
    notices: Vec<Notice>,
}

impl MergedRule {
    fn new(rule: &Arc<Resource<DestinationRule>>, export_to: &BTreeSet<String>) -> Self {
        let mut merged = Self {
            rules: Vec::new(),
            policy: None,
            subsets: Vec::new(),
            export_to: export_to.clone(),
            notices: Vec::new(),
        };
        merged.absorb(rule);
        merged
    }

    /// Adds the subsets of `rule` that have new names, and its traffic policy if there is none.
    fn absorb(&mut self, rule: &Arc<Resource<DestinationRule>>) {
        let index = self.rules.len();
        self.rules.push(Arc::clone(rule));
        if self.policy.is_none() && rule.spec.traffic_policy.is_some() {
            self.policy = Some(index);
        } else if rule.spec.traffic_policy.is_some() {
            let path = FieldPath::root();
            let spec = path.field("spec");
            self.notices.push(Notice {
                origin: rule.origin().at(&spec.field("trafficPolicy"), &rule.source),
                message: "an older rule for the same host already has a traffic policy".into(),
            });
        }
        for (position, subset) in rule.spec.subsets.iter().enumerate() {
            if index > 0 && self.subset(&subset.name).is_some() {
                self.notices.push(Notice {
                    origin: subset_origin(rule, position),
                    message: format!(
                        "an older rule for the same host already has the subset `{}`",
                        subset.name
                    ),
                });
            } else {
                self.subsets.push((index, position));
            }
        }
    }

    /// The traffic policy that holds for all subsets, and the rule that it is from.
    pub fn traffic_policy(&self) -> Option<(&TrafficPolicy, Origin)> {
        let rule = &self.rules[self.policy?];
        let policy = rule.spec.traffic_policy.as_ref()?;
        Some((policy, rule.origin()))
    }

    /// The subset of that name, and where it was written.
    pub fn subset(&self, name: &str) -> Option<(&Subset, Origin)> {
        self.subsets().find(|(subset, _)| subset.name == name)
    }

    /// The subsets, those of the oldest rule first.
    pub fn subsets(&self) -> impl Iterator<Item = (&Subset, Origin)> {
        self.subsets.iter().map(|&(index, position)| {
            let rule = &self.rules[index];
            let subset = &rule.spec.subsets[position];
            (subset, subset_origin(rule, position))
        })
    }

    /// The oldest of the rules.
    pub fn origin(&self) -> Origin {
        self.rules[0].origin()
    }

    /// Whether the rule is for clients with certain labels.
    pub fn has_workload_selector(&self) -> bool {
        self.rules[0].spec.workload_selector.is_some()
    }

    /// What the merged rules say in vain.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    pub(super) fn is_unselective(&self) -> bool {
        !self.has_workload_selector()
    }

    /// Whether the rule is for clients with certain labels, and `client` is one.
    pub(super) fn selects(&self, client: &Workload) -> bool {
        let rule = &self.rules[0];
        rule.metadata.namespace == client.namespace
            && selector(rule).is_some_and(|selector| selector.is_subset_of(&client.labels))
    }

    pub(super) fn is_exported_to(&self, namespace: &str) -> bool {
        let tokens = &self.export_to;
        tokens.is_empty() || tokens.contains("*") || tokens.contains(namespace)
    }
}

/// Adds `rule` to those for the same host: into one that is exported alike and selects alike, else
/// beside them.
///
/// As in Istio, a rule without selector is also merged into one with a selector that is exported to
/// the same namespaces, and then does not stand on its own.
pub(super) fn merge(
    merged: &mut Vec<MergedRule>,
    rule: &Arc<Resource<DestinationRule>>,
    export_to: &BTreeSet<String>,
) {
    let mut stands_alone = true;
    for existing in merged.iter_mut() {
        let same_export = *export_to == existing.export_to;
        let wider_export =
            !existing.export_to.is_empty() && export_to.is_superset(&existing.export_to);
        stands_alone = !same_export;
        if !same_export && !wider_export {
            continue;
        }
        match (selector(&existing.rules[0]), selector(rule)) {
            (Some(a), Some(b)) if a != b => {
                stands_alone = true;
                continue;
            }
            (Some(_), Some(_)) | (None, None) => stands_alone = false,
            _ => {}
        }
        existing.absorb(rule);
    }
    if stands_alone {
        merged.push(MergedRule::new(rule, export_to));
    }
}

fn selector(rule: &Resource<DestinationRule>) -> Option<Labels> {
    let selector = rule.spec.workload_selector.as_ref()?;
    Some(selector.match_labels.iter().collect())
}

fn subset_origin(rule: &Resource<DestinationRule>, position: usize) -> Origin {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let subsets = spec.field("subsets");
    rule.origin().at(&subsets.index(position), &rule.source)
}
