//! Mesh-wide settings in a ConfigMap, as istiod reads them.

use std::sync::Arc;

use crate::config::MeshConfigBuilder;
use crate::parse::{Limits, Problem, parse_as};
use crate::resource::kubernetes::config_map::ConfigMap;
use crate::resource::{Object, Resource};

/// The name of the ConfigMap that has the settings of a mesh.
const CONFIG_MAP: &str = "istio";

impl MeshConfigBuilder {
    /// Takes mesh-wide settings and networks from the ConfigMap `istio` in the root namespace, its
    /// keys `mesh` and `meshNetworks`, if it is among the objects that were added.
    ///
    /// The root namespace is that of [`mesh`](Self::mesh), so `istio-system` if that was not called.
    ///
    /// # Errors
    ///
    /// The problems of the two texts, at positions within them.
    pub fn options_from_config_map(mut self) -> Result<Self, Vec<Problem>> {
        let Some(map) = self.config_map() else {
            return Ok(self);
        };
        let limits = Limits::default();
        let file = |key: &str| format!("{}#{key}", map.source.file());
        if let Some(text) = map.spec.data.get("mesh") {
            self = self.mesh(parse_as(&file("mesh"), text, &limits)?.0);
        }
        if let Some(text) = map.spec.data.get("meshNetworks") {
            self = self.networks(parse_as(&file("meshNetworks"), text, &limits)?.0);
        }
        Ok(self)
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
