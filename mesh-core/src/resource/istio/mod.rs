//! Istio's resources, as the user wrote them.
//!
//! One module a kind, named after it. The structs hold what stands under `spec`: the field names
//! are those of Istio's protocol buffers in snake case, and serde reads and writes their camel case
//! form, so that a document of Istio's deserialises without a change.
//!
//! Nothing is checked or interpreted here beyond the type of a value. Host names, addresses and
//! regular expressions stay the text that was written, and of a protobuf `oneof` every member is an
//! `Option`, so that validation can say that two of them were set. What that means for absence:
//!
//! * A scalar that is not written is its zero value, and so is an enum, where Istio draws no
//!   distinction. Where absence and zero differ the field is an `Option`: messages, wrapper types,
//!   members of a `oneof`, and the scalars of [`mesh_config`], which are merged over defaults.
//! * A list or map that is not written is empty. The few whose presence has a meaning of its own
//!   (the rules of an [`AuthorizationPolicy`]) are an `Option`.
//! * Serialising writes what differs from absence and leaves out the rest.
//!
//! A field that no struct has is skipped by serde; the parser, which knows the fields a struct
//! has, reports it with its position.
//!
//! Deprecated fields and those that Istio hides from its documentation are kept, since they occur
//! in configurations that users have. Source: the messages of `istio/api` and, where those of a
//! release lag behind, the custom resource definitions of Istio 1.32.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::VirtualService;
//!
//! let spec: VirtualService = serde_json::from_str(
//!     r#"{
//!         "hosts": ["reviews"],
//!         "http": [{"route": [{"destination": {"host": "reviews", "subset": "v2"}}]}]
//!     }"#,
//! )?;
//!
//! assert_eq!(spec.hosts, ["reviews"]);
//! assert!(spec.gateways.is_empty());
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod authorization_policy;
pub mod destination_rule;
pub mod envoy_filter;
pub mod gateway;
pub mod mesh_config;
pub mod mesh_networks;
pub mod peer_authentication;
pub mod percent;
pub mod port;
pub mod proxy_config;
pub mod request_authentication;
pub mod selector;
pub mod service_entry;
pub mod sidecar;
pub mod status;
pub mod string_match;
pub mod telemetry;
pub mod traffic_extension;
pub mod virtual_service;
pub mod wasm_plugin;
pub mod workload_entry;
pub mod workload_group;

pub use authorization_policy::AuthorizationPolicy;
pub use destination_rule::DestinationRule;
pub use envoy_filter::EnvoyFilter;
pub use gateway::Gateway;
pub use mesh_config::MeshConfig;
pub use mesh_networks::MeshNetworks;
pub use peer_authentication::PeerAuthentication;
pub use proxy_config::ProxyConfig;
pub use request_authentication::RequestAuthentication;
pub use service_entry::ServiceEntry;
pub use sidecar::Sidecar;
pub use telemetry::Telemetry;
pub use traffic_extension::TrafficExtension;
pub use virtual_service::VirtualService;
pub use wasm_plugin::WasmPlugin;
pub use workload_entry::WorkloadEntry;
pub use workload_group::WorkloadGroup;

/// Whether `value` is what a field holds that was not written.
fn is_default<T>(value: &T) -> bool
where
    T: Default + PartialEq,
{
    *value == T::default()
}

/// Reads `json`, asserts that writing the result gives back the same, and returns it.
#[cfg(test)]
#[track_caller]
fn round_trip<T>(json: &serde_json::Value) -> T
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let value: T = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), *json);
    value
}
