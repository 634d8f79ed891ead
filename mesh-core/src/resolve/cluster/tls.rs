//! What is proven to the endpoints of a cluster, and demanded of them.

use std::collections::BTreeSet;

use crate::config::destination_rules::MergedRule;
use crate::config::services::Provider;
use crate::model::Notice;
use crate::model::cluster::{
    Discovery, Endpoint, EndpointTls, MeshTls, TrafficPolicy, UpstreamTls,
};
use crate::model::policy::MtlsMode;
use crate::resolve::cluster::destination::{Destination, is_passthrough};
use crate::resource::istio::destination_rule::{
    ClientTlsMode, ClientTlsSettings, Subset, TrafficPolicy as Written,
};
use crate::service::ClusterName;
use crate::workload::WorkloadKind;

/// The TLS of a cluster (`buildUpstreamTLSSettings`): that of the DestinationRule, and mesh mTLS
/// with endpoints that speak it where the rule does not say.
pub(super) fn upstream(
    destination: &Destination<'_>,
    subset: Option<&Subset>,
    policy: &TrafficPolicy,
    name: &ClusterName,
    notices: &mut Vec<Notice>,
) -> UpstreamTls {
    match &policy.tls {
        Some(settings) => by_rule(destination, settings, name, notices),
        None => match by_mesh(destination, subset, name) {
            // Nothing tells one address from the other, so all of them speak mesh mTLS.
            UpstreamTls::Auto(mesh)
                if destination.discovery(policy) == Discovery::OriginalDestination =>
            {
                UpstreamTls::Mesh(mesh)
            }
            tls => tls,
        },
    }
}

/// Settings that are not about a service of the mesh.
pub(super) fn of_settings(settings: &ClientTlsSettings) -> UpstreamTls {
    match settings.mode {
        ClientTlsMode::Disable => UpstreamTls::Plaintext,
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            UpstreamTls::Settings(Box::new(settings.clone()))
        }
        ClientTlsMode::IstioMutual => UpstreamTls::Mesh(MeshTls {
            sni: settings.sni.clone(),
            subject_alt_names: settings.subject_alt_names.clone(),
        }),
    }
}

fn by_rule(
    destination: &Destination<'_>,
    settings: &ClientTlsSettings,
    name: &ClusterName,
    notices: &mut Vec<Notice>,
) -> UpstreamTls {
    let mut tls = of_settings(settings);
    match &mut tls {
        UpstreamTls::Settings(_) if needs_selector(destination, settings) => {
            notices.push(credential_notice(destination));
            return UpstreamTls::Plaintext;
        }
        UpstreamTls::Settings(settings) => {
            let is_entry = destination.service.provider == Provider::External;
            if is_entry && settings.subject_alt_names.is_empty() {
                settings.subject_alt_names = identities(destination);
            }
        }
        UpstreamTls::Mesh(mesh) => {
            if mesh.sni.is_empty() {
                mesh.sni = default_sni(destination, name);
            }
            if mesh.subject_alt_names.is_empty() {
                mesh.subject_alt_names = identities(destination);
            }
        }
        UpstreamTls::Plaintext | UpstreamTls::Auto(_) => {}
    }
    tls
}

/// Whether the settings name a credential that a sidecar is not given: secrets go to the workloads
/// that a rule selects, and to gateways.
fn needs_selector(destination: &Destination<'_>, settings: &ClientTlsSettings) -> bool {
    let name = settings.credential_name.as_str();
    // Neither authorities without a key, nor what does not exist, so that connections fail.
    let is_no_secret = name.starts_with("configmap://") || name.starts_with("invalid://");
    let names_secret = !name.is_empty() && !is_no_secret;
    let selects = destination
        .rule
        .is_some_and(|rule| rule.has_workload_selector());
    names_secret && !selects && destination.context.workload.kind == WorkloadKind::Sidecar
}

fn credential_notice(destination: &Destination<'_>) -> Notice {
    let service = &destination.service;
    Notice {
        origin: destination
            .rule
            .map_or_else(|| service.origin.clone(), |rule| rule.origin()),
        message: format!(
            "calls to `{}` are not encrypted: a sidecar uses `credentialName` only of a rule with \
             a workload selector",
            service.hostname
        ),
    }
}

