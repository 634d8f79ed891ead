//! The listeners of a workload's Gateways, with those that ListenerSets add to them.

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::host::{HostPattern, most_specific_match};
use crate::labels::Labels;
use crate::model::Notice;
use crate::origin::{Origin, Source};
use crate::resolve::context::Context;
use crate::resolve::gateway_api::gateway::{self, RunGateway};
use crate::resolve::gateway_api::reason::{Reason, Refusal};
use crate::resolve::place::Place;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::gateway::{Gateway, ListenersFrom};
use crate::resource::gateway_api::listener::{Listener, RoutesFrom, TlsMode};
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::kind::Kind;
use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::resource::{Metadata, Resource};

/// A listener that the workload serves.
#[derive(Debug)]
pub(super) struct GatewayListener<'a> {
    /// The Gateway that it belongs to.
    pub(super) gateway: &'a Resource<Gateway>,
    /// The kind of the resource that has it: a Gateway or a ListenerSet.
    pub(super) owner_kind: Kind,
    /// The resource that has it.
    pub(super) owner: &'a Metadata,
    /// As written.
    pub(super) written: &'a Listener,
    /// The port, where it is not written the default of the protocol.
    pub(super) port: u16,
    /// The hosts that it serves, `*` for all.
    pub(super) hostname: HostPattern,
    /// The ports of the workload.
    pub(super) bound_ports: Vec<u16>,
    /// Where it was written.
    pub(super) origin: Origin,
}

/// The listeners of the Gateways that the workload runs. Of two that cannot both be served the
/// first stays: a Gateway's own come before those of ListenerSets, and older ListenerSets before
/// younger ones.
pub(super) fn listeners<'a>(
    context: &Context<'a>,
    notices: &mut Vec<Notice>,
) -> Vec<GatewayListener<'a>> {
    let mut all: Vec<GatewayListener<'a>> = Vec::new();
    for gateway in gateway::run_by(context, notices) {
        let first = all.len();
        for listener in of_gateway(context.config, &gateway, notices) {
            match listener.conflict(&all[first..]) {
                Some(refusal) => notices.push(listener.notice(&refusal)),
                None => all.push(listener),
            }
        }
    }
    all
}

/// The listeners of a Gateway, then those of its ListenerSets.
fn of_gateway<'a>(
    config: &'a MeshConfig,
    gateway: &RunGateway<'a>,
    notices: &mut Vec<Notice>,
) -> Vec<GatewayListener<'a>> {
    let resource = gateway.resource;
    let own = resource.spec.listeners.iter().enumerate();
    let own = own.map(|(index, listener)| {
        let place = (resource.origin(), &resource.source, index);
        GatewayListener::new(
            gateway,
            (Kind::KubernetesGateway, &resource.metadata),
            listener,
            place,
        )
    });
    let mut listeners: Vec<_> = own.collect();
    for set in listener_sets(config, resource, notices) {
        let added = set.spec.listeners.iter().enumerate();
        listeners.extend(added.map(|(index, listener)| {
            let place = (set.origin(), &set.source, index);
            GatewayListener::new(gateway, (Kind::ListenerSet, &set.metadata), listener, place)
        }));
    }
    listeners
}

/// The ListenerSets of a Gateway, the oldest first.
fn listener_sets<'a>(
    config: &'a MeshConfig,
    gateway: &Resource<Gateway>,
    notices: &mut Vec<Notice>,
) -> Vec<&'a Arc<Resource<ListenerSet>>> {
    let sets = config.resources().gateway_api.listener_sets.iter();
    let own = sets.filter(|set| {
        let parent = &set.spec.parent_ref;
        let namespace = parent.namespace.as_ref().unwrap_or(&set.metadata.namespace);
        parent.group_kind() == (GROUP, "Gateway")
            && parent.name == gateway.metadata.name
            && *namespace == gateway.metadata.namespace
    });
    own.filter(|set| {
        let allowed = allows_listeners(config, gateway, &set.metadata.namespace);
        if !allowed {
            let message = "NotAllowed: the Gateway takes no ListenerSets of the namespace";
            let origin = set.origin();
            notices.push(Place::root(&origin, &set.source).notice(message));
        }
        allowed
    })
    .collect()
}

/// Whether ListenerSets of `namespace` may add to the Gateway.
fn allows_listeners(config: &MeshConfig, gateway: &Resource<Gateway>, namespace: &str) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref();
    let Some(allowed) = allowed.and_then(|allowed| allowed.namespaces.as_ref()) else {
        return false;
    };
    match allowed.from {
        Some(ListenersFrom::All) => true,
        Some(ListenersFrom::Same) => namespace == gateway.metadata.namespace,
        Some(ListenersFrom::Selector) => {
            selects(config, allowed.selector.as_ref(), namespace).unwrap_or(false)
        }
        Some(ListenersFrom::None) | None => false,
    }
}

/// Whether the selector, if there is one, chooses the namespace.
fn selects(config: &MeshConfig, selector: Option<&LabelSelector>, namespace: &str) -> Option<bool> {
    let labels: Labels = config.resources().namespace_labels(namespace);
    Some(selector?.matches(&labels))
}

