use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::options::MeshOptions;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::EnvoyFilter;
use mesh_core::resource::kubernetes::config_map::ConfigMap;
use mesh_core::resource::kubernetes::secret::Secret;

/// What a gateway needs of a configuration beside its own model. The default is that of a mesh
/// where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct MeshWide {
    /// Mesh-wide settings.
    pub options: MeshOptions,
    /// Patches, among them the rate limits that Istio documents. Which of them are about the gateway
    /// is decided when they are compiled.
    pub envoy_filters: Vec<Arc<Resource<EnvoyFilter>>>,
    /// Certificates and keys, of which the gateway uses those that its servers name.
    pub secrets: Vec<Arc<Resource<Secret>>>,
    /// Certificates of authorities, of which the gateway uses those that its settings name.
    pub config_maps: Vec<Arc<Resource<ConfigMap>>>,
}

impl MeshWide {
    /// What `config` says.
    pub fn of(config: &MeshConfig) -> Self {
        Self {
            options: config.options().clone(),
            envoy_filters: config.resources().envoy_filters.clone(),
            secrets: config.resources().secrets.clone(),
            config_maps: config.resources().config_maps.clone(),
        }
    }
}
