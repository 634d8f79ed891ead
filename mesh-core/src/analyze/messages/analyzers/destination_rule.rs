//! Destination rules that verify no server, or mean no host or no pod.

use std::collections::BTreeMap;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name, has_all};
use crate::analyze::messages::hosts::Hosts;
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::DestinationRule;
use crate::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use crate::resource::kubernetes::pod::Pod;

/// TLS to a destination has to verify it by certificates of authorities.
pub(super) fn ca_certificates(context: &Context<'_>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let policy_at = spec.field("trafficPolicy");
    for rule in &context.resources.destination_rules {
        let Some(policy) = &rule.spec.traffic_policy else {
            continue;
        };
        let (name, namespace) = (full_name(&rule.metadata), &rule.metadata.namespace);
        let host = &rule.spec.host;
        if let Some(mode) = unverified(rule, policy.tls.as_ref()) {
            let code = Code::NoServerCertificateVerificationDestinationLevel;
            let at = policy_at.field("tls");
            report.at(rule, &at, code, &[&name, namespace, &mode, host]);
        }
        let ports_at = policy_at.field("portLevelSettings");
        for (index, settings) in policy.port_level_settings.iter().enumerate() {
            let Some(mode) = unverified(rule, settings.tls.as_ref()) else {
                continue;
            };
            let number = settings
                .port
                .as_ref()
                .map(|port| port.number)
                .unwrap_or_default();
            let port = format!("number:{number}");
            let code = Code::NoServerCertificateVerificationPortLevel;
            let at = ports_at.index(index);
            report.at(
                rule,
                &at.field("tls"),
                code,
                &[&name, namespace, &mode, host, &port],
            );
        }
    }
}

/// The mode of settings that verify nobody. A credential may hold the authorities, and is used
/// only by rules that select workloads.
fn unverified(
    rule: &Resource<DestinationRule>,
    tls: Option<&ClientTlsSettings>,
) -> Option<&'static str> {
    let tls = tls?;
    let mode = match tls.mode {
        ClientTlsMode::Simple => "SIMPLE",
        ClientTlsMode::Mutual => "MUTUAL",
        ClientTlsMode::Disable | ClientTlsMode::IstioMutual => return None,
    };
    let by_credential = !tls.credential_name.is_empty() && rule.spec.workload_selector.is_some();
    (tls.ca_certificates.is_empty() && !by_credential).then_some(mode)
}

/// A rule has to be about a host that there is, and its subsets have to select pods.
pub(super) fn subsets(context: &Context<'_>, report: &mut Report) {
    let hosts = Hosts::new(&context.resources);
    let pods: Vec<BTreeMap<String, String>> = context
        .resources
        .pods
        .iter()
        .map(|pod| endpoint_labels(context, pod))
        .collect();
    let root = FieldPath::root();
    let spec = root.field("spec");
    for rule in &context.resources.destination_rules {
        let DestinationRule {
            host,
            subsets,
            export_to,
            ..
        } = &rule.spec;
        let Some(service) = hosts.find(&rule.metadata.namespace, export_to, host) else {
            let at = spec.field("host");
            report.at(rule, &at, Code::UnknownDestinationRuleHost, &[host]);
            continue;
        };
        let subsets_at = spec.field("subsets");
        for (index, subset) in subsets.iter().enumerate() {
            let mut wanted = service.selector.clone();
            wanted.extend(subset.labels.clone());
            if !pods.iter().any(|labels| has_all(labels, &wanted)) {
                let code = Code::DestinationRuleSubsetNotSelectPods;
                report.at(rule, &subsets_at.index(index), code, &[&subset.name]);
            }
        }
    }
}

/// The labels that an endpoint of a pod has: its own, and its place by its node.
fn endpoint_labels(context: &Context<'_>, pod: &Resource<Pod>) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone();
    let Some(name) = pod
        .spec
        .spec
        .node_name
        .as_ref()
        .filter(|name| !name.is_empty())
    else {
        return labels;
    };
    labels.insert("kubernetes.io/hostname".to_owned(), name.clone());
    let mut nodes = context.resources.nodes.iter();
    let Some(node) = nodes.find(|node| node.metadata.name == *name) else {
        return labels;
    };
    for key in [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.istio.io/subzone",
    ] {
        // A zone is known by its region, and a subzone by its zone.
        let Some(value) = node.metadata.labels.get(key) else {
            break;
        };
        labels.insert(key.to_owned(), value.clone());
    }
    labels
}
