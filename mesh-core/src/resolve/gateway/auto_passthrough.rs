//! Servers that pass TLS on to the cluster that its server name spells out.
//!
//! A gateway between networks takes connections of the mesh, whose server name is that of a
//! cluster, `outbound_.80_._.reviews.prod.svc.cluster.local`. Only known clusters are reachable,
//! and only by mutual TLS of the mesh, which the application protocols tell
//! (`builtAutoPassthroughFilterChains` in `pilot/pkg/networking/core/gateway.go`).

use crate::config::destination_rules::MergedRule;
use crate::config::services::Service;
use crate::host::HostPattern;
use crate::model::listener::{FilterChain, FilterChainMatch, NetworkFilter};
use crate::resolve::context::Context;
use crate::resolve::gateway::server::GatewayServer;
use crate::service::{ClusterName, Protocol};

/// The application protocols that sidecars offer each other.
const MESH_PROTOCOLS: [&str; 5] = [
    "istio",
    "istio-peer-exchange",
    "istio-http/1.0",
    "istio-http/1.1",
    "istio-h2",
];

/// The chain of a server. `None` where it covers no service.
pub(super) fn filter_chain(context: &Context<'_>, server: &GatewayServer) -> Option<FilterChain> {
    let names = server.server_names();
    let hosts: Vec<HostPattern> = names.iter().map(|name| HostPattern::new(name)).collect();
    let covers = |service: &Service| {
        let host = HostPattern::new(&service.hostname);
        hosts.is_empty() || hosts.iter().any(|pattern| host.is_subset_of(pattern))
    };
    let services = context.scope.services().iter();
    let services = services.filter(|service| !service.external && covers(service));
    let server_names: Vec<String> = services
        .flat_map(|service| clusters(context, service))
        .filter_map(|cluster| cluster.to_sni())
        .collect();
    if server_names.is_empty() {
        return None;
    }
    Some(FilterChain {
        matches: FilterChainMatch {
            server_names,
            application_protocols: MESH_PROTOCOLS.map(str::to_owned).into(),
            ..FilterChainMatch::default()
        },
        origin: server.origin.clone(),
        ..FilterChain::new(NetworkFilter::SniCluster)
    })
}

/// The clusters of a service: of each port, whole and by subset.
fn clusters(context: &Context<'_>, service: &Service) -> Vec<ClusterName> {
    let rule = context.destination_rule(service);
    let subsets = rule.into_iter().flat_map(MergedRule::subsets);
    let subsets = subsets.map(|(subset, _)| subset.name.as_str());
    let subsets: Vec<&str> = std::iter::once("").chain(subsets).collect();
    let ports = service.ports.iter();
    let ports = ports.filter(|port| port.protocol != Protocol::Udp);
    ports
        .flat_map(|port| {
            let cluster =
                |subset: &&str| ClusterName::outbound(port.number, subset, &service.hostname);
            subsets.iter().map(cluster)
        })
        .collect()
}
