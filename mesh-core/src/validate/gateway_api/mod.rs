//! Rules of the Gateway API: those that its custom resource definitions state, structural and in
//! CEL (`config/crd/experimental` of `kubernetes-sigs/gateway-api`).
//!
//! A server fills in defaults before it checks the rules; here an absent field is taken for its
//! default.
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::gateway_api::object::GatewayApiObject;
//! use mesh_core::resource::gateway_api::tcp_route::TcpRoute;
//! use mesh_core::validate::{Report, gateway_api};
//!
//! let route = GatewayApiObject::from(Resource::<TcpRoute>::default());
//! let report = Report::default();
//! gateway_api::validate(&route, report.root());
//! assert_eq!(report.into_violations()[0].message, "from 1 to 1 items are required");
//! ```

mod backend_reference;
mod backend_tls_policy;
mod backend_traffic_policy;
mod cors;
mod gateway;
mod gateway_tls;
mod grpc_route;
mod http_filter;
mod http_match;
mod http_route;
mod l4_route;
mod listener;
mod name;
mod parent_reference;
mod path_modifier;
mod reference_grant;
mod session_persistence;

pub use backend_traffic_policy::validate_backend_traffic_policy;

use std::collections::BTreeSet;
use std::fmt;

use super::At;
use crate::resource::gateway_api::object::GatewayApiObject;

/// Checks a resource of the Gateway API, except for its metadata.
pub fn validate(object: &GatewayApiObject, at: At<'_>) {
    at.require_written("spec");
    let at = at.field("spec");
    match object {
        GatewayApiObject::GatewayClass(class) => gateway::validate_class(&class.spec, at),
        GatewayApiObject::KubernetesGateway(gateway) => gateway::validate(&gateway.spec, at),
        GatewayApiObject::ListenerSet(set) => listener::validate_set(&set.spec, at),
        GatewayApiObject::HttpRoute(route) => http_route::validate(&route.spec, at),
        GatewayApiObject::GrpcRoute(route) => grpc_route::validate(&route.spec, at),
        GatewayApiObject::TlsRoute(route) => l4_route::validate_tls(&route.spec, at),
        GatewayApiObject::TcpRoute(route) => l4_route::validate_tcp(&route.spec, at),
        GatewayApiObject::UdpRoute(route) => l4_route::validate_udp(&route.spec, at),
        GatewayApiObject::ReferenceGrant(grant) => reference_grant::validate(&grant.spec, at),
        GatewayApiObject::BackendTlsPolicy(policy) => {
            backend_tls_policy::validate(&policy.spec, at)
        }
    }
}

/// Checks how many items a list has.
fn validate_len<T>(items: &[T], min: usize, max: usize, at: At<'_>) {
    if !(min..=max).contains(&items.len()) {
        at.error(format_args!("from {min} to {max} items are required"));
    }
}

/// Checks that the items of a list which is a set differ.
fn validate_distinct<T: Ord + fmt::Display>(items: &[T], at: At<'_>) {
    let mut seen = BTreeSet::new();
    at.each(items, |item, at| {
        if !seen.insert(item) {
            at.error(format_args!("`{item}` is there twice"));
        }
    });
}

#[cfg(test)]
mod tests;
