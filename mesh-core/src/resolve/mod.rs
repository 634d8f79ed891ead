//! What the configuration asks of one workload.
//!
//! [`resolve`] reads a [`MeshConfig`] for a [`Workload`] and gives the [`Model`] of all that the
//! workload has to do: Sidecars and `exportTo` decide what it sees, Gateways and services what it
//! listens on, VirtualServices where requests go, DestinationRules how, and policies who may call.
//!
//! It is pure, and it cannot fail: what cannot be done becomes a
//! [`Notice`] with its origin, and nothing is dropped in silence.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//! use mesh_core::resolve::resolve;
//! use mesh_core::service::ClusterName;
//! use mesh_core::workload::Workload;
//!
//! let text = "
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: { name: books, namespace: shop }
//! spec:
//!   hosts: [books.example]
//!   resolution: STATIC
//!   ports: [{ number: 80, name: http, protocol: HTTP }]
//!   endpoints: [{ address: 192.0.2.7 }]
//! ";
//! let parsed = parse("books.yaml", text, &Limits::default());
//! let config = MeshConfig::builder().extend(parsed.objects).build(1).unwrap();
//!
//! let model = resolve(&config, &Workload::sidecar("shop"));
//! let books = &model.clusters[&ClusterName::outbound(80, "", "books.example")];
//! assert_eq!(books.endpoints.len(), 1);
//! # }
//! ```

mod attachment;
mod cluster;
mod connect_strategy;
mod context;
mod gateway;
#[cfg(feature = "gateway-api")]
pub(crate) mod gateway_api;
#[cfg(not(feature = "gateway-api"))]
#[path = "gateway_api/absent.rs"]
mod gateway_api;
mod locality;
mod peer;
mod place;
mod policy;
mod proxy_headers;
mod refused;
mod scope;
mod sidecar;
mod traffic_policy;
pub mod virtual_service;

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::services::Service;
use crate::model::policy::Policies;
use crate::model::{Model, Notice};
use crate::workload::{Workload, WorkloadKind};

pub use self::attachment::is_for_workload;
use self::context::Context;

/// Says what `config` asks of `workload`.
pub fn resolve(config: &MeshConfig, workload: &Workload) -> Model {
    let context = Context::new(config, workload);
    let mut notices = context.scope.notices.clone();
    notices.extend(gateway_api::backend_tls_notices(&context));
    notices.extend(connect_strategy::notices(&context));
    let mut parts = match workload.kind {
        WorkloadKind::Gateway => gateway::resolve(&context),
        WorkloadKind::Sidecar => {
            let mesh_routes = gateway_api::mesh_routes(&context, &mut notices);
            sidecar::resolve(&context, mesh_routes)
        }
    };
    refused::apply(&mut parts);
    notices.append(&mut parts.notices);
    proxy_headers::apply(config, &mut parts.listeners);
    let clusters = cluster::resolve(&context, &parts, &mut notices);
    let policies = policy::resolve(config, workload, &mut notices);
    retain_first(&mut notices);
    Model {
        workload: locality::located(config.services(), workload),
        replicas: replicas(config.services().iter().map(|service| &**service), workload),
        version: config.version(),
        listeners: parts.listeners,
        route_configurations: parts.route_configurations,
        clusters,
        policies,
        notices,
    }
}

/// Where the healthy replicas of `workload` are, itself included, as [`Model::replicas`] says: those
/// endpoints of `services`. Only services that it is behind count.
pub fn replicas<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    workload: &Workload,
) -> Vec<String> {
    locality::replicas(services, workload)
}

/// The services that `workload` sees, as its Sidecar and `exportTo` decide: of several with one host
/// that which counts for it.
pub fn visible_services(config: &MeshConfig, workload: &Workload) -> Vec<Arc<Service>> {
    Context::new(config, workload).scope.services().to_vec()
}

/// The services that the egress listeners of `workload` import, listener by listener: those that its
/// Sidecar asks for itself. What VirtualServices and routes lead to besides is not among them, entries of
/// one host and namespace all are, and what listeners with a port import has that port alone. A gateway,
/// which has no such listeners, imports what it sees.
pub fn imported_services(config: &MeshConfig, workload: &Workload) -> Vec<Arc<Service>> {
    let scope = Context::new(config, workload).scope;
    match workload.kind {
        WorkloadKind::Gateway => scope.services().to_vec(),
        WorkloadKind::Sidecar => {
            let listeners = scope.egress.into_iter();
            listeners.flat_map(|listener| listener.services).collect()
        }
    }
}

/// The policies that are attached to `workload`.
pub(crate) fn policies(config: &MeshConfig, workload: &Workload) -> Policies {
    policy::resolve(config, workload, &mut Vec::new())
}

/// Drops notices that repeat an earlier one.
fn retain_first(notices: &mut Vec<Notice>) {
    let mut seen = HashSet::new();
    notices.retain(|notice| seen.insert((notice.origin.clone(), notice.message.clone())));
}
