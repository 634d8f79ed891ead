//! A listener of a Gateway, and what is made of it.

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::host::{HostPattern, most_specific_match};
use crate::labels::Labels;
use crate::model::Notice;
use crate::origin::{Origin, Source};
use crate::resolve::gateway_api::tls;
use crate::resolve::place::Place;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::gateway_api::listener::{Listener, RoutesFrom, TlsMode};
use crate::resource::istio::gateway::ServerTlsSettings;
use crate::resource::kind::Kind;
use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::resource::{Metadata, Resource};

/// A listener of a Gateway, or of a ListenerSet that adds to it.
#[derive(Debug)]
pub(crate) struct GatewayListener<'a> {
    /// The Gateway that it belongs to.
    pub(crate) gateway: &'a Resource<Gateway>,
    /// The kind of the resource that has it: a Gateway or a ListenerSet.
    pub(crate) owner_kind: Kind,
    /// The resource that has it.
    pub(crate) owner: &'a Metadata,
    /// As written.
    pub(crate) written: &'a Listener,
    /// The port, where it is not written the default of the protocol.
    pub(crate) port: u16,
    /// The hosts that it serves, `*` for all.
    pub(crate) hostname: HostPattern,
    /// Where it was written.
    pub(crate) origin: Origin,
    /// Why it cannot be served beside an earlier one. The rest is then not looked at.
    pub(crate) conflict: Option<Refusal>,
    /// Why its protocol is not served.
    pub(crate) protocol: Option<Refusal>,
    /// How TLS is treated, or why it cannot be.
    pub(crate) tls: Result<Option<ServerTlsSettings>, Refusal>,
}

