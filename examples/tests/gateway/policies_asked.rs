//! What is asked of others before a request passes: authorizers of CUSTOM policies, and rate limit
//! services.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, DeniedHttpResponse};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::{HeaderName, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tonic::async_trait;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::service_fn;

use crate::scene::{Scene, settings};

/// To the service, whatever is asked.
const CART: &str = "
  - route: [{ destination: { host: cart.example } }]
";

const ASK: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: tickets, namespace: istio-system }
spec:
  action: CUSTOM
  provider: { name: tickets }
  rules: [{ to: [{ operation: { paths: ['/asked*'] } }] }]
";

/// What Istio documents for a rate limit service.
const LIMITS: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: filter-ratelimit, namespace: istio-system }
spec:
  workloadSelector: { labels: { istio: ingressgateway } }
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener:
        filterChain:
          filter:
            name: envoy.filters.network.http_connection_manager
            subFilter: { name: envoy.filters.http.router }
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
          domain: shop
          timeout: 10s
          failure_mode_deny: true
          rate_limit_service:
            grpc_service:
              envoy_grpc:
                cluster_name: outbound|9000||limits.example
            transport_api_version: V3
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: filter-ratelimit-svc, namespace: istio-system }
spec:
  workloadSelector: { labels: { istio: ingressgateway } }
  configPatches:
  - applyTo: VIRTUAL_HOST
    match: { context: GATEWAY }
    patch:
      operation: MERGE
      value:
        rate_limits: [{ actions: [{ request_headers: { header_name: ':path', descriptor_key: PATH } }] }]
";

/// A service of others at `address`, whose port 9000 speaks `protocol`.
pub(crate) fn entry(host: &str, address: SocketAddr, protocol: &str) -> String {
    let port = address.port();
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: other, namespace: shop }}
spec:
  hosts: [{host}]
  resolution: STATIC
  ports: [{{ number: 9000, name: other, protocol: {protocol} }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ other: {port} }} }}]
"
    )
}

/// Mesh-wide settings with one extension provider, as istiod reads them.
pub(crate) fn mesh(provider: &serde_json::Value) -> String {
    config_map(&json!({"extensionProviders": [provider]}))
}

/// The ConfigMap of a mesh.
pub(crate) fn config_map(mesh: &serde_json::Value) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data: {{ mesh: '{mesh}' }}
"
    )
}

/// The documents `several` in one.
pub(crate) fn documents(several: &[&str]) -> String {
    several.join("---")
}

#[test]
fn an_authorizer_that_is_asked_by_http_decides() {
    let (_workers, address) = serve_http(|request| {
        let mut response = Response::new(Body::from("no ticket, no entry"));
        let headers = response.headers_mut();
        headers.insert("x-asked", request.uri().path().parse().unwrap());
        headers.insert("x-guest", request.headers()["host"].clone());
        if !request.headers().contains_key("x-ticket") {
            *response.status_mut() = http::StatusCode::PAYMENT_REQUIRED;
        }
        response
    });
    let mut scene = Scene::new(CART);
    let mesh = mesh(&json!({"name": "tickets", "envoyExtAuthzHttp": {
        "service": "authz.example", "port": 9000, "pathPrefix": "/check",
        "includeRequestHeadersInCheck": ["x-ticket"],
        "headersToUpstreamOnAllow": ["x-guest"],
        "headersToDownstreamOnDeny": ["x-asked"],
    }}));
    let others = documents(&[ASK, &mesh, &entry("authz.example", address, "HTTP")]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);

    let denied = scene.get("/asked/7?q", "");
    assert!(denied.starts_with("HTTP/1.1 402 "), "{denied}");
    assert!(denied.contains("x-asked: /check/asked/7\r\n"), "{denied}");
    assert!(denied.ends_with("no ticket, no entry"), "{denied}");

    let passed = scene.get("/asked/7", "x-ticket: 1\r\nx-echo: x-guest\r\n");
    assert!(passed.starts_with("HTTP/1.1 200 "), "{passed}");
    assert!(passed.contains("x-seen: shop.example\r\n"), "{passed}");
    assert!(passed.ends_with("GET /asked/7"), "{passed}");

    let unasked = scene.get("/cart", "");
    assert!(unasked.ends_with("GET /cart"), "{unasked}");
}

