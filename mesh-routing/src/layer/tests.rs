mod types;

use std::convert::Infallible;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::attributes::ConnectionInfo;
use mesh_core::matcher::StringMatch;
use mesh_core::model::filter::{CorsPolicy, HeaderOption};
use mesh_core::model::route::{
    ClusterSpecifier, DirectResponse, Forward, PathRewrite, Redirect, Route, RouteAction,
    RouteConfiguration, RouteMatch, VirtualHost, WeightedDestination,
};
use mesh_core::origin::Origin;
use mesh_core::service::ClusterName;
use mesh_core::watch;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use super::cors::CorsLayer;
use super::direct_response::DirectResponseLayer;
use super::filters::FiltersLayer;
use super::headers::HeadersLayer;
use super::redirect::RedirectLayer;
use super::rewrite::RewriteLayer;
use super::router::RouterLayer;
use super::*;
use crate::filter::direct_response::RefusedDestination;
use crate::filter::rewrite::RewriteError;

type Mocked = (
    mock::Spawn<Routing<mock::Mock<Request<()>, Response<Bytes>>>>,
    mock::Handle<Request<()>, Response<Bytes>>,
);

fn cart() -> Route {
    let cluster = ClusterName::outbound(80, "", "cart.example");
    Route::forward("cart", RouteMatch::prefix("/cart"), cluster)
}

fn table(routes: impl IntoIterator<Item = Route>) -> RouteTable {
    compiled(VirtualHost::new("shop", ["*"], routes))
}

fn compiled(host: VirtualHost) -> RouteTable {
    let virtual_hosts = vec![host];
    let configuration = RouteConfiguration {
        virtual_hosts,
        ..RouteConfiguration::default()
    };
    RouteTable::compile(&configuration).unwrap()
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn mocked(table: RouteTable) -> Mocked {
    mock::spawn_layer(RoutingLayer::new(table))
}

/// Sends a request through `layer` to a service that answers with what it got.
async fn send<L, S>(layer: L, request: Request<()>) -> Response<Bytes>
where
    L: Layer<Echo, Service = S>,
    S: Service<Request<()>, Response = Response<Bytes>, Error = Infallible>,
{
    layer.layer(Echo).oneshot(request).await.unwrap()
}

/// Answers with the target of the request as body, and its fields beside `x-up: yes`.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Bytes>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(Bytes::from(request.uri().to_string()));
        *response.headers_mut() = request.headers().clone();
        response
            .headers_mut()
            .insert("x-up", HeaderValue::from_static("yes"));
        std::future::ready(Ok(response))
    }
}

#[tokio::test]
async fn records_the_matched_route() {
    let (mut service, mut handle) = mocked(table([cart()]));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = service.call(get("/cart/7"));
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(
        request.extensions().get::<MatchedRoute>().unwrap().name(),
        "cart"
    );
    reply.send_response(Response::new(Bytes::from_static(b"hello")));
    assert_eq!(response.await.unwrap().body(), "hello");
}

#[tokio::test]
async fn a_request_without_route_is_answered_and_does_not_reach_the_inner_service() {
    let (mut service, mut handle) = mocked(table([cart()]));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = service.call(get("/admin")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.extensions().get(), Some(&NoRoute));
    assert_eq!(
        response.extensions().get(),
        Some(&ResponseFlag::NoRouteFound)
    );
    assert!(handle.poll_request().is_pending());

    // The readiness that was not used is there for the next request.
    let response = service.call(get("/cart"));
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(Response::default());
    response.await.unwrap();
}

