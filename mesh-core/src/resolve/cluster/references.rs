//! The clusters that listeners and routes name.

use std::collections::BTreeMap;

use crate::model::listener::{FilterChain, NetworkFilter};
use crate::model::route::{ClusterSpecifier, Route, WeightedDestination};
use crate::origin::Origin;
use crate::resolve::context::Parts;
use crate::service::ClusterName;

/// The clusters that `parts` name, each with where it was named first.
pub(super) fn named(parts: &Parts) -> BTreeMap<ClusterName, Origin> {
    let mut named = BTreeMap::new();
    let configurations = parts.route_configurations.values();
    let hosts = configurations.flat_map(|configuration| &configuration.virtual_hosts);
    for route in hosts.flat_map(|host| &host.routes) {
        of_route(route, &mut named);
    }
    for chain in filter_chains(parts) {
        if let NetworkFilter::Tcp(proxy) = &chain.filter {
            for destination in &proxy.destinations {
                of_destination(destination, &mut named);
            }
        }
    }
    named
}

/// Whether a listener finds clusters by server name.
pub(super) fn uses_sni_clusters(parts: &Parts) -> bool {
    filter_chains(parts).any(|chain| matches!(chain.filter, NetworkFilter::SniCluster))
}

fn filter_chains(parts: &Parts) -> impl Iterator<Item = &FilterChain> {
    parts.listeners.iter().flat_map(|listener| {
        let default = listener.default_filter_chain.as_deref();
        listener.filter_chains.iter().chain(default)
    })
}

fn of_route(route: &Route, named: &mut BTreeMap<ClusterName, Origin>) {
    let Some(forward) = route.forward_to() else {
        return;
    };
    for destination in &forward.destinations {
        of_destination(destination, named);
    }
    for mirror in &forward.mirrors {
        add(&mirror.cluster, &mirror.origin, named);
    }
}

fn of_destination(destination: &WeightedDestination, named: &mut BTreeMap<ClusterName, Origin>) {
    match &destination.cluster {
        ClusterSpecifier::Name(name) => add(name, &destination.origin, named),
        ClusterSpecifier::Header(_) | ClusterSpecifier::Refused(_) => {}
    }
}

fn add(name: &ClusterName, origin: &Origin, named: &mut BTreeMap<ClusterName, Origin>) {
    if !named.contains_key(name) {
        named.insert(name.clone(), origin.clone());
    }
}