#[test]
fn an_authorizer_gets_the_body_that_the_service_gets_too() {
    let (_workers, address) = serve_http(|_| Response::new(Body::default()));
    let mut scene = Scene::new(CART);
    let mesh = mesh(&json!({"name": "tickets", "envoyExtAuthzHttp": {
        "service": "authz.example", "port": 9000,
        "includeRequestBodyInCheck": {"maxRequestBytes": 8},
    }}));
    let others = documents(&[ASK, &mesh, &entry("authz.example", address, "HTTP")]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);
    let short = scene.post("/asked", "12345678");
    assert!(short.starts_with("HTTP/1.1 200 "), "{short}");
    assert!(short.ends_with("POST /asked 12345678"), "{short}");
    let long = scene.post("/asked", "123456789");
    assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
}

#[test]
fn an_authorizer_that_is_asked_by_grpc_decides() {
    let address = serve_grpc(Routes::new(AuthorizationServer::new(Tickets)));
    let mut scene = Scene::new(CART);
    let mesh = mesh(&json!({"name": "tickets", "envoyExtAuthzGrpc": {
        "service": "shop/authz.example", "port": 9000,
    }}));
    let others = documents(&[ASK, &mesh, &entry("authz.example", address, "GRPC")]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);
    let denied = scene.get("/asked", "");
    assert!(denied.starts_with("HTTP/1.1 403 "), "{denied}");
    assert!(denied.ends_with("/asked needs a ticket"), "{denied}");
    let passed = scene.get("/asked", "x-ticket: 1\r\n");
    assert!(passed.ends_with("GET /asked"), "{passed}");
}

