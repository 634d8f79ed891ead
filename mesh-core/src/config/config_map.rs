//! Mesh-wide settings in a ConfigMap, as istiod reads them.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::config::MeshConfigBuilder;
use crate::diagnostic::{Diagnostic, Severity};
use crate::origin::Origin;
use crate::parse::{Limits, parse_as};
use crate::resource::kubernetes::config_map::ConfigMap;
use crate::resource::{Object, Resource};
use crate::validate::mesh_config::Completeness;
use crate::validate::{At, Report, mesh_config, mesh_networks};

/// The name of the ConfigMap that has the settings of a mesh.
const CONFIG_MAP: &str = "istio";

impl MeshConfigBuilder {
    /// Takes mesh-wide settings and networks from the ConfigMap `istio` in the root namespace, its
    /// keys `mesh` and `meshNetworks`, if it is among the objects that were added; and returns what
    /// is odd about them.
    ///
    /// The root namespace is that of [`mesh`](Self::mesh), so `istio-system` if that was not called.
    /// Diagnostics name the ConfigMap's file and the key, such as `mesh.yaml#mesh`, and have
    /// positions within the text under that key.
    ///
    /// # Errors
    ///
    /// All that is wrong with the two texts: they cannot be read, or settings are not valid.
    pub fn options_from_config_map(mut self) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Some(map) = self.config_map() else {
            return Ok((self, Vec::new()));
        };
        let mut found = Vec::new();
        let mesh = read(&map, ("mesh", "MeshConfig"), &mut found, |mesh, at| {
            mesh_config::validate(mesh, Completeness::Overlay, at);
        });
        let networks = ("meshNetworks", "MeshNetworks");
        let networks = read(&map, networks, &mut found, mesh_networks::validate);
        if found.iter().any(|found| found.severity == Severity::Error) {
            return Err(found);
        }
        if let Some(mesh) = mesh {
            self = self.mesh(mesh);
        }
        if let Some(networks) = networks {
            self = self.networks(networks);
        }
        Ok((self, found))
    }

    fn config_map(&self) -> Option<Arc<Resource<ConfigMap>>> {
        self.objects.iter().find_map(|object| match object {
            Object::ConfigMap(map)
                if map.metadata.name == CONFIG_MAP
                    && map.metadata.namespace == self.options.root_namespace() =>
            {
                Some(Arc::clone(map))
            }
            _ => None,
        })
    }
}

/// The value of type `kind` under `key`, if it can be read; adds what is wrong with it to `found`.
fn read<T: DeserializeOwned>(
    map: &Resource<ConfigMap>,
    (key, kind): (&str, &str),
    found: &mut Vec<Diagnostic>,
    validate: impl FnOnce(&T, At<'_>),
) -> Option<T> {
    let text = map.spec.data.get(key)?;
    let file = format!("{}#{key}", map.source.file());
    let (value, source) = match parse_as(&file, text, &Limits::default()) {
        Ok(parsed) => parsed,
        Err(problems) => {
            found.extend(problems.iter().map(Diagnostic::from));
            return None;
        }
    };
    let metadata = &map.metadata;
    let origin = Origin::new(kind, &metadata.namespace, &metadata.name, &source);
    let report = Report::new(origin, source);
    validate(&value, report.root());
    found.extend(report.into_violations().iter().map(Diagnostic::from));
    Some(value)
}
