use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::options::MeshOptions;
use mesh_core::path::Normalization;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::EnvoyFilter;
use mesh_core::resource::istio::mesh_config::NormalizationType;
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

    /// How paths are normalized.
    pub fn normalization(&self) -> Normalization {
        let written = self.options.as_written().path_normalization.as_ref();
        match written.map(|written| written.normalization) {
            None | Some(NormalizationType::Default | NormalizationType::Base) => {
                Normalization::Base
            }
            Some(NormalizationType::None) => Normalization::None,
            Some(NormalizationType::MergeSlashes) => Normalization::MergeSlashes,
            Some(NormalizationType::DecodeAndMergeSlashes) => Normalization::DecodeAndMergeSlashes,
        }
    }
}
