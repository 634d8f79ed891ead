use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderValue as WireHeader;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use http::{Request, Response};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::model::route::{Route, RouteMatch};
use mesh_core::service::ClusterName;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Status, async_trait};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::rate_limit::RateLimits;
use crate::rate_limit::descriptor::{Action, RateLimitRule};
use crate::rate_limit::envoy_filter::GlobalFilter;
use crate::unready::tests::Hello;

/// A service that gives one answer, and writes down what it is asked.
#[derive(Clone)]
struct Limiter {
    answer: Result<RateLimitResponse, Status>,
    asked: Arc<Mutex<Vec<RateLimitRequest>>>,
    delay: Duration,
}

#[async_trait]
impl RateLimitService for Limiter {
    async fn should_rate_limit(
        &self,
        request: tonic::Request<RateLimitRequest>,
    ) -> Result<tonic::Response<RateLimitResponse>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        tokio::time::sleep(self.delay).await;
        self.answer.clone().map(tonic::Response::new)
    }
}

/// Starts a service on a port of the system's choice.
async fn start(answer: Result<RateLimitResponse, Status>, delay: Duration) -> (Channel, Limiter) {
    let asked = Arc::default();
    let service = Limiter {
        answer,
        asked,
        delay,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(RateLimitServiceServer::new(service.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    (endpoint.connect().await.unwrap(), service)
}

fn filter() -> GlobalFilter {
    GlobalFilter {
        timeout: Duration::from_secs(5),
        ..GlobalFilter::new("shop", ClusterName::from("ratelimit"))
    }
}

fn response(code: Code) -> RateLimitResponse {
    let header = |key: &str, value: &str| WireHeader {
        key: key.into(),
        value: value.into(),
        ..WireHeader::default()
    };
    RateLimitResponse {
        overall_code: code.into(),
        request_headers_to_add: vec![header("x-to-app", "1")],
        response_headers_to_add: vec![header("x-to-client", "2")],
        raw_body: b"slow down".to_vec(),
        statuses: vec![DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                requests_per_unit: 10,
                unit: 2,
                ..RateLimit::default()
            }),
            limit_remaining: 3,
            ..DescriptorStatus::default()
        }],
        ..RateLimitResponse::default()
    }
}

/// A route whose rule counts the header `x-user`.
fn by_user() -> (Arc<Route>, RateLimits) {
    let route = Arc::new(Route::forward(
        "r",
        RouteMatch::prefix("/"),
        ClusterName::from("cart"),
    ));
    let rule = RateLimitRule::new([Action::RequestHeader {
        name: "x-user".parse().unwrap(),
        key: "user".into(),
        skip_if_absent: false,
    }]);
    let limits = RateLimits::new().with_rule(&route, rule);
    (route, limits)
}

/// A service that says hello, and which header it has seen.
fn echo() -> impl Service<Request<()>, Response = Response<Bytes>, Error = Infallible> + Clone {
    service_fn(|request: Request<()>| async move {
        let to_app = request.headers().get("x-to-app").cloned();
        let mut response = Response::new(Bytes::from_static(b"hello"));
        response
            .headers_mut()
            .extend(to_app.map(|value| (http::HeaderName::from_static("x-seen"), value)));
        Ok::<_, Infallible>(response)
    })
}

fn request(route: &Arc<Route>, user: Option<&str>) -> Request<()> {
    let mut request = Request::get("/")
        .extension(MatchedRoute::new(Arc::clone(route), 0))
        .body(())
        .unwrap();
    if let Some(user) = user {
        request
            .headers_mut()
            .insert("x-user", user.parse().unwrap());
    }
    request
}

/// Sends a request of a user.
async fn send(filter: GlobalFilter, channel: Channel, user: Option<&str>) -> Response<Bytes> {
    let (route, limits) = by_user();
    let service = GlobalRateLimitLayer::new(filter, limits, channel).layer(echo());
    service.oneshot(request(&route, user)).await.unwrap()
}

