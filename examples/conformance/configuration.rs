//! Configuration from the texts and values of a case.

use std::fmt::Display;
use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::features::Features;
use mesh_core::parse::{self, Limits, Parsed};
use mesh_core::resource::istio::MeshConfig as MeshOptions;
use mesh_core::resource::kind::Kind;
use mesh_core::resource::{Object, Value as ResourceValue};
use serde_json::Value;

/// Resources that are not built yet.
#[derive(Debug)]
pub(crate) struct Configuration {
    default_namespace: String,
    config_domain: Option<String>,
    features: Features,
    options: Option<MeshOptions>,
    objects: Vec<Object>,
}

impl Configuration {
    /// No resources. Those without a namespace will belong to `default_namespace`.
    pub(crate) fn new(default_namespace: &str) -> Self {
        Self {
            default_namespace: default_namespace.into(),
            config_domain: None,
            features: Features::default(),
            options: None,
            objects: Vec::new(),
        }
    }

    /// Sets the suffix of the short names that resources refer to.
    pub(crate) fn with_config_domain(mut self, domain: &str) -> Self {
        self.config_domain = Some(domain.into());
        self
    }

    /// Sets what istiod's environment says.
    pub(crate) fn set_features(&mut self, features: Features) {
        self.features = features;
    }

    /// Adds the resources of a text. The error is what is wrong with it.
    pub(crate) fn add_yaml(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.add(parse::parse(file, text, &Limits::default()))
    }

    /// Adds a resource. The error is what is wrong with it.
    pub(crate) fn add_value(&mut self, value: &Value) -> Result<(), String> {
        self.add(parse_value(value)?)
    }

    fn add(&mut self, parsed: Parsed) -> Result<(), String> {
        if !parsed.problems.is_empty() {
            return Err(joined(&parsed.problems));
        }
        self.objects.extend(parsed.objects);
        Ok(())
    }

    /// Deletes the resources of a kind.
    pub(crate) fn delete(&mut self, kind: Kind) {
        self.objects.retain(|object| object.kind() != kind);
    }

    /// Sets the mesh-wide settings.
    pub(crate) fn set_mesh(&mut self, value: &Value) -> Result<(), String> {
        let options = parse::parse_as("mesh", &value.to_string(), &Limits::default());
        let (options, _) = options.map_err(|problems| joined(&problems))?;
        self.options = Some(options);
        Ok(())
    }

    /// Gives an address to each Service that was written without one, as the server of Kubernetes
    /// does.
    pub(crate) fn assign_addresses(&mut self) {
        let mut number = 0_u8;
        for object in &mut self.objects {
            if let Object::Service(service) = object {
                let service = &mut Arc::make_mut(service).spec.spec;
                if service.cluster_ip.is_none() && service.external_name.is_none() {
                    number = number.saturating_add(1);
                    service.cluster_ip = Some(format!("10.97.0.{number}"));
                }
            }
        }
    }

    /// The resources so far.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Builds the configuration.
    pub(crate) fn build(self) -> Result<MeshConfig, String> {
        let mut builder = MeshConfig::builder()
            .default_namespace(self.default_namespace)
            .features(self.features);
        if let Some(domain) = self.config_domain {
            builder = builder.config_domain(domain);
        }
        if let Some(options) = self.options {
            builder = builder.mesh(options);
        }
        builder
            .extend(self.objects)
            .build(1)
            .map_err(|duplicates| joined(&duplicates))
    }
}

/// Reads a resource that is a JSON value.
pub(crate) fn parse_value(value: &Value) -> Result<Parsed, String> {
    let value: ResourceValue =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    Ok(parse::parse_value("case", &value))
}

/// Problems in one text.
pub(crate) fn joined<T: Display>(problems: &[T]) -> String {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    problems.join("; ")
}
