//! The listeners of Gateways, with those that ListenerSets add to them.

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::listener::{self, GatewayListener};
use crate::resource::Resource;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::gateway::{Gateway, ListenersFrom};
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::kind::Kind;

/// All that listens for a Gateway.
#[derive(Debug)]
pub(crate) struct GatewayListeners<'a> {
    /// The Gateway's own listeners, then those of its ListenerSets. Of two that cannot both be
    /// served the first is without conflict.
    pub(crate) all: Vec<GatewayListener<'a>>,
    /// The ListenerSets that may add to it, the oldest first.
    pub(crate) sets: ListenerSets<'a>,
    /// The ListenerSets that would, but may not.
    pub(crate) refused: ListenerSets<'a>,
}

type ListenerSets<'a> = Vec<&'a Arc<Resource<ListenerSet>>>;

impl<'a> GatewayListeners<'a> {
    /// The listeners of `gateway`.
    pub(crate) fn of(config: &'a MeshConfig, gateway: &'a Resource<Gateway>) -> Self {
        let (sets, refused) = listener_sets(config, gateway);
        let mut all: Vec<GatewayListener<'a>> = Vec::new();
        let origin = gateway.origin();
        for (index, written) in gateway.spec.listeners.iter().enumerate() {
            let owner = (Kind::KubernetesGateway, &gateway.metadata);
            let origin = listener::origin(&origin, &gateway.source, index);
            let added = GatewayListener::new(config, gateway, owner, (written, origin), &all);
            all.push(added);
        }
        for set in &sets {
            let origin = set.origin();
            for (index, written) in set.spec.listeners.iter().enumerate() {
                let owner = (Kind::ListenerSet, &set.metadata);
                let origin = listener::origin(&origin, &set.source, index);
                let added = GatewayListener::new(config, gateway, owner, (written, origin), &all);
                all.push(added);
            }
        }
        Self { all, sets, refused }
    }
}

/// The ListenerSets that refer to a Gateway, in the order in which they compete: those that it
/// allows, and those that it does not.
fn listener_sets<'a>(
    config: &'a MeshConfig,
    gateway: &Resource<Gateway>,
) -> (ListenerSets<'a>, ListenerSets<'a>) {
    let sets = config.resources().gateway_api.listener_sets.iter();
    let mut own: Vec<_> = sets.filter(|set| is_of(set, gateway)).collect();
    own.sort_by_cached_key(|set| {
        let metadata = &set.metadata;
        let name = format!("{}/{}", metadata.namespace, metadata.name);
        (metadata.creation_timestamp, name)
    });
    let allows = |set: &&Arc<Resource<ListenerSet>>| {
        allows_listeners(config, gateway, &set.metadata.namespace)
    };
    own.into_iter().partition(allows)
}

fn is_of(set: &Resource<ListenerSet>, gateway: &Resource<Gateway>) -> bool {
    let parent = &set.spec.parent_ref;
    let namespace = parent.namespace.as_ref().unwrap_or(&set.metadata.namespace);
    parent.group_kind() == (GROUP, "Gateway")
        && parent.name == gateway.metadata.name
        && *namespace == gateway.metadata.namespace
}

/// Whether ListenerSets of `namespace` may add to the Gateway
/// (`NamespaceAcceptedByAllowListeners`).
fn allows_listeners(config: &MeshConfig, gateway: &Resource<Gateway>, namespace: &str) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref();
    let Some(allowed) = allowed.and_then(|allowed| allowed.namespaces.as_ref()) else {
        return false;
    };
    match allowed.from {
        Some(ListenersFrom::All) => true,
        Some(ListenersFrom::Same) => namespace == gateway.metadata.namespace,
        Some(ListenersFrom::Selector) => {
            let selector = allowed.selector.as_ref();
            listener::selects(config, selector, namespace).unwrap_or(false)
        }
        Some(ListenersFrom::None) | None => false,
    }
}

/// Why a ListenerSet has no effect that its Gateway does not allow.
pub(crate) fn not_allowed() -> Refusal {
    let message =
        "The parent Gateway does not allow this reference; check the 'spec.allowedRoutes'";
    Refusal::new(Reason::NotAllowed, message)
}
