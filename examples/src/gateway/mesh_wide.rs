use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::options::MeshOptions;
use mesh_core::dns;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::EnvoyFilter;
use mesh_core::resource::istio::mesh_config::ExtensionProvider;
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

    /// The authorizer that CUSTOM policies name so.
    ///
    /// # Errors
    ///
    /// There is none, or its name is none of an authorizer (`validateProviderName`).
    pub(crate) fn authorizer(&self, name: &str) -> Result<&ExtensionProvider, NoAuthorizer> {
        let mut providers = self.options.extension_providers();
        let found = providers.find(|provider| provider.name == name);
        let found = found.ok_or(NoAuthorizer::Unknown)?;
        if found.envoy_ext_authz_http.is_none() && found.envoy_ext_authz_grpc.is_none() {
            return Err(NoAuthorizer::Kind);
        }
        match dns::validate_label(name) {
            Ok(()) if name == name.to_ascii_lowercase() => Ok(found),
            _ => Err(NoAuthorizer::Name),
        }
    }
}

/// Why nobody can be asked about what a CUSTOM policy is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoAuthorizer {
    #[error("it is no authorizer")]
    Kind,
    #[error("its name is no DNS label of lower case")]
    Name,
    #[error("the mesh has no such provider")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorizer_is_the_last_provider_of_its_name() {
        let asked = "envoyExtAuthzHttp: { service: a.example, port: 80 }";
        let other = "prometheus: {}";
        for (providers, name, expected) in [
            (&[("a", asked), ("b", asked)][..], "a", Ok("a")),
            (&[("a", other), ("a", asked)], "a", Ok("a")),
            (&[("a", asked), ("a", other)], "a", Err(NoAuthorizer::Kind)),
            (&[("a", other)], "a", Err(NoAuthorizer::Kind)),
            (&[("A", asked)], "A", Err(NoAuthorizer::Name)),
            (&[("a.b", asked)], "a.b", Err(NoAuthorizer::Name)),
            (&[("a", asked)], "b", Err(NoAuthorizer::Unknown)),
        ] {
            let list = providers
                .iter()
                .map(|(name, kind)| format!("{{ name: {name}, {kind} }}"));
            let list = list.collect::<Vec<_>>().join(", ");
            let mut loaded = crate::config::Loaded::default();
            loaded.add(
                "mesh.yaml",
                format!(
                    "apiVersion: v1\nkind: ConfigMap\n\
                     metadata: {{ name: istio, namespace: istio-system }}\n\
                     data: {{ mesh: 'extensionProviders: [{list}]' }}\n"
                ),
            );
            let (config, _) = loaded.build(MeshConfig::builder(), 1).unwrap();
            let wide = MeshWide::of(&config);
            let found = wide.authorizer(name).map(|found| found.name.as_str());
            assert_eq!(found, expected, "{list}");
        }
    }
}