impl<'a> GatewayListener<'a> {
    fn new(
        gateway: &RunGateway<'a>,
        (owner_kind, owner): (Kind, &'a Metadata),
        written: &'a Listener,
        (resource, source, index): (Origin, &Source, usize),
    ) -> Self {
        let port = match (written.port, written.protocol.as_str()) {
            (0, "HTTP") => 80,
            (0, "HTTPS") => 443,
            (port, _) => port,
        };
        let hostname = written.hostname.as_deref();
        let hostname = hostname.filter(|hostname| !hostname.is_empty());
        let origin = {
            let root = Place::root(&resource, source);
            let spec = root.field("spec");
            let list = spec.field("listeners");
            list.index(index).origin()
        };
        Self {
            gateway: gateway.resource,
            owner_kind,
            owner,
            written,
            port,
            hostname: HostPattern::new(hostname.unwrap_or("*")),
            bound_ports: gateway.bound_ports(port),
            origin,
        }
    }

    /// Says of the listener that something is refused.
    pub(super) fn notice(&self, refusal: &Refusal) -> Notice {
        Notice {
            origin: self.origin.clone(),
            message: format!("{refusal}; the listener is left out"),
        }
    }

    /// Whether TLS passes through it.
    pub(super) fn is_passthrough(&self) -> bool {
        let tls = self.written.tls.as_ref();
        tls.is_some_and(|tls| tls.mode == Some(TlsMode::Passthrough))
    }

    /// Whether it serves routes of `kind`: one that its protocol and `allowedRoutes` admit.
    pub(super) fn admits_kind(&self, kind: Kind) -> bool {
        let supported = match self.written.protocol.as_str() {
            "HTTP" | "HTTPS" => matches!(kind, Kind::HttpRoute | Kind::GrpcRoute),
            "TCP" => kind == Kind::TcpRoute,
            "TLS" => kind == Kind::TlsRoute || kind == Kind::TcpRoute && !self.is_passthrough(),
            _ => false,
        };
        let allowed = self.written.allowed_routes.as_ref();
        let allowed = allowed.map_or(&[][..], |allowed| &allowed.kinds);
        let is_allowed = allowed.is_empty()
            || allowed
                .iter()
                .any(|found| found.group_kind() == (GROUP, kind.name()));
        supported && is_allowed
    }

    /// Whether it serves routes of `namespace`.
    pub(super) fn admits_namespace(&self, config: &MeshConfig, namespace: &str) -> bool {
        let allowed = self.written.allowed_routes.as_ref();
        let allowed = allowed.and_then(|allowed| allowed.namespaces.as_ref());
        match allowed.and_then(|allowed| allowed.from) {
            Some(RoutesFrom::All) => true,
            Some(RoutesFrom::Same) | None => namespace == self.owner.namespace,
            Some(RoutesFrom::Selector) => {
                let selector = allowed.and_then(|allowed| allowed.selector.as_ref());
                // As in Istio, where it says `Selector` and has none.
                selects(config, selector, namespace).unwrap_or(true)
            }
        }
    }

    /// Whether requests for `host`, which it serves, are its own: no other listener of the same
    /// port has a more specific hostname for them.
    pub(super) fn owns(&self, host: &HostPattern, all: &[Self]) -> bool {
        let same = all.iter().filter(|other| self.shares_port(other));
        let best = most_specific_match(host, same.map(|other| &other.hostname));
        best.is_none_or(|best| *best == self.hostname)
    }

    /// Whether another listener of the same port would take requests for its hostname too.
    pub(super) fn is_within_another(&self, all: &[Self]) -> bool {
        let mut same = all.iter().filter(|other| self.shares_port(other));
        same.any(|other| {
            other.hostname != self.hostname && self.hostname.is_subset_of(&other.hostname)
        })
    }

    fn shares_port(&self, other: &Self) -> bool {
        std::ptr::eq(self.gateway, other.gateway)
            && self.port == other.port
            && self.written.protocol == other.written.protocol
    }

    /// Why it cannot be served beside `accepted` (`listenersDistinct`).
    fn conflict(&self, accepted: &[Self]) -> Option<Refusal> {
        let mut same_port = accepted.iter().filter(|other| other.port == self.port);
        let other = same_port.find(|other| !self.is_distinct(other))?;
        let (name, port) = (&other.written.name, self.port);
        let reason = match other.written.protocol == self.written.protocol && !self.is_l4() {
            true => Reason::HostnameConflict,
            false => Reason::ProtocolConflict,
        };
        let message = format!("the listener `{name}` has port {port} already");
        Some(Refusal::new(reason, message))
    }

    /// Whether both can be served at one port.
    fn is_distinct(&self, other: &Self) -> bool {
        let is_l4 = self.is_l4() || other.is_l4();
        let by_host = |listener: &Self| {
            matches!(listener.written.protocol.as_str(), "HTTP" | "HTTPS" | "TLS")
        };
        if by_host(self) && by_host(other) {
            return self.hostname != other.hostname;
        }
        !is_l4 && self.written.protocol != other.written.protocol
    }

    fn is_l4(&self) -> bool {
        matches!(self.written.protocol.as_str(), "TCP" | "UDP")
    }
}