#[test]
fn without_its_authorizer_a_request_is_refused_unless_that_is_set_otherwise() {
    // Nothing listens on the discard port.
    let nowhere = entry("authz.example", ([127, 0, 0, 1], 9).into(), "HTTP");
    for (fields, status) in [
        (json!({}), 403),
        (json!({"statusOnError": "503"}), 503),
        (json!({"failOpen": true}), 200),
    ] {
        let mut provider = fields;
        provider["service"] = json!("authz.example");
        provider["port"] = json!(9000);
        let mesh = mesh(&json!({"name": "tickets", "envoyExtAuthzHttp": provider}));
        let mut scene = Scene::new(CART);
        let others = documents(&[ASK, &mesh, &nowhere]);
        assert_eq!(scene.publish(CART, &others), [""; 0]);
        let answer = scene.get("/asked", "");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[test]
fn what_nobody_can_be_asked_about_is_denied_and_the_operator_told() {
    for (provider, why) in [
        (
            json!({"name": "other", "prometheus": {}}),
            "no such provider",
        ),
        (
            json!({"name": "tickets", "prometheus": {}}),
            "no authorizer",
        ),
        (
            json!({"name": "tickets", "envoyExtAuthzGrpc": {"service": "a.example", "port": 1}}),
            "no port of a service is `a.example:1`",
        ),
    ] {
        let mut scene = Scene::new(CART);
        let warnings = scene.publish(CART, &documents(&[ASK, &mesh(&provider)]));
        assert!(
            warnings.iter().any(|warning| warning.contains(why)),
            "{warnings:?}"
        );
        let denied = scene.get("/asked", "");
        assert!(denied.starts_with("HTTP/1.1 403 "), "{denied}");
        assert!(scene.get("/cart", "").starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn clients_are_told_the_rule_that_denies_if_the_operator_wants_it() {
    let no_admin = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin, namespace: istio-system }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }]
";
    for header in [None, Some(HeaderName::from_static("x-denied-by"))] {
        let mut settings = settings();
        settings.rule_header.clone_from(&header);
        let mut scene = Scene::with(settings, CART);
        assert_eq!(scene.publish(CART, no_admin), [""; 0]);
        let denied = scene.get("/admin", "");
        assert!(denied.starts_with("HTTP/1.1 403 "), "{denied}");
        let rule = "x-denied-by: rbac_access_denied_matched_policy[ns[istio-system]-policy[no-admin]-rule[0]]";
        assert_eq!(denied.contains(rule), header.is_some(), "{denied}");
    }
}

#[test]
fn a_rate_limit_service_as_istio_documents_it_is_asked() {
    let address = serve_grpc(Routes::new(RateLimitServiceServer::new(OverLimit)));
    let mut scene = Scene::new(CART);
    let others = documents(&[LIMITS, &entry("limits.example", address, "GRPC")]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);
    assert!(scene.get("/cart", "").starts_with("HTTP/1.1 200 "));
    let limited = scene.get("/busy", "");
    assert!(limited.starts_with("HTTP/1.1 429 "), "{limited}");
    assert!(
        limited.contains("x-envoy-ratelimited: true\r\n"),
        "{limited}"
    );

    // A service that is not there fails; requests are refused, as the filter says.
    let nowhere = entry("limits.example", ([127, 0, 0, 1], 9).into(), "GRPC");
    let others = documents(&[LIMITS, &nowhere]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);
    assert!(scene.get("/cart", "").starts_with("HTTP/1.1 500 "));

    // So does one that nobody knows, and the operator is told.
    let passing = LIMITS.replace("failure_mode_deny: true", "failure_mode_deny: false");
    for (limits, consequence, status) in [
        (LIMITS, "`shop` refuses all that it counts", 500),
        (&passing, "`shop` limits nothing", 200),
    ] {
        let warnings = scene.publish(CART, limits);
        let mut warnings = warnings.iter();
        assert!(
            warnings.any(|warning| warning.contains(consequence)),
            "{warnings:?}"
        );
        let answer = scene.get("/busy", "");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

/// Serves HTTP on loopback, by `answer`.
fn serve_http(answer: fn(&Request<Incoming>) -> Response<Body>) -> (Workers, SocketAddr) {
    let workers = Workers::start(1, Limits::default(), move || {
        move |_: &Connection| {
            service_fn(move |request: Request<Incoming>| async move {
                let response = answer(&request);
                let _ = request.into_body().collect().await;
                Ok::<_, Infallible>(response)
            })
        }
    });
    let workers = workers.unwrap();
    let address = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
    (workers, address)
}

/// Serves gRPC on loopback, as long as the test runs.
pub(crate) fn serve_grpc(routes: Routes) -> SocketAddr {
    let (tell, started) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let server = Server::builder().add_routes(routes);
            let _ = server
                .serve_with_incoming(TcpIncoming::from(listener))
                .await;
        });
    });
    started.recv().unwrap()
}

/// Allows what has a ticket.
pub(crate) struct Tickets;

#[async_trait]
impl Authorization for Tickets {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let attributes = request.into_inner().attributes.unwrap();
        let mut response = CheckResponse::default();
        // Connections need none.
        let Some(request) = attributes.request else {
            return Ok(tonic::Response::new(response));
        };
        let http = request.http.unwrap();
        if !http.headers.contains_key("x-ticket") {
            response.status = Some(RpcStatus {
                code: 7,
                ..RpcStatus::default()
            });
            response.http_response = Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
                body: format!("{} needs a ticket", http.path),
                ..DeniedHttpResponse::default()
            }));
        }
        Ok(tonic::Response::new(response))
    }
}

/// Says that `/busy` in the domain `shop` is over its limit.
struct OverLimit;

#[async_trait]
impl RateLimitService for OverLimit {
    async fn should_rate_limit(
        &self,
        request: tonic::Request<RateLimitRequest>,
    ) -> Result<tonic::Response<RateLimitResponse>, tonic::Status> {
        let request = request.into_inner();
        let mut entries = request.descriptors.iter().flat_map(|one| &one.entries);
        let is_busy = entries.any(|entry| (&*entry.key, &*entry.value) == ("PATH", "/busy"));
        let code = match is_busy && request.domain == "shop" {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        Ok(tonic::Response::new(RateLimitResponse {
            overall_code: code.into(),
            ..RateLimitResponse::default()
        }))
    }
}
