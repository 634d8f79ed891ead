//! BackendTLSPolicies, as the DestinationRules that they amount to.
//!
//! A policy is a DestinationRule of the Service's namespace that says nothing but `tls`. Where
//! somebody wrote one for the same host, the policy fills in what that leaves out
//! (`pilot/pkg/config/kube/gateway/backend_policies.go`, `mergeBackendPolicyTrafficPolicy`). A
//! policy that is not valid names a credential that does not exist, so that connections fail.
//!
//! Where Istio has rules compete that are exported to others, and one without `tls` may win, every
//! one of them is filled in here: whoever calls the host, no call goes without the policy's TLS.

#[cfg(all(test, feature = "yaml"))]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::destination_rules::export_to;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resource::gateway_api::backend_tls_policy::{BackendTlsPolicy, SubjectAltNameType};
use crate::resource::gateway_api::object_reference::{
    LocalObjectReference, LocalPolicyTargetReference,
};
use crate::resource::istio::DestinationRule;
use crate::resource::istio::destination_rule::{
    ClientTlsMode, ClientTlsSettings, PortTrafficPolicy, TrafficPolicy,
};
use crate::resource::istio::port::PortSelector;
use crate::resource::{Metadata, Resource};
use crate::service::ServiceName;

/// Annotation of a policy that is not to have an effect.
const IGNORE: &str = "istio.io/ignore-policy-attachment";
/// Credential that does not exist.
const INVALID: &str = "invalid://";
/// Keys of the authorities in a ConfigMap; the first that is filled counts (`ExtractRoot`).
const AUTHORITIES: [&str; 2] = ["cacert", "ca.crt"];

/// Token of `exportTo` for all namespaces.
const EVERYBODY: &str = "*";

type Rules = Vec<Arc<Resource<DestinationRule>>>;

/// Adds to `rules`, which are in the order that they are merged in, what the policies say.
pub(in crate::config) fn apply(config: &MeshConfig, rules: &mut Rules) {
    for policy in &config.resources().gateway_api.backend_tls_policies {
        if is_ignored(policy) {
            continue;
        }
        let settings = settings(config, policy);
        for reference in &policy.spec.target_refs {
            let Ok(Target { hosts, port }) = target(config, policy, reference) else {
                continue;
            };
            for host in &hosts {
                add(config, rules, policy, (host, port, &settings));
            }
        }
    }
}

/// Whether an annotation says that the policy is not to have an effect.
pub(crate) fn is_ignored(policy: &Resource<BackendTlsPolicy>) -> bool {
    let ignored = policy.metadata.annotations.get(IGNORE);
    ignored.is_some_and(|ignored| ignored.eq_ignore_ascii_case("true"))
}

/// Why a policy has not the effect that it seems to have.
pub(crate) fn problems(config: &MeshConfig, policy: &Resource<BackendTlsPolicy>) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    if is_ignored(policy) {
        return problems;
    }
    if let Err(refusal) = credential(config, policy) {
        problems.push(format!("{refusal}; connections to the targets fail"));
    }
    for reference in &policy.spec.target_refs {
        let refused = target(config, policy, reference).err();
        let refused = refused.or_else(|| conflict(config, policy, reference));
        problems.extend(refused.map(|refusal| refusal.to_string()));
    }
    problems
}

fn settings(config: &MeshConfig, policy: &Resource<BackendTlsPolicy>) -> ClientTlsSettings {
    let validation = &policy.spec.validation;
    let names = validation.subject_alt_names.iter();
    let names = names.filter_map(|name| match name.r#type? {
        SubjectAltNameType::Hostname => name.hostname.clone(),
        SubjectAltNameType::Uri => name.uri.clone(),
    });
    ClientTlsSettings {
        mode: ClientTlsMode::Simple,
        sni: validation.hostname.clone(),
        subject_alt_names: names.collect(),
        credential_name: credential(config, policy).unwrap_or_else(|_| INVALID.to_owned()),
        ..ClientTlsSettings::default()
    }
}

/// The credential with the authorities. Empty for those of the system.
///
/// # Errors
///
/// Which authorities cannot be had. Connections to the targets then fail.
pub(crate) fn credential(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
) -> Result<String, Refusal> {
    let validation = &policy.spec.validation;
    let known = validation.well_known_ca_certificates.as_deref();
    match (known, validation.ca_certificate_refs.first()) {
        (Some("System"), _) => Ok(String::new()),
        (Some(other), _) => {
            let message = format!("Unknown wellKnownCACertificates: {other}");
            Err(Refusal::new(Reason::Invalid, message))
        }
        (None, None) => {
            let message = "no authorities are named";
            Err(Refusal::new(Reason::NoValidCaCertificate, message))
        }
        (None, Some(reference)) => authorities(config, policy, reference),
    }
}

