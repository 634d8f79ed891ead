//! DestinationRules by host: which one applies to a call.
//!
//! Rules for the same host in the same namespace are merged into one [`MergedRule`]: their subsets
//! are put together, and the oldest traffic policy is kept whole. Rules of different namespaces
//! never are. A client first looks in its own namespace, then in that of the service, then in the
//! root namespace, and takes the most specific host of the first namespace that has any
//! (`pilot/pkg/model/push_context.go`, `destination_rule.go`).
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//! use mesh_core::workload::Workload;
//!
//! let text = "
//! apiVersion: v1
//! kind: Service
//! metadata: { name: cart, namespace: shop }
//! spec: { ports: [{ port: 80 }] }
//! ---
//! apiVersion: networking.istio.io/v1
//! kind: DestinationRule
//! metadata: { name: cart, namespace: shop }
//! spec:
//!   host: cart
//!   subsets: [{ name: v1, labels: { version: v1 } }]
//! ";
//! let parsed = parse("shop.yaml", text, &Limits::default());
//! let config = MeshConfig::builder().extend(parsed.objects).build(1).unwrap();
//!
//! let cart = config.services().lookup("cart.shop.svc.cluster.local", "bank").unwrap();
//! let client = Workload::sidecar("bank");
//! let rule = config.destination_rules().lookup(cart, &client).unwrap();
//! assert!(rule.subset("v1").is_some());
//! assert!(rule.subset("v2").is_none());
//! # }
//! ```

mod merge;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::resources::cmp_by_age;
use crate::config::services::Service;
use crate::host::HostPattern;
use crate::resource::Resource;
use crate::resource::istio::DestinationRule;
use crate::workload::Workload;

pub use self::merge::MergedRule;

/// All DestinationRules, merged and indexed.
#[derive(Clone, Debug, Default)]
pub struct DestinationRules {
    root_namespace: String,
    // Rules of a namespace for clients of the same namespace.
    own: HashMap<String, RulesByHost>,
    // Rules of a namespace for clients of others.
    exported: HashMap<String, RulesByHost>,
    // Rules that clients of the root namespace do not share with others.
    root_private: RulesByHost,
}

impl DestinationRules {
    pub(super) fn new(config: &MeshConfig) -> Self {
        let options = config.options();
        let mut rules = Self {
            root_namespace: options.root_namespace().to_owned(),
            ..Self::default()
        };
        let mut written = config.resources().destination_rules.clone();
        written.sort_by(|a, b| {
            let unselective = |rule: &DestinationRule| rule.workload_selector.is_none();
            let by_selector = unselective(&a.spec).cmp(&unselective(&b.spec));
            by_selector.then_with(|| cmp_by_age(&a.metadata, &b.metadata))
        });
        #[cfg(feature = "gateway-api")]
        crate::config::gateway_api::backend_tls::apply(config, &mut written);
        for rule in &written {
            let host = config.resolve_host(&rule.spec.host, &rule.metadata.namespace);
            let host = HostPattern::new(&host);
            rules.add(rule, &host, options.destination_rules_are_private());
        }
        rules.sort();
        rules
    }

    fn add(
        &mut self,
        rule: &Arc<Resource<DestinationRule>>,
        host: &HostPattern,
        private_by_default: bool,
    ) {
        let namespace = &rule.metadata.namespace;
        let export_to = export_to(&rule.spec);
        let names_own = export_to.contains(".") || export_to.contains(namespace);
        if export_to.is_empty() || export_to.contains("*") || names_own {
            let own = self.own.entry(namespace.clone()).or_default();
            own.merge(host, rule, &export_to);
        }
        let private = match export_to.len() {
            0 => private_by_default,
            1 => names_own,
            _ => false,
        };
        if !private {
            let exported = self.exported.entry(namespace.clone()).or_default();
            exported.merge(host, rule, &export_to);
        } else if *namespace == self.root_namespace {
            self.root_private.merge(host, rule, &export_to);
        }
    }

