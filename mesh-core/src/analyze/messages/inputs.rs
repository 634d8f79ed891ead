use std::collections::BTreeMap;

use crate::config::options::MeshOptions;
use crate::config::resources::Resources;
use crate::origin::Source;
use crate::resource::istio::mesh_config::IngressControllerMode;
use crate::resource::istio::{MeshConfig, MeshNetworks};
use crate::resource::kind::Kind;
use crate::resource::kubernetes::int_or_string::IntOrString;
use crate::resource::kubernetes::pod::{Container, Pod};
use crate::resource::kubernetes::service::{Service, ServicePort};
use crate::resource::{Metadata, Object, Resource};

/// Namespaces of Kubernetes itself, in which nothing is analyzed.
const IGNORED_NAMESPACES: [&str; 4] = [
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "local-path-storage",
];

/// Name of the ingress gateway that a mesh is taken to have, unless its settings say another.
const INGRESS_GATEWAY: &str = "istio-ingressgateway";

/// What is analyzed: the objects of one cluster or more, and the settings of the mesh.
///
/// Objects keep their namespaces as written: one without a namespace is of no namespace, and is
/// reported so. Where a kind, namespace and name occurs twice in a cluster, the later object
/// counts. Objects in Kubernetes' own namespaces are left out.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    clusters: BTreeMap<String, Vec<Object>>,
    mesh: MeshOptions,
    networks: MeshNetworks,
    is_live: bool,
}

impl Inputs {
    /// The objects of one cluster, read from files.
    pub fn new(objects: impl IntoIterator<Item = Object>) -> Self {
        Self::default().with_cluster("", objects)
    }

    /// Adds the objects of the cluster `name`.
    #[must_use]
    pub fn with_cluster(
        mut self,
        name: impl Into<String>,
        objects: impl IntoIterator<Item = Object>,
    ) -> Self {
        let cluster = self.clusters.entry(name.into()).or_default();
        cluster.extend(objects);
        self
    }

    /// Settings of the mesh. Default Istio's.
    #[must_use]
    pub fn with_mesh(mut self, mesh: MeshConfig) -> Self {
        self.mesh = MeshOptions::new(mesh);
        self
    }

    /// Networks of the mesh. Default none.
    #[must_use]
    pub fn with_networks(mut self, networks: MeshNetworks) -> Self {
        self.networks = networks;
        self
    }

    /// Takes the objects for all that there are. Otherwise, as with files, the mesh is taken to
    /// have Istio's ingress gateway in `istio-system`, labelled `istio: ingressgateway` and called
    /// as `ingressService` says, unless the objects say what it is like, or `ingressControllerMode`
    /// is `OFF`.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    pub(super) fn mesh(&self) -> &MeshOptions {
        &self.mesh
    }

    pub(super) fn networks(&self) -> &MeshNetworks {
        &self.networks
    }

    /// The objects of all clusters together.
    pub(super) fn resources(&self) -> Resources {
        let mut objects = Vec::new();
        if !self.is_live {
            objects.extend(self.ingress_gateway());
        }
        objects.extend(self.clusters.values().flatten().cloned());
        index(objects)
    }

    /// Istio's ingress gateway, unless the mesh has none.
    fn ingress_gateway(&self) -> impl Iterator<Item = Object> {
        let mesh = self.mesh.as_written();
        let is_off = mesh.ingress_controller_mode == Some(IngressControllerMode::Off);
        let name = mesh.ingress_service.as_deref().unwrap_or(INGRESS_GATEWAY);
        let objects = (!is_off).then(|| ingress_gateway(name));
        objects.into_iter().flatten()
    }

    /// The objects of each cluster.
    pub(super) fn clusters(&self) -> BTreeMap<&str, Resources> {
        let clusters = self.clusters.iter();
        clusters
            .map(|(name, objects)| (name.as_str(), index(objects.clone())))
            .collect()
    }
}

fn index(objects: Vec<Object>) -> Resources {
    let mut latest: BTreeMap<(Kind, String, String), Object> = BTreeMap::new();
    for object in objects.into_iter().filter(|object| !is_ignored(object)) {
        let Metadata {
            name, namespace, ..
        } = object.metadata();
        latest.insert((object.kind(), namespace.clone(), name.clone()), object);
    }
    let mut resources = Resources::default();
    for object in latest.into_values() {
        resources.push(object);
    }
    resources.index();
    resources
}

fn is_ignored(object: &Object) -> bool {
    let metadata = object.metadata();
    let namespace = match object.kind() {
        Kind::Namespace => &metadata.name,
        _ => &metadata.namespace,
    };
    IGNORED_NAMESPACES.contains(&namespace.as_str())
}

/// The pod and the Service of Istio's ingress gateway, as Istio installs it.
fn ingress_gateway(name: &str) -> [Object; 2] {
    let labels = BTreeMap::from([("istio".to_owned(), "ingressgateway".to_owned())]);
    let metadata = |name: &str| Metadata {
        name: name.to_owned(),
        namespace: "istio-system".to_owned(),
        ..Metadata::default()
    };
    let mut pod = Pod::default();
    pod.spec.containers.push(Container {
        name: "istio-proxy".to_owned(),
        ..Container::default()
    });
    let mut service = Service::default();
    service.spec.selector.clone_from(&labels);
    for (name, port) in [
        ("http2", 80),
        ("https", 443),
        ("tcp", 31400),
        ("tls", 15443),
    ] {
        service.spec.ports.push(ServicePort {
            name: Some(name.to_owned()),
            protocol: Some("TCP".to_owned()),
            port,
            target_port: Some(IntOrString::Int(port.into())),
            ..ServicePort::default()
        });
    }
    let pod = Resource {
        metadata: Metadata {
            labels,
            ..metadata(&format!("{name}-pod"))
        },
        spec: pod,
        status: None,
        source: Source::unknown(),
    };
    let service = Resource {
        metadata: metadata(name),
        spec: service,
        status: None,
        source: Source::unknown(),
    };
    [pod.into(), service.into()]
}