fn authorities(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    reference: &LocalObjectReference,
) -> Result<String, Refusal> {
    let LocalObjectReference { group, kind, name } = reference;
    if !(group.is_empty() && kind == "ConfigMap") {
        let message = format!("unsupported kind {kind}");
        return Err(Refusal::new(Reason::InvalidKind, message));
    }
    let namespace = &policy.metadata.namespace;
    let invalid = |message| Refusal::new(Reason::InvalidCaCertificateRef, message);
    let Some(map) = config.resources().config_map(namespace, name) else {
        let message = format!("reference {namespace}/{name} (of kind {kind}) not found");
        return Err(invalid(message));
    };
    let mut texts = AUTHORITIES.iter().filter_map(|key| map.spec.data.get(*key));
    let authorities = texts.find(|text| !text.is_empty());
    if !authorities.is_some_and(|text| text.contains("-----BEGIN CERTIFICATE-----")) {
        let [generic, kubernetes] = AUTHORITIES;
        let message =
            format!("{namespace}/{name} has no certificates in `{generic}` or `{kubernetes}`");
        return Err(invalid(message));
    }
    Ok(format!("configmap://{namespace}/{name}"))
}

/// What a reference of a policy is to.
#[derive(Debug)]
pub(crate) struct Target {
    hosts: Vec<String>,
    // `None` is every port.
    port: Option<u16>,
}

/// The target of a reference, which is in the policy's namespace.
///
/// # Errors
///
/// That there is none.
pub(crate) fn target(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    reference: &LocalPolicyTargetReference,
) -> Result<Target, Refusal> {
    let refuse = |why| {
        let message = format!("targetRefs invalid: {why}");
        Refusal::new(Reason::TargetNotFound, message)
    };
    let hosts = hosts(config, policy, reference).map_err(refuse)?;
    let section = reference.section_name.as_deref();
    let Some(section) = section.filter(|section| !section.is_empty()) else {
        return Ok(Target { hosts, port: None });
    };
    let port = hosts.iter().find_map(|host| {
        let namespace = &policy.metadata.namespace;
        let host = host.to_ascii_lowercase();
        let mut declared = config.services().declared(&host);
        let service = declared.find(|service| service.namespace == *namespace)?;
        let mut ports = service.ports.iter();
        let port = ports.find(|port| port.name == section)?;
        Some(port.number)
    });
    if port.is_none() {
        let (kind, name) = (&reference.kind, &reference.name);
        let namespace = &policy.metadata.namespace;
        let why = format!("sectionName \"{section}\" does not exist in {kind} {namespace}/{name}");
        return Err(refuse(why));
    }
    Ok(Target { hosts, port })
}

/// The hosts of a target, at least one.
fn hosts(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    target: &LocalPolicyTargetReference,
) -> Result<Vec<String>, String> {
    let namespace = &policy.metadata.namespace;
    let is_it = |found: &Metadata| found.name == target.name && found.namespace == *namespace;
    let resources = config.resources();
    let hosts = match (target.group.as_str(), target.kind.as_str()) {
        ("", "Service") => {
            let mut services = resources.services.iter();
            let found = services.any(|service| is_it(&service.metadata));
            let name = ServiceName::new(namespace, &target.name);
            let hostname = name.hostname(config.domain()).to_ascii_lowercase();
            found.then_some(hostname).into_iter().collect()
        }
        ("networking.istio.io", "ServiceEntry") => {
            let entries = resources.service_entries.iter();
            let mut entries = entries.filter(|entry| is_it(&entry.metadata));
            entries
                .next()
                .map_or_else(Vec::new, |entry| entry.spec.hosts.clone())
        }
        (_, kind) => return Err(format!("unsupported kind {kind}")),
    };
    let (kind, name) = (&target.kind, &target.name);
    match hosts.is_empty() {
        true => Err(format!(
            "reference {namespace}/{name} (of kind {kind}) not found"
        )),
        false => Ok(hosts),
    }
}

