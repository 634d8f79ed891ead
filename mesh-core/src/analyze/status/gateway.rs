use std::collections::BTreeSet;

use serde::Serialize;

use crate::analyze::status::address::{self, GatewayStatusAddress};
use crate::analyze::status::condition::{Condition, ConditionType, Verdict};
use crate::analyze::status::existing;
use crate::analyze::status::listener::{self, ListenerStatus};
use crate::analyze::status::scene::{OwnGateway, Scene};
use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::client_certificate;
use crate::resolve::gateway_api::gateway;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::gateway_api::gateway_tls::FrontendValidationMode;
use crate::resource::kind::Kind;

/// The `status` of a Gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Where it is served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewayStatusAddress>,
    /// How many ListenerSets with a valid listener add to it. `None` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_listener_sets: Option<usize>,
    /// Whether it is valid, and served.
    pub conditions: Vec<Condition>,
    /// The state of its own listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
}

/// The status of a Gateway of the controller (`reportGatewayStatus`).
pub(super) fn status(scene: &Scene<'_>, own: &OwnGateway<'_>) -> GatewayStatus {
    let gateway = own.resource;
    let config = scene.config;
    let refusal = gateway::address_refusal(gateway);
    let has_services = !gateway::services(config, gateway).is_empty();
    if !has_services && refusal.is_some() {
        // Nothing of it is looked at.
        return report(scene, own, refusal, &BTreeSet::new());
    }
    let refusal = refusal.or_else(|| parameters_refusal(config, gateway));
    let serving = own.listeners.all.iter();
    let serving = serving.filter(|listener| listener.takes_routes());
    let ports = serving.map(|listener| listener.port).collect();
    let mut status = report(scene, own, refusal, &ports);
    let listeners = own.listeners.all.iter().zip(&own.attached);
    let listeners = listeners.filter(|(found, _)| found.owner_kind == Kind::KubernetesGateway);
    let listeners = listeners.map(|(found, attached)| {
        let existing = gateway.status.as_ref();
        let existing = existing::named(existing, "listeners", &found.written.name);
        listener::status(&scene.about(gateway, existing), found, *attached)
    });
    status.listeners = listeners.collect();
    status
}

/// The status of a Gateway but for its listeners.
fn report(
    scene: &Scene<'_>,
    own: &OwnGateway<'_>,
    refusal: Option<Refusal>,
    ports: &BTreeSet<u16>,
) -> GatewayStatus {
    let gateway = own.resource;
    let instances = address::instances(scene.config, gateway, ports);
    let programmed = match address::given(scene, gateway) {
        Some(_) if refusal.is_none() => Verdict::yes(Reason::Programmed, "Resource programmed"),
        _ => instances.programmed(),
    };
    let accepted = match refusal {
        Some(refusal) => Verdict::refused(&refusal),
        None => accepted(own),
    };
    let client_certificate = client_certificate::refusal(scene.config, gateway);
    let resolved = Verdict::unless(
        client_certificate.as_ref(),
        Reason::ResolvedRefs,
        "All references resolved",
    );
    let mut verdicts = vec![
        (ConditionType::Accepted, accepted),
        (ConditionType::Programmed, programmed),
        (ConditionType::ResolvedRefs, resolved),
    ];
    if lets_anybody_in(&gateway.spec) {
        let message = "Gateway is operating in AllowInsecureFallback mode for frontend validation";
        let verdict = Verdict::yes(Reason::ConfigurationChanged, message);
        verdicts.push((ConditionType::InsecureFrontendValidationMode, verdict));
    }
    let origin = gateway.origin();
    let verdicts = verdicts.into_iter();
    let verdicts = verdicts.map(|(kind, verdict)| (kind, verdict, origin.clone()));
    let sets = attached_sets(own);
    GatewayStatus {
        addresses: address::addresses(scene, gateway, &instances),
        attached_listener_sets: (sets > 0).then_some(sets),
        conditions: scene
            .about(gateway, gateway.status.as_ref())
            .conditions(verdicts),
        listeners: Vec::new(),
    }
}

