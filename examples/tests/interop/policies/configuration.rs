//! Policies, drawn from a seed.

use std::net::SocketAddr;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::issuers::Issuers;
use crate::generate::{once_in, one};

/// Paths that policies and routes are about.
pub(super) const PATHS: [&str; 8] = [
    "/",
    "/cart",
    "/cart/7",
    "/cart/7/items",
    "/admin",
    "/admin/users",
    "/api/v1",
    "/a//b",
];

/// A configuration for the service at `backend`.
pub(super) fn generate(rng: &mut Rng, backend: SocketAddr, issuers: &Issuers) -> Vec<Value> {
    let mut resources = vec![gateway(), service(backend), routes(rng)];
    if !once_in(rng, 4) {
        resources.push(authentication(rng, issuers));
    }
    for number in 0..rng.usize(..4) {
        resources.push(authorization(rng, number));
    }
    if once_in(rng, 3) {
        resources.push(limit(rng));
    }
    resources
}

pub(crate) fn gateway() -> Value {
    json!({
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
    })
}

pub(crate) fn service(address: SocketAddr) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "backend", "namespace": "shop"},
        "spec": {
            "hosts": ["backend.internal"],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{
                "address": address.ip().to_string(),
                "ports": {"http": address.port()},
            }],
        },
    })
}

/// A route for each of some paths, and one for the rest.
fn routes(rng: &mut Rng) -> Value {
    let mut rules = Vec::new();
    for path in ["/cart", "/admin", "/api"] {
        if !once_in(rng, 3) {
            let mut rule = rule(rng);
            rule.insert("match".into(), json!([{"uri": {"prefix": path}}]));
            rules.push(Value::from(rule));
        }
    }
    if !once_in(rng, 4) || rules.is_empty() {
        rules.push(rule(rng).into());
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": "shop"},
        "spec": {"hosts": ["*"], "gateways": ["gateway"], "http": rules},
    })
}

fn rule(rng: &mut Rng) -> Map<String, Value> {
    let mut rule = Map::new();
    if once_in(rng, 8) {
        let response = json!({"status": 203, "body": {"string": "answered by the proxy"}});
        rule.insert("directResponse".into(), response);
    } else {
        let to = json!([{"destination": {"host": "backend.internal"}}]);
        rule.insert("route".into(), to);
        if !once_in(rng, 3) {
            rule.insert("retries".into(), retries(rng));
        }
        if once_in(rng, 3) {
            rule.insert("fault".into(), fault(rng));
        }
    }
    if once_in(rng, 3) {
        let set = json!({"response": {"set": {"x-route": "told"}, "remove": ["x-powered-by"]}});
        rule.insert("headers".into(), set);
    }
    rule
}

fn retries(rng: &mut Rng) -> Value {
    if once_in(rng, 8) {
        return json!({"attempts": 0});
    }
    let conditions = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure,refused-stream",
        "retriable-4xx",
        "503",
        "502,cancelled,unavailable",
        "resource-exhausted,deadline-exceeded,internal",
        "gateway-error,reset,418",
        "",
    ];
    json!({
        "attempts": rng.u32(1..4),
        "retryOn": one(rng, &conditions),
        "backoff": "1ms",
    })
}

/// Chance would be another with each proxy: always or never.
fn fault(rng: &mut Rng) -> Value {
    let mut fault = Map::new();
    let share = |rng: &mut Rng| json!({"value": if rng.bool() { 100 } else { 0 }});
    if rng.bool() {
        let delay = json!({"fixedDelay": "2ms", "percentage": share(rng)});
        fault.insert("delay".into(), delay);
    }
    if rng.bool() || fault.is_empty() {
        let mut abort = match rng.bool() {
            true => json!({"httpStatus": one(rng, &[400, 418, 503])}),
            false => json!({"grpcStatus": one(rng, &["UNAVAILABLE", "NOT_FOUND", "INTERNAL"])}),
        };
        abort["percentage"] = share(rng);
        fault.insert("abort".into(), abort);
    }
    fault.into()
}

fn authentication(rng: &mut Rng, issuers: &Issuers) -> Value {
    let count = rng.usize(1..=2);
    let rules: Vec<_> = (0..count)
        .map(|number| {
            let issuer = &issuers.all[number];
            let mut rule = json!({"issuer": issuer.name(), "jwks": issuer.jwks()});
            if once_in(rng, 3) {
                rule["audiences"] = json!(["shop", "bank"]);
            }
            if rng.bool() {
                rule["forwardOriginalToken"] = json!(true);
            }
            match rng.u32(..6) {
                0 => rule["fromHeaders"] = json!([{"name": "x-token", "prefix": "Token "}]),
                1 => rule["fromParams"] = json!(["token"]),
                2 => rule["fromCookies"] = json!(["token"]),
                _ => {}
            }
            if once_in(rng, 3) {
                rule["outputPayloadToHeader"] = json!(format!("x-payload-{number}"));
            }
            if once_in(rng, 3) {
                rule["outputClaimToHeaders"] = json!([
                    {"header": format!("x-sub-{number}"), "claim": "sub"},
                    {"header": format!("x-level-{number}"), "claim": "level"},
                ]);
            }
            rule
        })
        .collect();
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "login", "namespace": "istio-system"},
        "spec": {"jwtRules": rules},
    })
}

