//! The echo services of the mesh tests. The suite installs them beside its manifests.

use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::manifests;
use crate::stage::application::{Application, Spoken};
use crate::stage::echo::ServiceName;
use crate::stage::pods::Pod;

const NAMESPACES: [&str; 2] = [
    "gateway-conformance-mesh",
    "gateway-conformance-mesh-consumer",
];
const VERSIONS: [&str; 2] = ["v1", "v2"];
const TCP_PORT: u16 = 9090;

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
                port("tcp", TCP_PORT, "tcp", TCP_PORT),
                port("grpc", 7070, "grpc", 7070),
            ],
        },
    })
}

/// The pods, which have sidecars.
pub(super) fn pods(tls: &Arc<ServerConfig>) -> impl Iterator<Item = Pod> {
    let names = NAMESPACES
        .iter()
        .flat_map(|namespace| VERSIONS.iter().map(move |version| (namespace, version)));
    names.map(move |(namespace, version)| {
        let service = ServiceName {
            namespace: (*namespace).into(),
            name: format!("echo-{version}"),
        };
        let labels = [("app", "echo"), ("version", *version)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut pod = Pod::new(service, labels.into());
        pod.sidecar = true;
        manifests::serve(&mut pod, Spoken::Http, tls);
        pod.applications.insert(TCP_PORT, lines());
        pod
    })
}

fn lines() -> Application {
    Application::new(Spoken::Lines { greets: false })
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