/// A Gateway stays accepted while one of its listeners is valid.
fn accepted(own: &OwnGateway<'_>) -> Verdict {
    let listeners = own.listeners.all.iter();
    let listeners = listeners.filter(|found| found.owner_kind == Kind::KubernetesGateway);
    let are_valid: Vec<bool> = listeners.map(listener::is_valid).collect();
    if are_valid.iter().all(|is_valid| *is_valid) {
        return Verdict::yes(Reason::Accepted, "Resource accepted");
    }
    if are_valid.contains(&true) {
        let message = "One or more of the Gateway's listeners are invalid";
        return Verdict::yes(Reason::ListenersNotValid, message);
    }
    let message = "None of the Gateway's listeners are valid";
    Verdict::no(Reason::ListenersNotValid, message)
}

/// How many ListenerSets have a valid listener.
fn attached_sets(own: &OwnGateway<'_>) -> usize {
    let sets = own.listeners.sets.iter();
    let attached = sets.filter(|set| {
        let mut listeners = own.listeners.all.iter();
        listeners.any(|found| std::ptr::eq(found.owner, &set.metadata) && listener::is_valid(found))
    });
    attached.count()
}

/// Why the parameters of a Gateway cannot be had (`validateParametersRef`).
fn parameters_refusal(config: &MeshConfig, gateway: &Resource<Gateway>) -> Option<Refusal> {
    let infrastructure = gateway.spec.infrastructure.as_ref()?;
    let parameters = infrastructure.parameters_ref.as_ref()?;
    let (group, kind, name) = (&parameters.group, &parameters.kind, &parameters.name);
    let namespace = &gateway.metadata.namespace;
    let message = if (group.as_str(), kind.as_str()) != ("", "ConfigMap") {
        format!("Unsupported parametersRef group/kind {group}/{kind}, only ConfigMap is supported")
    } else if config.resources().config_map(namespace, name).is_none() {
        format!("parametersRef ConfigMap {namespace}/{name} does not exist")
    } else {
        return None;
    };
    Some(Refusal::new(Reason::InvalidParameters, message))
}

/// Whether clients without a valid certificate are let in at some port.
fn lets_anybody_in(gateway: &Gateway) -> bool {
    let frontend = gateway.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    let Some(frontend) = frontend else {
        return false;
    };
    let ports = frontend.per_port.iter().map(|port| &port.tls);
    let mut all = ports.chain([&frontend.default]);
    all.any(|tls| {
        let mode = tls.validation.as_ref().and_then(|found| found.mode);
        mode == Some(FrontendValidationMode::AllowInsecureFallback)
    })
}

/// The status of a Gateway that is only declared here (`reportUnmanagedGatewayStatus`).
pub(super) fn remote_status(scene: &Scene<'_>, gateway: &Resource<Gateway>) -> GatewayStatus {
    let message = "This Gateway is remote; Istio will not program it";
    let verdicts = [
        (
            ConditionType::Accepted,
            Verdict::yes(Reason::Accepted, "Resource accepted"),
            gateway.origin(),
        ),
        (
            ConditionType::Programmed,
            Verdict::yes(Reason::Programmed, message),
            gateway.origin(),
        ),
    ];
    let addresses = gateway.spec.addresses.iter();
    let addresses = addresses.map(|address| GatewayStatusAddress {
        r#type: address.r#type.as_deref().unwrap_or("IPAddress").to_owned(),
        value: address.value.clone().unwrap_or_default(),
    });
    GatewayStatus {
        addresses: addresses.collect(),
        attached_listener_sets: None,
        conditions: scene
            .about(gateway, gateway.status.as_ref())
            .conditions(verdicts),
        listeners: Vec::new(),
    }
}
