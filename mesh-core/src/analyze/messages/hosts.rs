//! Which service a host means, and who sees it (`util/service_lookup.go`).

use std::collections::{BTreeMap, HashMap};

use crate::config::resources::Resources;
use crate::host::resolve_short_name;

const DOMAIN: &str = "cluster.local";
const EVERYBODY: &str = "*";

/// A service that a host means.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct KnownService {
    /// Numbers of its ports.
    pub(super) ports: Vec<u32>,
    /// Labels of the pods behind it, if a ServiceEntry selects them.
    pub(super) selector: BTreeMap<String, String>,
}

/// The hosts of ServiceEntries and Services, by who sees them.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    // By the namespace that sees it, or `*`, and by its whole name.
    known: HashMap<(String, String), KnownService>,
}

impl Hosts {
    pub(super) fn new(resources: &Resources) -> Self {
        let mut hosts = Self::default();
        for entry in &resources.service_entries {
            let namespace = &entry.metadata.namespace;
            let selector = entry.spec.workload_selector.as_ref();
            let service = KnownService {
                ports: entry.spec.ports.iter().map(|port| port.number).collect(),
                selector: selector
                    .map(|found| found.labels.clone())
                    .unwrap_or_default(),
            };
            for host in &entry.spec.hosts {
                for scope in scopes(&entry.spec.export_to, namespace) {
                    hosts.insert(scope, whole_name(host, namespace), service.clone());
                }
            }
        }
        for service in &resources.services {
            let metadata = &service.metadata;
            let exported = metadata.annotations.get("networking.istio.io/exportTo");
            let tokens: Vec<String> = exported
                .filter(|text| !text.is_empty())
                .into_iter()
                .flat_map(|text| text.split(','))
                .map(|token| token.trim().to_owned())
                .collect();
            let known = KnownService {
                ports: service
                    .spec
                    .spec
                    .ports
                    .iter()
                    .map(|port| port.port.into())
                    .collect(),
                ..KnownService::default()
            };
            for scope in scopes(&tokens, &metadata.namespace) {
                let host = whole_name(&metadata.name, &metadata.namespace);
                hosts.insert(scope, host, known.clone());
            }
        }
        hosts
    }

    /// The service that an object of `namespace`, itself exported to `export_to`, means by `host`.
    pub(super) fn find(
        &self,
        namespace: &str,
        export_to: &[String],
        host: &str,
    ) -> Option<&KnownService> {
        let name = whole_name(host, namespace);
        let seen_by = |scope: &str| self.known.get(&(scope.to_owned(), name.clone()));
        let by_scope = || match export_to {
            [] => seen_by(namespace),
            tokens => tokens.iter().find_map(|token| match token.as_str() {
                "." => seen_by(namespace),
                other => seen_by(other),
            }),
        };
        let exact = seen_by(EVERYBODY).or_else(by_scope);
        exact.or_else(|| self.find_wildcard(namespace, host))
    }

    /// The longest wildcard that covers `host`.
    fn find_wildcard(&self, namespace: &str, host: &str) -> Option<&KnownService> {
        let host = host.trim_start_matches('*');
        let covering = self.known.iter().filter(|((scope, pattern), _)| {
            let suffix = pattern.strip_prefix('*');
            (scope == EVERYBODY || scope == namespace)
                && suffix.is_some_and(|suffix| host.ends_with(suffix))
        });
        let longest = covering.max_by_key(|((scope, pattern), _)| (pattern.len(), scope.clone()));
        longest.map(|(_, service)| service)
    }

    fn insert(&mut self, scope: String, host: String, service: KnownService) {
        self.known.insert((scope, host), service);
    }
}

/// The namespaces that see what `namespace` exports to `tokens`; `*` for all.
pub(super) fn scopes(tokens: &[String], namespace: &str) -> Vec<String> {
    if tokens.is_empty() || tokens.iter().any(|token| token == EVERYBODY) {
        return vec![EVERYBODY.to_owned()];
    }
    let mut scopes: Vec<String> = tokens
        .iter()
        .map(|token| match token.as_str() {
            "." => namespace.to_owned(),
            other => other.to_owned(),
        })
        .collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// A host with its namespace and domain, if it is a short name.
pub(super) fn whole_name(host: &str, namespace: &str) -> String {
    match host.starts_with('*') {
        true => host.to_owned(),
        false => resolve_short_name(host, namespace, DOMAIN),
    }
}

/// The namespace and name of the service that a host means, by Kubernetes' whole names. Any other
/// host is a name in the namespace that names it.
pub(super) fn service_name<'a>(host: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    let service = host.strip_suffix(".svc.cluster.local");
    match service.and_then(|service| service.rsplit_once('.')) {
        Some((name, namespace)) if !name.is_empty() && !namespace.is_empty() => (namespace, name),
        _ => (namespace, host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_service_of_its_own_namespace_or_of_the_one_in_its_name() {
        for (host, expected) in [
            ("cart", ("shop", "cart")),
            ("cart.bank.svc.cluster.local", ("bank", "cart")),
            ("a.cart.bank.svc.cluster.local", ("bank", "a.cart")),
            ("cart.example", ("shop", "cart.example")),
            ("bank.svc.cluster.local", ("shop", "bank.svc.cluster.local")),
        ] {
            assert_eq!(service_name(host, "shop"), expected, "{host}");
        }
    }
}
