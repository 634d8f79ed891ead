//! Istio's annotations on objects of Kubernetes.

mod known;
mod value;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, INJECT, Report};
use crate::origin::FieldPath;
use crate::resource::kubernetes::pod::PodSpec;
use crate::resource::{Resource, Spec};

/// Annotations that Istio itself writes.
const WRITTEN_BY_ISTIO: [&str; 3] = [
    "gateway.istio.io/controller-version",
    "istio.io/rev",
    "sidecar.istio.io/status",
];

/// Annotations that injection adds where a CNI plugin sets the network up.
const OF_CNI: [&str; 4] = [
    "sidecar.istio.io/interceptionMode",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
];

/// Annotations have to be known, not deprecated, on the right kind of object, and valid.
pub(super) fn placement(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources;
    resources
        .namespaces
        .iter()
        .for_each(|found| placed(found, "Namespace", report));
    resources
        .services
        .iter()
        .for_each(|found| placed(found, "Service", report));
    resources
        .pods
        .iter()
        .for_each(|found| placed(found, "Pod", report));
    resources
        .deployments
        .iter()
        .for_each(|found| placed(found, "Deployment", report));
}

fn placed<S: Spec>(resource: &Resource<S>, kind: &str, report: &mut Report) {
    let metadata = &resource.metadata;
    let root = FieldPath::root();
    let at = root.field("metadata");
    let at = at.field("annotations");
    for (name, value) in metadata
        .annotations
        .iter()
        .filter(|(name, _)| is_istios(name))
    {
        if WRITTEN_BY_ISTIO.contains(&name.as_str()) {
            continue;
        }
        let at = at.key(name);
        let Some(annotation) = known::find(name) else {
            report.at(resource, &at, Code::UnknownAnnotation, &[name]);
            continue;
        };
        // Who has the label too is about to move to it.
        let is_moving = name == INJECT && metadata.labels.contains_key(INJECT);
        if annotation.is_deprecated && !is_moving {
            let instead = match name.as_str() {
                INJECT => " in favor of the \"sidecar.istio.io/inject\" label",
                _ => "",
            };
            report.at(resource, &at, Code::DeprecatedAnnotation, &[name, &instead]);
        }
        if annotation.kinds.contains(&"Any") {
            continue;
        }
        if !annotation.kinds.contains(&kind) {
            let kinds = annotation.kinds.join(", ");
            report.at(resource, &at, Code::MisplacedAnnotation, &[name, &kinds]);
        } else if let Err(error) = value::validate(name, value) {
            report.at(resource, &at, Code::InvalidAnnotation, &[name, &error]);
        }
    }
}

/// What annotations do that are in alpha may change.
pub(super) fn alpha(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources;
    resources
        .namespaces
        .iter()
        .for_each(|found| immature(found, &[], report));
    resources
        .services
        .iter()
        .for_each(|found| immature(found, &[], report));
    resources
        .deployments
        .iter()
        .for_each(|found| immature(found, &[], report));
    for pod in &resources.pods {
        let ignored: &[&str] = if uses_cni(&pod.spec.spec) {
            &OF_CNI
        } else {
            &[]
        };
        immature(pod, ignored, report);
    }
}

fn immature<S: Spec>(resource: &Resource<S>, ignored: &[&str], report: &mut Report) {
    let root = FieldPath::root();
    let at = root.field("metadata");
    let at = at.field("annotations");
    for name in resource
        .metadata
        .annotations
        .keys()
        .filter(|name| is_istios(name))
    {
        let is_alpha = known::find(name).is_some_and(|annotation| annotation.is_alpha);
        let is_ignored = ignored.contains(&name.as_str());
        if is_alpha && !is_ignored && !WRITTEN_BY_ISTIO.contains(&name.as_str()) {
            report.at(resource, &at.key(name), Code::AlphaAnnotation, &[name]);
        }
    }
}

/// Whether the network of a pod is not set up by a container of its own.
fn uses_cni(spec: &PodSpec) -> bool {
    !spec
        .init_containers
        .iter()
        .any(|container| container.name == "istio-init")
}

fn is_istios(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or(name);
    name == "kubernetes.io/ingress.class" || domain.ends_with("istio.io")
}
