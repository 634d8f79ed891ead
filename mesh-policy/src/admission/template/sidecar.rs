//! Istio's sidecar.

use serde_json::{Map, Value, json};

use super::volumes::Mounts;
use super::{Render, environment, iptables, proxy, volumes};
use crate::admission::annotation::{
    EXCLUDE_INBOUND_PORTS, EXCLUDE_INTERFACES, EXCLUDE_OUTBOUND_IP_RANGES, EXCLUDE_OUTBOUND_PORTS,
    INCLUDE_INBOUND_PORTS, INCLUDE_OUTBOUND_IP_RANGES, INCLUDE_OUTBOUND_PORTS, INTERCEPTION_MODE,
    KUBEVIRT_INTERFACES, REROUTE_INTERFACES,
};

const MOUNTS: Mounts = Mounts {
    proxy: "istio-envoy",
    envoy: true,
    revocations: true,
    users: true,
};

/// Longest value of a label.
const LABEL_LENGTH: usize = 63;

pub(super) fn render(render: &Render<'_>) -> Value {
    let mut volumes = volumes::volumes(render, MOUNTS);
    volumes.extend(volumes::lightstep(render).map(|(volume, _)| volume));
    captured(render, container(render), volumes)
}

/// A pod whose traffic is redirected to the container `proxy`.
pub(super) fn captured(render: &Render<'_>, proxy: Value, volumes: Vec<Value>) -> Value {
    let mut annotations = render.common_annotations();
    annotations.extend(plugin_annotations(render));
    let mut spec = json!({});
    spec["volumes"] = volumes.into();
    let mut init: Vec<_> = iptables::container(render).into_iter().collect();
    if render.native {
        init.push(proxy);
    } else {
        spec["containers"] = json!([proxy]);
    }
    spec["initContainers"] = init.into();
    if let Some(secrets) = proxy::image_pull_secrets(render) {
        spec["imagePullSecrets"] = secrets;
    }
    json!({"metadata": {"labels": labels(render), "annotations": annotations}, "spec": spec})
}

fn labels(render: &Render<'_>) -> Map<String, Value> {
    let own = |name: &str, default: &str| {
        let own = render.pod.label(name).filter(|value| !value.is_empty());
        (name.to_owned(), own.unwrap_or(default).into())
    };
    let mut labels = Map::from_iter([own("security.istio.io/tlsMode", "istio")]);
    let tunnels = render.proxy.proxy_metadata.get("ISTIO_META_ENABLE_HBONE");
    if tunnels.is_some_and(|value| value == "true") {
        labels.extend([own("networking.istio.io/tunnel", "http")]);
    }
    let [(name, value), revision] = render.canonical_labels();
    let value: String = value.chars().take(LABEL_LENGTH).collect();
    let value = value.trim_matches(['-', '_', '.']);
    labels.insert(name.into(), value.into());
    labels.insert(revision.0.into(), revision.1.into());
    labels
}

/// What a plugin that redirects traffic has to know, in place of an init container.
fn plugin_annotations(render: &Render<'_>) -> Vec<(String, Value)> {
    let cni = &render.values.pilot.cni;
    if !cni.enabled {
        return Vec::new();
    }
    let values = &render.values.global.proxy;
    let written = |name: &str, default: &str| Some(render.annotation_or(name, default));
    let set = |value: Option<String>| value.filter(|value| !value.is_empty());
    let own = |name: &str| set(render.pod.annotation(name).map(String::from));
    let networks = "k8s.v1.cni.cncf.io/networks";
    let multus = || with_multus(render.pod.annotation(networks).unwrap_or_default());
    let pairs = [
        (networks, (cni.provider == "multus").then(multus)),
        (INTERCEPTION_MODE, Some(render.interception_mode())),
        (
            INCLUDE_OUTBOUND_IP_RANGES,
            set(written(
                INCLUDE_OUTBOUND_IP_RANGES,
                &values.include_ip_ranges,
            )),
        ),
        (
            EXCLUDE_OUTBOUND_IP_RANGES,
            set(written(
                EXCLUDE_OUTBOUND_IP_RANGES,
                &values.exclude_ip_ranges,
            )),
        ),
        (
            INCLUDE_INBOUND_PORTS,
            written(INCLUDE_INBOUND_PORTS, &values.include_inbound_ports),
        ),
        (
            EXCLUDE_INBOUND_PORTS,
            Some(iptables::excluded_inbound_ports(render)),
        ),
        (
            INCLUDE_OUTBOUND_PORTS,
            iptables::outbound_ports(render, INCLUDE_OUTBOUND_PORTS),
        ),
        (
            EXCLUDE_OUTBOUND_PORTS,
            iptables::outbound_ports(render, EXCLUDE_OUTBOUND_PORTS),
        ),
        (KUBEVIRT_INTERFACES, own(KUBEVIRT_INTERFACES)),
        (REROUTE_INTERFACES, own(REROUTE_INTERFACES)),
        (EXCLUDE_INTERFACES, own(EXCLUDE_INTERFACES)),
    ];
    let pairs = pairs.into_iter();
    pairs
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect()
}

