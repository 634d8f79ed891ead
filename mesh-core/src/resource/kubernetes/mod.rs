//! Kubernetes resources, as written: the fields that a mesh reads.
//!
//! Each kind has a module, and the type named for the kind holds the whole object but for
//! `apiVersion`, `kind` and `metadata`: `spec` and `status` where the kind has them, the other
//! top-level fields where it has not.
//!
//! **Fields that are not read are accepted.** Kubernetes has many more fields than a mesh needs,
//! and new ones with each release, so an unknown field of these kinds is not an error; it has no
//! effect here. The types of Istio and of the Gateway API are complete, and an unknown field
//! there is an error.
//!
//! A value says what was written: a field that is absent is `None` or empty, and the default that
//! Kubernetes applies is documented on the field. Field names and enums are those of the
//! Kubernetes API (`core/v1`, `apps/v1`, `discovery/v1`, `networking/v1`).
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::service::Service;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let service: Service = serde_json::from_str(
//!     r#"{
//!         "apiVersion": "v1",
//!         "kind": "Service",
//!         "metadata": {"name": "cart"},
//!         "spec": {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80}]}
//!     }"#,
//! )?;
//! assert_eq!(service.spec.ports[0].port, 80);
//! # Ok(())
//! # }
//! ```

pub mod config_map;
pub mod custom_resource_definition;
pub mod deployment;
pub mod endpoint_slice;
pub mod endpoints;
pub mod ingress;
pub mod ingress_class;
pub mod int_or_string;
pub mod label_selector;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod secret;
pub mod service;
pub mod webhook_configuration;
