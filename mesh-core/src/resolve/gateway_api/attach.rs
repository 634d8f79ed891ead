//! Which routes are attached to which listeners.
//!
//! A route is attached to a listener if it refers to it, the listener takes routes of its kind and
//! namespace, and they have hostnames in common (`referenceAllowed` in
//! `pilot/pkg/config/kube/gateway/conversion.go`).

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::host::{self, HostPattern};
use crate::model::Notice;
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resolve::gateway_api::reason::{Reason, Refusal};
use crate::resolve::place::Place;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::grpc_route::GrpcRoute;
use crate::resource::gateway_api::http_route::HttpRoute;
use crate::resource::gateway_api::parent_reference::{GatewayDefaultScope, ParentReference};
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::kind::Kind;
use crate::resource::{Resource, Spec};

/// What the kinds of routes have in common.
pub(super) trait RouteSpec: Spec {
    /// What it refers to.
    fn parent_refs(&self) -> &[ParentReference];

    /// Its hosts. None is any.
    fn hostnames(&self) -> &[String];

    /// Whether it asks for the default Gateways.
    fn uses_default_gateways(&self) -> bool;
}

macro_rules! route_spec {
    ($kind:ident, $route:ident => $hostnames:expr) => {
        impl RouteSpec for $kind {
            fn parent_refs(&self) -> &[ParentReference] {
                &self.parent_refs
            }

            fn hostnames(&self) -> &[String] {
                let $route = self;
                $hostnames
            }

            fn uses_default_gateways(&self) -> bool {
                self.use_default_gateways == Some(GatewayDefaultScope::All)
            }
        }
    };
}

route_spec!(HttpRoute, route => &route.hostnames);
route_spec!(GrpcRoute, route => &route.hostnames);
route_spec!(TlsRoute, route => &route.hostnames);
route_spec!(TcpRoute, _route => &[]);

/// A route at a listener.
#[derive(Debug)]
pub(super) struct Attachment<'a, S> {
    /// The route.
    pub(super) route: &'a Resource<S>,
    /// Index of the listener.
    pub(super) listener: usize,
    /// What they have in common.
    pub(super) hosts: Vec<HostPattern>,
}

/// The attachments of `routes`, those of the oldest first. What attaches to no listener of a
/// Gateway that it refers to is noticed.
pub(super) fn attach<'a, S: RouteSpec>(
    config: &MeshConfig,
    routes: &'a [Arc<Resource<S>>],
    listeners: &[GatewayListener<'_>],
    notices: &mut Vec<Notice>,
) -> Vec<Attachment<'a, S>> {
    let mut attachments = Vec::new();
    for route in routes {
        let origin = route.origin();
        let root = Place::root(&origin, &route.source);
        let spec = root.field("spec");
        if route.spec.uses_default_gateways() {
            let message = "default Gateways are not supported; name them in `parentRefs`";
            let refusal = Refusal::new(Reason::UnsupportedValue, message);
            notices.push(refusal.at(&spec.field("useDefaultGateways")));
        }
        let mut attached = vec![false; listeners.len()];
        let parents = spec.field("parentRefs");
        for (index, parent) in route.spec.parent_refs().iter().enumerate() {
            let found = attach_to(config, route, parent, listeners);
            for (listener, hosts) in found.attached {
                if !std::mem::replace(&mut attached[listener], true) {
                    attachments.push(Attachment {
                        route: &**route,
                        listener,
                        hosts,
                    });
                }
            }
            notices.extend(
                found
                    .refusal
                    .map(|refusal| refusal.at(&parents.index(index))),
            );
        }
    }
    attachments
}

/// What a reference leads to.
#[derive(Default)]
struct Found {
    /// Listeners, with the hosts in common.
    attached: Vec<(usize, Vec<HostPattern>)>,
    /// Why there are none, although the workload runs the Gateway.
    refusal: Option<Refusal>,
}

fn attach_to<S: RouteSpec>(
    config: &MeshConfig,
    route: &Resource<S>,
    parent: &ParentReference,
    listeners: &[GatewayListener<'_>],
) -> Found {
    let mut found = Found::default();
    for (index, listener) in listeners.iter().enumerate() {
        if !is_parent(parent, &route.metadata.namespace, listener) {
            continue;
        }
        match hosts_at(config, route, parent, listener) {
            Ok(hosts) => found.attached.push((index, hosts)),
            Err(refusal) => {
                let known = found.refusal.as_ref().map(|known| known.reason);
                // What is wrong with a listener that it means says more.
                if known.is_none_or(|known| known == Reason::NoMatchingParent) {
                    found.refusal = Some(refusal);
                }
            }
        }
    }
    if !found.attached.is_empty() {
        found.refusal = None;
    }
    found
}

fn is_parent(parent: &ParentReference, namespace: &str, listener: &GatewayListener<'_>) -> bool {
    let kind = match listener.owner_kind {
        Kind::ListenerSet => "ListenerSet",
        _ => "Gateway",
    };
    parent.group_kind() == (GROUP, kind)
        && parent.name == listener.owner.name
        && parent.namespace.as_deref().unwrap_or(namespace) == listener.owner.namespace
}

/// The hosts that the route has at the listener.
///
/// # Errors
///
/// Why it is not attached.
fn hosts_at<S: RouteSpec>(
    config: &MeshConfig,
    route: &Resource<S>,
    parent: &ParentReference,
    listener: &GatewayListener<'_>,
) -> Result<Vec<HostPattern>, Refusal> {
    if let Some(port) = parent
        .port
        .filter(|port| *port != 0 && *port != listener.port)
    {
        let message = format!("no listener has the port {port}");
        return Err(Refusal::new(Reason::NoMatchingParent, message));
    }
    let section = parent.section_name.as_deref();
    let section = section.filter(|section| !section.is_empty());
    if let Some(section) = section.filter(|section| *section != listener.written.name) {
        let message = format!("no listener is named `{section}`");
        return Err(Refusal::new(Reason::NoMatchingParent, message));
    }
    let name = &listener.written.name;
    let own = route.spec.hostnames().iter();
    let mut own: Vec<_> = own.map(|host| HostPattern::new(host)).collect();
    if own.is_empty() {
        own.push(HostPattern::new("*"));
    }
    let hosts = match S::KIND {
        // Connections have no host that could be compared.
        Kind::TcpRoute => own,
        _ => host::intersection(&own, std::slice::from_ref(&listener.hostname)),
    };
    if hosts.is_empty() {
        let hostname = &listener.hostname;
        let message = format!("no hostname is one of `{hostname}`, of the listener `{name}`");
        return Err(Refusal::new(Reason::NoMatchingListenerHostname, message));
    }
    let namespace = &route.metadata.namespace;
    if !listener.admits_namespace(config, namespace) {
        let message = format!("the listener `{name}` takes no routes of namespace `{namespace}`");
        return Err(Refusal::new(Reason::NotAllowedByListeners, message));
    }
    if !listener.admits_kind(S::KIND) {
        let kind = S::KIND.name();
        let message = format!("the listener `{name}` takes no {kind}");
        return Err(Refusal::new(Reason::NotAllowedByListeners, message));
    }
    Ok(hosts)
}
