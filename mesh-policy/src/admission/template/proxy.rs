//! The container of the proxy.

use serde_json::{Value, json};

use super::Render;
use super::render::PROXY_ID;
use crate::admission::pod::PROXY;

/// A container named `istio-proxy` that runs the agent in `role`.
pub(super) fn container(render: &Render<'_>, role: &str) -> Value {
    running(render, render.proxy_image(), arguments(render, role))
}

/// A container named `istio-proxy` that runs the program of `image`.
pub(super) fn running(render: &Render<'_>, image: String, arguments: Vec<String>) -> Value {
    let mut container = json!({ "name": PROXY });
    container["image"] = image.into();
    container["args"] = arguments.into();
    let policy = &render.values.global.image_pull_policy;
    if !policy.is_empty() {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    let lifecycle = &render.values.global.proxy.lifecycle;
    if is_set(lifecycle) {
        container["lifecycle"] = lifecycle.clone();
    }
    container
}

/// Whether a free-form value says anything.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn arguments(render: &Render<'_>, role: &str) -> Vec<String> {
    let global = &render.values.global;
    let proxy = &global.proxy;
    let level = |annotation: &str, default: &str| render.annotation_or(annotation, default);
    let mut arguments = vec![
        "proxy".to_owned(),
        role.to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{}", proxy.cluster_domain),
        format!(
            "--proxyLogLevel={}",
            level("sidecar.istio.io/logLevel", &proxy.log_level)
        ),
        format!(
            "--proxyComponentLogLevel={}",
            level(
                "sidecar.istio.io/componentLogLevel",
                &proxy.component_log_level
            )
        ),
        format!(
            "--log_output_level={}",
            level("sidecar.istio.io/agentLogLevel", &global.logging.level)
        ),
    ];
    if global.sts.service_port != 0 {
        arguments.push(format!("--stsPort={}", global.sts.service_port));
    }
    if global.log_as_json {
        arguments.push("--log_as_json".to_owned());
    }
    arguments
}

/// Envoy's metrics.
pub(super) fn metrics_port() -> Value {
    json!([{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}])
}

/// The metrics of what answers for the pod.
pub(super) fn agent_port() -> Value {
    json!([{"containerPort": 15020, "protocol": "TCP", "name": "mesh-metrics"}])
}

/// Whether the application waits until the proxy is ready.
pub(super) fn is_waited_for(render: &Render<'_>) -> bool {
    render.proxy.hold_application_until_proxy_starts == Some(true)
        || render
            .values
            .global
            .proxy
            .hold_application_until_proxy_starts
}

/// Asks whether a sidecar is ready, unless nobody can be asked.
pub(super) fn add_probes(container: &mut Value, render: &Render<'_>) {
    if render.status_port() == "0" {
        return;
    }
    let startup = &render.values.global.proxy.startup_probe;
    if startup.enabled {
        container["startupProbe"] = startup_probe(startup.failure_threshold);
    }
    container["readinessProbe"] = readiness_probe(render, 15021);
}

fn startup_probe(failure_threshold: u32) -> Value {
    json!({
        "httpGet": {"path": "/healthz/ready", "port": 15021},
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "timeoutSeconds": 3,
        "failureThreshold": failure_threshold,
    })
}

/// A readiness probe at `port`, with what annotations or values say.
pub(super) fn readiness_probe(render: &Render<'_>, port: u16) -> Value {
    probe(render, port, |name, default| {
        let annotation = format!("readiness.status.sidecar.istio.io/{name}");
        let written = render.pod.annotation(&annotation);
        written
            .and_then(|number| number.parse().ok())
            .unwrap_or(default)
    })
}

/// A readiness probe at `port`, with what values say.
pub(super) fn mesh_readiness_probe(render: &Render<'_>, port: u16) -> Value {
    probe(render, port, |_, default| default)
}

fn probe(render: &Render<'_>, port: u16, number: impl Fn(&str, u32) -> u32) -> Value {
    let proxy = &render.values.global.proxy;
    json!({
        "httpGet": {"path": "/healthz/ready", "port": port},
        "initialDelaySeconds":
            number("initialDelaySeconds", proxy.readiness_initial_delay_seconds),
        "periodSeconds": number("periodSeconds", proxy.readiness_period_seconds),
        "timeoutSeconds": 3,
        "failureThreshold": number("failureThreshold", proxy.readiness_failure_threshold),
    })
}

/// What a sidecar may do.
pub(super) fn security_context(render: &Render<'_>) -> Value {
    let proxy = &render.values.global.proxy;
    let traces = render.proxy.proxy_metadata.get("IPTABLES_TRACE_LOGGING");
    let traces = traces.is_some_and(|value| value == "true");
    let binds = render.annotation_or(
        "sidecar.istio.io/capNetBindService",
        &proxy.cap_net_bind_service,
    ) == "true";
    let tproxy = render.is_tproxy();
    let is_root = traces || tproxy || binds;
    let added: Vec<_> = [
        ("NET_ADMIN", traces || tproxy),
        ("NET_BIND_SERVICE", binds && !traces),
    ]
    .into_iter()
    .filter_map(|(capability, is_added)| is_added.then_some(capability))
    .collect();
    let mut capabilities = json!({"drop": ["ALL"]});
    if !added.is_empty() {
        capabilities["add"] = added.into();
    }
    let mut context = json!({
        "allowPrivilegeEscalation": traces || proxy.privileged,
        "capabilities": capabilities,
        "privileged": traces || proxy.privileged,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": !is_root,
        "runAsUser": if is_root { 0 } else { PROXY_ID },
        "runAsGroup": PROXY_ID,
    });
    add_seccomp_profile(&mut context, render);
    context
}

pub(super) fn add_seccomp_profile(context: &mut Value, render: &Render<'_>) {
    let profile = &render.values.global.proxy.seccomp_profile;
    if is_set(profile) {
        context["seccompProfile"] = profile.clone();
    }
}

/// Secrets with which the images are pulled.
pub(super) fn image_pull_secrets(render: &Render<'_>) -> Option<Value> {
    let names = &render.values.global.image_pull_secrets;
    let secrets: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    (!secrets.is_empty()).then(|| secrets.into())
}
