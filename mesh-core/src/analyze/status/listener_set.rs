use std::collections::BTreeSet;

use serde::Serialize;

use crate::analyze::status::condition::{Condition, ConditionType, Verdict};
use crate::analyze::status::listener::ListenerStatus;
use crate::analyze::status::scene::{OwnGateway, Scene};
use crate::analyze::status::{address, existing, listener};
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::class::{self, REMOTE_CONTROLLER};
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resolve::gateway_api::{gateway, listeners};
use crate::resource::Resource;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::kind::Kind;

/// The `status` of a ListenerSet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ListenerSetStatus {
    /// Whether its Gateway takes it, and serves it.
    pub conditions: Vec<Condition>,
    /// The state of its listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
}

/// The status of a ListenerSet. `None` if its Gateway does not exist, or has another controller.
pub(super) fn status(scene: &Scene<'_>, set: &Resource<ListenerSet>) -> Option<ListenerSetStatus> {
    let parent = &set.spec.parent_ref;
    if parent.group_kind() != (GROUP, "Gateway") {
        return None;
    }
    let namespace = parent.namespace.as_ref().unwrap_or(&set.metadata.namespace);
    if let Some(gateway) = scene.gateway(namespace, &parent.name) {
        let mut refused = gateway.listeners.refused.iter();
        return Some(
            match refused.any(|refused| std::ptr::eq(&***refused, set)) {
                true => not_allowed(scene, set, &listeners::not_allowed()),
                false => of_gateway(scene, set, gateway),
            },
        );
    }
    let mut gateways = scene.config.resources().gateway_api.gateways.iter();
    let gateway = gateways.find(|gateway| {
        gateway.metadata.name == parent.name && gateway.metadata.namespace == *namespace
    })?;
    let class = &gateway.spec.gateway_class_name;
    if class::controller(scene.config, class) != Some(REMOTE_CONTROLLER) {
        return None;
    }
    let message = format!("The \"{class}\" GatewayClass does not support ListenerSet");
    let refusal = Refusal::new(Reason::NotAllowed, message);
    Some(not_allowed(scene, set, &refusal))
}

fn not_allowed(
    scene: &Scene<'_>,
    set: &Resource<ListenerSet>,
    refusal: &Refusal,
) -> ListenerSetStatus {
    let about = scene.about(set, set.status.as_ref());
    let verdicts = [ConditionType::Accepted, ConditionType::Programmed];
    let verdicts = verdicts.map(|kind| (kind, Verdict::refused(refusal), set.origin()));
    ListenerSetStatus {
        conditions: about.conditions(verdicts),
        listeners: Vec::new(),
    }
}

/// The status of a ListenerSet that its Gateway takes (`ReportListenerSetStatus`).
fn of_gateway(
    scene: &Scene<'_>,
    set: &Resource<ListenerSet>,
    parent: &OwnGateway<'_>,
) -> ListenerSetStatus {
    let status = set.status.as_ref();
    let is_own = |listener: &GatewayListener<'_>| {
        listener.owner_kind == Kind::ListenerSet && std::ptr::eq(listener.owner, &set.metadata)
    };
    let own = parent.listeners.all.iter().zip(&parent.attached);
    let own: Vec<_> = own.filter(|(listener, _)| is_own(listener)).collect();
    let listeners = own.iter().map(|(listener, attached)| {
        let existing = existing::named(status, "listeners", &listener.written.name);
        listener::status(&scene.about(set, existing), listener, **attached)
    });
    let listeners = listeners.collect();
    let is_valid = own.iter().any(|(listener, _)| listener::is_valid(listener));
    let served = own
        .iter()
        .filter(|(listener, _)| listener.conflict.is_none() && !listener.is_without_tls());
    let ports: BTreeSet<u16> = served.map(|(listener, _)| listener.port).collect();
    let about = scene.about(set, status);
    let verdicts = [
        (ConditionType::Accepted, accepted(parent, is_valid)),
        (
            ConditionType::Programmed,
            programmed(scene, parent, is_valid, &ports),
        ),
    ];
    let verdicts = verdicts.map(|(kind, verdict)| (kind, verdict, set.origin()));
    ListenerSetStatus {
        conditions: about.conditions(verdicts),
        listeners,
    }
}

fn no_valid_listeners() -> Verdict {
    let message = "None of the ListenerSet's listeners are valid";
    Verdict::no(Reason::ListenersNotValid, message)
}

fn accepted(parent: &OwnGateway<'_>, is_valid: bool) -> Verdict {
    if let Some(refusal) = gateway::address_refusal(parent.resource) {
        let message = format!("Parent not accepted: {}", refusal.message);
        return Verdict::no(refusal.reason, message);
    }
    match is_valid {
        true => Verdict::yes(Reason::Accepted, "Resource accepted"),
        false => no_valid_listeners(),
    }
}

fn programmed(
    scene: &Scene<'_>,
    parent: &OwnGateway<'_>,
    is_valid: bool,
    ports: &BTreeSet<u16>,
) -> Verdict {
    if !is_valid {
        return no_valid_listeners();
    }
    if address::given(scene, parent.resource).is_some() {
        return Verdict::yes(Reason::Programmed, "Resource programmed");
    }
    address::instances(scene.config, parent.resource, ports).programmed()
}
