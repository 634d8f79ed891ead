//! Probes and hooks of the application, sent through the agent.
//!
//! The kubelet does not speak mTLS, and the proxy accepts every TCP connection. So probes are
//! rewritten to ask the agent, which asks the application; what to ask it is told by the
//! environment variable `ISTIO_KUBE_APP_PROBERS` of the proxy.

use serde_json::{Map, Value, json};

use super::annotation::{STATUS, STATUS_PORT};
use super::pod::{List, PROXY, Pod, named, push_env};

/// The variable that tells the proxy what to ask the application.
pub(super) const APP_PROBERS: &str = "ISTIO_KUBE_APP_PROBERS";

/// Probes of a container, as pointers, and the last segment of the agent's path for each.
const PROBES: [(&str, &str); 3] = [
    ("/readinessProbe", "readyz"),
    ("/livenessProbe", "livez"),
    ("/startupProbe", "startupz"),
];

/// Hooks of a container.
const HOOKS: [(&str, &str); 2] = [
    ("/lifecycle/preStop", "prestopz"),
    ("/lifecycle/postStart", "poststartz"),
];

/// Rewrites all probes of a pod that has a proxy. `agent_port` is the agent's by default.
pub(super) fn rewrite(pod: &mut Pod, agent_port: u16) {
    let probers = probers(pod, agent_port);
    let injected_before = pod.annotation(STATUS).is_some();
    let Some(proxy) = pod.find_mut(PROXY) else {
        return;
    };
    if !probers.is_empty() {
        record(proxy, probers, injected_before);
    }
    let port = pod
        .annotation(STATUS_PORT)
        .and_then(|port| port.trim().parse().ok());
    let port = port.unwrap_or(agent_port);
    for list in List::ALL {
        for container in pod.containers_mut(list) {
            if !named(container, PROXY) {
                rewrite_container(container, port);
            }
        }
    }
}

/// What the agent asks the application, by the path at which it is asked itself.
fn probers(pod: &Pod, agent_port: u16) -> Map<String, Value> {
    let init = pod.containers(List::InitContainers).iter();
    let all = init.chain(pod.containers(List::Containers));
    let mut probers = Map::new();
    for container in all.filter(|container| !named(container, PROXY)) {
        for (pointer, name) in PROBES.into_iter().chain(HOOKS) {
            let probe = container.pointer(pointer);
            let is_hook = pointer.starts_with("/lifecycle");
            let prober = probe.and_then(|probe| prober(probe, is_hook, container, agent_port));
            if let Some(prober) = prober {
                probers.insert(path(container, name, is_hook), prober);
            }
        }
    }
    probers
}

/// A probe as the agent reads it, with its port as a number. `None` if the agent cannot do it, or
/// does it already.
fn prober(probe: &Value, is_hook: bool, container: &Value, agent_port: u16) -> Option<Value> {
    let field = ["httpGet", "tcpSocket", "grpc"]
        .into_iter()
        .find(|field| probe.get(field).is_some_and(Value::is_object))?;
    let mut action = probe[field].clone();
    if field == "grpc" {
        if is_hook {
            return None;
        }
    } else {
        let port = match action.get("port")? {
            Value::String(name) => named_port(container, name)?,
            number if number.as_u64() == Some(agent_port.into()) => return None,
            number => number.clone(),
        };
        action["port"] = port;
    }
    let mut prober = json!({ field: action });
    let timeout = probe
        .get("timeoutSeconds")
        .filter(|timeout| timeout.as_u64() != Some(0));
    if let Some(timeout) = timeout.filter(|_| !is_hook) {
        prober["timeoutSeconds"] = timeout.clone();
    }
    Some(prober)
}

fn named_port(container: &Value, name: &str) -> Option<Value> {
    let ports = container.get("ports")?.as_array()?;
    let port = ports.iter().find(|port| named(port, name))?;
    port.get("containerPort").cloned()
}

/// The path at which the agent is asked (`FormatProberURL`).
fn path(container: &Value, name: &str, is_hook: bool) -> String {
    let container = container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let what = if is_hook {
        "app-lifecycle"
    } else {
        "app-health"
    };
    format!("/{what}/{container}/{name}")
}

fn record(proxy: &mut Value, mut probers: Map<String, Value>, injected_before: bool) {
    let variables = proxy.get_mut("env").and_then(Value::as_array_mut);
    let known = variables
        .into_iter()
        .flatten()
        .find(|variable| injected_before && named(variable, APP_PROBERS));
    let Some(known) = known else {
        push_env(proxy, APP_PROBERS, Value::Object(probers).to_string());
        return;
    };
    let earlier = known
        .get("value")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Ok(earlier) = serde_json::from_str::<Map<String, Value>>(earlier) {
        probers.extend(earlier);
        known["value"] = Value::String(Value::Object(probers).to_string());
    }
}

