//! The services of Istio's end-to-end tests, as Kubernetes resources and as what runs in pods.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::case::text;
use crate::stage::application::{Application, Reach, Spoken};
use crate::stage::certificates;
use crate::stage::echo::ServiceName;
use crate::stage::pods::Pod;

/// The namespace of the services, and of the configuration that names none.
pub(super) const NAMESPACE: &str = "apps";
/// The namespace of the service outside the mesh.
const EXTERNAL_NAMESPACE: &str = "external";
/// The name by which the mesh knows that service.
const EXTERNAL_HOST: &str = "external.example.com";
/// The namespace of the ingress gateway.
pub(super) const GATEWAY_NAMESPACE: &str = "istio-system";

/// What kind of deployment a service of the tests is (Istio's `test.istio.io/class`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    External,
    Headless,
    Naked,
    Standard,
    StatefulSet,
    Tproxy,
    Vm,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Headless => "headless",
            Self::Naked => "naked",
            Self::Standard => "standard",
            Self::StatefulSet => "statefulset",
            Self::Tproxy => "tproxy",
            Self::Vm => "vm",
        }
    }

    fn has_sidecar(self) -> bool {
        !matches!(self, Self::External | Self::Naked)
    }

    fn has_address(self) -> bool {
        !matches!(self, Self::Headless | Self::StatefulSet)
    }
}

/// The services that the tests' configurations and calls name.
const SERVICES: [(&str, Class); 13] = [
    ("a", Class::Standard),
    ("b", Class::Standard),
    ("c", Class::Standard),
    ("d", Class::Standard),
    ("e", Class::Standard),
    ("naked", Class::Naked),
    ("tproxy", Class::Tproxy),
    ("vm", Class::Vm),
    ("sotw", Class::Standard),
    ("delta", Class::Standard),
    ("headless", Class::Headless),
    ("statefulset", Class::StatefulSet),
    ("external", Class::External),
];

/// A port of a service, as a call names it.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) protocol: String,
}

/// The services, all with the same ports.
#[derive(Debug)]
pub(super) struct World {
    ports: Vec<Value>,
    tls: Arc<ServerConfig>,
}

impl World {
    /// Services with `ports`. The error is why there are none.
    pub(super) fn new(ports: &[Value]) -> Result<Self, String> {
        let issued = certificates::self_signed(&["server.default.svc", EXTERNAL_HOST]);
        let tls = issued.and_then(|issued| issued.server(&["h2", "http/1.1", "http/1.0"]));
        Ok(Self {
            ports: ports.to_vec(),
            tls: tls.map_err(|error| error.to_string())?,
        })
    }

    /// The pods of all services.
    pub(super) fn pods(&self) -> impl Iterator<Item = Pod> {
        SERVICES.iter().map(|(name, class)| self.pod(name, *class))
    }

    /// The port of a service by its name, or by its number.
    pub(super) fn port(&self, service: &str, name: &str, number: Option<u16>) -> Option<Port> {
        let class = SERVICES.iter().find(|(known, _)| *known == service);
        let class = class.map_or(Class::Standard, |(_, class)| *class);
        let mut ports = self.service_ports(class);
        ports.find(|port| match number {
            Some(number) => port.number == number,
            None => port.name == name,
        })
    }

    /// All resources.
    pub(super) fn resources(&self) -> Vec<Value> {
        let namespaces = [NAMESPACE, EXTERNAL_NAMESPACE, GATEWAY_NAMESPACE];
        let mut resources: Vec<Value> = namespaces.map(namespace).into();
        resources.extend([gateway(), sidecar(), self.external()]);
        for (index, (name, class)) in SERVICES.iter().enumerate() {
            resources.push(self.service(index, name, *class));
        }
        resources
    }

    /// The ports of a service. Clients of one without an address use those of its pods.
    fn service_ports(&self, class: Class) -> impl Iterator<Item = Port> {
        let named = self.ports.iter().filter_map(move |port| {
            let number = number(port, "ServicePort").filter(|number| *number != 0)?;
            Some(Port {
                number: match class.has_address() {
                    true => number,
                    false => number_of_pod(port)?,
                },
                name: text(port, "Name").to_owned(),
                protocol: text(port, "Protocol").to_owned(),
            })
        });
        named.filter(move |port| class == Class::External || port.name != "mtls")
    }

