//! What resources apply to: workloads by their labels, other resources by reference.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use mesh_core::resource::istio::selector::WorkloadSelector;
//! use mesh_core::validate::{Report, selector};
//!
//! let match_labels = BTreeMap::from([("app".to_owned(), "shop*".to_owned())]);
//! let report = Report::default();
//! selector::validate_workload(&WorkloadSelector { match_labels }, report.root());
//! assert_eq!(
//!     report.into_violations()[0].to_string(),
//!     "value: error: a selector has no wildcards, as in `app=shop*`"
//! );
//! ```

use std::collections::BTreeMap;

use super::At;
use super::metadata::{is_kind, is_subdomain};
use crate::labels;
use crate::resource::istio::selector::{
    NetworkingWorkloadSelector, PolicyTargetReference, WorkloadSelector,
};
/// The longest API group or name in a reference.
const MAX_NAME_LEN: usize = 253;

/// The most resources that a policy can be attached to.
const MAX_TARGETS: usize = 16;

/// The longest value of a label in a selector.
const MAX_VALUE_LEN: usize = 63;

/// The most labels of the selector of a policy, and of a Sidecar, ServiceEntry or EnvoyFilter.
const MAX_MATCH_LABELS: usize = 4096;
const MAX_LABELS: usize = 256;

/// Group and kind of the resources that policies can be attached to.
const TARGETS: [(&str, &str); 5] = [
    ("", "Service"),
    ("core", "Service"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("networking.istio.io", "ServiceEntry"),
];

/// The fields by which a policy says what it applies to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attachment<'s> {
    pub(super) selector: Option<&'s WorkloadSelector>,
    pub(super) target_ref: Option<&'s PolicyTargetReference>,
    pub(super) target_refs: &'s [PolicyTargetReference],
}

impl Attachment<'_> {
    /// Checks the fields of the `spec` at `at`, of which one at most may be set.
    pub(super) fn validate(&self, at: At<'_>) {
        let refs = at.field("targetRefs");
        at.at_most_one(&[
            ("selector", self.selector.is_some()),
            ("targetRef", self.target_ref.is_some()),
            (
                "targetRefs",
                !self.target_refs.is_empty() || refs.is_written(),
            ),
        ]);
        if let Some(selector) = self.selector {
            validate_workload(selector, at.field("selector"));
        }
        if let Some(target) = self.target_ref {
            validate_target(target, at.field("targetRef"));
        }
        validate_targets(self.target_refs, refs);
    }
}

/// Checks the selector of a policy: no empty keys, no wildcards, and preferably some labels
/// (`validateWorkloadSelector`).
pub fn validate_workload(selector: &WorkloadSelector, at: At<'_>) {
    let labels = at.field("matchLabels");
    validate_match_labels(&selector.match_labels, MAX_MATCH_LABELS, labels);
    if selector.match_labels.is_empty() {
        at.warning("a selector without labels selects every workload");
    }
}

/// Checks the selector of a Sidecar, ServiceEntry or EnvoyFilter by the same rules
/// (`ValidateAlphaWorkloadSelector`).
pub fn validate_networking(selector: &NetworkingWorkloadSelector, at: At<'_>) {
    validate_match_labels(&selector.labels, MAX_LABELS, at.field("labels"));
    if selector.labels.is_empty() {
        at.warning("a selector without labels selects every workload of the namespace");
    }
}

fn validate_match_labels(selected: &BTreeMap<String, String>, max: usize, at: At<'_>) {
    if selected.len() > max {
        at.error(format_args!("more than {max} labels"));
    }
    at.each_entry(selected, |key, value, at| {
        if key.is_empty() {
            at.error(format_args!(
                "a label to select by has a key, unlike `={value}`"
            ));
        }
        if key.contains('*') || value.contains('*') {
            at.error(format_args!(
                "a selector has no wildcards, as in `{key}={value}`"
            ));
        }
        if value.len() > MAX_VALUE_LEN {
            at.error(format_args!(
                "`{value}` is longer than {MAX_VALUE_LEN} bytes"
            ));
        }
    });
}

/// Checks the resources that a policy is attached to (`validatePolicyTargetReferences`).
pub fn validate_targets(targets: &[PolicyTargetReference], at: At<'_>) {
    validate_number(targets, at);
    at.each(targets, validate_target);
}

/// Checks one resource that a policy is attached to: a Service, ServiceEntry, Gateway or
/// GatewayClass by its name, in the policy's namespace (`validatePolicyTargetReference`).
pub fn validate_target(target: &PolicyTargetReference, at: At<'_>) {
    validate_reference(target, at);
    let PolicyTargetReference { group, kind, .. } = target;
    if !TARGETS.contains(&(group, kind)) {
        at.error(format_args!(
            "a policy cannot be attached to `{kind}` of `{group}`"
        ))
        .help(
            "use Service of the core group, ServiceEntry of `networking.istio.io`, Gateway or \
                 GatewayClass of `gateway.networking.k8s.io`",
        );
    }
}

