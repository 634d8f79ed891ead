//! Services of others that a proxy asks: authorizers and a rate limit service, in Python, with gRPC's
//! own library and with `http.server`. Our gateway and an Envoy ask the same ones, and have to do the
//! same about what they answer.

mod services;

use serde_json::{Value, json};

use self::services::Services;
use crate::agreement::Tally;
use crate::envoy::Filters;
use crate::policies::{backend, configuration, encode};
use crate::scene::Scene;

/// What the authorizers answer to.
const TICKETS: [&str; 4] = ["good", "bad", "broken", "none"];

/// Sends `requests` to both, by what `resources` say and what `filters` say for Envoy.
fn compare(resources: &[Value], filters: Filters, requests: &[String]) -> Tally {
    let mut all = vec![
        configuration::gateway(),
        configuration::service(backend::start()),
        to_the_backend(),
    ];
    all.extend(resources.iter().cloned());
    let scene = Scene::of(&all, |_| filters);
    let mut tally = Tally::default();
    for request in requests {
        let (ours, theirs) = scene.send(request);
        tally.compare(0, request, ours, theirs);
    }
    eprintln!("{tally}");
    assert_eq!(tally.disagreements(), 0, "{tally}");
    tally
}

/// Routes everything to the backend.
fn to_the_backend() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": "shop"},
        "spec": {
            "hosts": ["*"],
            "gateways": ["gateway"],
            "http": [{"route": [{"destination": {"host": "backend.internal"}}]}],
        },
    })
}

/// Requests of several forms with each ticket.
fn requests() -> Vec<String> {
    let forms = [
        ("GET", "/cart?item=7", ""),
        ("HEAD", "/cart", ""),
        ("DELETE", "/cart//7", ""),
        ("POST", "/cart", "one book"),
        ("PUT", "/cart", "one book, which has a title that is long"),
    ];
    let each = |ticket| forms.map(|form| request(ticket, form));
    TICKETS.into_iter().flat_map(each).collect()
}

fn request(ticket: &str, (method, path, body): (&str, &str, &str)) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: shop.example\r\nx-ticket: {ticket}\r\n\
         x-secret: 1\r\nx-twice: a\r\nx-guest: forged\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The authorizer is asked about everything, and is what `provider` says.
fn asked(address: std::net::SocketAddr, protocol: &str, provider: &Value) -> Vec<Value> {
    let mesh = json!({"extensionProviders": [provider]});
    vec![
        other(address, protocol),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": mesh.to_string()},
        }),
        json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "tickets", "namespace": "istio-system"},
            "spec": {"action": "CUSTOM", "provider": {"name": "tickets"}, "rules": [{}]},
        }),
    ]
}

/// A service that is asked.
fn other(address: std::net::SocketAddr, protocol: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "other", "namespace": "shop"},
        "spec": {
            "hosts": ["other.internal"],
            "resolution": "STATIC",
            "ports": [{"number": 9000, "name": "other", "protocol": protocol}],
            "endpoints": [{"address": "127.0.0.1", "ports": {"other": address.port()}}],
        },
    })
}

const CLUSTER: &str = "outbound|9000||other.internal";

fn ext_authz(mut config: Value) -> Filters {
    config["transport_api_version"] = json!("V3");
    config["status_on_error"] = json!({"code": 503});
    Filters {
        first: vec![encode::filter("ext_authz", "ExtAuthz", config)],
        ..Filters::default()
    }
}

#[test]
#[ignore = "needs envoy and grpcio-python"]
fn an_authorizer_of_others_is_asked_by_grpc_as_envoy_asks_it() {
    let services = Services::start();
    let body = json!({"maxRequestBytes": 16, "allowPartialMessage": true});
    let provider = json!({
        "name": "tickets",
        "envoyExtAuthzGrpc": {
            "service": "other.internal",
            "port": 9000,
            "statusOnError": "503",
            "includeRequestBodyInCheck": body,
        },
    });
    let filters = ext_authz(json!({
        "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}, "timeout": "600s"},
        "with_request_body": {"max_request_bytes": 16, "allow_partial_message": true},
    }));
    let tally = compare(
        &asked(services.grpc, "GRPC", &provider),
        filters,
        &requests(),
    );
    for status in [200, 402, 403, 503] {
        assert!(tally.statuses(status) >= 5, "{status}: {tally}");
    }
}

