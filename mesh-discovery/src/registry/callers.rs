//! What callers know of the endpoints of a service, beside those that their clusters list.
//!
//! They demand of endpoints the identities that these have together, send all of them mesh mTLS or none where
//! connections go where the client wanted them to go, and call those of a headless service one by one, each by a
//! listener of its own. If one of these changes, clusters and listeners have to be resolved anew: istiod tells its
//! proxies all again (`UpdateServiceEndpoints` and the controller of EndpointSlices).

use std::collections::BTreeSet;

use mesh_core::config::services::{Service, ServicePort};
use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};

/// Whether callers need a configuration, as their clusters and listeners were resolved by `old`, and `new` is the
/// same service now. While there is no endpoint, they may go on expecting who there was. Gateways do not listen by
/// endpoint.
pub(super) fn needs_config(old: &Service, new: &Service, listens_by_endpoint: bool) -> bool {
    let is_served = endpoints(new).next().is_some();
    let are_others = is_served && identities(old) != identities(new);
    let listens_elsewhere = || listens_by_endpoint && has_other_listeners(old, new);
    are_others || has_other_transport(old, new) || listens_elsewhere()
}

/// The namespaces and service accounts of all endpoints.
fn identities(service: &Service) -> BTreeSet<(&str, &str)> {
    let known = endpoints(service).filter(|endpoint| !endpoint.service_account.is_empty());
    known
        .map(|endpoint| (&*endpoint.namespace, &*endpoint.service_account))
        .collect()
}

/// Whether mesh mTLS can be sent to the endpoints of a port where it could not, or the other way round. A rule
/// may have the connections of any service go where the client wanted them to go.
fn has_other_transport(old: &Service, new: &Service) -> bool {
    let takes_mesh_tls = |service: &Service, port: &ServicePort| {
        let is_plain = |endpoint: &Endpoint| !endpoint.mesh_tls && !endpoint.mesh_tls_disabled;
        let endpoints = service.endpoints(port);
        !endpoints.is_empty() && !endpoints.iter().any(is_plain)
    };
    let mut served = new
        .ports
        .iter()
        .filter(|port| !new.endpoints(port).is_empty());
    served.any(|port| takes_mesh_tls(old, port) != takes_mesh_tls(new, port))
}

/// Whether a sidecar has to listen for other endpoints than before. HTTP is told by its host instead, and a service
/// with an address by that.
fn has_other_listeners(old: &Service, new: &Service) -> bool {
    let is_by_endpoint =
        new.discovery == Discovery::OriginalDestination && new.addresses.is_empty();
    let is_l4 = |port: &&ServicePort| port.protocol.is_tcp() || port.protocol.is_unsupported();
    let mut ports = new.ports.iter().filter(is_l4);
    is_by_endpoint && ports.any(|port| listened_at(old, port) != listened_at(new, port))
}

fn listened_at<'a>(service: &'a Service, port: &ServicePort) -> BTreeSet<&'a EndpointAddress> {
    let endpoints = service.endpoints(port).iter();
    endpoints.map(|endpoint| &endpoint.address).collect()
}

fn endpoints(service: &Service) -> impl Iterator<Item = &Endpoint> {
    let ports = service.ports.iter();
    ports.flat_map(|port| service.endpoints(port))
}