/// The networks of a pod, with that of Istio's plugin.
fn with_multus(networks: &str) -> String {
    const NAMESPACE: &str = "default";
    const NAME: &str = "istio-cni";
    let own = format!("{NAMESPACE}/{NAME}");
    if networks.is_empty() {
        return own;
    }
    if !networks.trim_end().ends_with(']') {
        let has_own = networks.split(',').any(|network| network.trim() == own);
        return if has_own {
            networks.to_owned()
        } else {
            format!("{networks}, {own}")
        };
    }
    let Ok(mut list) = serde_json::from_str::<Vec<Value>>(networks) else {
        return networks.to_owned();
    };
    let network = json!({"name": NAME, "namespace": NAMESPACE});
    let is_own = |found: &Value| {
        found.get("name") == network.get("name")
            && found.get("namespace") == network.get("namespace")
    };
    if list.iter().any(is_own) {
        return networks.to_owned();
    }
    list.push(network);
    Value::Array(list).to_string()
}

fn container(render: &Render<'_>) -> Value {
    let mut container = proxy::container(render, "sidecar");
    container["ports"] = proxy::metrics_port();
    if render.native {
        container["restartPolicy"] = "Always".into();
    }
    if container.get("lifecycle").is_none()
        && let Some(lifecycle) = lifecycle(render)
    {
        container["lifecycle"] = lifecycle;
    }
    if !render.values.global.proxy.outlier_log_path.is_empty() {
        let path = &render.values.global.proxy.outlier_log_path;
        let argument = format!("--outlierLogPath={path}");
        if let Some(arguments) = container["args"].as_array_mut() {
            arguments.push(argument.into());
        }
    }
    container["env"] = environment(render).into();
    proxy::add_probes(&mut container, render);
    container["securityContext"] = proxy::security_context(render);
    container["resources"] = render.resources();
    let mut mounts = volumes::mounts(render, MOUNTS);
    mounts.extend(volumes::lightstep(render).map(|(_, mount)| mount));
    container["volumeMounts"] = mounts.into();
    container
}

fn lifecycle(render: &Render<'_>) -> Option<Value> {
    let run = |command: &[&str]| json!({"exec": {"command": command}});
    if render.native {
        let port = format!("--debug-port={}", render.status_port());
        let drain = run(&["pilot-agent", "request", &port, "POST", "drain"]);
        return Some(json!({"preStop": drain}));
    }
    proxy::is_waited_for(render).then(|| json!({"postStart": run(&["pilot-agent", "wait"])}))
}

fn environment(render: &Render<'_>) -> Vec<Value> {
    let mut env = environment::probe_destination(render);
    env.extend(environment::common(render, environment::workload(render)));
    env.extend(environment::envoy(render, &render.interception_mode()));
    env.extend(environment::datadog(render));
    env.extend(environment::resource_attributes(render));
    env.extend(environment::own(render));
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_network_is_added_once() {
        let cases = [
            ("", "default/istio-cni"),
            ("a", "a, default/istio-cni"),
            ("a, default/istio-cni", "a, default/istio-cni"),
            ("[nonsense]", "[nonsense]"),
        ];
        for (networks, expected) in cases {
            assert_eq!(with_multus(networks), expected, "{networks}");
        }
        let added = with_multus(r#"[{"name": "a"}]"#);
        assert_eq!(
            added,
            r#"[{"name":"a"},{"name":"istio-cni","namespace":"default"}]"#
        );
        assert_eq!(with_multus(&added), added);
    }
}
