//! The echo services of the mesh tests. The suite installs them beside its manifests.

use serde_json::{Value, json};

use crate::stage::echo::ServiceName;

const NAMESPACES: [&str; 2] = [
    "gateway-conformance-mesh",
    "gateway-conformance-mesh-consumer",
];
const VERSIONS: [&str; 2] = ["v1", "v2"];

/// The namespaces and services.
pub(super) fn resources() -> Vec<Value> {
    let mut resources = Vec::new();
    for (index, namespace) in NAMESPACES.iter().enumerate() {
        resources.push(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"gateway-conformance": "mesh"}},
        }));
        resources.push(service(
            namespace,
            index,
            "echo",
            1,
            &json!({"app": "echo"}),
        ));
        for (number, version) in VERSIONS.iter().enumerate() {
            let labels = json!({"app": "echo", "version": version});
            let name = format!("echo-{version}");
            resources.push(service(namespace, index, &name, number + 2, &labels));
        }
    }
    resources
}

fn service(namespace: &str, network: usize, name: &str, host: usize, labels: &Value) -> Value {
    let port = |name: &str, number: u16, protocol: &str, target: u16| json!({"name": name, "port": number, "appProtocol": protocol, "targetPort": target});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "clusterIP": format!("10.96.{network}.{host}"),
            "selector": labels,
            "ports": [
                port("http", 80, "http", 8080),
                port("http-alt", 8080, "http", 8080),
                port("https", 443, "https", 8443),
                port("tcp", 9090, "tcp", 9090),
                port("grpc", 7070, "grpc", 7070),
            ],
        },
    })
}

/// The pods: what answers for them, and their labels.
pub(super) fn pods() -> Vec<(ServiceName, Value)> {
    let pods = NAMESPACES.iter().flat_map(|namespace| {
        VERSIONS.iter().map(|version| {
            let name = format!("echo-{version}");
            let service = ServiceName {
                namespace: (*namespace).into(),
                name,
            };
            (service, json!({"app": "echo", "version": version}))
        })
    });
    pods.collect()
}

/// The address of a service that `client_namespace` calls by `host`.
pub(super) fn address(host: &str, client_namespace: &str) -> Option<[u8; 4]> {
    let (name, rest) = host.split_once('.').unwrap_or((host, client_namespace));
    let namespace = rest.split('.').next().unwrap_or(rest);
    let network = NAMESPACES.iter().position(|known| *known == namespace)?;
    let service = ["echo", "echo-v1", "echo-v2"]
        .iter()
        .position(|known| *known == name)?;
    Some([
        10,
        96,
        u8::try_from(network).ok()?,
        u8::try_from(service).ok()? + 1,
    ])
}
