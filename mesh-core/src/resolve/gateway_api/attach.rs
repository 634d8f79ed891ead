//! Which routes are attached to which listeners.
//!
//! A route is attached to a listener if it refers to it, the listener takes routes of its kind and
//! namespace, and they have hostnames in common (`referenceAllowed` in
//! `pilot/pkg/config/kube/gateway/conversion.go`).

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::host::{self, HostPattern};
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resolve::place::Place;
use crate::resolve::virtual_service::is_exported_by_default;
use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::grpc_route::GrpcRoute;
use crate::resource::gateway_api::http_route::HttpRoute;
use crate::resource::gateway_api::parent_reference::{GatewayDefaultScope, ParentReference};
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;
use crate::resource::kind::Kind;
use crate::resource::{Metadata, Resource, Spec};

/// What the kinds of routes have in common.
pub(crate) trait RouteSpec: Spec {
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
route_spec!(UdpRoute, _route => &[]);

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

/// The attachments of `routes` that the workload sees, those of the oldest first. What attaches to
/// no listener of a Gateway that it refers to is noticed.
pub(super) fn attach<'a, S: RouteSpec>(
    context: &Context<'_>,
    routes: &'a [Arc<Resource<S>>],
    listeners: &[GatewayListener<'_>],
    notices: &mut Vec<Notice>,
) -> Vec<Attachment<'a, S>> {
    let Context {
        config, workload, ..
    } = context;
    let client = workload.namespace.as_str();
    let mut attachments = attachments(config, routes, listeners, notices);
    let mut noticed: Option<&Metadata> = None;
    attachments.retain(|Attachment { route, .. }| {
        let is_exported = is_exported_by_default(config, &route.metadata.namespace, client);
        // The attachments of one route follow each other.
        if !is_exported && !noticed.is_some_and(|found| std::ptr::eq(found, &route.metadata)) {
            noticed = Some(&route.metadata);
            notices.push(not_exported(route, client));
        }
        is_exported
    });
    attachments
}

/// That a route is attached, of which its status tells, and has no effect.
pub(super) fn not_exported<S: RouteSpec>(route: &Resource<S>, client: &str) -> Notice {
    let message = format!("it is not exported to `{client}` (`defaultVirtualServiceExportTo`)");
    Notice {
        origin: route.origin(),
        message,
    }
}

fn attachments<'a, S: RouteSpec>(
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
        notices.extend(default_gateways_finding(route).map(Notice::from));
        let mut attached = vec![false; listeners.len()];
        let parents = spec.field("parentRefs");
        for (index, parent) in route.spec.parent_refs().iter().enumerate() {
            let (found, refusals) = attach_to(config, route, parent, listeners);
            let is_refused = found.is_empty();
            for (listener, hosts) in found {
                if !std::mem::replace(&mut attached[listener], true) {
                    attachments.push(Attachment {
                        route: &**route,
                        listener,
                        hosts,
                    });
                }
            }
            let refusal = gravest(refusals).filter(|_| is_refused);
            notices.extend(refusal.map(|refusal| refusal.at(&parents.index(index)).into()));
        }
    }
    attachments
}

/// That a route asks for the default Gateways in vain.
pub(crate) fn default_gateways_finding<S: RouteSpec>(route: &Resource<S>) -> Option<Finding> {
    if !route.spec.uses_default_gateways() {
        return None;
    }
    let origin = route.origin();
    let root = Place::root(&origin, &route.source);
    let spec = root.field("spec");
    let message = "default Gateways are not supported; name them in `parentRefs`";
    let refusal = Refusal::new(Reason::UnsupportedValue, message);
    Some(refusal.at(&spec.field("useDefaultGateways")))
}

/// Listeners by index, with the hosts that they have in common with a route.
type Found = Vec<(usize, Vec<HostPattern>)>;

/// The listeners that a reference leads to, and why it does not to others of the same parent.
pub(crate) fn attach_to<S: RouteSpec>(
    config: &MeshConfig,
    route: &Resource<S>,
    parent: &ParentReference,
    listeners: &[GatewayListener<'_>],
) -> (Found, Vec<Refusal>) {
    let namespace = &route.metadata.namespace;
    let own = listeners.iter().enumerate();
    let own = own
        .filter(|(_, listener)| is_parent(parent, namespace, listener) && listener.takes_routes());
    let (mut found, mut refusals) = (Found::new(), Vec::new());
    for (index, listener) in own {
        match hosts_at(config, route, parent, listener) {
            Ok(hosts) => found.push((index, hosts)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    (found, refusals)
}

/// What the refusals of all listeners of a parent amount to (`createRouteStatus`): what is wrong
/// with a listener that a route means says more than that others are not meant.
pub(crate) fn gravest(refusals: Vec<Refusal>) -> Option<Refusal> {
    let rank = |refusal: &Refusal| match refusal.reason {
        Reason::NotAllowedByListeners => 0,
        Reason::NoMatchingListenerHostname => 1,
        _ => 2,
    };
    let best = refusals.iter().map(rank).min()?;
    let mut same = refusals.into_iter().filter(|found| rank(found) == best);
    let mut gravest = same.next()?;
    for other in same {
        gravest.message += &format!("; {}", other.message);
    }
    Some(gravest)
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
        let message = format!("port {port} not found");
        return Err(Refusal::new(Reason::NoMatchingParent, message));
    }
    let section = parent.section_name.as_deref();
    let section = section.filter(|section| !section.is_empty());
    if let Some(section) = section.filter(|section| *section != listener.written.name) {
        let message = format!("sectionName \"{section}\" not found");
        return Err(Refusal::new(Reason::NoMatchingParent, message));
    }
    let own = route.spec.hostnames().iter();
    let mut own: Vec<_> = own.map(|host| HostPattern::new(host)).collect();
    if own.is_empty() {
        own.push(HostPattern::new("*"));
    }
    let hosts = match S::KIND {
        // Connections and datagrams have no host that could be compared.
        Kind::TcpRoute | Kind::UdpRoute => own,
        _ => host::intersection(&own, std::slice::from_ref(&listener.hostname)),
    };
    let hostname = listener.written.hostname.as_deref().unwrap_or_default();
    if hosts.is_empty() {
        let message = format!("no hostnames matched parent hostname \"{hostname}\"");
        return Err(Refusal::new(Reason::NoMatchingListenerHostname, message));
    }
    let namespace = &route.metadata.namespace;
    if !listener.admits_namespace(config, namespace) {
        let message = format!(
            "hostnames matched parent hostname \"{hostname}\", but namespace \"{namespace}\" is \
             not allowed by the parent"
        );
        return Err(Refusal::new(Reason::NotAllowedByListeners, message));
    }
    if !listener.admits_kind(S::KIND) {
        let (version, kind) = (S::KIND.api_version(), S::KIND.name());
        let message = format!("kind {version}/{kind} is not allowed");
        return Err(Refusal::new(Reason::NotAllowedByListeners, message));
    }
    Ok(hosts)
}
