//! What an injection added, so that the next one can take it away.

use serde_json::{Value, json};

use super::annotation::STATUS;
use super::pod::{List, Pod};
use super::prometheus;

/// The value of the annotation `sidecar.istio.io/status`: the names of what `template` adds.
pub(super) fn status(template: &Pod, revision: &str) -> String {
    let names = |list: &str| match template.names(list) {
        names if names.is_empty() => Value::Null,
        names => json!(names),
    };
    let revision = if revision.is_empty() {
        "default"
    } else {
        revision
    };
    let status = json!({
        "initContainers": names("initContainers"),
        "containers": names("containers"),
        "volumes": names("volumes"),
        "imagePullSecrets": names("imagePullSecrets"),
        "revision": revision,
    });
    status.to_string()
}

/// Names of containers that an earlier injection added to `list`.
pub(super) fn injected(pod: &Pod, list: List) -> Vec<String> {
    let status = pod.annotation(STATUS);
    let status = status.and_then(|status| serde_json::from_str::<Value>(status).ok());
    let names = status
        .as_ref()
        .and_then(|status| status.get(list.key())?.as_array());
    let names = names.into_iter().flatten();
    names
        .filter_map(|name| name.as_str().map(String::from))
        .collect()
}

/// The pod without the containers that an earlier injection added.
pub(super) fn strip(pod: &Pod, agent_port: u16) -> Pod {
    let mut stripped = pod.clone();
    let status = pod.annotation(STATUS);
    let is_status = |status| serde_json::from_str::<Value>(status).is_ok_and(|it| it.is_object());
    if !status.is_some_and(is_status) {
        return stripped;
    }
    for list in List::ALL {
        for name in injected(pod, list) {
            stripped.remove_container(list, &name);
        }
    }
    prometheus::clear_own(&mut stripped, agent_port);
    stripped.remove_annotations(|name| name == STATUS);
    stripped
}
