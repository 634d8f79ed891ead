//! Istio's gateway: the proxy is the application. What pods say of a sidecar does not concern it:
//! how it is ready, how traffic reaches it, and which volumes it has.

use serde_json::{Map, Value, json};

use super::render::PROXY_ID;
use super::volumes::Mounts;
use super::{Render, environment, proxy, volumes};

const MOUNTS: Mounts = Mounts {
    proxy: "istio-envoy",
    envoy: true,
    revocations: false,
    users: false,
};

pub(super) fn render(render: &Render<'_>) -> Value {
    let labels: Map<String, Value> = render
        .canonical_labels()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut spec = json!({
        "securityContext": security_context(render),
        "containers": [container(render)],
        "volumes": volumes::volumes(render, MOUNTS),
    });
    if let Some(secrets) = proxy::image_pull_secrets(render) {
        spec["imagePullSecrets"] = secrets;
    }
    let annotations = render.common_annotations();
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

fn security_context(render: &Render<'_>) -> Value {
    let own = &render.values.gateways.security_context;
    if proxy::is_set(own) {
        return own.clone();
    }
    // So that it may bind port 80 without being root.
    json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]})
}

fn container(render: &Render<'_>) -> Value {
    let mut container = proxy::container(render, "router");
    container["ports"] = proxy::metrics_port();
    container["securityContext"] = json!({"runAsUser": PROXY_ID, "runAsGroup": PROXY_ID});
    let mut env = environment::common(render, &render.owner.name);
    env.extend(environment::envoy(render, render.mesh_interception_mode()));
    env.extend(environment::own(render));
    container["env"] = env.into();
    container["readinessProbe"] = proxy::mesh_readiness_probe(render, 15021);
    container["volumeMounts"] = volumes::mounts(render, MOUNTS).into();
    container
}
