//! Sidecars that select no pod, or the same one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{
    Context, Report, has_all, is_ambient_namespace, is_ambient_pod, selector_text,
};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::Sidecar;
use crate::resource::kubernetes::pod::Pod;

/// A pod, and the Sidecars that select it.
type Selected<'a> = (&'a Resource<Pod>, Vec<&'a Resource<Sidecar>>);

/// A selector has to select a pod, and one that no other selects. One Sidecar of a namespace may
/// be without a selector.
pub(super) fn selectors(context: &Context<'_>, report: &mut Report) {
    let mut by_pod: BTreeMap<(&str, &str), Selected<'_>> = BTreeMap::new();
    let mut without_selector: BTreeMap<&str, Vec<&Resource<Sidecar>>> = BTreeMap::new();
    for sidecar in &context.resources.sidecars {
        let namespace = sidecar.metadata.namespace.as_str();
        let selector = sidecar.spec.workload_selector.as_ref();
        let Some(selector) = selector.filter(|selector| !selector.labels.is_empty()) else {
            without_selector.entry(namespace).or_default().push(sidecar);
            continue;
        };
        let mut found = false;
        for pod in pods(context, namespace, &selector.labels) {
            found = true;
            let key = (namespace, pod.metadata.name.as_str());
            by_pod
                .entry(key)
                .or_insert_with(|| (pod, Vec::new()))
                .1
                .push(sidecar);
        }
        if !found {
            let root = FieldPath::root();
            let (spec, text) = (root.field("spec"), selector_text(&selector.labels));
            let at = spec.field("workloadSelector");
            report.at(
                sidecar,
                &at,
                Code::ReferencedResourceNotFound,
                &[&"selector", &text],
            );
        }
    }
    for (pod, sidecars) in by_pod.values() {
        overlapping(pod, sidecars, report);
    }
    for (namespace, sidecars) in &without_selector {
        unselective(context, namespace, sidecars, report);
    }
}

fn pods<'a>(
    context: &'a Context<'_>,
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a Arc<Resource<Pod>>> {
    let pods = context.resources.pods.iter();
    pods.filter(move |pod| {
        pod.metadata.namespace == namespace && has_all(&pod.metadata.labels, labels)
    })
}

fn overlapping(pod: &Resource<Pod>, sidecars: &[&Resource<Sidecar>], report: &mut Report) {
    let names = names(sidecars);
    for sidecar in sidecars {
        if is_ambient_pod(pod) {
            let why = "selected workload is in ambient mode, the policy has no impact";
            report.about(sidecar, Code::IneffectivePolicy, &[&why]);
        } else if sidecars.len() > 1 {
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            let code = Code::ConflictingSidecarWorkloadSelectors;
            report.about(sidecar, code, &[&names, namespace, name]);
        }
    }
}

fn unselective(
    context: &Context<'_>,
    namespace: &str,
    sidecars: &[&Resource<Sidecar>],
    report: &mut Report,
) {
    let of = context.resources.namespace(namespace);
    let is_ambient = of.is_some_and(|namespace| is_ambient_namespace(namespace));
    let names = names(sidecars);
    for sidecar in sidecars {
        if is_ambient {
            let why = "namespace is in ambient mode, the policy has no impact";
            report.about(sidecar, Code::IneffectivePolicy, &[&why]);
        } else if sidecars.len() > 1 {
            let code = Code::MultipleSidecarsWithoutWorkloadSelectors;
            report.about(sidecar, code, &[&names, &namespace]);
        }
    }
}

/// Names as Istio lists them: `[a b]`.
fn names(sidecars: &[&Resource<Sidecar>]) -> String {
    let mut names: Vec<&str> = sidecars
        .iter()
        .map(|sidecar| sidecar.metadata.name.as_str())
        .collect();
    names.sort_unstable();
    format!("[{}]", names.join(" "))
}
