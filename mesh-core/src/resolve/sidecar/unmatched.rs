//! What becomes of calls that no service takes (`buildCatchAllVirtualHost`).

use crate::config::options::OutboundMode;
use crate::model::listener::{FilterChain, NetworkFilter, TcpProxy};
use crate::model::route::{
    DirectResponse, Route, RouteAction, RouteMatch, VirtualHost, WeightedDestination,
};
use crate::origin::Origin;
use crate::resolve::cluster::ALLOW_ANY_DYNAMIC_DNS_CLUSTER;
use crate::resolve::place::Place;
use crate::resolve::sidecar::Sidecar;
use crate::resource::istio::sidecar::OutboundTrafficPolicy;
use crate::service::ClusterName;

/// The virtual host of requests that no other takes.
pub(super) fn virtual_host(sidecar: &Sidecar<'_>) -> VirtualHost {
    let (name, action) = match sidecar.context.scope.outbound_mode {
        OutboundMode::RegistryOnly => {
            let refused = DirectResponse {
                status: 502,
                body: None,
            };
            ("block_all", RouteAction::DirectResponse(Box::new(refused)))
        }
        OutboundMode::AllowAny => {
            let route = Route::forward("", RouteMatch::default(), tcp_cluster(sidecar));
            ("allow_any", route.action)
        }
        OutboundMode::AllowAnyDynamicDns => {
            let cluster = ClusterName::from(ALLOW_ANY_DYNAMIC_DNS_CLUSTER);
            let route = Route::forward("", RouteMatch::default(), cluster);
            ("allow_any_dynamic_dns", route.action)
        }
    };
    let origin = origin(sidecar);
    let mut route = Route::new(name, RouteMatch::default(), action);
    route.origin = origin.clone();
    let mut host = VirtualHost::new(name, ["*"], [route]);
    host.origin = origin;
    host
}

/// The filter chain of connections that no other takes.
pub(super) fn filter_chain(sidecar: &Sidecar<'_>, name: &str) -> FilterChain {
    let origin = origin(sidecar);
    let mut destination = WeightedDestination::new(tcp_cluster(sidecar));
    destination.origin = origin.clone();
    let mut chain = FilterChain::new(NetworkFilter::Tcp(TcpProxy::to([destination])));
    chain.name = name.to_owned();
    chain.origin = origin;
    chain
}

fn tcp_cluster(sidecar: &Sidecar<'_>) -> ClusterName {
    match sidecar.context.scope.outbound_mode {
        OutboundMode::RegistryOnly => ClusterName::black_hole(),
        OutboundMode::AllowAny => egress_proxy(sidecar).unwrap_or_else(ClusterName::passthrough),
        OutboundMode::AllowAnyDynamicDns => ClusterName::passthrough(),
    }
}

/// The service that a Sidecar sends such calls to.
fn egress_proxy(sidecar: &Sidecar<'_>) -> Option<ClusterName> {
    let resource = sidecar.context.scope.sidecar?;
    let proxy = policy(sidecar)?.egress_proxy.as_ref()?;
    let host = sidecar
        .context
        .config
        .resolve_host(&proxy.host, &resource.metadata.namespace);
    let port = proxy.port.as_ref().map_or(0, |port| port.number);
    let port = u16::try_from(port).unwrap_or(0);
    Some(ClusterName::outbound(port, &proxy.subset, &host))
}

fn policy<'a>(sidecar: &Sidecar<'a>) -> Option<&'a OutboundTrafficPolicy> {
    sidecar
        .context
        .scope
        .sidecar?
        .spec
        .outbound_traffic_policy
        .as_ref()
}

fn origin(sidecar: &Sidecar<'_>) -> Origin {
    match (sidecar.context.scope.sidecar, policy(sidecar)) {
        (Some(resource), Some(_)) => {
            let origin = resource.origin();
            let root = Place::root(&origin, &resource.source);
            let spec = root.field("spec");
            spec.field("outboundTrafficPolicy").origin()
        }
        _ => Origin::synthetic("outbound traffic policy of the mesh"),
    }
}
