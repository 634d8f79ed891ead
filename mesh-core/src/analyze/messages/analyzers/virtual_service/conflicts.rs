//! Rules for the mesh that are about the same host.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name};
use crate::analyze::messages::hosts::{scopes, whole_name};
use crate::host::{HostPattern, MESH_GATEWAY};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;

/// A sidecar may see one rule for a host.
pub(in crate::analyze::messages) fn conflicts(context: &Context<'_>, report: &mut Report) {
    let mut rules: BTreeMap<(String, String), Vec<&Resource<VirtualService>>> = BTreeMap::new();
    for rule in context
        .resources
        .virtual_services
        .iter()
        .filter(|rule| is_for_mesh(rule))
    {
        let namespace = &rule.metadata.namespace;
        for scope in scopes(&rule.spec.export_to, namespace) {
            for host in &rule.spec.hosts {
                let key = (scope.clone(), whole_name(host, namespace));
                rules.entry(key).or_default().push(rule);
            }
        }
    }
    let mut reported = BTreeSet::new();
    for ((scope, host), own) in &rules {
        let mut seen = own.clone();
        if scope != "*" {
            let pattern = HostPattern::new(host);
            let public = rules.iter().filter(|((scope, other), _)| {
                scope == "*" && HostPattern::new(other).matches(&pattern)
            });
            seen.extend(public.flat_map(|(_, rules)| rules.iter().copied()));
        }
        if seen.len() < 2 {
            continue;
        }
        let mut names: Vec<String> = seen.iter().map(|rule| full_name(&rule.metadata)).collect();
        names.sort();
        let (names, host) = (names.join(","), format!("{scope}/{host}"));
        for rule in seen {
            if reported.insert(full_name(&rule.metadata)) {
                let code = Code::ConflictingMeshGatewayVirtualServiceHosts;
                report.about(rule, code, &[&names, &host]);
            }
        }
    }
}

fn is_for_mesh(rule: &Resource<VirtualService>) -> bool {
    let gateways = &rule.spec.gateways;
    gateways.is_empty() || gateways.iter().any(|name| name == MESH_GATEWAY)
}
