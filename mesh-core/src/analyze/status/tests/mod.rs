mod address;
mod gateway;
mod listener;
mod listener_set;
mod policy;
mod route;

use super::*;
use crate::config::MeshConfig;
use crate::parse::{Limits, parse};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: vault, namespace: bank }
spec: { ports: [{ name: http, port: 80 }] }
";

const PEM: &str = "tls.crt: \"-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----\", \
                   tls.key: \"-----BEGIN PRIVATE KEY-----\\nMAA=\\n-----END PRIVATE KEY-----\"";

fn config(text: &str) -> MeshConfig {
    let text = format!("{SERVICES}{text}");
    let parsed = parse("test.yaml", &text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder().extend(parsed.objects);
    config.build(1).expect("no object is there twice")
}

/// The statuses that Istio's controller writes while `shop/edge` is served at an address.
fn statuses_of(text: &str) -> Statuses {
    let options = StatusOptions::default().served_at("shop", "edge", ["192.0.2.1"]);
    statuses(&config(text), &options)
}

/// A resource of `kind` in `shop`, with all that follows the metadata.
fn object(kind: &str, name: &str, rest: &str) -> String {
    let group = match kind {
        "Secret" => "",
        _ => "gateway.networking.k8s.io/",
    };
    format!(
        "---\napiVersion: {group}v1\nkind: {kind}\n\
         metadata: {{ name: {name}, namespace: shop, generation: 3 }}\n{rest}\n"
    )
}

/// The Gateway `shop/edge` with listeners as YAML flow, and the rest of its spec.
fn gateway(listeners: &[&str], rest: &str) -> String {
    let listeners = listeners.join(", ");
    let spec = format!("{{ gatewayClassName: istio, listeners: [{listeners}] {rest} }}");
    object("Gateway", "edge", &format!("spec: {spec}"))
}

fn route(kind: &str, parents: &str, rest: &str) -> String {
    object(
        kind,
        "route",
        &format!("spec: {{ parentRefs: [{parents}] {rest} }}"),
    )
}

const HTTP: &str = "{ name: http, port: 80, protocol: HTTP }";
const HTTPS: &str = "{ name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: \
                     [{ name: credential }] } }";
const EDGE: &str = "{ name: edge }";
const TO_CART: &str = ", rules: [{ backendRefs: [{ name: cart, port: 80 }] }]";

/// Each condition as `Type=status Reason`.
fn words(conditions: &[Condition]) -> Vec<String> {
    let word = |found: &Condition| format!("{}={} {}", found.r#type, found.status, found.reason);
    conditions.iter().map(word).collect()
}

fn gateway_status(text: &str) -> GatewayStatus {
    let statuses = statuses_of(text);
    statuses
        .gateways
        .into_iter()
        .next()
        .expect("it is ours")
        .status
}

fn listener_words(text: &str) -> Vec<String> {
    words(&gateway_status(text).listeners[0].conditions)
}

fn parents(text: &str) -> Vec<RouteParentStatus> {
    let statuses = statuses_of(text);
    let all = [
        statuses.grpc_routes,
        statuses.http_routes,
        statuses.tcp_routes,
        statuses.tls_routes,
        statuses.udp_routes,
    ];
    let mut all = all.into_iter().flatten();
    all.next().expect("there is a route").status.parents.own
}

fn parent_words(text: &str) -> Vec<String> {
    words(&parents(text)[0].conditions)
}
