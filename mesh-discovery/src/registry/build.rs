//! How a registry makes a configuration, and endpoints, of its resources.

use std::collections::HashSet;
use std::sync::Arc;

use mesh_core::config::{DuplicateResource, MeshConfig, MeshConfigBuilder};
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::labels::Labels;
use mesh_core::resource::Object;
use mesh_core::resource::istio::mesh_config::LabelSelector;
use mesh_core::resource::kind::Kind;

use crate::registry::affected::{Affected, ServiceNames};
use crate::registry::store::{Changed, Name};
use crate::registry::{EndpointUpdate, Registry, callers, excerpt, replicas};

/// Name of the ConfigMap that has the settings of a mesh.
const SETTINGS: &str = "istio";

impl Registry {
    /// Builds the configuration of all resources; `None` if that is not possible.
    pub(super) fn build(&mut self) -> Option<Arc<MeshConfig>> {
        match self.try_build() {
            Ok((config, warnings)) => {
                self.problems = warnings;
                self.built = Some(Arc::new(config));
                self.built.clone()
            }
            Err(problems) => {
                self.problems = problems;
                None
            }
        }
    }

    fn try_build(&mut self) -> Result<(MeshConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
        let settings = self.template.clone().extend(self.settings_object());
        let settings = self.read_settings(settings)?.build(0);
        let settings = settings.map_err(duplicates)?;
        self.namespaces = self.chosen_namespaces(&settings);

        let mut objects: Vec<Object> = self.view().objects().cloned().collect();
        let vips = self.vips.as_mut();
        let warnings = vips.map(|vips| vips.allocate(&mut objects));
        // The ConfigMap need not be among the objects: its namespace may not be chosen.
        let template = self.template.clone();
        let config = template
            .mesh(settings.options().as_written().clone())
            .networks(settings.networks().clone())
            .extend(objects)
            .build(self.version + 1)
            .map_err(duplicates)?;
        self.version += 1;
        self.settings = settings;
        Ok((config, warnings.unwrap_or_default()))
    }

    /// What may be other than before after `changes`.
    pub(super) fn affected(&self, changes: &[Changed]) -> Affected {
        Affected::by(changes, &self.view(), &self.own_addresses)
    }

    /// The services called `names`, with the endpoints that they have now; `None` if that takes a whole
    /// configuration, as the first one does.
    pub(super) fn endpoint_updates(&mut self, names: &ServiceNames) -> Option<Vec<EndpointUpdate>> {
        if self.version == 0 {
            return None;
        }
        let root = self.settings.options().root_namespace();
        let mut objects = excerpt::excerpt(&self.view(), names, root);
        if let Some(vips) = &mut self.vips {
            // Those that the last configuration gave; to warn about one that there is not was up to it.
            vips.allocate(&mut objects);
        }
        let settings = &self.settings;
        let builder = MeshConfig::builder()
            .default_namespace(&self.default_namespace)
            .domain(settings.domain())
            .mesh(settings.options().as_written().clone())
            .networks(settings.networks().clone())
            .extend(objects);
        let config = builder.build(self.version).ok()?;
        let services = config.services().iter().cloned();
        Some(services.map(EndpointUpdate::new).collect())
    }

    /// Whether more than the endpoints of clusters is other than in the last configuration.
    pub(super) fn do_callers_need_config(&self, updates: &[EndpointUpdate]) -> bool {
        let Some(built) = &self.built else {
            return true;
        };
        updates.iter().any(|update| {
            let new = update.service();
            let mut declared = built.services().declared(&new.hostname);
            let old = declared.find(|old| replicas::is_same(old, new));
            old.is_some_and(|old| callers::needs_config(old, new, self.listens_by_endpoint))
        })
    }

    fn read_settings(
        &self,
        builder: MeshConfigBuilder,
    ) -> Result<MeshConfigBuilder, Vec<Diagnostic>> {
        match self.settings_reader {
            Some(read) => read(builder),
            None => Ok(builder),
        }
    }

    /// The ConfigMap of mesh-wide settings, whose namespace no selector has to choose.
    fn settings_object(&self) -> Option<Object> {
        self.settings_reader?;
        let root = self.root_namespace();
        let name = Name::new(&root, SETTINGS);
        let mut stores = self.sources.iter().map(|source| &source.store);
        stores
            .find_map(|store| store.find(Kind::ConfigMap, &name))
            .cloned()
    }

    fn root_namespace(&self) -> String {
        let empty = self.template.clone().build(0).unwrap_or_default();
        empty.options().root_namespace().to_owned()
    }

    /// The namespaces that the mesh's `discoverySelectors` choose by their labels
    /// (`pkg/kube/namespace/filter.go`); `None` for all, if there are no selectors, or one of them is not
    /// [whole](LabelSelector::is_whole). Istio begins so, too, and keeps those that it had before.
    fn chosen_namespaces(&self, settings: &MeshConfig) -> Option<HashSet<String>> {
        let selectors = &settings.options().as_written().discovery_selectors;
        if selectors.is_empty() || !selectors.iter().all(LabelSelector::is_whole) {
            return None;
        }
        let view = self.view();
        let chosen = view.of_kind(Kind::Namespace).filter(|namespace| {
            let labels: Labels = namespace.metadata().labels.iter().collect();
            selectors.iter().any(|selector| selector.matches(&labels))
        });
        let names = chosen.map(|namespace| namespace.metadata().name.clone());
        Some(names.collect())
    }
}

fn duplicates(duplicates: Vec<DuplicateResource>) -> Vec<Diagnostic> {
    let diagnostic = |duplicate: DuplicateResource| Diagnostic {
        position: duplicate.second.position(),
        ..Diagnostic::new(
            Severity::Error,
            duplicate.second.file(),
            duplicate.to_string(),
        )
    };
    duplicates.into_iter().map(diagnostic).collect()
}
