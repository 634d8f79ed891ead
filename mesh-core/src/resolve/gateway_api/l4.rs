//! What TLSRoutes and TCPRoutes bind to listeners.

use crate::model::Notice;
use crate::model::listener::TcpProxy;
use crate::model::route::{ClusterSpecifier, WeightedDestination};
use crate::resolve::context::Context;
use crate::resolve::gateway::server::{GatewayServer, TcpBinding, TlsBinding};
use crate::resolve::gateway_api::attach::{Attachment, RouteSpec, attach};
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::http::Served;
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resolve::place::Place;
use crate::resolve::traffic_policy;
use crate::resource::Resource;
use crate::resource::gateway_api::backend_reference::BackendRef;
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;

/// A route of connections or datagrams, which has one rule.
pub(super) trait ConnectionRoute: RouteSpec {
    /// Where it leads.
    fn backends(&self) -> &[BackendRef];
}

macro_rules! connection_route {
    ($($route:ident)*) => {$(
        impl ConnectionRoute for $route {
            fn backends(&self) -> &[BackendRef] {
                self.rules.first().map_or(&[], |rule| &rule.backend_refs)
            }
        }
    )*};
}

connection_route!(TcpRoute TlsRoute UdpRoute);

/// Binds what is attached to `listeners` to the servers of connections. A listener whose
/// connections are not told by their server names has one route, the oldest, as the Gateway API has
/// it; in Istio one of the Gateway's own namespace comes before older ones.
pub(super) fn bind(
    context: &Context<'_>,
    listeners: &[GatewayListener<'_>],
    served: Vec<Served<'_>>,
    notices: &mut Vec<Notice>,
) {
    let resources = &context.config.resources().gateway_api;
    let tls = attach(context, &resources.tls_routes, listeners, notices);
    let tcp = attach(context, &resources.tcp_routes, listeners, notices);
    for Served { listener, server } in served {
        let own = tls.iter().filter(|found| found.listener == listener);
        for attachment in own {
            let binding = binding(context, attachment.route, server, notices);
            if listeners[listener].is_passthrough() {
                server
                    .bindings
                    .tls
                    .push(by_server_name(attachment, binding));
            } else {
                bind_whole(server, binding, notices);
            }
        }
        for attachment in tcp.iter().filter(|found| found.listener == listener) {
            let binding = binding(context, attachment.route, server, notices);
            bind_whole(server, binding, notices);
        }
    }
}

fn by_server_name(attachment: &Attachment<'_, TlsRoute>, binding: TcpBinding) -> TlsBinding {
    let hosts = attachment.hosts.iter();
    TlsBinding {
        server_names: hosts.map(|host| host.as_str().to_owned()).collect(),
        proxy: binding.proxy,
        origin: binding.origin,
    }
}

fn bind_whole(server: &mut GatewayServer, binding: TcpBinding, notices: &mut Vec<Notice>) {
    if let Some(first) = &server.bindings.tcp {
        notices.push(Notice {
            message: format!("{} has the listener already", first.origin),
            origin: binding.origin,
        });
        return;
    }
    server.bindings.tcp = Some(binding);
}

/// Where the connections of a route go. Without a backend they are closed.
fn binding<S: ConnectionRoute>(
    context: &Context<'_>,
    route: &Resource<S>,
    server: &GatewayServer,
    notices: &mut Vec<Notice>,
) -> TcpBinding {
    let context = RuleContext {
        config: context.config,
        workload: context.workload,
        scope: Some(&context.scope),
        kind: S::KIND,
        namespace: &route.metadata.namespace,
        port: server.port,
        tls: server.tls.is_some(),
        mesh: false,
    };
    let proxy = proxy(&context, route, notices);
    let origin = route.origin();
    let root = Place::root(&origin, &route.source);
    let spec = root.field("spec");
    let rules = spec.field("rules");
    TcpBinding {
        proxy,
        origin: rules.index(0).origin(),
    }
}

/// Leads to the backends of a route, with the limits that the DestinationRule of the first sets.
pub(super) fn proxy<S: ConnectionRoute>(
    context: &RuleContext<'_>,
    route: &Resource<S>,
    notices: &mut Vec<Notice>,
) -> TcpProxy {
    let mut findings = Vec::new();
    let destinations = destinations(context, route, &mut findings);
    notices.extend(findings.into_iter().map(Notice::from));
    let first = route.spec.backends().first();
    let first = first.and_then(|backend| context.backend(&backend.into()).ok());
    let rule = first.and_then(|target| context.destination_rule(&target));
    traffic_policy::tcp_proxy(destinations, rule)
}

/// The backends of a route that have a share. One that may not be reached refuses its own.
pub(super) fn destinations<S: ConnectionRoute>(
    context: &RuleContext<'_>,
    route: &Resource<S>,
    findings: &mut Vec<Finding>,
) -> Vec<WeightedDestination> {
    let origin = route.origin();
    let root = Place::root(&origin, &route.source);
    let spec = root.field("spec");
    let rules = spec.field("rules");
    let rule = rules.index(0);
    let list = rule.field("backendRefs");
    let mut destinations = Vec::new();
    for (index, backend) in route.spec.backends().iter().enumerate() {
        let weight = backend.weight.unwrap_or(1);
        if weight == 0 {
            continue;
        }
        let place = list.index(index);
        let cluster = context.backend(&backend.into());
        let cluster = cluster.map(|target| ClusterSpecifier::Name(target.cluster()));
        let cluster = cluster.unwrap_or_else(|refusal| {
            findings.push(refusal.at(&place));
            ClusterSpecifier::Refused(500)
        });
        destinations.push(WeightedDestination {
            weight,
            origin: place.origin(),
            ..WeightedDestination::new(cluster)
        });
    }
    if let [only] = destinations.as_mut_slice() {
        only.weight = 1;
    }
    destinations
}
