//! Configuration made of the values of a row, and what it asks of a workload.

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::cluster::Cluster;
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use serde_json::{Value, json};

use super::go;
use crate::configuration::Configuration;

/// The namespace of everything that is not put elsewhere.
pub(super) const NAMESPACE: &str = "default";

/// Resources, and the settings of the mesh.
#[derive(Debug, Default)]
pub(super) struct World {
    objects: Vec<Value>,
    mesh: Option<Value>,
}

impl World {
    /// Adds a resource of `networking.istio.io/v1`.
    pub(super) fn with(self, kind: &str, name: &str, spec: &Value) -> Self {
        self.with_in(NAMESPACE, kind, name, spec)
    }

    /// Adds a resource of `networking.istio.io/v1` in a namespace.
    pub(super) fn with_in(self, namespace: &str, kind: &str, name: &str, spec: &Value) -> Self {
        self.with_object(json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": go::json(spec),
        }))
    }

    /// Adds a whole resource.
    pub(super) fn with_object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// Adds a ServiceEntry with one endpoint, `10.0.0.1`.
    pub(super) fn with_service(self, host: &str, ports: &Value) -> Self {
        let name = host.replace(['*', '.'], "x");
        let spec = json!({
            "hosts": [host],
            "addresses": ["240.0.0.1"],
            "ports": ports,
            "resolution": "STATIC",
            "location": "MESH_INTERNAL",
            "endpoints": [{"address": "10.0.0.1"}],
        });
        self.with("ServiceEntry", &name, &spec)
    }

    /// Sets the settings of the mesh.
    pub(super) fn with_mesh(mut self, mesh: &Value) -> Self {
        self.mesh = Some(go::json(mesh));
        self
    }

    /// The configuration. The error is what is wrong with it.
    pub(super) fn build(self) -> Result<MeshConfig, String> {
        let mut configuration = Configuration::new(NAMESPACE).with_config_domain("");
        for object in &self.objects {
            configuration.add_value(object)?;
        }
        if let Some(mesh) = &self.mesh {
            configuration.set_mesh(mesh)?;
        }
        configuration.build()
    }

    /// What it asks of a workload.
    pub(super) fn resolve(self, workload: &Workload) -> Result<Model, String> {
        Ok(resolve(&self.build()?, workload))
    }

    /// A cluster of a sidecar in [`NAMESPACE`].
    pub(super) fn cluster(self, name: &ClusterName) -> Result<Cluster, String> {
        let model = self.resolve(&Workload::sidecar(NAMESPACE))?;
        cluster(&model, name).cloned()
    }
}

/// A cluster of a model. The error says which there are.
pub(super) fn cluster<'m>(model: &'m Model, name: &ClusterName) -> Result<&'m Cluster, String> {
    let found = model.clusters.get(name);
    found.map(|cluster| &**cluster).ok_or_else(|| {
        let names: Vec<&str> = model.clusters.keys().map(ClusterName::as_str).collect();
        format!("no cluster `{name}` among {names:?}")
    })
}
