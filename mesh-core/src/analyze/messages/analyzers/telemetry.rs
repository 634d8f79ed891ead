//! Telemetry resources that select no pod or the same one, and what they record to.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, has_all, selector_text};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::Telemetry;

/// A selector has to select a pod, and one that no other selects.
pub(super) fn selectors(context: &Context<'_>, report: &mut Report) {
    let mut by_pod: BTreeMap<(&str, &str), Vec<&Resource<Telemetry>>> = BTreeMap::new();
    for telemetry in &context.resources.telemetries {
        let selector = telemetry.spec.selector.as_ref();
        let Some(selector) = selector.filter(|selector| !selector.match_labels.is_empty()) else {
            continue;
        };
        let namespace = telemetry.metadata.namespace.as_str();
        let mut found = false;
        for pod in &context.resources.pods {
            let metadata = &pod.metadata;
            if metadata.namespace == namespace && has_all(&metadata.labels, &selector.match_labels)
            {
                found = true;
                by_pod
                    .entry((namespace, &metadata.name))
                    .or_default()
                    .push(telemetry);
            }
        }
        if !found {
            let root = FieldPath::root();
            let (spec, text) = (root.field("spec"), selector_text(&selector.match_labels));
            let at = spec.field("selector");
            report.at(
                telemetry,
                &at,
                Code::ReferencedResourceNotFound,
                &[&"selector", &text],
            );
        }
    }
    for ((namespace, pod), telemetries) in by_pod.iter().filter(|(_, found)| found.len() > 1) {
        let names = names(telemetries);
        for telemetry in telemetries {
            let code = Code::ConflictingTelemetryWorkloadSelectors;
            report.about(telemetry, code, &[&names, namespace, pod]);
        }
    }
}

/// One Telemetry of a namespace may be without a selector.
pub(super) fn without_selector(context: &Context<'_>, report: &mut Report) {
    let mut by_namespace: BTreeMap<&str, Vec<&Resource<Telemetry>>> = BTreeMap::new();
    for telemetry in &context.resources.telemetries {
        if telemetry.spec.selector.is_none() {
            let of_namespace = by_namespace
                .entry(&telemetry.metadata.namespace)
                .or_default();
            of_namespace.push(telemetry);
        }
    }
    for (namespace, telemetries) in by_namespace.iter().filter(|(_, found)| found.len() > 1) {
        let names = names(telemetries);
        for telemetry in telemetries {
            let code = Code::MultipleTelemetriesWithoutWorkloadSelectors;
            report.about(telemetry, code, &[&names, namespace]);
        }
    }
}

/// Access logs need a provider, their own or a default one.
pub(super) fn providers(context: &Context<'_>, report: &mut Report) {
    let defaults = context.mesh.as_written().default_providers.as_ref();
    if defaults.is_some_and(|defaults| !defaults.access_logging.is_empty()) {
        return;
    }
    for telemetry in &context.resources.telemetries {
        for logging in &telemetry.spec.access_logging {
            if logging.disabled != Some(true) && logging.providers.is_empty() {
                let metadata = &telemetry.metadata;
                let code = Code::InvalidTelemetryProvider;
                report.about(telemetry, code, &[&metadata.name, &metadata.namespace]);
            }
        }
    }
}

/// Lightstep is no more; traces go to OpenTelemetry instead.
pub(super) fn lightstep(context: &Context<'_>, report: &mut Report) {
    let providers = context.mesh.as_written().extension_providers.iter();
    let lightstep: BTreeSet<&str> = providers
        .filter(|provider| provider.lightstep.is_some())
        .map(|provider| provider.name.as_str())
        .collect();
    for telemetry in &context.resources.telemetries {
        let providers = telemetry
            .spec
            .tracing
            .iter()
            .flat_map(|tracing| &tracing.providers);
        for provider in providers.filter(|provider| lightstep.contains(provider.name.as_str())) {
            let name = &provider.name;
            let why = format!(
                "The Lightstep provider {name} is deprecated, please migrate to OpenTelemetry \
                 provider."
            );
            report.about(telemetry, Code::Deprecated, &[&why]);
        }
    }
}

/// Names as Istio lists them: `[a b]`.
fn names(telemetries: &[&Resource<Telemetry>]) -> String {
    let mut names: Vec<&str> = telemetries
        .iter()
        .map(|telemetry| telemetry.metadata.name.as_str())
        .collect();
    names.sort_unstable();
    format!("[{}]", names.join(" "))
}
