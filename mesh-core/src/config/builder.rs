use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::MeshConfig;
use crate::config::destination_rules::DestinationRules;
use crate::config::features::Features;
use crate::config::options::MeshOptions;
use crate::config::resources::Resources;
use crate::config::services::{Services, Sources};
use crate::origin::Origin;
use crate::resource::Object;
use crate::resource::istio::{MeshConfig as WrittenOptions, MeshNetworks};
use crate::resource::kind::Kind;

const DEFAULT_DOMAIN: &str = "cluster.local";

/// Collects the objects of a [`MeshConfig`].
#[derive(Clone, Debug, Default)]
pub struct MeshConfigBuilder {
    default_namespace: Option<String>,
    domain: Option<String>,
    config_domain: Option<String>,
    pub(super) options: MeshOptions,
    features: Features,
    networks: MeshNetworks,
    pub(super) objects: Vec<Object>,
}

impl MeshConfigBuilder {
    /// The namespace of objects that were written without one. Default `default`.
    #[must_use]
    pub fn default_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.default_namespace = Some(namespace.into());
        self
    }

    /// Suffix of the names of Kubernetes Services. Default `cluster.local`.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Suffix of the short names that objects refer to. Default that of Kubernetes Services. With
    /// an empty one `reviews` is `reviews.default`.
    #[must_use]
    pub fn config_domain(mut self, domain: impl Into<String>) -> Self {
        self.config_domain = Some(domain.into());
        self
    }

    /// Mesh-wide settings. Default Istio's.
    #[must_use]
    pub fn mesh(mut self, options: WrittenOptions) -> Self {
        self.options = MeshOptions::new(options);
        self
    }

    /// What istiod's environment says. Default that of an istiod to which nothing is said.
    #[must_use]
    pub fn features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// Networks that do not reach each other but through gateways. Default none.
    #[must_use]
    pub fn networks(mut self, networks: MeshNetworks) -> Self {
        self.networks = networks;
        self
    }

    /// Adds objects.
    #[must_use]
    pub fn extend(mut self, objects: impl IntoIterator<Item = Object>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// Indexes what was added. `version` is given back by [`MeshConfig::version`].
    ///
    /// # Errors
    ///
    /// One for each object of the same kind, namespace and name as an earlier one.
    pub fn build(mut self, version: u64) -> Result<MeshConfig, Vec<DuplicateResource>> {
        let default_namespace = self.default_namespace.as_deref().unwrap_or("default");
        for object in &mut self.objects {
            if object.kind().is_namespaced() && object.metadata().namespace.is_empty() {
                object.metadata_mut().namespace = default_namespace.to_owned();
            }
        }
        let duplicates = duplicates(&self.objects);
        if !duplicates.is_empty() {
            return Err(duplicates);
        }

        let mut resources = Resources::default();
        for object in self.objects {
            resources.push(object);
        }
        resources.index();
        let domain = self.domain.unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        let sources = Sources::new(&resources, &self.options, &self.networks, &domain);
        let services = Services::new(sources.services());
        let mut config = MeshConfig {
            version,
            config_domain: self.config_domain.unwrap_or_else(|| domain.clone()),
            domain,
            options: self.options,
            features: self.features,
            networks: self.networks,
            resources,
            services,
            destination_rules: DestinationRules::default(),
        };
        config.destination_rules = DestinationRules::new(&config);
        Ok(config)
    }
}

fn duplicates(objects: &[Object]) -> Vec<DuplicateResource> {
    let mut seen: HashMap<(Kind, &str, &str), &Object> = HashMap::with_capacity(objects.len());
    let mut duplicates = Vec::new();
    for object in objects {
        let metadata = object.metadata();
        match seen.entry((object.kind(), &metadata.namespace, &metadata.name)) {
            Entry::Vacant(entry) => {
                entry.insert(object);
            }
            Entry::Occupied(first) => duplicates.push(DuplicateResource {
                first: first.get().origin(),
                second: object.origin(),
            }),
        }
    }
    duplicates
}

/// Two objects have the same kind, namespace and name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{second}` is declared already, as `{first}`")]
#[non_exhaustive]
pub struct DuplicateResource {
    /// The object that was read first.
    pub first: Origin,
    /// The object that was read later.
    pub second: Origin,
}
