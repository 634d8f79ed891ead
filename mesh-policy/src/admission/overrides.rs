//! Containers of the pod that adjust those of the template.
//!
//! A pod may have a container `istio-proxy` of its own, whose fields win over the template's. They
//! are kept in the annotation `proxy.istio.io/overrides`, so that a later injection finds them.

use mesh_core::resource::istio::mesh_config::{InboundInterceptionMode, ProxyConfig};
use serde_json::{Value, json};

use super::annotation::{INTERCEPTION_MODE, OVERRIDES, STATUS};
use super::error::InjectError;
use super::pod::{List, PROXY, Pod, named, object};
use super::{merge, status};

/// The image of a container that has to have one, and means the template's.
const AUTO_IMAGE: &str = "auto";

/// The pod with the containers that an earlier injection found, where they are missing.
pub(super) fn reinsert(mut pod: Pod) -> Result<Pod, InjectError> {
    let kept = kept(&pod)?;
    for list in List::ALL {
        let mut containers = pod.containers(list).to_vec();
        for container in of_list(&kept, list) {
            let name = container
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if pod.container(list, name).is_none() {
                containers.push(container.clone());
            }
        }
        pod.set_containers(list, containers);
    }
    Ok(pod)
}

/// Lays the pod's own containers over those of the template in `merged`.
pub(super) fn reapply(mut merged: Pod, pod: &Pod, template: &Pod) -> Result<Pod, InjectError> {
    let kept = kept(pod)?;
    let mut applied = json!({});
    for list in List::ALL {
        let injected = status::injected(pod, list);
        let mut own = Vec::new();
        for name in template.names(list.key()) {
            if injected.iter().any(|injected| injected == name) {
                continue;
            }
            let found = of_list(&kept, list).iter().find(|kept| named(kept, name));
            let in_pod = || match list {
                List::Containers => pod.container(list, name),
                List::InitContainers => pod.find(name),
            };
            let Some(found) = found.or_else(in_pod) else {
                continue;
            };
            let container = without_auto_image(found);
            let overlay = json!({"spec": {list.key(): [container.clone()]}});
            merge::merge(merged.value_mut(), overlay);
            own.push(container);
        }
        if !own.is_empty() {
            applied[list.key()] = own.into();
        }
    }
    let is_first = pod.annotation(STATUS).is_none();
    if is_first && applied.as_object().is_some_and(|lists| !lists.is_empty()) {
        merged.set_annotation(OVERRIDES, applied.to_string());
    }
    Ok(merged)
}

/// Lets the init container exempt the user that the pod gives the proxy.
pub(super) fn adjust_user(merged: &mut Pod, pod: &Pod, proxy_config: &ProxyConfig) {
    let context = pod
        .find(PROXY)
        .and_then(|proxy| proxy.get("securityContext"));
    let id = |field: &str| context.and_then(|context| context.get(field)).cloned();
    let (user, group) = (id("runAsUser"), id("runAsGroup"));
    if user.is_none() && group.is_none() {
        return;
    }
    let is_tproxy = proxy_config.interception_mode == Some(InboundInterceptionMode::Tproxy)
        || merged.annotation(INTERCEPTION_MODE) == Some("TPROXY");
    if is_tproxy
        && user.is_some()
        && let Some(proxy) = merged.find_mut(PROXY)
    {
        // Transparent proxying needs root.
        object(proxy, "securityContext")["runAsUser"] = 0.into();
    }
    let init = merged.containers_mut(List::InitContainers).iter_mut();
    let mut init = init
        .filter(|container| named(container, "istio-init") || named(container, "istio-validation"));
    let Some(init) = init.next() else {
        return;
    };
    if !is_tproxy && named(init, "istio-validation") {
        let context = object(init, "securityContext");
        for (field, id) in [("runAsUser", &user), ("runAsGroup", &group)] {
            if let Some(id) = id {
                context[field] = id.clone();
            }
        }
    }
    if let Some(user) = user
        .as_ref()
        .and_then(Value::as_u64)
        .filter(|user| *user != 0)
    {
        exempt(init, user);
    }
}

/// Replaces the user whose traffic is not captured.
fn exempt(init: &mut Value, user: u64) {
    let arguments = init.get_mut("args").and_then(Value::as_array_mut);
    let mut arguments = arguments.into_iter().flatten();
    if arguments.any(|argument| argument == "-u")
        && let Some(value) = arguments.next()
    {
        *value = user.to_string().into();
    }
}

fn kept(pod: &Pod) -> Result<Value, InjectError> {
    match pod.annotation(OVERRIDES) {
        Some(text) => serde_json::from_str(text).map_err(|_| InjectError::Overrides),
        None => Ok(Value::Null),
    }
}

fn of_list(kept: &Value, list: List) -> &[Value] {
    let containers = kept.get(list.key()).and_then(Value::as_array);
    containers.map_or(&[], Vec::as_slice)
}

fn without_auto_image(container: &Value) -> Value {
    let mut container = container.clone();
    if container.get("image").and_then(Value::as_str) == Some(AUTO_IMAGE)
        && let Some(fields) = container.as_object_mut()
    {
        fields.remove("image");
    }
    container
}