fn rewrite_container(container: &mut Value, port: u16) {
    for (pointer, name) in PROBES.into_iter().chain(HOOKS) {
        let is_hook = pointer.starts_with("/lifecycle");
        let path = path(container, name, is_hook);
        let probe = container.pointer_mut(pointer);
        if let Some(probe) = probe.and_then(Value::as_object_mut) {
            rewrite_probe(probe, is_hook, &path, port);
        }
    }
}

fn rewrite_probe(probe: &mut Map<String, Value>, is_hook: bool, path: &str, port: u16) {
    if let Some(Value::Object(get)) = probe.get_mut("httpGet") {
        get.insert("path".into(), path.into());
        get.insert("port".into(), port.into());
        // The agent speaks TLS to the application itself.
        if get.get("scheme").and_then(Value::as_str) == Some("HTTPS") {
            get.insert("scheme".into(), "HTTP".into());
        }
        return;
    }
    let is_tcp = probe.get("tcpSocket").is_some_and(Value::is_object);
    let is_grpc = !is_hook && probe.get("grpc").is_some_and(Value::is_object);
    if is_tcp || is_grpc {
        probe.remove(if is_tcp { "tcpSocket" } else { "grpc" });
        probe.insert("httpGet".into(), json!({"path": path, "port": port}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        Pod::new(json!({"spec": {
            "containers": [
                {
                    "name": "cart",
                    "ports": [{"name": "http", "containerPort": 80}],
                    "readinessProbe": {"httpGet": {"port": "http", "scheme": "HTTPS"}},
                    "livenessProbe": {"tcpSocket": {"port": 90}, "timeoutSeconds": 3},
                    "startupProbe": {"grpc": {"port": 91}},
                    "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
                },
                {"name": "istio-proxy", "readinessProbe": {"httpGet": {"port": 15021}}},
            ],
        }}))
    }

    #[test]
    fn probes_ask_the_agent_and_the_agent_asks_the_application() {
        let mut pod = pod();
        rewrite(&mut pod, 15020);
        let cart = pod.find("cart").unwrap();
        let asked = |name: &str| json!({"path": format!("/app-health/cart/{name}"), "port": 15020});
        let mut readiness = asked("readyz");
        readiness["scheme"] = "HTTP".into();
        assert_eq!(cart["readinessProbe"], json!({"httpGet": readiness}));
        let liveness = json!({"httpGet": asked("livez"), "timeoutSeconds": 3});
        assert_eq!(cart["livenessProbe"], liveness);
        assert_eq!(cart["startupProbe"], json!({"httpGet": asked("startupz")}));
        assert_eq!(cart["lifecycle"]["preStop"]["exec"]["command"][0], "sleep");

        let proxy = pod.find(PROXY).unwrap();
        assert_eq!(proxy["readinessProbe"]["httpGet"]["port"], 15021);
        let told: Value = serde_json::from_str(proxy["env"][0]["value"].as_str().unwrap()).unwrap();
        let expected = json!({
            "/app-health/cart/readyz": {"httpGet": {"port": 80, "scheme": "HTTPS"}},
            "/app-health/cart/livez": {"tcpSocket": {"port": 90}, "timeoutSeconds": 3},
            "/app-health/cart/startupz": {"grpc": {"port": 91}},
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn hooks_are_asked_for_at_paths_of_their_own() {
        let mut pod = Pod::new(json!({"spec": {"containers": [
            {"name": "cart", "lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 80}}}},
            {"name": "istio-proxy"},
        ]}}));
        rewrite(&mut pod, 15020);
        let hook = pod.find("cart").unwrap()["lifecycle"]["preStop"].clone();
        let path = "/app-lifecycle/cart/prestopz";
        assert_eq!(hook, json!({"httpGet": {"path": path, "port": 15020}}));
        let told = pod.find(PROXY).unwrap()["env"][0]["value"].clone();
        let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
        assert_eq!(
            told,
            json!({path: {"httpGet": {"path": "/bye", "port": 80}}})
        );
    }

    #[test]
    fn what_is_rewritten_already_is_not_told_again() {
        let mut pod = pod();
        rewrite(&mut pod, 15020);
        pod.set_annotation(STATUS, "{}");
        let once = pod.clone();
        rewrite(&mut pod, 15020);
        assert_eq!(pod, once);
    }
}
