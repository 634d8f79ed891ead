//! The configuration of a mesh: all resources, indexed, immutable and versioned.
//!
//! A [`MeshConfig`] is built once from the objects of all files, and replaced whole when one of
//! them changes. [`resolve`](crate::resolve) says what it asks of one workload.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::VirtualService;
//!
//! let mut reviews = Resource::<VirtualService>::default();
//! reviews.metadata.name = "reviews".into();
//! reviews.spec.hosts = vec!["reviews".into()];
//!
//! let config = MeshConfig::builder()
//!     .default_namespace("shop")
//!     .extend([reviews.clone().into()])
//!     .build(1)?;
//! assert_eq!(config.resources().virtual_services[0].metadata.namespace, "shop");
//! assert_eq!(config.resolve_host("reviews", "shop"), "reviews.shop.svc.cluster.local");
//!
//! let twice = MeshConfig::builder().extend([reviews.clone().into(), reviews.into()]);
//! assert_eq!(twice.build(2).unwrap_err().len(), 1);
//! # Ok::<(), Vec<mesh_core::config::DuplicateResource>>(())
//! ```

mod builder;
#[cfg(feature = "yaml")]
mod config_map;
pub mod destination_rules;
pub mod features;
#[cfg(feature = "gateway-api")]
pub mod gateway_api;
pub mod options;
pub mod resources;
pub mod services;
pub mod visibility;

use crate::config::destination_rules::DestinationRules;
use crate::config::features::Features;
use crate::config::options::MeshOptions;
use crate::config::resources::Resources;
use crate::config::services::Services;
use crate::host::resolve_short_name;
use crate::resource::istio::MeshNetworks;

pub use self::builder::{DuplicateResource, MeshConfigBuilder};

/// All resources of a mesh, and what is read out of them for every workload.
#[derive(Clone, Debug, Default)]
pub struct MeshConfig {
    version: u64,
    domain: String,
    config_domain: String,
    options: MeshOptions,
    features: Features,
    networks: MeshNetworks,
    resources: Resources,
    services: Services,
    destination_rules: DestinationRules,
}

impl MeshConfig {
    /// Starts an empty configuration.
    pub fn builder() -> MeshConfigBuilder {
        MeshConfigBuilder::default()
    }

    /// What tells this configuration from others, as given to
    /// [`build`](MeshConfigBuilder::build).
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Suffix of the names of Kubernetes Services, such as `cluster.local`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Mesh-wide settings.
    pub fn options(&self) -> &MeshOptions {
        &self.options
    }

    /// What istiod's environment says. [`MeshConfigBuilder::features`] sets it.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Networks that do not reach each other but through gateways.
    pub fn networks(&self) -> &MeshNetworks {
        &self.networks
    }

    /// The resources as written, by kind, the oldest first.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Kubernetes Services and ServiceEntries as one.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// DestinationRules, those of the same host merged.
    pub fn destination_rules(&self) -> &DestinationRules {
        &self.destination_rules
    }

    /// The whole name of a host that an object of `namespace` refers to, in lower case.
    pub fn resolve_host(&self, host: &str, namespace: &str) -> String {
        resolve_short_name(host, namespace, &self.config_domain).to_ascii_lowercase()
    }
}
