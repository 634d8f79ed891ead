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

    /// The authorizer that CUSTOM policies name so. Providers of other kinds may have the same name, other
    /// authorizers may not (`processExtensionProvider`).
    ///
    /// # Errors
    ///
    /// There is none, or none that is told apart.
    pub(crate) fn authorizer(&self, name: &str) -> Result<&ExtensionProvider, NoAuthorizer> {
        let written = &self.options.as_written().extension_providers;
        let named = || written.iter().filter(|provider| provider.name == name);
        let mut authorizers = named().filter(|provider| {
            provider.envoy_ext_authz_http.is_some() || provider.envoy_ext_authz_grpc.is_some()
        });
        let is_label = dns::validate_label(name).is_ok() && name == name.to_ascii_lowercase();
        match (authorizers.next(), authorizers.next()) {
            (Some(found), None) if is_label => Ok(found),
            (Some(_), None) => Err(NoAuthorizer::Name),
            (Some(_), Some(_)) => Err(NoAuthorizer::Ambiguous),
            (None, _) if named().next().is_some() => Err(NoAuthorizer::Kind),
            (None, _) => Err(NoAuthorizer::Unknown),
        }
    }
}

/// Why nobody can be asked about what a CUSTOM policy is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoAuthorizer {
    #[error("authorizers of the mesh share the name")]
    Ambiguous,
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
    fn the_authorizer_of_a_name_is_the_only_one() {
        let asked = "envoyExtAuthzHttp: { service: a.example, port: 80 }";
        let other = "prometheus: {}";
        for (providers, name, expected) in [
            (&[("a", asked), ("b", asked)][..], "a", Ok("a")),
            (&[("a", other), ("a", asked)], "a", Ok("a")),
            (
                &[("a", asked), ("a", asked)],
                "a",
                Err(NoAuthorizer::Ambiguous),
            ),
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
