//! What injection did to a pod, as the corpus sums it up.

use mesh_policy::admission::Pod;
use serde_json::{Map, Value, json};

/// A summary for each pod of an object, before and after injection.
pub(super) fn pods(before: &Value, after: &Value) -> Vec<Value> {
    if let (Some(before), Some(after)) = (before.get("items"), after.get("items")) {
        let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
        let pairs = items(before).into_iter().zip(items(after));
        return pairs
            .flat_map(|(before, after)| pods(&before, &after))
            .collect();
    }
    let pods = pod(before).zip(pod(after));
    pods.map(|(before, after)| summary(&before, &after))
        .into_iter()
        .collect()
}

/// The pod within an object, if it has one.
fn pod(object: &Value) -> Option<Pod> {
    let templates = ["/spec/jobTemplate/spec/template", "/spec/template"];
    let template = templates.iter().find_map(|path| object.pointer(path));
    let template = template.or_else(|| (object.get("kind")? == "Pod").then_some(object))?;
    Some(Pod::new(template.clone()))
}

fn summary(before: &Pod, after: &Pod) -> Value {
    let [containers, init] = ["containers", "initContainers"].map(|list| names(after, list));
    let native = after.spec("initContainers").and_then(Value::as_array);
    let native = native.into_iter().flatten().any(|container| {
        container.get("name") == Some(&json!("istio-proxy"))
            && container.get("restartPolicy").is_some()
    });
    let has_proxy = |names: &[String]| names.iter().any(|name| name == "istio-proxy");
    let mut summary = json!({
        "containers": containers,
        "init_containers": init,
        "added_containers": added(before, after, "containers"),
        "added_init_containers": added(before, after, "initContainers"),
        "added_volumes": added(before, after, "volumes"),
        "added_labels": added_labels(before, after),
        "added_annotations": added_annotations(before, after),
        "injected": has_proxy(&containers) || has_proxy(&init),
        "native_sidecar": native,
    });
    if let Some(context) = after.spec("securityContext") {
        summary["security_context"] = context.clone();
    }
    summary
}

fn names(pod: &Pod, list: &str) -> Vec<String> {
    let items = pod
        .spec(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items
        .filter_map(|item| item.get("name")?.as_str().map(String::from))
        .collect()
}

fn added(before: &Pod, after: &Pod, list: &str) -> Vec<String> {
    let known = names(before, list);
    let mut all = names(after, list);
    all.retain(|name| !known.contains(name));
    all
}

fn added_labels(before: &Pod, after: &Pod) -> Map<String, Value> {
    let labels = after.labels();
    let new = labels
        .iter()
        .filter(|(name, value)| before.label(name) != Some(value));
    new.map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

fn added_annotations(before: &Pod, after: &Pod) -> Vec<String> {
    let names = after.annotations().map(|(name, _)| name);
    let mut new: Vec<_> = names
        .filter(|name| before.annotation(name).is_none())
        .map(String::from)
        .collect();
    new.sort();
    new
}
