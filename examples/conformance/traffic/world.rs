//! The services of Istio's end-to-end tests, as Kubernetes resources.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::case::text;
use crate::stage::echo::ServiceName;

/// The namespace of the services, and of the configuration that names none.
pub(super) const NAMESPACE: &str = "apps";

/// The services that the tests' configurations and calls name.
const SERVICES: [&str; 12] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "naked",
    "tproxy",
    "vm",
    "sotw",
    "delta",
    "headless",
    "statefulset",
];

const GATEWAY_NAMESPACE: &str = "istio-system";

/// A service and its port, as a call names them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) is_grpc: bool,
    pub(super) is_plain_http: bool,
}

/// The services, all with the same ports.
#[derive(Debug)]
pub(super) struct World {
    ports: Vec<Value>,
}

impl World {
    /// Services with `ports`.
    pub(super) fn new(ports: &[Value]) -> Self {
        let ports = ports.to_vec();
        Self { ports }
    }

    /// The names of all services.
    pub(super) fn services() -> Vec<ServiceName> {
        let of = |name: &str| ServiceName {
            namespace: NAMESPACE.into(),
            name: name.into(),
        };
        SERVICES.map(of).into()
    }

    /// The port of a name, or of a number.
    pub(super) fn port(&self, name: &str, number: Option<u64>) -> Option<Port> {
        let named = |port: &&Value| text(port, "Name") == name;
        let numbered = |port: &&Value| port.get("ServicePort").and_then(Value::as_u64) == number;
        let port = match number {
            Some(_) => self.ports.iter().find(numbered),
            None => self.ports.iter().find(named),
        }?;
        let protocol = text(port, "Protocol");
        Some(Port {
            number: u16::try_from(port.get("ServicePort").and_then(Value::as_u64)?).ok()?,
            is_grpc: protocol == "GRPC",
            is_plain_http: matches!(protocol, "HTTP" | "GRPC"),
        })
    }

    /// All resources.
    pub(super) fn resources(&self) -> Vec<Value> {
        let mut resources = vec![
            namespace(NAMESPACE),
            namespace(GATEWAY_NAMESPACE),
            gateway(),
        ];
        for name in SERVICES {
            resources.push(self.service(name));
        }
        resources
    }

    fn numbered(&self) -> impl Iterator<Item = &Value> {
        let number = |port: &&Value| port.get("ServicePort").and_then(Value::as_u64).unwrap_or(0);
        self.ports.iter().filter(move |port| number(port) != 0)
    }

    fn service(&self, name: &str) -> Value {
        let ports = self.numbered().map(|port| {
            json!({
                "name": text(port, "Name"),
                "port": port.get("ServicePort"),
                "targetPort": port.get("WorkloadPort"),
            })
        });
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "clusterIP": cluster_ip(name),
                "selector": {"app": name},
                "ports": ports.collect::<Vec<_>>(),
            },
        })
    }
}

fn cluster_ip(service: &str) -> String {
    let index = SERVICES.iter().position(|name| *name == service);
    match index.and_then(|index| u8::try_from(index).ok()) {
        Some(index) if !matches!(service, "headless" | "statefulset") => {
            Ipv4Addr::new(10, 10, 0, index + 1).to_string()
        }
        _ => "None".into(),
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The Service of the ingress gateway.
fn gateway() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "istio-ingressgateway", "namespace": GATEWAY_NAMESPACE},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "ports": [
                {"name": "http2", "port": 80, "targetPort": 8080},
                {"name": "https", "port": 443, "targetPort": 8443},
            ],
        },
    })
}
