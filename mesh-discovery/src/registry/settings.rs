//! Mesh-wide settings among the resources.

use mesh_core::config::MeshConfigBuilder;
use mesh_core::diagnostic::Diagnostic;

use crate::registry::Registry;

impl Registry {
    /// Takes mesh-wide settings and networks from the ConfigMap `istio` in the root namespace, keys
    /// `mesh` and `meshNetworks`, whenever it is among the resources. Default: only those of the
    /// template count.
    ///
    /// A ConfigMap that cannot be read keeps the configuration from being built.
    #[must_use]
    pub fn with_settings_from_config_map(mut self) -> Self {
        self.settings_reader = Some(read);
        self
    }
}

fn read(builder: MeshConfigBuilder) -> Result<MeshConfigBuilder, Vec<Diagnostic>> {
    builder
        .options_from_config_map()
        .map(|(builder, _)| builder)
}