#[tokio::test]
async fn a_request_within_the_limits_passes_with_the_headers_that_the_service_adds() {
    let (channel, service) = start(Ok(response(Code::Ok)), Duration::ZERO).await;
    let filter = GlobalFilter {
        rate_limit_headers: true,
        ..filter()
    };
    let response = send(filter, channel, Some("jason")).await;
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (200, &b"hello"[..])
    );
    assert_eq!(response.headers()["x-seen"], "1");
    assert_eq!(response.headers()["x-to-client"], "2");
    assert_eq!(response.headers()["x-ratelimit-limit"], "10, 10;w=60");
    assert_eq!(response.headers()["x-ratelimit-remaining"], "3");
    let asked = service.asked.lock().unwrap();
    assert_eq!(asked[0].domain, "shop");
    let entry = &asked[0].descriptors[0].entries[0];
    assert_eq!(
        (entry.key.as_str(), entry.value.as_str()),
        ("user", "jason")
    );
}

#[tokio::test]
async fn a_request_over_a_limit_gets_the_services_answer() {
    let (channel, _) = start(Ok(response(Code::OverLimit)), Duration::ZERO).await;
    let response = send(filter(), channel, Some("jason")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.body(), "slow down");
    assert_eq!(response.headers()["x-envoy-ratelimited"], "true");
    assert_eq!(response.headers()["x-to-client"], "2");
    assert_eq!(
        response.extensions().get(),
        Some(&ResponseFlag::RateLimited)
    );
}

#[tokio::test]
async fn a_service_that_fails_is_answered_for_as_the_filter_says() {
    let late = Duration::from_millis(500);
    for (name, answer, delay) in [
        ("an error", Err(Status::unavailable("down")), Duration::ZERO),
        ("nonsense", Ok(response(Code::Unknown)), Duration::ZERO),
        ("silence", Ok(response(Code::Ok)), late),
    ] {
        for (failure_mode_deny, status) in [(false, 200), (true, 500)] {
            let (channel, _) = start(answer.clone(), delay).await;
            let timeout = if delay.is_zero() {
                filter().timeout
            } else {
                Duration::from_millis(20)
            };
            let filter = GlobalFilter {
                failure_mode_deny,
                timeout,
                ..filter()
            };
            let response = send(filter, channel, Some("jason")).await;
            assert_eq!(response.status(), status, "{name}");
            let flag = response.extensions().get::<ResponseFlag>();
            let expected = failure_mode_deny.then_some(&ResponseFlag::RateLimitServiceError);
            assert_eq!(flag, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_service_that_nobody_knows_is_one_that_fails() {
    for (failure_mode_deny, status) in [(false, 200), (true, 500)] {
        let (route, limits) = by_user();
        let filter = GlobalFilter {
            failure_mode_deny,
            ..filter()
        };
        let mut service = GlobalRateLimitLayer::without_service(filter, limits).layer(echo());
        for (user, status) in [(None, 200), (Some("jason"), status)] {
            let service = service.ready().await.unwrap();
            let response = service.call(request(&route, user)).await.unwrap();
            assert_eq!(response.status(), status, "{user:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_asked_about_keeps_no_other_from_the_service_below() {
    let (channel, _) = start(Ok(response(Code::Ok)), Duration::ZERO).await;
    let (route, limits) = by_user();
    let hello = Hello::default();
    let mut service = GlobalRateLimitLayer::new(filter(), limits, channel).layer(hello.clone());
    let ready = ServiceExt::<Request<()>>::ready(&mut service)
        .await
        .unwrap();
    let asking = ready.call(request(&route, Some("jason")));
    assert_eq!(hello.held(), 0);
    assert_eq!(asking.await.unwrap().body(), "hello");
}

#[tokio::test]
async fn a_request_without_descriptors_is_not_asked_about() {
    let (channel, service) = start(Ok(response(Code::OverLimit)), Duration::ZERO).await;
    assert_eq!(send(filter(), channel, None).await.status(), 200);
    assert!(service.asked.lock().unwrap().is_empty());
}