/// Checks the resources that an EnvoyFilter is attached to, of any kind: only the schema of
/// `PolicyTargetReference` has rules about them.
pub fn validate_references(targets: &[PolicyTargetReference], at: At<'_>) {
    validate_number(targets, at);
    at.each(targets, validate_reference);
}

fn validate_number(targets: &[PolicyTargetReference], at: At<'_>) {
    if targets.len() > MAX_TARGETS {
        at.error(format_args!("more than {MAX_TARGETS} resources"));
    }
}

fn validate_reference(target: &PolicyTargetReference, at: At<'_>) {
    let PolicyTargetReference {
        group,
        kind,
        name,
        namespace,
    } = target;
    let is_name = (1..=MAX_NAME_LEN).contains(&name.len());
    at.field("name")
        .require(is_name, "a name has from 1 to 253 bytes");
    at.field("kind")
        .require(is_kind(kind), "this is not the name of a kind");
    let is_group = group.is_empty() || (group.len() <= MAX_NAME_LEN && is_subdomain(group));
    at.field("group")
        .require(is_group, "an API group is a domain name in lower case");
    at.field("namespace").require(
        namespace.is_empty(),
        "resources of another namespace cannot be referred to",
    );
}

/// Checks the keys and values of labels (`labels.Instance.Validate`).
pub fn validate_labels(set: &BTreeMap<String, String>, at: At<'_>) {
    at.each_entry(set, |key, value, at| {
        at.check(labels::validate_key(key));
        at.check(labels::validate_value(value));
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn labels_to_select_by_are_exact() {
        let cases = [
            (json!({"app": "shop"}), 0),
            (json!({"app": ""}), 0),
            (json!({"": "shop"}), 1),
            (json!({"app*": "shop"}), 1),
            (json!({"app": "*"}), 1),
            (json!({"app": "a".repeat(64)}), 1),
        ];
        for (labels, errors) in cases {
            let policy = read(json!({"matchLabels": labels}));
            assert_errors(&labels.to_string(), errors, |at| {
                validate_workload(&policy, at)
            });
            let networking = read(json!({"labels": labels}));
            assert_errors(&labels.to_string(), errors, |at| {
                validate_networking(&networking, at);
            });
        }
        let many: BTreeMap<_, _> = (0..257).map(|n| (format!("label-{n}"), "a")).collect();
        let networking = read(json!({"labels": many}));
        assert_errors("257 labels", 1, |at| validate_networking(&networking, at));
        assert_warnings("no labels", 1, |at| validate_workload(&read(json!({})), at));
    }

    #[test]
    fn policies_are_attached_to_some_kinds_only() {
        let gateways = "gateway.networking.k8s.io";
        let cases = [
            (json!({"kind": "Service", "name": "a"}), 0),
            (json!({"group": "core", "kind": "Service", "name": "a"}), 0),
            (
                json!({"group": gateways, "kind": "Gateway", "name": "a"}),
                0,
            ),
            (json!({"kind": "Service"}), 1),
            (json!({"kind": "Service", "name": "a", "namespace": "b"}), 1),
            (
                json!({"group": "networking.istio.io", "kind": "Gateway", "name": "a"}),
                1,
            ),
            (json!({"kind": "Pod", "name": "a"}), 1),
        ];
        for (target, errors) in cases {
            assert_errors(&target.to_string(), errors, |at| {
                validate_target(&read(target.clone()), at);
            });
        }
    }

    #[test]
    fn an_envoy_filter_is_attached_to_any_kind() {
        let cases = [
            (json!({"kind": "Pod", "name": "a"}), 0),
            (
                json!({"group": "apps", "kind": "Deployment", "name": "a"}),
                0,
            ),
            (json!({"kind": "Pod", "name": "a", "namespace": "b"}), 1),
            (json!({"kind": "1Pod"}), 2),
            (
                json!({"group": "Apps", "kind": "Deployment", "name": "a"}),
                1,
            ),
        ];
        for (target, errors) in cases {
            assert_errors(&target.to_string(), errors, |at| {
                validate_references(&[read(target.clone())], at);
            });
        }
    }

    #[test]
    fn one_way_of_attachment_is_enough() {
        let target: PolicyTargetReference = read(json!({"kind": "Service", "name": "a"}));
        let selector: WorkloadSelector = read(json!({"matchLabels": {"app": "a"}}));
        let cases = [
            (None, None, 0),
            (Some(&selector), None, 0),
            (None, Some(&target), 0),
            (Some(&selector), Some(&target), 1),
        ];
        for (selector, target_ref, errors) in cases {
            let attachment = Attachment {
                selector,
                target_ref,
                target_refs: &[],
            };
            assert_errors(&format!("{attachment:?}"), errors, |at| {
                attachment.validate(at)
            });
        }
    }
}
