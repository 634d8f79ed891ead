//! What callers know of the endpoints of a service, beside those that their clusters list.
//!
//! They demand of endpoints the identities that these have together, and call those of a headless service one by
//! one, each by a listener of its own. If either changes, clusters and listeners have to be resolved anew: istiod
//! tells its proxies all again (`UpdateServiceEndpoints` and the controller of EndpointSlices).

use std::collections::BTreeSet;

use mesh_core::config::services::Service;
use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};

/// Whether callers of `old` know less, or more, than they have to of `new`, the same service later.
pub(super) fn are_to_know_more(old: &Service, new: &Service) -> bool {
    // While there is no endpoint, callers may go on demanding who there was.
    let is_served = endpoints(new).next().is_some();
    let are_others = is_served && identities(old) != identities(new);
    are_others || (has_listeners_by_endpoint(new) && listened_at(old) != listened_at(new))
}

/// The namespaces and service accounts of all endpoints.
fn identities(service: &Service) -> BTreeSet<(&str, &str)> {
    let known = endpoints(service).filter(|endpoint| !endpoint.service_account.is_empty());
    known
        .map(|endpoint| (&*endpoint.namespace, &*endpoint.service_account))
        .collect()
}

/// Whether a sidecar may have a listener for each endpoint: HTTP is told by its host instead.
fn has_listeners_by_endpoint(service: &Service) -> bool {
    let mut ports = service.ports.iter();
    service.discovery == Discovery::OriginalDestination
        && ports.any(|port| port.protocol.is_tcp() || port.protocol.is_unsupported())
}

/// The addresses of the endpoints, and whether mesh mTLS is sent there, which is decided for all of them.
fn listened_at(service: &Service) -> BTreeSet<(&EndpointAddress, bool, bool)> {
    let endpoints = endpoints(service);
    endpoints
        .map(|endpoint| {
            (
                &endpoint.address,
                endpoint.mesh_tls,
                endpoint.mesh_tls_disabled,
            )
        })
        .collect()
}

fn endpoints(service: &Service) -> impl Iterator<Item = &Endpoint> {
    let ports = service.ports.iter();
    ports.flat_map(|port| service.endpoints(port))
}