    fn pod(&self, name: &str, class: Class) -> Pod {
        let labels = [
            ("app", name),
            ("version", "v1"),
            ("test.istio.io/class", class.name()),
            ("topology.istio.io/network", "network-1"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let service = ServiceName {
            namespace: namespace_of(class).into(),
            name: name.into(),
        };
        let mut pod = Pod::new(service, labels.into());
        pod.account = name.to_owned();
        pod.sidecar = class.has_sidecar();
        pod.applications = self.applications();
        pod
    }

    fn applications(&self) -> BTreeMap<u16, Application> {
        let ports = self.ports.iter();
        ports
            .filter_map(|port| Some((number_of_pod(port)?, self.application(port))))
            .collect()
    }

    fn application(&self, port: &Value) -> Application {
        let name = text(port, "Name");
        let spoken = match text(port, "Protocol") {
            "TCP" => Spoken::Lines {
                greets: name.ends_with("tcp-server"),
            },
            _ => Spoken::Http,
        };
        let mut application = Application::new(spoken);
        if text(port, "Protocol") == "HTTPS" {
            application.tls = Some(Arc::clone(&self.tls));
        }
        application.reach = match name {
            "http-instance" => Reach::Pod,
            "http-localhost" => Reach::Loopback,
            _ => Reach::Any,
        };
        application
    }

    fn service(&self, index: usize, name: &str, class: Class) -> Value {
        let ports = self.ports.iter().filter_map(|port| {
            let mut own = self.service_ports(class);
            let own = own.find(|own| own.name == text(port, "Name"))?;
            Some(json!({
                "name": own.name,
                "port": own.number,
                "targetPort": number_of_pod(port),
            }))
        });
        let ports: Vec<Value> = ports.collect();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace_of(class)},
            "spec": {
                "clusterIP": cluster_ip(index, class),
                "selector": {"app": name},
                "ports": ports,
            },
        })
    }

    /// The service outside, as the mesh knows it. Its ports are those of the service, and two whose
    /// clients leave TLS to their sidecars.
    fn external(&self) -> Value {
        let ports = self.service_ports(Class::External).map(|port| {
            let protocol = match port.name.starts_with("auto") {
                true => "",
                false => port.protocol.as_str(),
            };
            json!({"name": port.name, "number": port.number, "protocol": protocol})
        });
        let mut all = vec![
            json!({"name": "http-tls-origination", "number": 8888, "protocol": "http", "targetPort": 443}),
            json!({"name": "http2-tls-origination", "number": 8882, "protocol": "http2", "targetPort": 443}),
        ];
        all.extend(ports.filter(|port| text(port, "name") != "mtls"));
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "external-service", "namespace": NAMESPACE},
            "spec": {
                "exportTo": ["."],
                "hosts": [EXTERNAL_HOST],
                "location": "MESH_EXTERNAL",
                "resolution": "DNS",
                "endpoints": [{"address": "external.external.svc.cluster.local"}],
                "ports": all,
            },
        })
    }
}

fn number(port: &Value, field: &str) -> Option<u16> {
    u16::try_from(port.get(field).and_then(Value::as_u64)?).ok()
}

fn number_of_pod(port: &Value) -> Option<u16> {
    number(port, "WorkloadPort")
}

fn namespace_of(class: Class) -> &'static str {
    match class {
        Class::External => EXTERNAL_NAMESPACE,
        _ => NAMESPACE,
    }
}

fn cluster_ip(index: usize, class: Class) -> String {
    match u8::try_from(index) {
        _ if class == Class::External => "10.9.0.1".into(),
        Ok(index) if class.has_address() => Ipv4Addr::new(10, 10, 0, index + 1).to_string(),
        _ => "None".into(),
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// What the workloads of the tests see: the namespaces of the tests.
fn sidecar() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "restrict-to-namespace", "namespace": NAMESPACE},
        "spec": {"egress": [{"hosts": ["istio-system/*", "apps/*", "external/*"]}]},
    })
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
