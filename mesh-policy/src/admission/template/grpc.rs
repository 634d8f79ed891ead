//! For applications that speak xDS themselves, with gRPC's own client.

use serde_json::{Map, Value, json};

use super::environment::{of_pod, variable};
use super::volumes::Mounts;
use super::{Render, environment, proxy, volumes};
use crate::admission::annotation::REWRITE_PROBERS;

const MOUNTS: Mounts = Mounts {
    proxy: "istio-xds",
    envoy: false,
    revocations: false,
    users: true,
};

/// Where the bootstrap of `grpc-simple` is written.
const DIRECTORY: &str = "/var/lib/grpc/data/";
const VOLUME: &str = "grpc-io-proxyless-bootstrap";

/// Writes the bootstrap of gRPC's client.
const SCRIPT: &str = r#"node="sidecar~${INSTANCE_IP}~${POD_NAME}.${POD_NAMESPACE}~cluster.local"
server="dns:///istiod.${ISTIO_NAMESPACE}.svc:15010"
cat > /var/lib/grpc/data/bootstrap.json <<END
{
  "xds_servers": [{
    "server_uri": "${server}",
    "channel_creds": [{"type": "insecure"}],
    "server_features": ["xds_v3"]
  }],
  "node": {"id": "${node}", "metadata": {"GENERATOR": "grpc"}}
}
END
"#;

/// Only the bootstrap.
pub(super) fn render_simple(render: &Render<'_>) -> Value {
    let mount = json!([{"mountPath": DIRECTORY, "name": VOLUME}]);
    let init = json!({
        "name": "grpc-bootstrap-init",
        "image": "busybox:1.28",
        "volumeMounts": mount,
        "env": [
            of_pod("INSTANCE_IP", "status.podIP"),
            of_pod("POD_NAME", "metadata.name"),
            of_pod("POD_NAMESPACE", "metadata.namespace"),
            variable("ISTIO_NAMESPACE", &render.values.global.istio_namespace),
        ],
        "command": ["sh", "-c", SCRIPT],
    });
    let env = json!([
        variable("GRPC_XDS_BOOTSTRAP", format!("{DIRECTORY}bootstrap.json")),
        variable("GRPC_GO_LOG_VERBOSITY_LEVEL", "99"),
        variable("GRPC_GO_LOG_SEVERITY_LEVEL", "info"),
    ]);
    let containers: Vec<_> = render
        .pod
        .names("containers")
        .into_iter()
        .map(|name| json!({"name": name, "env": env, "volumeMounts": mount}))
        .collect();
    json!({
        "metadata": {"annotations": {REWRITE_PROBERS: "false"}},
        "spec": {
            "initContainers": [init],
            "containers": containers,
            "volumes": [{"name": VOLUME, "emptyDir": {}}],
        },
    })
}

/// The agent without Envoy.
pub(super) fn render_agent(render: &Render<'_>) -> Value {
    let labels: Map<String, Value> = render
        .canonical_labels()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut annotations = render.common_annotations();
    annotations.insert(REWRITE_PROBERS.into(), "false".into());
    let applications = render.applications().into_iter();
    let applications = applications.map(|name| application(render, name));
    let containers: Vec<_> = [agent(render)].into_iter().chain(applications).collect();
    let mut spec = json!({
        "containers": containers,
        "volumes": volumes::volumes(render, MOUNTS),
    });
    if let Some(secrets) = proxy::image_pull_secrets(render) {
        spec["imagePullSecrets"] = secrets;
    }
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

fn agent(render: &Render<'_>) -> Value {
    let mut container = proxy::container(render, "sidecar");
    container["ports"] = proxy::agent_port();
    let url = "--url=http://localhost:15020/healthz/ready";
    container["lifecycle"] =
        json!({"postStart": {"exec": {"command": ["pilot-agent", "wait", url]}}});
    let mut env = vec![
        variable("ISTIO_META_GENERATOR", "grpc"),
        variable("OUTPUT_CERTS", "/var/lib/istio/data"),
    ];
    env.extend(environment::probe_destination(render));
    env.extend(environment::common(render, &render.owner.name));
    env.extend(environment::own(render));
    // Names are resolved by xDS, so that there is no address to capture.
    env.push(variable("ISTIO_META_DNS_CAPTURE", "false"));
    env.push(variable("DISABLE_ENVOY", "true"));
    container["env"] = env.into();
    if render.status_port() != "0" {
        container["readinessProbe"] = proxy::readiness_probe(render, 15020);
        container["resources"] = render.resources();
        container["volumeMounts"] = volumes::mounts(render, MOUNTS).into();
    }
    container
}

fn application(render: &Render<'_>, name: &str) -> Value {
    json!({
        "name": name,
        "env": [
            variable("GRPC_XDS_EXPERIMENTAL_SECURITY_SUPPORT", "true"),
            variable("GRPC_XDS_BOOTSTRAP", "/etc/istio/proxy/grpc-bootstrap.json"),
        ],
        "volumeMounts": [
            {"mountPath": "/var/lib/istio/data", "name": "istio-data"},
            {"mountPath": "/etc/istio/proxy", "name": MOUNTS.proxy},
            volumes::certificates_mount(render),
        ],
    })
}
