//! Configuration files: read, parsed, validated, and put together.
//!
//! [`load`] reads files and directories, as a source of
//! [`mesh_discovery`](mesh_discovery::source::file) does, and finds all that is wrong with them at
//! once. What it found is built into a [`MeshConfig`] by [`Loaded::build`]. Problems are [`Diagnostics`], which
//! can be drawn for a person, under an excerpt of the file each.
//!
//! A directory stands for the `.yaml`, `.yml` and `.json` files in it, by name; those below it, and
//! those whose names begin with a dot, are not looked at. So a ConfigMap that Kubernetes mounts can
//! be named as it is.
//!
//! # Example
//!
//! ```
//! use examples::config;
//! use mesh_core::config::MeshConfig;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let file = directory.path().join("reviews.yaml");
//! std::fs::write(&file, "
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata: { name: reviews }
//! spec:
//!   hosts: [reviews]
//!   htttp: []
//! ")?;
//! let loaded = config::load(&[directory.path().into()]);
//! assert!(loaded.diagnostics.has_errors());
//! let drawn = loaded.diagnostics.to_string();
//! assert!(drawn.contains("unknown field `htttp`"), "{drawn}");
//! assert!(drawn.contains("reviews.yaml:7:3"), "{drawn}");
//!
//! let refused = loaded.build(MeshConfig::builder(), 1);
//! assert!(refused.is_err(), "what has errors is not built");
//! # Ok(())
//! # }
//! ```

mod diagnostics;

use std::path::PathBuf;

use mesh_core::config::{DuplicateResource, MeshConfig, MeshConfigBuilder};
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::origin::Origin;
use mesh_core::parse::Limits;
use mesh_core::resource::Object;
use mesh_discovery::source::file;

pub use self::diagnostics::Diagnostics;

/// The namespace of resources that were written without one.
const DEFAULT_NAMESPACE: &str = "default";

/// What files say, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The resources that could be read, in the order of the files.
    pub objects: Vec<Object>,
    /// What was found by reading, parsing and validating.
    pub diagnostics: Diagnostics,
}

/// Reads `paths`, files or directories, and checks each resource. One that is written twice is an
/// error.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.extend(file::load(paths, DEFAULT_NAMESPACE, &Limits::default()));
    loaded
}

impl Loaded {
    /// Adds a document that is not a file, such as standard input, under a name for diagnostics.
    pub fn add(&mut self, name: &str, text: String) {
        let mut document = file::Loaded::default();
        document.add(name, text, DEFAULT_NAMESPACE, &Limits::default());
        self.extend(document);
    }

    fn extend(&mut self, loaded: file::Loaded) {
        self.objects.extend(loaded.objects);
        self.diagnostics.extend(loaded.diagnostics);
        for (name, text) in loaded.texts {
            self.diagnostics.keep_text(&name, text);
        }
    }

    /// Puts the resources together. The ConfigMap `istio` of the root namespace, if it is among them,
    /// holds the mesh-wide settings, as with istiod.
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
        let builder = match builder.extend(self.objects).options_from_config_map() {
            Ok(builder) => builder,
            Err(problems) => {
                diagnostics.extend(problems.iter());
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

/// A diagnostic about what was written at `origin`.
pub fn diagnostic_at(origin: &Origin, severity: Severity, message: String) -> Diagnostic {
    Diagnostic {
        position: origin.position(),
        label: origin.path().to_owned(),
        ..Diagnostic::new(severity, origin.file(), message)
    }
}

fn duplicate(duplicate: &DuplicateResource) -> Diagnostic {
    diagnostic_at(&duplicate.second, Severity::Error, duplicate.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: { name: prod }\n";

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let loaded = load(&["/nowhere/mesh.yaml".into()]);
        let drawn = loaded.diagnostics.to_string();
        assert!(drawn.starts_with("error: cannot be read: "), "{drawn}");
        assert!(drawn.contains("/nowhere/mesh.yaml"), "{drawn}");
    }

    #[test]
    fn a_file_that_is_not_text_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mesh.yaml");
        fs::write(&file, b"\xff").unwrap();
        let drawn = load(&[file]).diagnostics.to_string();
        assert!(drawn.contains("invalid utf-8"), "{drawn}");
    }

    #[test]
    fn a_resource_that_is_declared_twice_is_an_error_at_its_second_place() {
        let mut loaded = Loaded::default();
        loaded.add("a.yaml", NAMESPACE.to_owned());
        loaded.add("b.yaml", NAMESPACE.to_owned());
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
        let drawn = build("trustDomain: []").unwrap_err().to_string();
        assert!(drawn.contains("istio.yaml#mesh"), "{drawn}");
    }

    #[test]
    fn a_kind_that_is_not_read_is_listed() {
        let mut loaded = Loaded::default();
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\n";
        loaded.add("job.yaml", job.to_owned());
        let (_, diagnostics) = loaded.build(MeshConfig::builder(), 1).unwrap();
        let drawn = diagnostics.to_string();
        assert!(drawn.contains("`Job` of `batch/v1`"), "{drawn}");
    }

    #[test]
    fn warnings_do_not_keep_a_configuration_from_being_built() {
        let mut loaded = Loaded::default();
        loaded.add("a.yaml", NAMESPACE.to_owned());
        let warning = Diagnostic::new(Severity::Warning, "a.yaml", "odd");
        loaded.diagnostics.extend([warning]);
        let (config, diagnostics) = loaded.build(MeshConfig::builder(), 7).unwrap();
        assert_eq!(config.version(), 7);
        assert!(!diagnostics.is_empty());
    }
}