fn authorization(rng: &mut Rng, number: usize) -> Value {
    let rules: Vec<_> = (0..rng.usize(1..3)).map(|_| policy_rule(rng)).collect();
    let action = one(rng, &["ALLOW", "ALLOW", "DENY"]);
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": format!("policy-{number}"), "namespace": "istio-system"},
        "spec": {"action": action, "rules": rules},
    })
}

fn policy_rule(rng: &mut Rng) -> Value {
    let mut rule = Map::new();
    if rng.bool() {
        rule.insert("from".into(), json!([{"source": source(rng)}]));
    }
    if !once_in(rng, 3) {
        let operations: Vec<_> = (0..rng.usize(1..3))
            .map(|_| json!({"operation": operation(rng)}))
            .collect();
        rule.insert("to".into(), operations.into());
    }
    if once_in(rng, 3) {
        rule.insert("when".into(), json!([condition(rng)]));
    }
    rule.into()
}

fn source(rng: &mut Rng) -> Value {
    let not = one(rng, &["", "not"]);
    let key = |positive: &str, negative: &str| match not {
        "" => positive.to_owned(),
        _ => negative.to_owned(),
    };
    match rng.u32(..3) {
        0 => json!({key("ipBlocks", "notIpBlocks"): one(rng, &[
            ["127.0.0.2"], ["127.0.0.0/8"], ["10.0.0.0/8"],
        ])}),
        1 => json!({key("remoteIpBlocks", "notRemoteIpBlocks"): one(rng, &[
            ["127.0.0.2"], ["203.0.113.0/24"],
        ])}),
        _ => json!({key("requestPrincipals", "notRequestPrincipals"): one(rng, &[
            ["*"],
            ["https://login.example/jason"],
            ["https://login.example/*"],
            ["*/alice"],
            ["https://other.example/jason"],
        ])}),
    }
}

fn operation(rng: &mut Rng) -> Value {
    let mut operation = Map::new();
    let not = |rng: &mut Rng, positive: &'static str, negative: &'static str| match once_in(rng, 4)
    {
        true => negative,
        false => positive,
    };
    if !once_in(rng, 3) {
        let paths = [
            ["/cart"],
            ["/cart*"],
            ["*/items"],
            ["/admin*"],
            ["/cart/{*}/items"],
            ["/api/{**}"],
            ["*"],
            ["/a/b"],
        ];
        operation.insert(
            not(rng, "paths", "notPaths").into(),
            json!(one(rng, &paths)),
        );
    }
    if once_in(rng, 3) {
        let methods = [["GET"], ["POST"], ["P*"]];
        operation.insert(
            not(rng, "methods", "notMethods").into(),
            json!(one(rng, &methods)),
        );
    }
    if once_in(rng, 4) || operation.is_empty() {
        let hosts = [
            ["shop.example"],
            ["*.example"],
            ["SHOP.example*"],
            ["a.shop.example"],
        ];
        operation.insert(
            not(rng, "hosts", "notHosts").into(),
            json!(one(rng, &hosts)),
        );
    }
    operation.into()
}

fn condition(rng: &mut Rng) -> Value {
    let conditions = [
        ("request.headers[x-a]", vec!["1"]),
        ("request.headers[X-A]", vec!["one*", "10"]),
        ("request.headers[x-a]", vec!["*"]),
        ("request.auth.claims[group]", vec!["admins"]),
        ("request.auth.claims[group]", vec!["ad*"]),
        ("request.auth.claims[nested][level]", vec!["gold"]),
        ("request.auth.audiences", vec!["shop"]),
        ("source.ip", vec!["127.0.0.0/30"]),
    ];
    let (key, values) = conditions[rng.usize(..conditions.len())].clone();
    let how = one(rng, &["values", "values", "notValues"]);
    json!({"key": key, how: values})
}

/// A local limit, as Istio documents it: nothing is filled up while the test runs.
fn limit(rng: &mut Rng) -> Value {
    let bucket = |tokens: u32| json!({"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "7200s"});
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    let mut value = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limiter",
        "token_bucket": bucket(rng.u32(8..40)),
        "filter_enabled": always,
        "filter_enforced": always,
    });
    if rng.bool() {
        value["enable_x_ratelimit_headers"] = json!("DRAFT_VERSION_03");
    }
    if rng.bool() {
        let status = one(rng, &[429, 503]);
        value["status"] = json!({"code": status});
    }
    if rng.bool() {
        value["response_headers_to_add"] =
            json!([{"header": {"key": "x-limited", "value": "yes"}}]);
    }
    if rng.bool() {
        value["rate_limits"] = json!([{"actions": [
            {"request_headers": {"header_name": "x-a", "descriptor_key": "a"}},
        ]}]);
        value["descriptors"] = json!([{
            "entries": [{"key": "a", "value": "1"}],
            "token_bucket": bucket(rng.u32(1..4)),
        }]);
    }
    let mut place = json!({"name": "envoy.filters.network.http_connection_manager"});
    if rng.bool() {
        place["subFilter"] = json!({"name": "envoy.filters.http.router"});
    }
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "limit", "namespace": "istio-system"},
        "spec": {"configPatches": [{
            "applyTo": "HTTP_FILTER",
            "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": place}}},
            "patch": {"operation": "INSERT_BEFORE", "value": {
                "name": "envoy.filters.http.local_ratelimit",
                "typed_config": value,
            }},
        }]},
    })
}
