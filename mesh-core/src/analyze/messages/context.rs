//! What all analyzers look at, and where they report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use super::code::Code;
use super::inputs::Inputs;
use super::message::Message;
use super::options::SUPPRESS;
use crate::config::options::MeshOptions;
use crate::config::resources::Resources;
use crate::origin::{FieldPath, Origin};
use crate::resource::istio::MeshNetworks;
use crate::resource::kubernetes::namespace::Namespace;
use crate::resource::kubernetes::pod::{Container, Pod, PodSpec};
use crate::resource::{Metadata, Resource, Spec};

/// The container that Istio adds to pods.
pub(super) const PROXY: &str = "istio-proxy";

/// The label and annotation that say whether a pod gets a sidecar.
pub(super) const INJECT: &str = "sidecar.istio.io/inject";

/// The label of namespaces whose pods get sidecars.
pub(super) const INJECTION: &str = "istio-injection";

/// The label that chooses a revision of Istio.
pub(super) const REVISION: &str = "istio.io/rev";

/// The label that chooses how traffic is captured.
pub(super) const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";

/// The label of what belongs to a gateway of the Gateway API, with its name.
pub(super) const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The objects, and the settings of the mesh.
pub(super) struct Context<'a> {
    pub(super) resources: Resources,
    pub(super) clusters: BTreeMap<&'a str, Resources>,
    pub(super) mesh: &'a MeshOptions,
    pub(super) networks: &'a MeshNetworks,
    pub(super) now: Option<SystemTime>,
}

impl<'a> Context<'a> {
    pub(super) fn new(inputs: &'a Inputs, now: Option<SystemTime>) -> Self {
        Self {
            resources: inputs.resources(),
            clusters: inputs.clusters(),
            mesh: inputs.mesh(),
            networks: inputs.networks(),
            now,
        }
    }

    /// The codes that resources suppress by annotation, by resource.
    pub(super) fn suppressed(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut suppressed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        self.resources.for_each(&mut |kind, metadata| {
            if let Some(codes) = metadata.annotations.get(SUPPRESS) {
                let codes = codes.split(',').map(|code| code.trim().to_owned());
                let resource = format!("{kind} {}", full_name(metadata));
                suppressed.entry(resource).or_default().extend(codes);
            }
        });
        suppressed
    }

    /// The pods that have all of `labels`, of any namespace.
    pub(super) fn selected<'c>(
        &'c self,
        labels: &'c BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'c Arc<Resource<Pod>>> {
        let pods = self.resources.pods.iter();
        pods.filter(|pod| has_all(&pod.metadata.labels, labels))
    }

    /// Whether a pod is part of the mesh, by its sidecar, its labels or its namespace.
    pub(super) fn is_in_mesh(&self, pod: &PodTemplate<'_>) -> bool {
        let status =
            |from: &BTreeMap<String, String>| from.get(INJECT).map(|value| value == "true");
        if pod.proxy_image().is_some() {
            return true;
        }
        let own = status(pod.labels).or_else(|| status(pod.annotations));
        own.unwrap_or_else(|| {
            let namespace = self.resources.namespace(pod.namespace);
            namespace.is_some_and(|namespace| is_labelled(namespace, INJECTION, "enabled"))
        })
    }
}

/// A pod, or what pods of a Deployment are made from.
pub(super) struct PodTemplate<'a> {
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) annotations: &'a BTreeMap<String, String>,
    pub(super) spec: &'a PodSpec,
}

impl<'a> From<&'a Resource<Pod>> for PodTemplate<'a> {
    fn from(pod: &'a Resource<Pod>) -> Self {
        Self {
            namespace: &pod.metadata.namespace,
            labels: &pod.metadata.labels,
            annotations: &pod.metadata.annotations,
            spec: &pod.spec.spec,
        }
    }
}

impl PodTemplate<'_> {
    /// The image of the sidecar, if there is one.
    pub(super) fn proxy_image(&self) -> Option<&str> {
        let image = proxy(self.spec)?.image.as_deref();
        image.filter(|image| !image.is_empty())
    }
}

/// The sidecar of a pod.
pub(super) fn proxy(spec: &PodSpec) -> Option<&Container> {
    containers(spec).find(|container| container.name == PROXY)
}

/// The containers of a pod, those that run first last.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(&spec.init_containers)
}

/// Whether `labels` has all of `wanted`. Nothing is wanted of everybody.
pub(super) fn has_all(
    labels: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> bool {
    let mut wanted = wanted.iter();
    wanted.all(|(key, value)| labels.get(key) == Some(value))
}

/// Labels as `kubectl` writes a selector: `app=cart,version=v1`.
pub(super) fn selector_text(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// `namespace/name`, or the name alone.
pub(super) fn full_name(metadata: &Metadata) -> String {
    match metadata.namespace.as_str() {
        "" => metadata.name.clone(),
        namespace => format!("{namespace}/{}", metadata.name),
    }
}

/// The namespace and name that a reference of an object of `namespace` means: `name`, or
/// `namespace/name`.
pub(super) fn resolve_reference<'a>(reference: &'a str, namespace: &'a str) -> (&'a str, &'a str) {
    reference.split_once('/').unwrap_or((namespace, reference))
}

pub(super) fn is_labelled<S>(resource: &Resource<S>, label: &str, value: &str) -> bool {
    resource.metadata.labels.get(label).map(String::as_str) == Some(value)
}

/// Whether the traffic of a pod is captured without a sidecar.
pub(super) fn is_ambient_pod(pod: &Resource<Pod>) -> bool {
    let redirection = pod.metadata.annotations.get("ambient.istio.io/redirection");
    redirection.map(String::as_str) == Some("enabled")
}

/// Whether the traffic of the pods of a namespace is captured without sidecars.
pub(super) fn is_ambient_namespace(namespace: &Resource<Namespace>) -> bool {
    let has_revision = namespace
        .metadata
        .labels
        .get(REVISION)
        .is_some_and(|rev| !rev.is_empty());
    !is_labelled(namespace, INJECTION, "enabled")
        && !has_revision
        && is_labelled(namespace, DATAPLANE_MODE, "ambient")
}

/// Whether an object belongs to Istio itself.
pub(super) fn is_control_plane(metadata: &Metadata) -> bool {
    let labels = &metadata.labels;
    labels.contains_key("istio")
        || labels
            .get("release")
            .is_some_and(|release| release == "istio")
}

/// Takes what is found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) messages: Vec<Message>,
}

impl Report {
    /// Adds a message about a whole resource.
    pub(super) fn about<S: Spec>(
        &mut self,
        resource: &Resource<S>,
        code: Code,
        arguments: &[&dyn Display],
    ) {
        self.push(resource.origin(), code, arguments);
    }

    /// Adds a message about a field of a resource.
    pub(super) fn at<S: Spec>(
        &mut self,
        resource: &Resource<S>,
        path: &FieldPath<'_>,
        code: Code,
        arguments: &[&dyn Display],
    ) {
        self.push(
            resource.origin().at(path, &resource.source),
            code,
            arguments,
        );
    }

    pub(super) fn push(&mut self, origin: Origin, code: Code, arguments: &[&dyn Display]) {
        self.verbatim(origin, code, code.text(arguments));
    }

    /// Adds a message with a text of its own.
    pub(super) fn verbatim(&mut self, origin: Origin, code: Code, text: String) {
        self.messages.push(Message { code, origin, text });
    }
}
