//! What istiod reads from its environment rather than from MeshConfig, and what is resolved depends
//! on.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::config::features::Features;
//!
//! let features = Features {
//!     scope_gateway_to_namespace: true,
//!     ..Features::default()
//! };
//! let config = MeshConfig::builder().features(features).build(1)?;
//! assert!(config.features().scope_gateway_to_namespace);
//! assert!(!config.features().tls_on_sidecar_ingress);
//! # Ok::<(), Vec<mesh_core::config::DuplicateResource>>(())
//! ```

/// Features of the control plane. The default is istiod's.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// Whether a gateway runs only Gateways of its own namespace, and a Kubernetes Ingress only in
    /// `istio-system` (`PILOT_SCOPE_GATEWAY_TO_NAMESPACE`). Default: no, so that a Gateway's selector
    /// selects in all namespaces. Gateways of the Gateway API are those of their own namespace anyway.
    pub scope_gateway_to_namespace: bool,
    /// Whether `ingress[].tls` of Sidecars has an effect (`ENABLE_TLS_ON_SIDECAR_INGRESS`). Default: no.
    pub tls_on_sidecar_ingress: bool,
}
