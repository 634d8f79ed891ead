//! Namespaces that do not say whether they get sidecars, or say so twice, and pods without one.

use std::collections::BTreeSet;

use super::{injector, values};
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{
    Context, DATAPLANE_MODE, INJECT, INJECTION, PodTemplate, REVISION, Report, full_name,
    is_labelled,
};
use crate::resource::Resource;
use crate::resource::kubernetes::namespace::Namespace;
use crate::resource::kubernetes::pod::Pod;
use crate::resource::value::Value;

/// The namespace of Istio itself.
const ISTIO_SYSTEM: &str = "istio-system";

/// A namespace has to say, by one label, whether its pods get sidecars; and pods have to have them
/// then.
pub(in crate::analyze::messages) fn namespaces(context: &Context<'_>, report: &mut Report) {
    let mut injected = BTreeSet::new();
    for namespace in &context.resources.namespaces {
        let (name, labels) = (&namespace.metadata.name, &namespace.metadata.labels);
        if name == ISTIO_SYSTEM {
            continue;
        }
        several_labels(namespace, report);
        if is_labelled(namespace, DATAPLANE_MODE, "ambient") {
            continue;
        }
        let injection = labels
            .get(INJECTION)
            .map(String::as_str)
            .unwrap_or_default();
        if injection.is_empty() && !labels.contains_key(REVISION) {
            if is_enabled_by_default(context, namespace) {
                report.about(namespace, Code::NamespaceInjectionEnabledByDefault, &[]);
            } else {
                report.about(namespace, Code::NamespaceNotInjected, &[name, name]);
            }
        } else if injection == "enabled" {
            injected.insert(name.as_str());
        }
    }
    for pod in &context.resources.pods {
        if injected.contains(pod.metadata.namespace.as_str()) && misses_proxy(pod) {
            report.about(pod, Code::PodMissingProxy, &[&full_name(&pod.metadata)]);
        }
    }
}

fn several_labels(namespace: &Resource<Namespace>, report: &mut Report) {
    let labels = &namespace.metadata.labels;
    let injection = labels.get(INJECTION);
    let mut found: Vec<String> = injection
        .map(|value| format!("{INJECTION}={value}"))
        .into_iter()
        .collect();
    // One that switches sidecars off does not contradict the others.
    if injection.is_none_or(|value| value == "enabled") {
        let others = [REVISION, DATAPLANE_MODE].into_iter();
        found.extend(others.filter_map(|label| Some(format!("{label}={}", labels.get(label)?))));
    }
    if found.len() > 1 {
        let found = format!("[{}]", found.join(" "));
        report.about(namespace, Code::NamespaceMultipleInjectionLabels, &[&found]);
    }
}

/// Whether the injector of the namespace's revision injects where nothing is said.
fn is_enabled_by_default(context: &Context<'_>, namespace: &Resource<Namespace>) -> bool {
    let revision = namespace.metadata.labels.get(REVISION).map(String::as_str);
    let name = injector(revision.unwrap_or_default());
    let maps = context.resources.config_maps.iter();
    let mut maps = maps.filter(|map| map.metadata.name == name);
    maps.next().is_some_and(|map| {
        let values = values(map);
        let webhook = values.field("sidecarInjectorWebhook");
        let enabled = webhook.and_then(|webhook| webhook.field("enableNamespacesByDefault"));
        enabled.and_then(Value::as_bool).unwrap_or_default()
    })
}

/// Whether a pod of a namespace with sidecars should have one, and has none.
fn misses_proxy(pod: &Resource<Pod>) -> bool {
    let metadata = &pod.metadata;
    let inject = metadata
        .labels
        .get(INJECT)
        .or_else(|| metadata.annotations.get(INJECT));
    let is_excepted = inject.is_some_and(|inject| inject.eq_ignore_ascii_case("false"));
    let is_of_host = pod.spec.spec.host_network == Some(true);
    !is_excepted && !is_of_host && PodTemplate::from(pod).proxy_image().is_none()
}
