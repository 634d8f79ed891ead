//! Filter chains, as they compete for the connections of a listener.

use crate::model::listener::{
    FilterChain, FilterChainMatch, HttpConnection, NetworkFilter, Transport,
};
use crate::origin::Origin;

/// What plaintext HTTP is detected as. Envoy takes HTTP/1.0 as bytes, as Istio configures it.
pub(super) const HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// A chain for connections that meet `matches`.
pub(super) fn chain(
    matches: FilterChainMatch,
    filter: NetworkFilter,
    origin: Origin,
) -> FilterChain {
    let mut chain = FilterChain::new(filter);
    chain.matches = normalized(matches);
    chain.origin = origin;
    chain
}

/// The condition that a connection is plaintext HTTP.
pub(super) fn plaintext_http() -> FilterChainMatch {
    FilterChainMatch {
        transport: Some(Transport::Plaintext),
        application_protocols: HTTP.map(str::to_owned).into(),
        ..FilterChainMatch::default()
    }
}

/// Requests of the application, by the routes of `route_configuration`.
pub(super) fn outbound_http(route_configuration: &str) -> NetworkFilter {
    NetworkFilter::Http(HttpConnection {
        use_remote_address: false,
        // Istio leaves Envoy's own default for outbound listeners.
        server_name: Some("envoy".into()),
        ..HttpConnection::new(route_configuration)
    })
}

/// Conditions in one form, so that two are equal if they take the same connections: any server
/// name and any address are no condition.
fn normalized(mut matches: FilterChainMatch) -> FilterChainMatch {
    if matches.server_names.iter().any(|name| name == "*") {
        matches.server_names.clear();
    }
    matches.server_names.sort();
    matches.server_names.dedup();
    let networks = &mut matches.destination_networks;
    for network in networks.iter_mut() {
        *network = network.trunc();
    }
    networks.retain(|network| !network.addr().is_unspecified());
    networks.sort();
    networks.dedup();
    matches
}
