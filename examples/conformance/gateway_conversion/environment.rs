//! What the cases take for granted.
//!
//! Istio's test has Services, Secrets and ConfigMaps of its own, which are not in the corpus. The
//! front of the gateways is made as the cases describe it. What else a case refers to is there,
//! unless the case expects that it is not found: so whether something exists is no evidence, but
//! what is said of it, of which resource and in which words, is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::DOMAIN;
use crate::case::{list, text};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
/// The namespace of the gateways.
const SYSTEM: &str = "istio-system";
/// The Service in front of the gateways, and its ports with those of the workloads.
const FRONT: &str = "istio-ingressgateway";
const FRONT_PORTS: [(u16, u16); 4] = [(80, 8080), (443, 443), (34000, 34000), (34001, 34001)];

/// Namespace and name.
type Name<'a> = (&'a str, &'a str);

/// The resources that `inputs` refer to, but those that `golden` has for missing.
pub(super) fn resources(inputs: &[Value], golden: &[Value]) -> Vec<Value> {
    let mut messages = Vec::new();
    golden.iter().for_each(|one| collect(one, &mut messages));
    let mut needed = Needed {
        messages,
        services: BTreeMap::new(),
        secrets: BTreeSet::new(),
        config_maps: BTreeSet::new(),
    };
    for input in inputs {
        needed.add(input);
    }
    let mut resources = front();
    resources.extend(needed.resources());
    resources
}

/// All messages within a value.
fn collect<'a>(value: &'a Value, messages: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        Value::Object(fields) => {
            messages.extend(fields.get("message").and_then(Value::as_str));
            fields.values().for_each(|field| collect(field, messages));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Needed<'a> {
    messages: Vec<&'a str>,
    // With their ports.
    services: BTreeMap<Name<'a>, BTreeSet<u64>>,
    secrets: BTreeSet<Name<'a>>,
    config_maps: BTreeSet<Name<'a>>,
}

impl<'a> Needed<'a> {
    fn add(&mut self, input: &'a Value) {
        let metadata = input.get("metadata").unwrap_or(&Value::Null);
        let own = text(metadata, "namespace");
        let spec = input.get("spec").unwrap_or(&Value::Null);
        for rule in list(spec, "rules") {
            let mirrors = list(rule, "filters").iter();
            let mirrors =
                mirrors.filter_map(|filter| filter.get("requestMirror")?.get("backendRef"));
            for backend in list(rule, "backendRefs").iter().chain(mirrors) {
                self.backend(backend, own);
            }
        }
        let services = ["parentRefs", "targetRefs"].map(|field| list(spec, field));
        for service in services.into_iter().flatten() {
            if text(service, "kind") == "Service" {
                self.service(service, own);
            }
        }
        for listener in list(spec, "listeners") {
            let tls = listener.get("tls").unwrap_or(&Value::Null);
            for certificate in list(tls, "certificateRefs") {
                self.certificate("Secret", certificate, own);
            }
        }
        self.authorities(spec, own);
    }

    /// Authorities, wherever they are named.
    fn authorities(&mut self, value: &'a Value, own: &'a str) {
        for reference in list(value, "caCertificateRefs") {
            self.certificate(text(reference, "kind"), reference, own);
        }
        let fields = value.as_object().into_iter().flat_map(|one| one.values());
        let items = value.as_array().into_iter().flatten();
        for part in fields.chain(items) {
            self.authorities(part, own);
        }
    }

    fn is_missing(&self, what: &str) -> bool {
        let mut messages = self.messages.iter();
        messages.any(|message| message.contains(&format!("{what} not found")))
    }

    fn backend(&mut self, reference: &'a Value, own: &'a str) {
        let kind = text(reference, "kind");
        let (namespace, name) = name(reference, own);
        let host = format!("backend({name}.{namespace}.svc.{DOMAIN})");
        if matches!(kind, "" | "Service" | "ServiceImport") && !self.is_missing(&host) {
            self.service(reference, own);
        }
    }

    fn service(&mut self, reference: &'a Value, own: &'a str) {
        let key = name(reference, own);
        let port = reference.get("port").and_then(Value::as_u64);
        let ports = self.services.entry(key).or_default();
        ports.insert(port.unwrap_or(80));
    }

    fn certificate(&mut self, kind: &str, reference: &'a Value, own: &'a str) {
        let (namespace, name) = name(reference, own);
        let what = format!("{} {namespace}/{name}", kind.to_lowercase());
        if self.is_missing(&what) {
            return;
        }
        match kind {
            "Secret" => self.secrets.insert((namespace, name)),
            "ConfigMap" => self.config_maps.insert((namespace, name)),
            _ => false,
        };
    }

    fn is_malformed(&self, name: &str) -> bool {
        let mut messages = self.messages.iter();
        let reference = format!("/{name}.");
        messages.any(|message| message.contains("malformed: ") && message.contains(&reference))
    }

    fn resources(&self) -> Vec<Value> {
        let mut resources = Vec::new();
        for (name, ports) in &self.services {
            let ports = ports.iter();
            let ports: Vec<Value> = ports
                .map(|port| json!({"name": format!("port-{port}"), "port": port}))
                .collect();
            resources.push(object("Service", *name, "spec", &json!({"ports": ports})));
        }
        for &(namespace, name) in &self.secrets {
            let data = match self.is_malformed(name) {
                true => json!({"tls.crt": "none", "tls.key": "none"}),
                false => json!({"tls.crt": CERTIFICATE, "tls.key": KEY, "ca.crt": CERTIFICATE}),
            };
            resources.push(object("Secret", (namespace, name), "stringData", &data));
        }
        for name in &self.config_maps {
            let data = json!({"ca.crt": CERTIFICATE});
            resources.push(object("ConfigMap", *name, "data", &data));
        }
        resources
    }
}

fn name<'a>(reference: &'a Value, own: &'a str) -> Name<'a> {
    let namespace = match text(reference, "namespace") {
        "" => own,
        namespace => namespace,
    };
    (namespace, text(reference, "name"))
}

fn object(kind: &str, (namespace, name): Name<'_>, field: &str, content: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        field: content,
    })
}

/// The gateways' Service, with a workload behind it, and a host outside of the cluster that some
/// cases name beside it.
fn front() -> Vec<Value> {
    let name = |port: u16| format!("port-{port}");
    let ports = FRONT_PORTS
        .map(|(port, target)| json!({"name": name(port), "port": port, "targetPort": target}));
    let targets = FRONT_PORTS.map(|(port, target)| json!({"name": name(port), "port": target}));
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": ports});
    let mut service = object("Service", (SYSTEM, FRONT), "spec", &spec);
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    vec![
        service,
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": FRONT,
                "namespace": SYSTEM,
                "labels": {"kubernetes.io/service-name": FRONT},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.1"]}],
            "ports": targets,
        }),
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "example", "namespace": SYSTEM},
            "spec": {
                "hosts": ["example.com"],
                "resolution": "STATIC",
                "ports": [
                    {"number": 80, "name": "http", "protocol": "HTTP"},
                    {"number": 34000, "name": "tcp", "protocol": "TCP"},
                ],
                "endpoints": [{"address": "192.0.2.9"}],
            },
        }),
    ]
}