/// That a policy with more say has the same target (`btlsIsConflicted`): an older one, or of the
/// same age the first by name.
pub(crate) fn conflict(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    target: &LocalPolicyTargetReference,
) -> Option<Refusal> {
    let own = &policy.metadata;
    let policies = config.resources().gateway_api.backend_tls_policies.iter();
    // The first that has the target is the one that has it.
    let mut rivals = policies.filter(|other| {
        other.metadata.namespace == own.namespace
            && !is_ignored(other)
            && other.spec.target_refs.contains(target)
    });
    let first = &rivals.next()?.metadata.name;
    let message = format!("Conflicts with BackendTLSPolicy \"{first}\" targeting the same backend");
    (*first != own.name).then(|| Refusal::new(Reason::Conflicted, message))
}

/// Fills in the rules for the host, and adds one unless every client has one of them.
///
/// Rules that are seen by others, or select other workloads, are not merged: each is filled in, so
/// that whichever applies to a client demands TLS. Of those that are merged, the oldest that has a
/// traffic policy counts.
fn add(
    config: &MeshConfig,
    rules: &mut Rules,
    policy: &Resource<BackendTlsPolicy>,
    (host, port, settings): (&String, Option<u16>, &ClientTlsSettings),
) {
    let namespace = &policy.metadata.namespace;
    let is_for_host = |rule: &Resource<DestinationRule>| {
        rule.metadata.namespace == *namespace
            && config.resolve_host(&rule.spec.host, namespace) == *host
    };
    let mut filled = Vec::new();
    for with_policy in [true, false] {
        let rules = rules.iter_mut();
        for rule in rules.filter(|rule| is_for_host(rule)) {
            let clients = Clients::of(&rule.spec);
            let has_policy = rule.spec.traffic_policy.is_some();
            if has_policy != with_policy || filled.contains(&clients) {
                continue;
            }
            filled.push(clients);
            let written = &mut Arc::make_mut(rule).spec.traffic_policy;
            fill(written.get_or_insert_default(), port, settings);
        }
    }
    let is_private = config.options().destination_rules_are_private();
    if filled.iter().any(|clients| clients.are_all(is_private)) {
        return;
    }
    let mut rule = Resource {
        metadata: Metadata {
            name: format!("{}~backend-tls-policy", policy.metadata.name),
            ..policy.metadata.clone()
        },
        source: policy.source.clone(),
        ..Resource::<DestinationRule>::default()
    };
    rule.spec.host.clone_from(host);
    rule.spec.export_to = vec![EVERYBODY.to_owned()];
    let policy = rule.spec.traffic_policy.get_or_insert_default();
    fill(policy, port, settings);
    // Of rules that compete the last applies: what somebody wrote, and is filled in.
    rules.insert(0, Arc::new(rule));
}

/// Whose calls a rule is for. Rules for the same host and the same clients are merged.
#[derive(Eq, PartialEq)]
struct Clients {
    export_to: BTreeSet<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl Clients {
    fn of(rule: &DestinationRule) -> Self {
        let labels = rule.workload_selector.as_ref();
        Self {
            export_to: export_to(rule),
            labels: labels.map(|selector| selector.match_labels.clone()),
        }
    }

    fn are_all(&self, private_by_default: bool) -> bool {
        let by_default = self.export_to.is_empty() && !private_by_default;
        self.labels.is_none() && (by_default || self.export_to.contains(EVERYBODY))
    }
}

/// What is written already stays.
fn fill(policy: &mut TrafficPolicy, port: Option<u16>, settings: &ClientTlsSettings) {
    let Some(port) = port else {
        policy.tls.get_or_insert_with(|| settings.clone());
        // An entry for a port leaves nothing of what holds for all.
        for entry in &mut policy.port_level_settings {
            entry.tls.get_or_insert_with(|| settings.clone());
        }
        return;
    };
    let number = u32::from(port);
    let mut entries = policy.port_level_settings.iter_mut();
    let is_it = |entry: &&mut PortTrafficPolicy| {
        entry
            .port
            .as_ref()
            .is_some_and(|port| port.number == number)
    };
    if let Some(entry) = entries.find(is_it) {
        entry.tls.get_or_insert_with(|| settings.clone());
        return;
    }
    let entry = PortTrafficPolicy {
        port: Some(PortSelector { number }),
        load_balancer: policy.load_balancer.clone(),
        connection_pool: policy.connection_pool.clone(),
        outlier_detection: policy.outlier_detection.clone(),
        tls: Some(settings.clone()),
    };
    policy.port_level_settings.push(entry);
}