#[tokio::test]
async fn grpc_callers_get_a_grpc_status() {
    let request = Request::post("/admin").header("content-type", "application/grpc");
    let layer = RoutingLayer::new(table([cart()]));
    let response = send(layer, request.body(()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "12");
}

#[tokio::test]
async fn a_host_that_demands_tls_redirects() {
    let mut host = VirtualHost::new("shop", ["*"], [cart()]);
    host.require_tls = true;
    let layer = RoutingLayer::new(compiled(host));
    let request = Request::get("/cart?item=7").header("host", "shop.example");
    let response = send(layer.clone(), request.body(()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(
        response.headers()["location"],
        "https://shop.example/cart?item=7"
    );

    let request = Request::get("/cart").header("x-forwarded-proto", "https");
    assert_eq!(send(layer, request.body(()).unwrap()).await.body(), "/cart");
}

#[tokio::test]
async fn a_client_does_not_get_around_tls_by_saying_that_it_has_it() {
    let mut host = VirtualHost::new("shop", ["*"], [cart()]);
    host.require_tls = true;
    let layer = RoutingLayer::new(compiled(host));
    let request = Request::get("/cart").header("x-forwarded-proto", "https");
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(ConnectionInfo {
        peer: ([192, 0, 2, 1], 4711).into(),
        local: ([192, 0, 2, 2], 80).into(),
        tls: None,
    });
    let response = send(layer, request).await;
    assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
}

#[tokio::test]
async fn a_request_with_several_hosts_is_refused_whatever_its_uri_says() {
    for uri in ["/cart", "http://shop.example/cart"] {
        for (hosts, expected) in [(1, StatusCode::OK), (2, StatusCode::BAD_REQUEST)] {
            let mut request = get(uri);
            for _ in 0..hosts {
                let host = HeaderValue::from_static("shop.example");
                request.headers_mut().append("host", host);
            }
            let (routing, router) = (
                RoutingLayer::new(table([cart()])),
                RouterLayer::new(table([cart()])),
            );
            let responses = [
                send(routing, request.clone()).await,
                send(router, request).await,
            ];
            for response in responses {
                assert_eq!(response.status(), expected, "{uri}");
                let is_refused = response.extensions().get::<SeveralHosts>().is_some();
                assert_eq!(is_refused, hosts == 2, "{uri}");
            }
        }
    }
}

#[tokio::test]
async fn readiness_and_errors_are_those_of_the_inner_service() {
    let (mut service, mut handle) = mocked(table([cart()]));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.is_woken() && service.poll_ready().is_ready());
    let response = service.call(get("/cart"));
    handle.next_request().await.unwrap().1.send_error("broken");
    let error: BoxError = response.await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test]
async fn each_request_is_routed_by_the_table_of_its_time() {
    let (publisher, watch) = watch::channel(table([cart()]));
    let layer = RouterLayer::new(watch);
    assert_eq!(
        send(layer.clone(), get("/cart")).await.status(),
        StatusCode::OK
    );
    publisher.publish(table([]));
    assert_eq!(
        send(layer, get("/cart")).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn destinations_are_drawn_by_the_given_numbers() {
    let mut route = cart();
    let destination =
        |subset: &str| WeightedDestination::new(ClusterName::outbound(80, subset, "cart.example"));
    route.action = RouteAction::Forward(Box::new(Forward::to(["v1", "v2"].map(destination))));
    let name = service_fn(|request: Request<()>| async move {
        let route: &MatchedRoute = request.extensions().get().unwrap();
        let body = Bytes::copy_from_slice(route.cluster().unwrap().as_str().as_bytes());
        Ok::<_, Infallible>(Response::new(body))
    });
    for (random, subset) in [(4, "v1"), (5, "v2")] {
        let layer = RouterLayer::new(table([route.clone()])).with_random(move || random);
        let response = layer.layer(name).oneshot(get("/cart")).await.unwrap();
        assert_eq!(
            response.body(),
            &format!("outbound|80|{subset}|cart.example")
        );
    }
}

/// Routes that together use every filter, by path.
fn every_filter() -> Vec<Route> {
    let overwrite = |name: &'static str, value: &str| {
        HeaderOption::overwrite(HeaderName::from_static(name), value.parse().unwrap())
    };
    let mut forward = cart();
    forward.headers.request.remove = vec![HeaderName::from_static("x-debug")];
    forward.headers.request.options = vec![overwrite("x-path", "%REQ(:path)%")];
    let value = "%REQ(:path)% %RESP(x-up)% %RESPONSE_CODE% %START_TIME(%s)%";
    forward.headers.response.options = vec![overwrite("x-response", value)];
    forward.cors = Some(Box::new(CorsPolicy {
        allow_origins: vec![StringMatch::exact("https://a.example")],
        ..CorsPolicy::new(Origin::synthetic("cors"))
    }));
    if let RouteAction::Forward(forward) = &mut forward.action {
        forward.rewrite.path = Some(PathRewrite::Prefix("/api".into()));
    }

    let body = Some(Bytes::from_static(b"closed"));
    let direct = DirectResponse { status: 503, body };
    let direct = RouteAction::DirectResponse(Box::new(direct));
    let mut direct = Route::new("direct", RouteMatch::prefix("/direct"), direct);
    direct.headers.response.options = vec![overwrite("x-response", "%RESPONSE_CODE%")];

    let redirect = RouteAction::Redirect(Box::new(Redirect {
        status: 302,
        scheme: None,
        host: Some("b.example".into()),
        port: None,
        path: None,
        strip_query: false,
    }));
    let redirect = Route::new("redirect", RouteMatch::prefix("/redirect"), redirect);

    let refused = WeightedDestination::new(ClusterSpecifier::Refused(500));
    let refused = RouteAction::Forward(Box::new(Forward::to([refused])));
    let mut refused = Route::new("refused", RouteMatch::prefix("/refused"), refused);
    refused.headers.response.options = vec![overwrite("x-response", "refused %RESPONSE_CODE%")];
    vec![forward, direct, redirect, refused]
}

/// Header fields.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn requests() -> Vec<Request<()>> {
    let origin = ("origin", "https://a.example");
    let asked = ("access-control-request-method", "PUT");
    let cases: [(&str, &str, Fields<'_>); 9] = [
        ("GET", "/cart/7?q=1", &[("x-debug", "1")]),
        ("GET", "/cart/7", &[origin]),
        ("OPTIONS", "/cart", &[origin, asked]),
        (
            "OPTIONS",
            "/cart",
            &[("origin", "https://other.example"), asked],
        ),
        ("GET", "/direct", &[origin]),
        ("HEAD", "/direct", &[]),
        ("GET", "/redirect/x?q=1", &[("host", "a.example")]),
        ("GET", "/refused", &[]),
        ("GET", "/nowhere", &[]),
    ];
    let request = |(method, uri, fields): (&str, &str, Fields<'_>)| {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    };
    cases.map(request).into()
}

#[tokio::test]
async fn one_layer_does_what_all_layers_do() {
    let clock = || UNIX_EPOCH + Duration::from_secs(7);
    for request in requests() {
        let table = || table(every_filter());
        let shown = format!("{} {}", request.method(), request.uri());
        let router = RouterLayer::new(table()).with_clock(clock);
        let one = send(router, request.clone()).await;

        let two = ServiceBuilder::new()
            .layer(RoutingLayer::new(table()))
            .layer(FiltersLayer::new().with_clock(clock))
            .into_inner();
        let all = ServiceBuilder::new()
            .layer(RoutingLayer::new(table()))
            .layer(CorsLayer::new())
            .layer(HeadersLayer::new().with_clock(clock))
            .layer(RedirectLayer::new())
            .layer(DirectResponseLayer::new())
            .layer(RewriteLayer::new())
            .into_inner();
        // Operations on the response to a rewritten request see its new path only in one layer.
        let comparable = |response: &Response<Bytes>| {
            let mut headers: HeaderMap = response.headers().clone();
            headers.remove("x-response");
            (response.status(), headers, response.body().clone())
        };
        let two = send(two, request.clone()).await;
        assert_eq!(one.headers(), two.headers(), "{shown}");
        assert_eq!(comparable(&one), comparable(&two), "{shown}");
        assert_eq!(
            comparable(&one),
            comparable(&send(all, request).await),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn filters_apply_in_envoys_order() {
    let clock = || UNIX_EPOCH + Duration::from_secs(7);
    let layer = RouterLayer::new(table(every_filter())).with_clock(clock);
    let request = Request::get("/cart/7").header("x-debug", "1");
    let request = request
        .header("origin", "https://a.example")
        .body(())
        .unwrap();
    let response = send(layer, request).await;
    assert_eq!(response.body(), "/api/7");
    let headers = response.headers();
    assert!(!headers.contains_key("x-debug"));
    assert_eq!(
        headers["x-path"], "/cart/7",
        "request operations see the path as it came"
    );
    assert_eq!(headers["x-envoy-original-path"], "/cart/7");
    assert_eq!(
        headers["x-response"], "/api/7 yes 200 7",
        "response operations see it rewritten"
    );
    assert_eq!(headers["access-control-allow-origin"], "https://a.example");
}

#[tokio::test]
async fn an_upstream_need_not_be_told_what_a_rewrite_has_replaced() {
    let layer = RouterLayer::new(table(every_filter())).with_original_headers(false);
    let response = send(layer, get("/cart/7")).await;
    assert_eq!(response.body(), "/api/7");
    assert!(!response.headers().contains_key("x-envoy-original-path"));
}

#[tokio::test]
async fn answers_of_the_filters_have_the_response_operations() {
    let layer = RouterLayer::new(table(every_filter()));
    let response = send(layer.clone(), get("/direct")).await;
    assert_eq!(response.body(), "closed");
    assert_eq!(response.headers()["x-response"], "0", "as in Envoy");

    let response = send(layer, get("/refused")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.extensions().get(), Some(&RefusedDestination));
    assert_eq!(response.headers()["x-response"], "refused 0");
}

#[tokio::test]
async fn a_request_that_cannot_be_rewritten_is_answered() {
    let mut route = cart();
    if let RouteAction::Forward(forward) = &mut route.action {
        forward.rewrite.path = Some(PathRewrite::Prefix(format!("/{}", "x".repeat(60_000))));
    }
    let request = get(&format!("/cart/{}", "y".repeat(10_000)));
    let response = send(RouterLayer::new(table([route])), request).await;
    assert_eq!(response.status(), StatusCode::URI_TOO_LONG);
    assert!(response.extensions().get::<RewriteError>().is_some());
}

#[tokio::test]
async fn requests_without_a_route_pass_the_filters() {
    let filters = ServiceBuilder::new()
        .layer(FiltersLayer::new())
        .layer(CorsLayer::new())
        .layer(HeadersLayer::new())
        .layer(RedirectLayer::new())
        .layer(DirectResponseLayer::new())
        .layer(RewriteLayer::new())
        .into_inner();
    assert_eq!(send(filters, get("/cart")).await.body(), "/cart");
}
