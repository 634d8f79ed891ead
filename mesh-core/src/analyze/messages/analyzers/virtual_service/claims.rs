//! Routes by claims of tokens that nobody verifies.

use std::collections::BTreeMap;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name, has_all, resolve_reference};
use crate::header::RoutingClaim;
use crate::host::MESH_GATEWAY;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::kubernetes::pod::Pod;

/// The namespace whose policies hold for the whole mesh.
const ISTIO_SYSTEM: &str = "istio-system";

/// A route by claims needs a RequestAuthentication for the pods of its gateways.
pub(in crate::analyze::messages) fn claims(context: &Context<'_>, report: &mut Report) {
    for rule in &context.resources.virtual_services {
        let Some(key) = claim(rule) else {
            continue;
        };
        for reference in rule
            .spec
            .gateways
            .iter()
            .filter(|name| *name != MESH_GATEWAY)
        {
            let (namespace, name) = resolve_reference(reference, &rule.metadata.namespace);
            let mut gateways = context.resources.gateways.iter();
            let gateway = gateways
                .find(|found| found.metadata.namespace == namespace && found.metadata.name == name);
            let Some(gateway) = gateway else {
                continue;
            };
            let gateway_name = full_name(&gateway.metadata);
            let pods = context.selected(&gateway.spec.selector);
            for pod in pods.filter(|pod| !is_authenticated(context, pod)) {
                let code = Code::JwtClaimBasedRoutingWithoutRequestAuthentication;
                report.about(rule, code, &[&key, &gateway_name, &pod.metadata.name]);
            }
        }
    }
}

/// The first claim that a rule routes by.
fn claim(rule: &Resource<VirtualService>) -> Option<&str> {
    let matches = rule.spec.http.iter().flat_map(|route| &route.r#match);
    let mut keys =
        matches.flat_map(|found| found.headers.keys().chain(found.without_headers.keys()));
    let claim = keys.find(|key| RoutingClaim::parse(key).is_some());
    claim.map(String::as_str)
}

fn is_authenticated(context: &Context<'_>, pod: &Resource<Pod>) -> bool {
    let mut policies = context.resources.request_authentications.iter();
    policies.any(|policy| {
        let namespace = &policy.metadata.namespace;
        let none = BTreeMap::new();
        let selector = policy.spec.selector.as_ref();
        let labels = selector.map_or(&none, |selector| &selector.match_labels);
        (namespace == ISTIO_SYSTEM || *namespace == pod.metadata.namespace)
            && has_all(&pod.metadata.labels, labels)
    })
}