#[test]
#[ignore = "needs envoy and grpcio-python"]
fn an_authorizer_of_others_is_asked_by_http_as_envoy_asks_it() {
    let services = Services::start();
    let provider = json!({
        "name": "tickets",
        "envoyExtAuthzHttp": {
            "service": "other.internal",
            "port": 9000,
            "pathPrefix": "/check",
            "statusOnError": "503",
            "includeRequestHeadersInCheck": ["x-ticket"],
            "headersToUpstreamOnAllow": ["x-guest"],
            "headersToDownstreamOnAllow": ["x-saw"],
            "headersToDownstreamOnDeny": ["x-price", "x-saw"],
        },
    });
    let exact = |names: &[&str]| {
        let patterns = names.iter();
        let patterns = patterns.map(|name| json!({"exact": name, "ignore_case": true}));
        json!({"patterns": patterns.collect::<Vec<_>>()})
    };
    let filters = ext_authz(json!({
        "allowed_headers": exact(&["x-ticket"]),
        "http_service": {
            "server_uri": {
                "uri": "http://other.internal:9000",
                "cluster": CLUSTER,
                "timeout": "600s",
            },
            "path_prefix": "/check",
            "authorization_response": {
                "allowed_upstream_headers": exact(&["x-guest"]),
                "allowed_client_headers": exact(&["x-price", "x-saw"]),
                "allowed_client_headers_on_success": exact(&["x-saw"]),
            },
        },
    }));
    let tally = compare(
        &asked(services.http, "HTTP", &provider),
        filters,
        &requests(),
    );
    for status in [200, 402, 403, 503] {
        assert!(tally.statuses(status) >= 5, "{status}: {tally}");
    }
}

/// What is counted: the value of a header.
const COUNTED: &str = "x-ticket";

/// An EnvoyFilter of the gateway with one patch.
#[expect(clippy::needless_pass_by_value, reason = "reads better in tests")]
fn patch(name: &str, patch: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {
            "workloadSelector": {"labels": {"istio": "ingressgateway"}},
            "configPatches": [patch],
        },
    })
}

#[test]
#[ignore = "needs envoy and grpcio-python"]
fn a_rate_limit_service_of_others_is_asked_as_envoy_asks_it() {
    let services = Services::start();
    let filter = encode::filter(
        "ratelimit",
        "RateLimit",
        json!({
            "domain": "shop",
            "timeout": "10s",
            "failure_mode_deny": true,
            "rate_limit_service": {
                "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}},
                "transport_api_version": "V3",
            },
        }),
    );
    let counted = json!([{"actions": [{"request_headers": {
        "header_name": COUNTED,
        "descriptor_key": "ticket",
    }}]}]);
    let manager = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": {"name": "envoy.filters.http.router"},
    });
    let resources = [
        other(services.grpc, "GRPC"),
        patch(
            "limits",
            json!({
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "GATEWAY",
                    "listener": {"filterChain": {"filter": manager}},
                },
                "patch": {"operation": "INSERT_BEFORE", "value": filter},
            }),
        ),
        patch(
            "counted",
            json!({
                "applyTo": "VIRTUAL_HOST",
                "match": {"context": "GATEWAY"},
                "patch": {"operation": "MERGE", "value": {"rate_limits": counted}},
            }),
        ),
    ];
    let filters = Filters {
        last: vec![filter],
        rate_limits: Some(counted),
        ..Filters::default()
    };
    let forms = ["under", "over", "broken", "under"];
    let requests = forms.map(|ticket| request(ticket, ("GET", "/cart", "")));
    let tally = compare(&resources, filters, &requests);
    for (status, count) in [(200, 2), (429, 1), (500, 1)] {
        assert_eq!(tally.statuses(status), count, "{status}: {tally}");
    }
}
