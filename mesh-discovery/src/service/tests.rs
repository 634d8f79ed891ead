use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{
    ConnectionInfo, MatchedRoute, PreviousEndpoints, ResetReason, ResponseFlag, SelectedEndpoint,
    Timeouts, UpstreamReset,
};
use mesh_core::model::cluster::Cluster;
use mesh_core::model::retry::HashPolicy;
use mesh_core::model::route::{
    ClusterSpecifier, Forward, Route, RouteAction, RouteMatch, WeightedDestination,
};
use mesh_core::service::ClusterName;
use tower::{Service, ServiceExt, service_fn};
use tower_test::mock;

use super::seams::now;
use super::*;
use crate::balance::Choice;
use crate::balance::testing::endpoint;
use crate::circuit_breaker::Resource;
use crate::cluster::{Clusters, Upstream};
use crate::locality::Client;

mod explain;
mod peak_ewma;
mod publishing;

type Body = Full<Bytes>;

#[tokio::test]
async fn the_endpoint_is_recorded_for_both_sides() {
    let upstream = upstream("{}", 1);
    let service = Balance::new(upstream, |target: &Target| {
        let endpoint = Arc::clone(&target.endpoint);
        service_fn(move |request: Request<()>| {
            let selected = request.extensions().get::<SelectedEndpoint>().cloned();
            assert_eq!(selected, Some(SelectedEndpoint(Arc::clone(&endpoint))));
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        })
    });
    let response = service.oneshot(Request::new(())).await.unwrap();
    let selected = response.extensions().get::<SelectedEndpoint>().unwrap();
    assert_eq!(selected.0.address.port(), Some(1));
}

#[tokio::test]
async fn an_endpoint_is_called_only_when_it_is_ready() {
    let (service, mut handle) = mock::pair::<Request<()>, Response<Body>>();
    handle.allow(0);
    let upstream = upstream("{}", 1);
    let mut balance = Balance::new(upstream, move |_: &Target| service.clone());
    let ready = balance.ready().await.unwrap();
    let mut response = tokio_test::task::spawn(ready.call(Request::new(())));
    assert!(response.poll().is_pending());
    assert!(
        tokio_test::task::spawn(handle.next_request())
            .poll()
            .is_pending()
    );

    handle.allow(1);
    assert!(response.poll().is_pending());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(Response::new(Body::default()));
    assert!(response.await.is_ok());
}

#[tokio::test]
async fn an_error_of_the_endpoint_is_passed_on_and_counted() {
    let upstream = upstream(
        r#"{"outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100}}"#,
        1,
    );
    let (service, mut handle) = mock::pair::<Request<()>, Response<Body>>();
    let balance = Balance::new(Arc::clone(&upstream), move |_: &Target| service.clone());
    let response = tokio::spawn(balance.clone().oneshot(Request::new(())));
    handle.next_request().await.unwrap().1.send_error("broken");
    assert_eq!(response.await.unwrap().unwrap_err().to_string(), "broken");
    assert_eq!(upstream.breakers().used(Resource::Requests), 0);

    let response = balance.oneshot(Request::new(())).await.unwrap();
    let flag = response.extensions().get();
    assert_eq!(flag, Some(&ResponseFlag::NoHealthyUpstream));
}

#[tokio::test]
async fn without_a_healthy_endpoint_the_answer_is_envoys() {
    let response = send(&upstream("{}", 0), Request::new(()), 200).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.extensions().get::<NoHealthyUpstream>().is_some());
    assert!(response.extensions().get::<SelectedEndpoint>().is_none());
    assert_eq!(text(response).await, "no healthy upstream");
}

#[tokio::test]
async fn a_grpc_client_gets_a_grpc_status() {
    let request = Request::post("/").header("content-type", "application/grpc");
    let response = send(&upstream("{}", 0), request.body(()).unwrap(), 200).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["grpc-message"], "no healthy upstream");
}

