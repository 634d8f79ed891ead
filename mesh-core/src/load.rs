//! Documents read and checked: what they say, and all that is wrong with them.
//!
//! [`Loaded`] takes texts, parses them and validates each resource; [`Loaded::build`] puts the resources
//! together, with the mesh-wide settings among them, unless anything is an error. So nobody serves
//! a configuration from which a resource is missing that could not be read. What was found is
//! [`Diagnostics`], which can be drawn for a person. Nothing here reads files: `mesh-discovery` does.
//!
//! # Example
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::load::Loaded;
//!
//! let mut loaded = Loaded::default();
//! loaded.add("reviews.yaml", "
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata: { name: reviews }
//! spec:
//!   hosts: [reviews]
//!   htttp: []
//! ");
//! let refused = loaded.build(MeshConfig::builder(), 1).unwrap_err();
//! let drawn = refused.to_string();
//! assert!(drawn.contains("unknown field `htttp`"), "{drawn}");
//! assert!(drawn.contains("reviews.yaml:7:3"), "{drawn}");
//! ```

mod diagnostics;

use crate::config::{DuplicateResource, MeshConfig, MeshConfigBuilder};
use crate::diagnostic::{Diagnostic, Severity};
use crate::parse::{Limits, UnknownKind, parse};
use crate::resource::Object;
use crate::validate::validate;

pub use self::diagnostics::Diagnostics;

/// What documents say, and what is wrong with them.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The resources that could be read, in the order of the documents.
    pub objects: Vec<Object>,
    /// What was found by reading, parsing and validating.
    pub diagnostics: Diagnostics,
    default_namespace: String,
    limits: Limits,
}

impl Loaded {
    /// Nothing yet. Resources that are written without a namespace, and have one, are those of
    /// `default_namespace`; documents stay within `limits`.
    pub fn new(default_namespace: &str, limits: Limits) -> Self {
        Self {
            objects: Vec::new(),
            diagnostics: Diagnostics::default(),
            default_namespace: default_namespace.to_owned(),
            limits,
        }
    }

    /// Adds the documents of a text, under a name for diagnostics. A resource of a kind that is not
    /// read is a finding that is no error. That a resource is declared twice is found by
    /// [`build`](Self::build).
    pub fn add(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        let parsed = parse(name, &text, &self.limits);
        self.diagnostics.keep_text(name, text);
        self.diagnostics.extend(&parsed.problems);
        self.diagnostics
            .extend(parsed.unknown.iter().map(unknown_kind));
        for mut object in parsed.objects {
            if object.kind().is_namespaced() && object.metadata().namespace.is_empty() {
                self.default_namespace
                    .clone_into(&mut object.metadata_mut().namespace);
            }
            self.diagnostics.extend(&validate(&object));
            self.objects.push(object);
        }
    }

    /// The limits of each text.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Puts the resources together, after those that `builder` has. The ConfigMap `istio` of the root
    /// namespace, if it is among them, holds the mesh-wide settings, as with istiod.
    ///
    /// The diagnostics of a configuration that is built are warnings at most.
    ///
    /// # Errors
    ///
    /// All diagnostics, if there is an error among them, or if a resource is declared twice.
    pub fn build(
        self,
        builder: MeshConfigBuilder,
        version: u64,
    ) -> Result<(MeshConfig, Diagnostics), Diagnostics> {
        let mut diagnostics = self.diagnostics;
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        keep_embedded_texts(&self.objects, &mut diagnostics);
        let builder = match builder.extend(self.objects).options_from_config_map() {
            Ok((builder, found)) => {
                diagnostics.extend(found);
                builder
            }
            Err(found) => {
                diagnostics.extend(found);
                return Err(diagnostics);
            }
        };
        match builder.build(version) {
            Ok(config) => Ok((config, diagnostics)),
            Err(duplicates) => {
                diagnostics.extend(duplicates.iter().map(duplicate));
                Err(diagnostics)
            }
        }
    }
}

impl Default for Loaded {
    /// Nothing yet, with the namespace `default`, as for `kubectl`, and the default limits.
    fn default() -> Self {
        Self::new("default", Limits::default())
    }
}

/// Keeps the texts in ConfigMaps, so that what is found in them can be shown.
fn keep_embedded_texts(objects: &[Object], diagnostics: &mut Diagnostics) {
    for object in objects {
        if let Object::ConfigMap(map) = object {
            for (key, text) in &map.spec.data {
                let file = format!("{}#{key}", map.source.file());
                diagnostics.keep_text(&file, text.as_str());
            }
        }
    }
}

fn unknown_kind(unknown: &UnknownKind) -> Diagnostic {
    let message = format!(
        "`{}` of `{}` is of a kind that is not read",
        unknown.origin.kind(),
        unknown.api_version
    );
    Diagnostic::at(&unknown.origin, Severity::Info, message)
}

fn duplicate(duplicate: &DuplicateResource) -> Diagnostic {
    Diagnostic::at(&duplicate.second, Severity::Error, duplicate.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: { name: prod }\n";

    #[test]
    fn a_resource_that_is_declared_twice_is_an_error_at_its_second_place() {
        let mut loaded = Loaded::default();
        loaded.add("a.yaml", NAMESPACE);
        loaded.add("b.yaml", NAMESPACE);
        let diagnostics = loaded.build(MeshConfig::builder(), 1).unwrap_err();
        let drawn = diagnostics.to_string();
        assert!(drawn.contains("declared already"), "{drawn}");
        assert!(drawn.contains("--> b.yaml:1:1"), "{drawn}");
    }

    #[test]
    fn the_config_map_of_istio_holds_the_settings_of_the_mesh() {
        let map = |mesh: &str| {
            let head = "apiVersion: v1\nkind: ConfigMap\n";
            let metadata = "metadata: { name: istio, namespace: istio-system }\n";
            format!("{head}{metadata}data:\n  mesh: |-\n    {mesh}\n")
        };
        let build = |mesh: &str| {
            let mut loaded = Loaded::default();
            loaded.add("istio.yaml", map(mesh));
            loaded.build(MeshConfig::builder(), 1)
        };
        let (config, _) = build("trustDomain: shop.example").unwrap();
        assert_eq!(config.options().trust_domain(), "shop.example");
        for (mesh, label) in [
            ("trustDomain: []", "trustDomain"),
            ("connectTimeout: 2h", "2h"),
        ] {
            let drawn = build(mesh).unwrap_err().to_string();
            assert!(drawn.contains("istio.yaml#mesh:1:"), "{drawn}");
            assert!(drawn.contains(label), "{drawn}");
        }
    }

    #[test]
    fn a_kind_that_is_not_read_is_listed() {
        let mut loaded = Loaded::default();
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\n";
        loaded.add("job.yaml", job);
        let (_, diagnostics) = loaded.build(MeshConfig::builder(), 1).unwrap();
        let drawn = diagnostics.to_string();
        assert!(drawn.contains("`Job` of `batch/v1`"), "{drawn}");
    }

    #[test]
    fn warnings_do_not_keep_a_configuration_from_being_built() {
        let mut loaded = Loaded::default();
        loaded.add("a.yaml", NAMESPACE);
        let warning = Diagnostic::new(Severity::Warning, "a.yaml", "odd");
        loaded.diagnostics.extend([warning]);
        let (config, diagnostics) = loaded.build(MeshConfig::builder(), 7).unwrap();
        assert_eq!(config.version(), 7);
        assert!(!diagnostics.is_empty());
    }
}
