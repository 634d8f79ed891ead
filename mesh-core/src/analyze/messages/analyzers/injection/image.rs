//! Pods whose sidecar has another image than the injector would give it.

use std::collections::BTreeMap;

use super::{injector, values};
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{
    Context, INJECTION, PROXY, REVISION, Report, containers, has_all, is_labelled,
};
use crate::parse::{Limits, parse_as};
use crate::resource::Resource;
use crate::resource::istio::mesh_config::ProxyConfig as ProxySettings;
use crate::resource::istio::proxy_config::ProxyImage;
use crate::resource::kubernetes::config_map::ConfigMap;
use crate::resource::kubernetes::namespace::Namespace;
use crate::resource::kubernetes::pod::Pod;
use crate::resource::value::Value;

/// Sidecars have to be of the image that the injector of their namespace gives.
pub(in crate::analyze::messages) fn images(context: &Context<'_>, report: &mut Report) {
    let maps = context.resources.config_maps.iter();
    let images: BTreeMap<&str, String> = maps
        .filter(|map| map.metadata.name.starts_with("istio-sidecar-injector"))
        .map(|map| (map.metadata.name.as_str(), image(map)))
        .collect();
    for namespace in &context.resources.namespaces {
        let Some(image) = revision(namespace).and_then(|rev| images.get(injector(rev).as_str()))
        else {
            continue;
        };
        let pods = context.resources.pods.iter();
        let mut names: Vec<&str> = pods
            .filter(|pod| pod.metadata.namespace == namespace.metadata.name)
            .filter(|pod| differs(context, pod, image))
            .map(|pod| pod.metadata.name.as_str())
            .collect();
        if !names.is_empty() {
            names.sort_unstable();
            let names = format!("[{}]", names.join(" "));
            report.about(
                namespace,
                Code::PodsIstioProxyImageMismatchInNamespace,
                &[&names],
            );
        }
    }
}

/// The revision whose injector sees the pods of a namespace, if any does.
fn revision(namespace: &Resource<Namespace>) -> Option<&str> {
    let revision = namespace.metadata.labels.get(REVISION).map(String::as_str);
    revision.or_else(|| is_labelled(namespace, INJECTION, "enabled").then_some("default"))
}

/// The image that an injector gives.
fn image(map: &Resource<ConfigMap>) -> String {
    let values = values(map);
    let global = values.field("global");
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Integer(number)) => number.to_string(),
        _ => String::new(),
    };
    let proxy = global.and_then(|global| global.field("proxy"));
    let image = text(proxy.and_then(|proxy| proxy.field("image")));
    if image.contains('/') {
        return image;
    }
    let part = |name| text(global.and_then(|global| global.field(name)));
    format!("{}/{image}:{}", part("hub"), part("tag"))
}

fn differs(context: &Context<'_>, pod: &Resource<Pod>, image: &str) -> bool {
    let chosen = pod.metadata.annotations.get("sidecar.istio.io/proxyImage");
    if chosen.is_some_and(|chosen| !chosen.is_empty()) {
        return false;
    }
    let variant = format!("{image}-{}", variant(context, pod));
    let proxies = containers(&pod.spec.spec).filter(|container| container.name == PROXY);
    let mut images = proxies.map(|proxy| proxy.image.as_deref().unwrap_or_default());
    images.any(|found| found != image && found != variant)
}

/// The variant of the image that the pod gets, such as `distroless`: the most specific that is set.
fn variant(context: &Context<'_>, pod: &Resource<Pod>) -> String {
    let metadata = &pod.metadata;
    let written = |image: Option<&ProxyImage>| {
        let variant = image.map(|image| image.image_type.clone());
        variant.filter(|variant| !variant.is_empty())
    };
    let annotation = metadata
        .annotations
        .get("proxy.istio.io/config")
        .and_then(|text| {
            let parsed =
                parse_as::<ProxySettings>("proxy.istio.io/config", text, &Limits::default());
            written(parsed.ok()?.0.image.as_ref())
        });
    let root = context.mesh.root_namespace();
    let configs = &context.resources.proxy_configs;
    let of = |namespace: &str, selects: bool| {
        configs.iter().rev().find_map(|config| {
            let selector = config.spec.selector.as_ref();
            let is_for =
                selector.is_none_or(|found| has_all(&metadata.labels, &found.match_labels));
            let applies =
                config.metadata.namespace == namespace && selector.is_some() == selects && is_for;
            applies
                .then(|| written(config.spec.image.as_ref()))
                .flatten()
        })
    };
    let defaults = context.mesh.as_written().default_config.as_ref();
    let variant = annotation
        .or_else(|| of(&metadata.namespace, true))
        .or_else(|| of(&metadata.namespace, false))
        .or_else(|| of(root, false))
        .or_else(|| written(defaults?.image.as_ref()));
    variant
        .filter(|variant| variant != "default")
        .unwrap_or_default()
}
