//! Configuration files, read by [`load`] as a source of
//! [`mesh_discovery`](mesh_discovery::source::file) reads them, and found to be right or wrong.
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
//! assert!(drawn.contains("reviews.yaml:7:3"), "{drawn}");
//!
//! let refused = loaded.build(MeshConfig::builder(), 1);
//! assert!(refused.is_err(), "what has errors is not built");
//! # Ok(())
//! # }
//! ```

use std::path::PathBuf;

pub use mesh_core::load::{Diagnostics, Loaded};
use mesh_discovery::source::file;

/// Reads `paths`, files or directories, and checks each resource. One that is written twice is an
/// error.
pub fn load(paths: &[PathBuf]) -> Loaded {
    file::load(paths, Loaded::default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
}