    fn sort(&mut self) {
        let pools = self.own.values_mut().chain(self.exported.values_mut());
        for pool in pools.chain([&mut self.root_private]) {
            pool.wildcards
                .sort_by(|(a, _), (b, _)| a.cmp_specificity(b));
        }
    }

    /// The rule that applies to calls of `client` to `service`.
    ///
    /// A rule that selects the client by its labels is taken before one that selects nobody.
    pub fn lookup(&self, service: &Service, client: &Workload) -> Option<&MergedRule> {
        let rules = self.candidates(service, &client.namespace);
        let selective = rules.iter().find(|rule| rule.selects(client));
        selective.copied().or_else(|| last_unselective(&rules))
    }

    /// The rule that applies to calls that a workload in `namespace` gets as one behind `service`. A
    /// rule that selects workloads by their labels is for the calls that they make.
    pub(crate) fn lookup_inbound(&self, service: &Service, namespace: &str) -> Option<&MergedRule> {
        last_unselective(&self.candidates(service, namespace))
    }

    /// The rules for the most specific host, of the first namespace that has any.
    fn candidates(&self, service: &Service, client_namespace: &str) -> Vec<&MergedRule> {
        let host = HostPattern::new(&service.hostname);
        let own = if client_namespace == self.root_namespace {
            // Rules of the root namespace are for everybody and come last, unless they are private.
            self.root_private.lookup(&host)
        } else {
            let own = self.own.get(client_namespace);
            own.and_then(|rules| rules.lookup(&host))
        };
        if let Some(own) = own {
            return own.iter().collect();
        }
        let exported = [&service.namespace, &self.root_namespace].map(|namespace| {
            let exported = self.exported.get(namespace)?.lookup(&host)?;
            let admits = |rule: &&MergedRule| rule.is_exported_to(client_namespace);
            Some(exported.iter().filter(admits).collect::<Vec<_>>())
        });
        let mut exported = exported.into_iter().flatten();
        exported.find(|rules| !rules.is_empty()).unwrap_or_default()
    }
}

/// Rules that cannot be merged, because they are exported to others, compete; Istio takes the last.
fn last_unselective<'r>(rules: &[&'r MergedRule]) -> Option<&'r MergedRule> {
    let mut unselective = rules.iter().rev();
    let found = unselective.find(|rule| rule.is_unselective());
    found.copied()
}

/// The tokens of `exportTo`. A rule for some workloads is for those of its own namespace.
pub(super) fn export_to(rule: &DestinationRule) -> BTreeSet<String> {
    match rule.workload_selector {
        Some(_) => BTreeSet::from([".".to_owned()]),
        None => rule.export_to.iter().cloned().collect(),
    }
}

/// Rules of one namespace, by host.
#[derive(Clone, Debug, Default)]
struct RulesByHost {
    exact: HashMap<HostPattern, Vec<MergedRule>>,
    // The most specific first.
    wildcards: Vec<(HostPattern, Vec<MergedRule>)>,
}

impl RulesByHost {
    fn merge(
        &mut self,
        host: &HostPattern,
        rule: &Arc<Resource<DestinationRule>>,
        export_to: &BTreeSet<String>,
    ) {
        let rules = if host.is_wildcard() {
            let known = self.wildcards.iter().position(|(known, _)| known == host);
            let index = known.unwrap_or_else(|| {
                self.wildcards.push((host.clone(), Vec::new()));
                self.wildcards.len() - 1
            });
            &mut self.wildcards[index].1
        } else {
            self.exact.entry(host.clone()).or_default()
        };
        merge::merge(rules, rule, export_to);
    }

    fn lookup(&self, host: &HostPattern) -> Option<&[MergedRule]> {
        if let Some(rules) = self.exact.get(host) {
            return Some(rules);
        }
        let mut wildcards = self.wildcards.iter();
        let (_, rules) = wildcards.find(|(wildcard, _)| host.is_subset_of(wildcard))?;
        Some(rules)
    }
}