impl<'a> GatewayListener<'a> {
    /// What is made of a listener as it was written, beside those that came before it.
    pub(super) fn new(
        config: &MeshConfig,
        gateway: &'a Resource<Gateway>,
        (owner_kind, owner): (Kind, &'a Metadata),
        (written, origin): (&'a Listener, Origin),
        earlier: &[Self],
    ) -> Self {
        let port = match (written.port, written.protocol.as_str()) {
            (0, "HTTP") => 80,
            (0, "HTTPS") => 443,
            (port, _) => port,
        };
        let hostname = written.hostname.as_deref();
        let hostname = hostname.filter(|hostname| !hostname.is_empty());
        let mut listener = Self {
            gateway,
            owner_kind,
            owner,
            written,
            port,
            hostname: HostPattern::new(hostname.unwrap_or("*")),
            origin,
            conflict: None,
            protocol: None,
            tls: Ok(None),
        };
        listener.conflict = listener.conflict_with(earlier);
        if listener.conflict.is_none() {
            listener.protocol = listener.protocol_refusal();
            listener.tls = tls::settings(config, &listener);
        }
        listener
    }

    /// Why it is not served. `None` if it is, by whoever has the port.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let refusal = self.conflict.as_ref().or(self.protocol.as_ref());
        let refusal = refusal.or_else(|| self.tls.as_ref().err()).cloned();
        refusal.or_else(|| self.is_without_tls().then(|| self.without_tls()))
    }

    /// Whether it needs TLS and says nothing of it. On a Gateway such a listener holds the place of
    /// those that ListenerSets add.
    pub(crate) fn is_without_tls(&self) -> bool {
        let needs_tls = matches!(self.written.protocol.as_str(), "HTTPS" | "TLS");
        needs_tls && self.written.tls.is_none()
    }

    /// That it needs TLS.
    pub(crate) fn without_tls(&self) -> Refusal {
        let protocol = &self.written.protocol;
        let message = format!("protocol is {protocol} but no TLS section is defined");
        Refusal::new(Reason::UnsupportedProtocol, message)
    }

    /// Whether routes can be attached to it. They stay attached while its certificate is missing,
    /// but those of a ListenerSet have to be valid.
    pub(crate) fn takes_routes(&self) -> bool {
        let is_there = self.conflict.is_none() && !self.is_without_tls();
        is_there && (self.owner_kind != Kind::ListenerSet || self.refusal().is_none())
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

    /// The kinds of routes that its protocol and `allowedRoutes` admit, and whether all that
    /// `allowedRoutes` names are among them (`GenerateGatewaySupportedKinds`).
    pub(crate) fn supported_kinds(&self) -> (Vec<Kind>, bool) {
        let mut kinds = match self.written.protocol.as_str() {
            "HTTP" | "HTTPS" => vec![Kind::HttpRoute, Kind::GrpcRoute],
            "TCP" => vec![Kind::TcpRoute],
            "TLS" if self.is_passthrough() || self.written.tls.is_none() => vec![Kind::TlsRoute],
            "TLS" => vec![Kind::TlsRoute, Kind::TcpRoute],
            _ => Vec::new(),
        };
        let allowed = self.written.allowed_routes.as_ref();
        let allowed = allowed.map_or(&[][..], |allowed| &allowed.kinds);
        if allowed.is_empty() {
            return (kinds, true);
        }
        kinds.retain(|kind| {
            let mut allowed = allowed.iter();
            allowed.any(|found| found.group_kind() == (GROUP, kind.name()))
        });
        let are_known = kinds.len() == allowed.len();
        (kinds, are_known)
    }

    /// Whether it serves routes of `kind`.
    pub(super) fn admits_kind(&self, kind: Kind) -> bool {
        self.supported_kinds().0.contains(&kind)
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

    /// Why it cannot be served beside `earlier` ones (`ComputeGatewayListenerConflicts`). One that
    /// is in conflict itself is in nobody's way.
    fn conflict_with(&self, earlier: &[Self]) -> Option<Refusal> {
        let mut others = earlier.iter().filter(|other| other.conflict.is_none());
        let other = others.find(|other| other.port == self.port && !self.is_distinct(other))?;
        let reason = match other.written.protocol == self.written.protocol && !self.is_l4() {
            true => Reason::HostnameConflict,
            false => Reason::ProtocolConflict,
        };
        let message = "Listener has a conflict with another listener attached to the same Gateway";
        Some(Refusal::new(reason, message))
    }

    /// Whether both can be served at one port (`listenersDistinct`).
    fn is_distinct(&self, other: &Self) -> bool {
        match (self.is_by_host(), other.is_by_host()) {
            (true, true) => self.hostname != other.hostname,
            (true, false) if other.is_l4() => false,
            (false, true) if self.is_l4() => false,
            (false, false) if self.is_l4() && other.is_l4() => false,
            _ => self.written.protocol != other.written.protocol,
        }
    }

    fn is_by_host(&self) -> bool {
        matches!(self.written.protocol.as_str(), "HTTP" | "HTTPS" | "TLS")
    }

    fn is_l4(&self) -> bool {
        matches!(self.written.protocol.as_str(), "TCP" | "UDP")
    }

    /// Why its protocol is not served (`listenerProtocolToIstio`).
    fn protocol_refusal(&self) -> Option<Refusal> {
        let protocol = self.written.protocol.as_str();
        let refuse = |message| Some(Refusal::new(Reason::UnsupportedProtocol, message));
        let upper = protocol.to_ascii_uppercase();
        match (protocol, upper.as_str()) {
            ("HTTP" | "HTTPS" | "TCP" | "TLS", _) if self.port == 0 => {
                refuse(format!("protocol {protocol} requires a port to be set"))
            }
            ("HTTP" | "HTTPS" | "TCP" | "TLS", _) => None,
            ("HBONE", _) => refuse(format!(
                "protocol \"{protocol}\" is only supported for waypoint proxies"
            )),
            (_, "HBONE" | "HTTP" | "HTTPS" | "TCP" | "TLS") => refuse(format!(
                "protocol \"{protocol}\" is unsupported. hint: \"{upper}\" (uppercase) may be \
                 supported"
            )),
            _ => refuse(format!("protocol \"{protocol}\" is unsupported")),
        }
    }
}

/// Where the listener `index` of a resource was written.
pub(super) fn origin(resource: &Origin, source: &Source, index: usize) -> Origin {
    let root = Place::root(resource, source);
    let spec = root.field("spec");
    let list = spec.field("listeners");
    list.index(index).origin()
}

/// Whether the selector, if there is one, chooses the namespace.
pub(super) fn selects(
    config: &MeshConfig,
    selector: Option<&LabelSelector>,
    namespace: &str,
) -> Option<bool> {
    let labels: Labels = config.resources().namespace_labels(namespace);
    Some(selector?.matches(&labels))
}
