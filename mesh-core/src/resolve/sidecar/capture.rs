//! The listener that captured connections get where no other listens
//! (`buildVirtualOutboundListener`).

use std::sync::Arc;

use crate::config::options::OutboundMode;
use crate::model::listener::{
    Bind, Direction, FilterChain, FilterChainMatch, Listener, NetworkFilter, TcpProxy,
};
use crate::model::route::{RouteConfiguration, WeightedDestination};
use crate::origin::Origin;
use crate::resolve::context::Parts;
use crate::resolve::sidecar::{Sidecar, chains, unmatched};
use crate::service::ClusterName;

/// Adds the listener: connections pass, or are closed, as Sidecar and mesh say.
pub(super) fn add_listener(sidecar: &Sidecar<'_>, parts: &mut Parts) {
    let options = sidecar.context.config.options();
    let port = sidecar.outbound_port();
    let mut filter_chains = vec![black_hole("virtualOutbound-blackhole", port)];
    if sidecar.context.scope.outbound_mode == OutboundMode::AllowAnyDynamicDns {
        let name = "allow_any_dynamic_dns";
        let host = unmatched::virtual_host(sidecar);
        let filter = chains::outbound_http(name);
        let origin = host.origin.clone();
        let mut chain = chains::chain(chains::plaintext_http(), filter, origin);
        chain.name = "virtualOutbound-catchall-http".to_owned();
        filter_chains.push(chain);
        let routes = RouteConfiguration {
            name: name.to_owned(),
            virtual_hosts: vec![host],
            ignore_port: true,
            ..RouteConfiguration::default()
        };
        let configurations = &mut parts.route_configurations;
        configurations.insert(name.to_owned(), Arc::new(routes));
    }
    let rest = unmatched::filter_chain(sidecar, "virtualOutbound-catchall-tcp");
    parts.listeners.push(Listener {
        name: "virtualOutbound".to_owned(),
        bind: Bind::Ip {
            address: sidecar.wildcard(),
            port,
        },
        direction: Direction::Outbound,
        declared_port: port,
        captured: false,
        origin: rest.origin.clone(),
        filter_chains,
        default_filter_chain: Some(Box::new(rest)),
        protocol_detection_timeout: options.protocol_detection_timeout(),
        proxy_protocol: false,
    });
}

/// A chain that closes connections to the capturing port itself, which would come back for ever.
pub(super) fn black_hole(name: &str, port: u16) -> FilterChain {
    let destination = WeightedDestination::new(ClusterName::black_hole());
    let filter = NetworkFilter::Tcp(TcpProxy::to([destination]));
    let matches = FilterChainMatch {
        destination_port: Some(port),
        ..FilterChainMatch::default()
    };
    let mut chain = chains::chain(matches, filter, Origin::synthetic("capturing port"));
    chain.name = name.to_owned();
    chain
}
