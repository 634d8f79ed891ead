//! A sidecar without Envoy: the example `sidecar` of this workspace, around which everything is as
//! around Istio's.
//!
//! It gets its configuration from a ConfigMap, its identity from the authority that Istio's agent
//! asks, and what it has to know of its pod from arguments, in which Kubernetes expands variables.
//! Its labels are in a file, because variables do not have all of them.

use serde_json::{Value, json};

use super::{Render, environment, proxy, sidecar, volumes};
use crate::admission::probe::APP_PROBERS;

#[cfg(test)]
mod tests;

/// The volume with the configuration of the mesh, and where it is mounted.
const CONFIG: (&str, &str) = ("mesh-config", "/etc/mesh/config");
const TOKENS: &str = "/var/run/secrets/tokens";
const ROOTS: &str = "/var/run/secrets/istio";
const POD: &str = "/etc/istio/pod";
/// The roots of the API server, which every pod has.
const KUBERNETES_ROOTS: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Where the readiness of Istio's sidecars is asked for.
const READINESS_PORT: &str = "15021";
/// How many seconds connections have to end, where nothing is said: Istio's, which leaves room in what
/// Kubernetes gives a pod.
const DRAIN: i64 = 5;

pub(super) fn render(render: &Render<'_>) -> Value {
    sidecar::captured(render, container(render), volumes(render))
}

fn container(render: &Render<'_>) -> Value {
    let image = &render.values.mesh_sidecar.image;
    let image = render.annotation_or("sidecar.istio.io/proxyImage", image);
    let mut container = proxy::running(render, image, arguments(render));
    container["ports"] = proxy::agent_port();
    if render.native {
        container["restartPolicy"] = "Always".into();
    } else if container.get("lifecycle").is_none() && proxy::is_waited_for(render) {
        let command = ["sidecar", "--wait", "--status-port", &status_ports(render)];
        container["lifecycle"] = json!({"postStart": {"exec": {"command": command}}});
    }
    let mut env = environment::common(render, environment::workload(render));
    env.extend(environment::own(render));
    container["env"] = env.into();
    proxy::add_probes(&mut container, render);
    container["securityContext"] = proxy::security_context(render);
    container["resources"] = render.resources();
    container["volumeMounts"] = mounts(render).into();
    container
}

/// What the program is told. `$(NAME)` is the value of a variable; the program takes one that is not
/// set, which Kubernetes leaves as it is, for nothing.
fn arguments(render: &Render<'_>) -> Vec<String> {
    let variable = |name: &str| format!("$({name})");
    let pairs = [
        ("--config", CONFIG.1.to_owned()),
        ("--name", variable("POD_NAME")),
        ("--namespace", variable("POD_NAMESPACE")),
        ("--service-account", variable("SERVICE_ACCOUNT")),
        ("--addresses", variable("INSTANCE_IP")),
        ("--labels-file", format!("{POD}/labels")),
        ("--network", variable("ISTIO_META_NETWORK")),
        (
            "--domain",
            render.values.global.proxy.cluster_domain.clone(),
        ),
        ("--trust-domain", render.trust_domain().to_owned()),
        ("--interception-mode", render.interception_mode()),
        ("--ca", format!("https://{}", variable("CA_ADDR"))),
        ("--ca-root", roots(render)),
        ("--token", format!("{TOKENS}/istio-token")),
        ("--status-port", status_ports(render)),
        ("--probes", variable(APP_PROBERS)),
    ];
    let pairs = pairs.into_iter().chain(optional(render));
    pairs
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// What the mesh configuration says, where it does.
fn optional(render: &Render<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let mesh = render.mesh;
    let socket = |address: &str, port: Option<i32>| Some(format!("{address}:{}", port?));
    let threads = render.proxy.concurrency.filter(|threads| *threads > 0);
    let drain = render.proxy.termination_drain_duration;
    let drain = drain.map_or(DRAIN, |drain| drain.as_secs().max(0));
    let is_local = !environment::probe_destination(render).is_empty();
    let pairs = [
        (
            "--inbound",
            socket("0.0.0.0", mesh.proxy_inbound_listen_port),
        ),
        ("--outbound", socket("127.0.0.1", mesh.proxy_listen_port)),
        ("--threads", threads.map(|threads| threads.to_string())),
        ("--drain", Some(drain.to_string())),
        ("--probe-address", is_local.then(|| "127.0.0.1".to_owned())),
    ];
    let pairs = pairs.into_iter();
    pairs.filter_map(|(name, value)| Some((name, value?)))
}

/// Where the kubelet and Prometheus ask.
fn status_ports(render: &Render<'_>) -> String {
    match render.status_port().trim() {
        "" | "0" => READINESS_PORT.to_owned(),
        port => format!("{port},{READINESS_PORT}"),
    }
}

/// The file with the roots by which the authority is verified.
fn roots(render: &Render<'_>) -> String {
    match render.values.global.pilot_cert_provider.as_str() {
        "kubernetes" => KUBERNETES_ROOTS.to_owned(),
        _ => format!("{ROOTS}/root-cert.pem"),
    }
}

fn mounts(render: &Render<'_>) -> Vec<Value> {
    let mut all = vec![
        volumes::mount(CONFIG.0, CONFIG.1),
        volumes::mount("istio-token", TOKENS),
        volumes::mount("istio-podinfo", POD),
    ];
    if render.values.global.pilot_cert_provider == "istiod" {
        all.push(volumes::mount("istiod-ca-cert", ROOTS));
    }
    all.extend(volumes::of_user(render, "sidecar.istio.io/userVolumeMount"));
    all
}

fn volumes(render: &Render<'_>) -> Vec<Value> {
    // Not optional: without its policies, a sidecar would let pass what they deny.
    let config = json!({"name": render.values.mesh_sidecar.config_map_name});
    let mut all = vec![
        json!({"name": CONFIG.0, "configMap": config}),
        volumes::token(&render.values.global.sds.token.aud),
        volumes::pod_info(),
    ];
    if render.values.global.pilot_cert_provider == "istiod" {
        all.push(volumes::roots(render));
    }
    all.extend(volumes::of_user(render, "sidecar.istio.io/userVolume"));
    all
}
