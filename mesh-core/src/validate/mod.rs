//! Whether resources obey the rules of their kinds, all violations at once.
//!
//! [`validate`](fn@validate) checks one [`Object`] and finds every [`Violation`]: errors, for which
//! Istio's webhook or the schema of the custom resource refuses it, and warnings about what is
//! probably not meant. A module for each kind has its rules, and modules for the parts that kinds
//! share; their functions take the value and where it stands ([`At`]), so that a part can be
//! checked by itself.
//!
//! The rules are those of Istio 1.32 (`pkg/config/validation`; the documentation of a function
//! names Go's) and of the custom resource definitions of `istio/api`. `MeshConfig` and
//! `MeshNetworks` are no objects; [`mesh_config`] and [`mesh_networks`] check them.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::VirtualService;
//! use mesh_core::resource::{Object, Resource};
//! use mesh_core::validate::validate;
//!
//! let mut resource = Resource::<VirtualService>::default();
//! resource.metadata.name = "reviews".into();
//! resource.metadata.namespace = "prod".into();
//! resource.spec = serde_json::from_str(
//!     r#"{
//!         "hosts": ["reviews"],
//!         "http": [{"timeout": "10us", "route": [{"destination": {"host": "*"}}]}]
//!     }"#,
//! )?;
//!
//! let lines: Vec<_> =
//!     validate(&Object::from(resource)).iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     lines,
//!     [
//!         "VirtualService prod/reviews spec.http[0].route[0].destination.host: error: \
//!          a destination cannot be every host (`*`)",
//!         "VirtualService prod/reviews spec.http[0].timeout: error: \
//!          duration `10µs` is below 1ms",
//!     ]
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

mod report;
mod violation;

pub mod address;
pub mod authorization_policy;
pub mod destination;
pub mod destination_rule;
pub mod duration;
pub mod envoy_filter;
pub mod export_to;
pub mod gateway;
#[cfg(feature = "gateway-api")]
pub mod gateway_api;
pub mod mesh_config;
pub mod mesh_networks;
pub mod metadata;
pub mod peer_authentication;
pub mod port;
pub mod proxy_config;
pub mod regex;
pub mod request_authentication;
pub mod retry;
pub mod scoped_host;
pub mod selector;
pub mod server_tls;
pub mod service_entry;
pub mod sidecar;
pub mod string_match;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod traffic_extension;
mod url;
pub mod virtual_service;
mod wasm;
pub mod wasm_plugin;
pub mod workload_entry;
pub mod workload_group;

pub use report::{At, Report, Reported};
pub use violation::{Violation, ViolationKind};

use crate::resource::Object;

/// Checks a resource: its metadata and the rules of its kind.
///
/// A namespace that was not written is taken for one without a name; callers that have a default
/// fill it in first. Of Kubernetes' own kinds only the metadata is checked, since its server checks
/// the rest.
pub fn validate(object: &Object) -> Vec<Violation> {
    let report = Report::new(object.origin(), object.source().clone());
    let at = report.root();
    metadata::validate(object.metadata(), object.kind(), at);
    match object {
        Object::VirtualService(resource) => virtual_service::validate(resource, at),
        Object::DestinationRule(resource) => destination_rule::validate(resource, at),
        Object::Gateway(resource) => gateway::validate(resource, at),
        Object::ServiceEntry(resource) => service_entry::validate(resource, at),
        Object::Sidecar(resource) => sidecar::validate(resource, at),
        Object::WorkloadEntry(resource) => workload_entry::validate(resource, at),
        Object::WorkloadGroup(resource) => workload_group::validate(resource, at),
        Object::PeerAuthentication(resource) => peer_authentication::validate(resource, at),
        Object::RequestAuthentication(resource) => request_authentication::validate(resource, at),
        Object::AuthorizationPolicy(resource) => authorization_policy::validate(resource, at),
        Object::ProxyConfig(resource) => proxy_config::validate(resource, at),
        Object::EnvoyFilter(resource) => envoy_filter::validate(resource, at),
        Object::Telemetry(resource) => telemetry::validate(resource, at),
        Object::WasmPlugin(resource) => wasm_plugin::validate(resource, at),
        Object::TrafficExtension(resource) => traffic_extension::validate(resource, at),
        #[cfg(feature = "gateway-api")]
        Object::GatewayApi(object) => gateway_api::validate(object, at),
        Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Endpoints(_)
        | Object::Pod(_)
        | Object::Namespace(_)
        | Object::Node(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::Deployment(_)
        | Object::Ingress(_)
        | Object::IngressClass(_)
        | Object::MutatingWebhookConfiguration(_)
        | Object::ValidatingWebhookConfiguration(_)
        | Object::CustomResourceDefinition(_) => {}
    }
    report.into_violations()
}

#[cfg(all(test, feature = "yaml"))]
mod tests;