/// Which endpoints of the cluster `name` mesh mTLS is forwarded to: what the DestinationRule says of
/// TLS holds for all, and where it says nothing each endpoint counts (`checkMtlsEnabled`). Unlike
/// other settings, TLS that the entry of a port or a subset leaves out is that of the whole.
pub(super) fn forwarded_to(rule: Option<&MergedRule>, name: &ClusterName) -> EndpointTls {
    let whole = rule.and_then(|rule| Some(rule.traffic_policy()?.0));
    let subset = rule.and_then(|rule| rule.subset(name.subset()?));
    let subset = subset.and_then(|(subset, _)| subset.traffic_policy.as_ref());
    let mut policies = [subset, whole].into_iter().flatten();
    match policies.find_map(|policy| mode_at(policy, name.port()?)) {
        None => EndpointTls::Mesh,
        Some(ClientTlsMode::IstioMutual) => EndpointTls::Any,
        Some(ClientTlsMode::Disable | ClientTlsMode::Simple | ClientTlsMode::Mutual) => {
            EndpointTls::None
        }
    }
}

fn mode_at(policy: &Written, port: u16) -> Option<ClientTlsMode> {
    let entries = policy.port_level_settings.iter();
    let mut entries = entries.filter(|entry| {
        let selector = entry.port.as_ref();
        selector.is_some_and(|selector| selector.number == u32::from(port))
    });
    let of_port = entries.find_map(|entry| entry.tls.as_ref());
    Some(of_port.or(policy.tls.as_ref())?.mode)
}

fn by_mesh(
    destination: &Destination<'_>,
    subset: Option<&Subset>,
    name: &ClusterName,
) -> UpstreamTls {
    let service = destination.service;
    let config = destination.context.config;
    if service.external || !config.options().auto_mtls() {
        return UpstreamTls::Plaintext;
    }
    if passes_through(destination, subset) {
        let endpoints = service.endpoints(destination.port);
        let is_plain = |endpoint: &Endpoint| !endpoint.mesh_tls && !endpoint.mesh_tls_disabled;
        if endpoints.is_empty() || endpoints.iter().any(is_plain) {
            return UpstreamTls::Plaintext;
        }
    }
    let modes = &destination.context.namespace_modes;
    if modes.of(&service.namespace) == MtlsMode::Disable {
        return UpstreamTls::Plaintext;
    }
    UpstreamTls::Auto(MeshTls {
        sni: default_sni(destination, name),
        subject_alt_names: identities(destination),
    })
}

/// Whether connections go where the client wanted them to go, as far as the service and the rule
/// as a whole, or the subset, say.
fn passes_through(destination: &Destination<'_>, subset: Option<&Subset>) -> bool {
    let policy = match subset {
        Some(subset) => subset.traffic_policy.as_ref(),
        None => {
            let policy = destination.rule.and_then(|rule| rule.traffic_policy());
            policy.map(|(policy, _)| policy)
        }
    };
    destination.service.discovery == Discovery::OriginalDestination
        || is_passthrough(policy.and_then(|policy| policy.load_balancer.as_ref()))
}

/// The cluster's own name. A service that is resolved by request sends the name that it resolves.
fn default_sni(destination: &Destination<'_>, name: &ClusterName) -> String {
    match destination.service.discovery {
        Discovery::DynamicDns => String::new(),
        _ => name.to_sni().unwrap_or_default(),
    }
}

/// The identities of a service's workloads: those of its endpoints, and those that it declares, in
/// all names of the trust domain.
fn identities(destination: &Destination<'_>) -> Vec<String> {
    let service = destination.service;
    let options = destination.context.config.options();
    let endpoints = service
        .ports
        .iter()
        .flat_map(|port| service.endpoints(port));
    let accounts = endpoints.filter(|endpoint| !endpoint.service_account.is_empty());
    let accounts: BTreeSet<(&str, &str)> = accounts
        .map(|endpoint| (&*endpoint.namespace, &*endpoint.service_account))
        .collect();
    let trust_domain = options.trust_domain();
    let own = accounts
        .into_iter()
        .map(|(namespace, account)| format!("spiffe://{trust_domain}/ns/{namespace}/sa/{account}"));
    let declared = service.subject_alt_names.iter().cloned();
    let mut identities: BTreeSet<String> = own.chain(declared).collect();
    let aliased: Vec<String> = identities
        .iter()
        .filter_map(|identity| identity.strip_prefix("spiffe://")?.split_once('/'))
        .flat_map(|(_, path)| {
            let aliases = options.trust_domain_aliases().iter();
            aliases.map(move |alias| format!("spiffe://{alias}/{path}"))
        })
        .collect();
    identities.extend(aliased);
    identities.into_iter().collect()
}