#[tokio::test]
async fn requests_beyond_the_limit_overflow_until_a_response_ends() {
    let upstream = upstream(
        r#"{"connectionPool": {"http": {"http2MaxRequests": 1}}}"#,
        1,
    );
    let first = send(&upstream, Request::new(()), 200).await;

    let second = send(&upstream, Request::new(()), 200).await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(second.headers()["x-envoy-overloaded"], "true");
    assert_eq!(
        second.extensions().get(),
        Some(&ResponseFlag::UpstreamOverflow)
    );
    let expected =
        "upstream connect error or disconnect/reset before headers. reset reason: overflow";
    assert_eq!(text(second).await, expected);

    assert_eq!(text(first).await, "hello");
    let third = send(&upstream, Request::new(()), 200).await;
    assert_eq!(third.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_is_given_up_gives_its_slot_back() {
    let upstream = upstream("{}", 1);
    let service = Balance::new(Arc::clone(&upstream), |_: &Target| {
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<Body>, Infallible>>())
    });
    let mut response = tokio_test::task::spawn(service.oneshot(Request::new(())));
    assert!(response.poll().is_pending());
    assert_eq!(upstream.breakers().used(Resource::Requests), 1);
    drop(response);
    assert_eq!(upstream.breakers().used(Resource::Requests), 0);
    let host = upstream
        .balancer()
        .pick(&crate::balance::PickRequest::new(now()), || 0);
    assert_eq!(host.unwrap().state().active(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_late_is_to_blame_and_one_that_is_given_up_early_is_not() {
    let policy = r#"{"outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100}}"#;
    for (waited, status) in [(1, StatusCode::OK), (3, StatusCode::SERVICE_UNAVAILABLE)] {
        let upstream = upstream(policy, 1);
        let service = Balance::new(Arc::clone(&upstream), |_: &Target| {
            service_fn(|_: Request<()>| {
                std::future::pending::<Result<Response<Body>, Infallible>>()
            })
        });
        let timeouts = Timeouts {
            start: now(),
            total: Some(Duration::from_secs(2)),
            per_try: None,
        };
        let request = Request::get("/").extension(timeouts).body(()).unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(waited), service.oneshot(request));
        assert!(waiting.await.is_err());
        let response = send(&upstream, Request::new(()), 200).await;
        assert_eq!(response.status(), status, "after {waited} s");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_endpoints_are_left_out_and_return() {
    let policy = r#"{"outlierDetection": {"consecutive5xxErrors": 2, "maxEjectionPercent": 100}}"#;
    let upstream = upstream(policy, 1);
    for _ in 0..2 {
        assert_eq!(send(&upstream, Request::new(()), 500).await.status(), 500);
    }
    assert_eq!(send(&upstream, Request::new(()), 200).await.status(), 503);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(send(&upstream, Request::new(()), 200).await.status(), 200);
}

#[tokio::test]
async fn outcomes_are_those_that_envoy_counts() {
    let grpc = |status: &str| {
        let mut response = Response::new(Body::default());
        let status = status.parse().unwrap();
        response.headers_mut().insert("grpc-status", status);
        response
    };
    let reset = |reason| {
        let mut response = answer(503);
        let reset = UpstreamReset::after_request(reason);
        response.extensions_mut().insert(reset);
        response
    };
    // The content type of the request, the answer, and whether that is an error.
    let cases = [
        ("ok", "", answer(200), false),
        ("error", "", answer(500), true),
        ("grpc error", "application/grpc", grpc("14"), true),
        ("grpc refusal", "application/grpc", grpc("7"), false),
        ("not grpc", "", grpc("14"), false),
        (
            "unreachable",
            "",
            reset(ResetReason::ConnectionFailure),
            true,
        ),
        ("overflow", "", reset(ResetReason::Overflow), false),
    ];
    let policy = r#"{"outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100}}"#;
    for (name, content_type, response, is_error) in cases {
        let upstream = upstream(policy, 1);
        let service = Balance::new(Arc::clone(&upstream), |_: &Target| {
            let response = response.clone();
            service_fn(move |_: Request<()>| {
                std::future::ready(Ok::<_, Infallible>(response.clone()))
            })
        });
        let request = Request::post("/").header("content-type", content_type);
        service.oneshot(request.body(()).unwrap()).await.unwrap();
        let request = crate::balance::PickRequest::new(now());
        let is_ejected = upstream.balancer().pick(&request, || 0).is_none();
        assert_eq!(is_ejected, is_error, "{name}");
    }
}

#[tokio::test]
async fn a_hash_of_the_request_decides_and_sets_its_cookie() {
    let upstream = upstream(
        r#"{"loadBalancer": {"consistentHash": {"useSourceIp": true}}}"#,
        20,
    );
    let policy = HashPolicy::Cookie {
        name: "session".into(),
        path: "/".into(),
        ttl: Some(Duration::ZERO),
        attributes: Vec::new(),
    };
    let request = |cookie: Option<&str>| {
        let info = ConnectionInfo {
            peer: "192.0.2.1:1234".parse().unwrap(),
            local: "192.0.2.2:80".parse().unwrap(),
            tls: None,
        };
        let mut forward = Forward::to([WeightedDestination::new(ClusterName::from("cart"))]);
        forward.hash_policies = vec![policy.clone()];
        let request = Request::get("/")
            .extension(info)
            .extension(matched(forward));
        let request = match cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        request.body(()).unwrap()
    };
    let first = send(&upstream, request(None), 200).await;
    let cookie = first.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly");

    let second = send(&upstream, request(Some(pair)), 200).await;
    assert!(second.headers().get("set-cookie").is_none());
    let endpoint =
        |response: &Response<_>| response.extensions().get::<SelectedEndpoint>().cloned();
    assert_eq!(endpoint(&first), endpoint(&second));
}

#[tokio::test]
async fn an_endpoint_tried_before_is_avoided() {
    let upstream = upstream("{}", 2);
    for _ in 0..20 {
        let previous = PreviousEndpoints {
            addresses: vec![endpoint(1).address],
            selection_attempts: 50,
        };
        let request = Request::get("/").extension(previous).body(()).unwrap();
        let response = send(&upstream, request, 200).await;
        let selected = response.extensions().get::<SelectedEndpoint>().unwrap();
        assert_eq!(selected.0.address.port(), Some(2));
    }
}

#[tokio::test]
async fn each_destination_goes_to_its_cluster() {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = Dispatch::new(clusters(&["a", "b", "shop.example", "GET", "/cart?x"]), {
        let calls = Arc::clone(&calls);
        move |_: &Target| {
            calls.fetch_add(1, Ordering::Relaxed);
            answering(200)
        }
    });
    let name = |name: &str| ClusterSpecifier::Name(name.into());
    let header = |name: &str| ClusterSpecifier::Header(name.into());
    let not_found = Some(ResponseFlag::NoClusterFound);
    let cases = [
        (name("a"), 200, Some(1), None),
        (header("x-cluster"), 200, Some(2), None),
        (header("x-none"), 503, None, not_found),
        (header(":authority"), 200, Some(3), None),
        (header("host"), 200, Some(3), None),
        (header(":method"), 200, Some(4), None),
        (header(":path"), 200, Some(5), None),
        (name("c"), 503, None, not_found),
        (ClusterSpecifier::Refused(500), 500, None, None),
    ];
    for (cluster, status, port, flag) in cases {
        let text = format!("{cluster:?}");
        let forward = Forward::to([WeightedDestination::new(cluster)]);
        let request = Request::get("/cart?x").header("x-cluster", "b");
        let request = request.header("host", "shop.example");
        let request = request.extension(matched(forward)).body(()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{text}");
        let selected = response.extensions().get::<SelectedEndpoint>();
        let selected = selected.and_then(|selected| selected.0.address.port());
        assert_eq!(selected, port, "{text}");
        assert_eq!(response.extensions().get().copied(), flag, "{text}");
    }
    let calls = calls.load(Ordering::Relaxed);
    assert_eq!(calls, 6, "no service is made for a refusal");
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(
        response.status(),
        503,
        "without a route there is no cluster"
    );
}

/// Clusters with an endpoint each, at the ports from 1 on.
fn clusters(names: &[&str]) -> Clusters {
    let clusters = (1..).zip(names).map(|(port, name)| {
        let name = ClusterName::from(*name);
        let mut cluster = Cluster::new(name.clone());
        cluster.endpoints.push(endpoint(port));
        (name, Arc::new(cluster))
    });
    let model: BTreeMap<_, _> = clusters.collect();
    let clusters = Clusters::new(Client::default());
    clusters.publish(&model, now());
    clusters
}

fn matched(forward: Forward) -> MatchedRoute {
    let action = RouteAction::Forward(Box::new(forward));
    let route = Route::new("route", RouteMatch::prefix("/"), action);
    MatchedRoute::new(Arc::new(route), 0)
}

/// A cluster with so many endpoints, at the ports from 1 on, and this traffic policy.
fn upstream(policy: &str, endpoints: u16) -> Arc<Upstream> {
    use mesh_core::resource::istio::destination_rule::TrafficPolicy;

    let mut cluster = Cluster::new(ClusterName::from("cart"));
    let policy: TrafficPolicy = serde_json::from_str(policy).unwrap();
    cluster.policy.load_balancer = policy.load_balancer.map(Box::new);
    cluster.policy.connection_pool = policy.connection_pool.map(Box::new);
    cluster.policy.outlier_detection = policy.outlier_detection.map(Box::new);
    cluster.endpoints = (1..=endpoints).map(endpoint).collect();
    Arc::new(Upstream::new(
        Arc::new(cluster),
        Client::default(),
        now(),
        0,
    ))
}

/// Sends a request to endpoints that answer with `status`.
async fn send(
    upstream: &Arc<Upstream>,
    request: Request<()>,
    status: u16,
) -> Response<TrackedBody<Body>> {
    let service = Balance::new(Arc::clone(upstream), move |_: &Target| answering(status));
    service.oneshot(request).await.unwrap()
}

fn answering(
    status: u16,
) -> impl Service<
    Request<()>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>>,
> {
    service_fn(move |_: Request<()>| std::future::ready(Ok(answer(status))))
}

fn answer(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::from("hello"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn text(response: Response<TrackedBody<Body>>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}
