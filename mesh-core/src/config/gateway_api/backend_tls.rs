//! BackendTLSPolicies, as the DestinationRules that they amount to.
//!
//! A policy is a DestinationRule of the Service's namespace that says nothing but `tls`. Where
//! somebody wrote one for the same host, the policy fills in what that leaves out
//! (`pilot/pkg/config/kube/gateway/backend_policies.go`, `mergeBackendPolicyTrafficPolicy`). A
//! policy that is not valid names a credential that does not exist, so that connections fail.

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::resource::gateway_api::backend_tls_policy::{BackendTlsPolicy, SubjectAltNameType};
use crate::resource::gateway_api::object_reference::LocalPolicyTargetReference;
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
/// Key of the authorities in a ConfigMap.
const AUTHORITIES: &str = "ca.crt";

type Rules = Vec<Arc<Resource<DestinationRule>>>;

/// Adds to `rules` what the policies say.
pub(in crate::config) fn apply(config: &MeshConfig, rules: &mut Rules) {
    for policy in &config.resources().gateway_api.backend_tls_policies {
        let ignored = policy.metadata.annotations.get(IGNORE);
        if ignored.is_some_and(|ignored| ignored.eq_ignore_ascii_case("true")) {
            continue;
        }
        let settings = settings(config, policy);
        for target in &policy.spec.target_refs {
            for host in hosts(config, policy, target) {
                if let Ok(port) = port(config, policy, (target, &host)) {
                    add(
                        config,
                        rules,
                        policy,
                        &Target {
                            host,
                            port,
                            settings: &settings,
                        },
                    );
                }
            }
        }
    }
}

/// What a policy is for, and what it says.
struct Target<'a> {
    host: String,
    port: Option<u16>,
    settings: &'a ClientTlsSettings,
}

/// Why a policy has not the effect that it seems to have.
pub(crate) fn problems(config: &MeshConfig, policy: &Resource<BackendTlsPolicy>) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    if let Err(why) = credential(config, policy) {
        problems.push(format!("{why}; connections to the targets fail"));
    }
    for target in &policy.spec.target_refs {
        let (kind, name) = (&target.kind, &target.name);
        let hosts = hosts(config, policy, target);
        if hosts.is_empty() {
            problems.push(format!("TargetNotFound: there is no {kind} `{name}`"));
        }
        let failed = hosts
            .iter()
            .filter_map(|host| port(config, policy, (target, host)).err());
        problems.extend(failed);
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
fn credential(config: &MeshConfig, policy: &Resource<BackendTlsPolicy>) -> Result<String, String> {
    let validation = &policy.spec.validation;
    let known = validation.well_known_ca_certificates.as_deref();
    match (known, validation.ca_certificate_refs.first()) {
        (Some("System"), _) => Ok(String::new()),
        (Some(other), _) => Err(format!("Invalid: no authorities are known as `{other}`")),
        (None, None) => Err("NoValidCACertificate: no authorities are named".into()),
        (None, Some(reference)) => {
            let (kind, name) = (&reference.kind, &reference.name);
            if !(reference.group.is_empty() && kind == "ConfigMap") {
                return Err(format!("InvalidKind: authorities are in no `{kind}`"));
            }
            let namespace = &policy.metadata.namespace;
            let map = config.resources().config_map(namespace, name);
            let authorities = map.and_then(|map| map.spec.data.get(AUTHORITIES));
            if !authorities.is_some_and(|text| text.contains("-----BEGIN CERTIFICATE-----")) {
                return Err(format!(
                    "InvalidCACertificateRef: no ConfigMap `{namespace}/{name}` has certificates \
                     in `{AUTHORITIES}`"
                ));
            }
            Ok(format!("configmap://{namespace}/{name}"))
        }
    }
}

/// The hosts of a target, which is in the policy's namespace.
fn hosts(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    target: &LocalPolicyTargetReference,
) -> Vec<String> {
    let namespace = &policy.metadata.namespace;
    let is_it = |found: &Metadata| found.name == target.name && found.namespace == *namespace;
    let resources = config.resources();
    match (target.group.as_str(), target.kind.as_str()) {
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
        _ => Vec::new(),
    }
}

/// The port that a target names as its section. `None` is every port.
fn port(
    config: &MeshConfig,
    policy: &Resource<BackendTlsPolicy>,
    (target, host): (&LocalPolicyTargetReference, &str),
) -> Result<Option<u16>, String> {
    let section = target.section_name.as_deref();
    let Some(section) = section.filter(|section| !section.is_empty()) else {
        return Ok(None);
    };
    let host = host.to_ascii_lowercase();
    let namespace = &policy.metadata.namespace;
    let mut declared = config.services().declared(&host);
    let service = declared.find(|service| service.namespace == *namespace);
    let ports = service.map_or(&[][..], |service| &service.ports);
    let port = ports.iter().find(|port| port.name == section);
    let port = port.ok_or_else(|| format!("TargetNotFound: `{host}` has no port `{section}`"))?;
    Ok(Some(port.number))
}

/// Fills in the oldest rule for the host that has a traffic policy, else adds a rule.
fn add(
    config: &MeshConfig,
    rules: &mut Rules,
    policy: &Resource<BackendTlsPolicy>,
    target: &Target<'_>,
) {
    let namespace = &policy.metadata.namespace;
    let existing = rules.iter_mut().find(|rule| {
        rule.spec.traffic_policy.is_some()
            && rule.metadata.namespace == *namespace
            && config.resolve_host(&rule.spec.host, namespace) == target.host
    });
    if let Some(existing) = existing {
        if let Some(known) = &mut Arc::make_mut(existing).spec.traffic_policy {
            fill(known, target);
        }
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
    rule.spec.host.clone_from(&target.host);
    fill(rule.spec.traffic_policy.get_or_insert_default(), target);
    rules.push(Arc::new(rule));
}

/// What is written already stays.
fn fill(policy: &mut TrafficPolicy, target: &Target<'_>) {
    let Some(port) = target.port else {
        policy.tls.get_or_insert_with(|| target.settings.clone());
        // An entry for a port leaves nothing of what holds for all.
        for entry in &mut policy.port_level_settings {
            entry.tls.get_or_insert_with(|| target.settings.clone());
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
        entry.tls.get_or_insert_with(|| target.settings.clone());
        return;
    }
    let entry = PortTrafficPolicy {
        port: Some(PortSelector { number }),
        load_balancer: policy.load_balancer.clone(),
        connection_pool: policy.connection_pool.clone(),
        outlier_detection: policy.outlier_detection.clone(),
        tls: Some(target.settings.clone()),
    };
    policy.port_level_settings.push(entry);
}
