//! Configurations and requests, drawn from a seed.
//!
//! Both draw from the same few hosts, paths, fields and values, so that requests meet conditions
//! and miss them by little.

mod action;
mod condition;
mod request;

use std::net::SocketAddr;

use fastrand::Rng;
use serde_json::{Value, json};

pub(crate) use self::request::request;

/// How many services there are; one more is named, which does not exist.
pub(crate) const SERVICES: u64 = 3;

const HOSTS: [&str; 8] = [
    "shop.example",
    "a.shop.example",
    "*.shop.example",
    "*.a.shop.example",
    "*.example",
    "xn--bcher-kva.example",
    "10.1.2.3",
    "*",
];

const PATHS: [&str; 20] = [
    "/",
    "/cart",
    "/cart/",
    "/Cart",
    "/cart/7",
    "/cart/7/items",
    "/cartoon",
    "/api",
    "/api/v1",
    "/api/v1/users",
    "/api/v1.5/users",
    "/api/v12/",
    "/a.b",
    "/axb",
    "/a//b",
    "/a%2Fb",
    "/%7Euser",
    "/~user",
    "/caf%C3%A9",
    "/a;v=1/b",
];

const FIELDS: [&str; 5] = ["x-a", "x-b", "cookie", "user-agent", "content-type"];

const VALUES: [&str; 8] = [
    "",
    "1",
    "10",
    "one",
    "One",
    "one, two",
    "a=b; c=d",
    "caf\u{e9}",
];

const PARAMS: [&str; 3] = ["q", "Q", "r-s"];

/// A configuration: a Gateway, the services at `backends`, and VirtualServices.
pub(crate) fn configuration(rng: &mut Rng, backends: &[SocketAddr]) -> Vec<Value> {
    let mut resources = vec![json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gateway", "namespace": "shop"},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{
                "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                "hosts": ["*"],
            }],
        },
    })];
    resources.push(mesh(rng));
    let services = backends.iter().enumerate();
    resources.extend(services.map(|(index, address)| service(index, *address)));
    // The hosts of one VirtualService must not overlap.
    let mut hosts = HOSTS.to_vec();
    rng.shuffle(&mut hosts);
    for (number, host) in hosts.iter().take(6).enumerate() {
        resources.push(virtual_service(rng, number, host));
    }
    resources
}

/// Settings of the mesh: which headers proxies write.
fn mesh(rng: &Rng) -> Value {
    // Nothing is drawn for them, so that each seed has the routes that it always had.
    let is_set = |bit: u32| rng.get_seed() >> bit & 1 == 1;
    let headers = json!({
        "attemptCount": {"disabled": is_set(0)},
        "requestId": {"disabled": is_set(1)},
        "envoyDebugHeaders": {"disabled": is_set(2)},
        "xForwardedHost": {"enabled": is_set(3)},
        "xForwardedPort": {"enabled": is_set(4)},
    });
    let mesh = json!({"defaultConfig": {"proxyHeaders": headers}});
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": mesh.to_string()},
    })
}

fn service(index: usize, address: SocketAddr) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": format!("service-{index}"), "namespace": "shop"},
        "spec": {
            "hosts": [format!("service-{index}.internal")],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{
                "address": address.ip().to_string(),
                "ports": {"http": address.port()},
            }],
        },
    })
}

fn virtual_service(rng: &mut Rng, number: usize, host: &str) -> Value {
    let mut rules: Vec<_> = (0..rng.usize(1..8)).map(|_| rule(rng)).collect();
    if rng.bool() {
        let mut last = action::action(rng, false);
        last["name"] = json!("last");
        rules.push(last);
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": format!("hosts-{number}"), "namespace": "shop"},
        "spec": {"hosts": [host], "gateways": ["gateway"], "http": rules},
    })
}

fn rule(rng: &mut Rng) -> Value {
    let blocks: Vec<_> = (0..rng.usize(1..3))
        .map(|_| condition::block(rng))
        .collect();
    let is_prefix = |block: &Value| block["uri"].get("prefix").is_some();
    let prefixes = blocks.iter().all(is_prefix);
    let mut rule = action::action(rng, prefixes);
    rule["match"] = blocks.into();
    if rng.bool() {
        rule["name"] = json!(format!("rule-{}", rng.u8(..)));
    }
    rule
}

/// One of `all`.
pub(crate) fn one<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}

/// True once in `times`.
pub(crate) fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}
