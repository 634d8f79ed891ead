use std::convert::Infallible;
use std::future::{Future, Ready, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use mesh_core::attributes::{ConnectionInfo, ResponseFlag, TargetScheme};
use mesh_core::identity::TrustDomains;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::AuthorizationPolicy;
use mesh_core::resource::istio::mesh_config::EnvoyExternalAuthorizationHttpProvider;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tower::limit::ConcurrencyLimit;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_layer::Layer;
use tower_service::Service;

use super::http::HttpAuthorizer;
use super::layer::{ExtAuthzDenied, ExtAuthzLayer};
use super::*;
use crate::authz::layer::Denied;
use crate::authz::{Connection, Custom, HttpRequest, PolicySet};

pub(super) type Body = Full<Bytes>;

fn policies(provider: &str) -> PolicySet {
    let spec = serde_json::from_value(json!({
        "action": "CUSTOM",
        "provider": {"name": provider},
        "rules": [{"to": [{"operation": {"paths": ["/asked"]}}]}],
    }));
    let policy = Resource::<AuthorizationPolicy> {
        spec: spec.unwrap(),
        ..Resource::default()
    };
    let domains = TrustDomains::new("cluster.local".parse().unwrap());
    PolicySet::compile(&[Arc::new(policy)], &domains)
}

/// Sends a request through the layer to a service that answers with the headers and body it gets.
pub(super) async fn send(provider: Provider, request: Request<Body>) -> Response<Body> {
    let providers = Providers::default().with("p", provider);
    let echo = service_fn(|request: Request<PrefixedBody<Body>>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(Full::new(body.collect().await.unwrap().to_bytes()));
        *response.headers_mut() = head.headers;
        Ok::<_, Infallible>(response)
    });
    let layer = ExtAuthzLayer::new(policies("p"), providers);
    let service = ServiceBuilder::new().layer(layer).service(echo);
    service.oneshot(request).await.unwrap()
}

pub(super) async fn body(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

pub(super) fn asked() -> Request<Body> {
    let request = Request::post("http://shop.example/asked?q").header("x-a", "1");
    request.body(Full::from("0123456789")).unwrap()
}

/// A server of HTTP on loopback, which answers by `answer`.
async fn http_server(answer: fn(&Request<Bytes>) -> Response<Body>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(
                move |request: Request<hyper::body::Incoming>| async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(answer(&Request::from_parts(head, body)))
                },
            );
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Asks the server at `address`, over a connection of its own each time.
fn http_provider(address: SocketAddr, fields: serde_json::Value) -> Provider {
    let mut fields = fields;
    fields["service"] = json!("authz.example");
    fields["port"] = json!(8000);
    let provider: EnvoyExternalAuthorizationHttpProvider = serde_json::from_value(fields).unwrap();
    let client = service_fn(move |mut request: Request<Body>| async move {
        // A connection by itself is asked for paths.
        *request.uri_mut() = request
            .uri()
            .path_and_query()
            .unwrap()
            .to_string()
            .parse()
            .unwrap();
        let stream = TcpStream::connect(address).await?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await;
        response.map_err(std::io::Error::other)
    });
    let authorizer = HttpAuthorizer::new(&provider, client).unwrap();
    Provider::new(authorizer, Settings::of_http(&provider).unwrap())
}

/// Answers with what it was asked, and the status of `x-status`.
fn mirror(request: &Request<Bytes>) -> Response<Body> {
    let header = |name: &str| request.headers().get(name).cloned();
    let mut response = Response::new(Full::new(request.body().clone()));
    if let Some(status) = header("x-status") {
        *response.status_mut() = status.to_str().unwrap().parse().unwrap();
    }
    let headers = response.headers_mut();
    let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    let mut names = names;
    names.sort_unstable();
    headers.insert("x-saw", names.join(",").parse().unwrap());
    let asked = format!(
        "{} {} {:?}",
        request.method(),
        request.uri(),
        header("host").unwrap()
    );
    headers.insert("x-asked", asked.parse().unwrap());
    headers.insert(
        "x-envoy-auth-headers-to-remove",
        HeaderValue::from_static("x-b, x-none"),
    );
    headers.insert("x-a", HeaderValue::from_static("changed"));
    response
}

#[tokio::test]
async fn a_server_of_http_allows_with_changes() {
    let address = http_server(mirror).await;
    let provider = http_provider(
        address,
        json!({
            "pathPrefix": "/check",
            "includeRequestHeadersInCheck": ["X-Status", "x-c*"],
            "includeAdditionalHeadersInCheck": {"x-more": "2"},
            "headersToUpstreamOnAllow": ["x-a", "x-asked", "x-saw"],
            "headersToDownstreamOnAllow": ["x-asked"],
        }),
    );
    let mut request = asked();
    let headers = request.headers_mut();
    headers.insert("x-b", HeaderValue::from_static("1"));
    headers.insert("x-color", HeaderValue::from_static("red"));
    headers.insert("authorization", HeaderValue::from_static("Basic eA=="));
    let response = send(provider, request).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["x-a"], "changed");
    assert!(!headers.contains_key("x-b"));
    assert_eq!(
        headers["x-saw"],
        "authorization,content-length,host,x-color,x-more"
    );
    let asked: Vec<_> = headers.get_all("x-asked").iter().collect();
    // Once set on the request, which comes back, and once added to the response.
    assert_eq!(asked, ["POST /check/asked?q \"shop.example\""; 2]);
    assert_eq!(body(response).await, "0123456789");
}

#[tokio::test]
async fn a_server_of_http_denies_with_its_answer() {
    let address = http_server(mirror).await;
    for (fields, has_header) in [
        (json!({}), true),
        (json!({"headersToDownstreamOnDeny": ["x-other"]}), false),
        (json!({"headersToDownstreamOnDeny": ["x-as*"]}), true),
    ] {
        let mut fields = fields;
        fields["includeRequestHeadersInCheck"] = json!(["x-status"]);
        fields["includeRequestBodyInCheck"] =
            json!({"maxRequestBytes": 4, "allowPartialMessage": true});
        let mut request = asked();
        request
            .headers_mut()
            .insert("x-status", HeaderValue::from_static("402"));
        let response = send(http_provider(address, fields.clone()), request).await;
        assert_eq!(response.status(), 402, "{fields}");
        assert_eq!(
            response.headers().contains_key("x-asked"),
            has_header,
            "{fields}"
        );
        let for_us = "x-envoy-auth-headers-to-remove";
        assert!(!response.headers().contains_key(for_us), "{fields}");
        let flag = response.extensions().get();
        assert_eq!(flag, Some(&ResponseFlag::UnauthorizedExternalService));
        assert_eq!(body(response).await, "0123", "{fields}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unless_a_part_is_enough() {
    let address = http_server(mirror).await;
    let provider = |max: u32, partial: bool| {
        let body = json!({"maxRequestBytes": max, "allowPartialMessage": partial});
        http_provider(address, json!({"includeRequestBodyInCheck": body}))
    };
    for (max, partial, status) in [(10, false, 200), (9, false, 413), (9, true, 200)] {
        let response = send(provider(max, partial), asked()).await;
        assert_eq!(response.status(), status, "{max} {partial}");
    }
}

#[tokio::test]
async fn a_server_of_http_does_not_frame_the_messages_of_others() {
    let address = http_server(|_| {
        let mut response = Response::new(Full::from("four"));
        let headers = response.headers_mut();
        headers.insert("host", HeaderValue::from_static("admin.example"));
        headers.insert("x-user", HeaderValue::from_static("ann"));
        let remove = HeaderValue::from_static("content-length, host");
        headers.insert("x-envoy-auth-headers-to-remove", remove);
        response
    })
    .await;
    let all = json!(["c*", "h*", "x*"]);
    let provider = http_provider(
        address,
        json!({"headersToUpstreamOnAllow": all, "headersToDownstreamOnAllow": all}),
    );
    let mut request = asked();
    let headers = request.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("10"));
    headers.insert("host", HeaderValue::from_static("shop.example"));
    // What comes back has the headers that the service got, and after them those of the response.
    let response = send(provider, request).await;
    let values = |name| {
        let values = response.headers().get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(values("content-length"), ["10"]);
    assert_eq!(values("host"), ["shop.example"]);
    assert_eq!(values("x-user"), ["ann", "ann"]);
    assert_eq!(values("x-envoy-auth-headers-to-remove"), [""; 0]);
}

#[tokio::test]
async fn of_several_values_of_a_header_the_request_has_the_last_and_the_response_all() {
    let address = http_server(|_| {
        let mut response = Response::new(Full::default());
        for user in ["ann", "bob"] {
            let user = HeaderValue::from_static(user);
            response.headers_mut().append("x-user", user);
        }
        response
    })
    .await;
    let user = json!(["x-user"]);
    let provider = http_provider(
        address,
        json!({"headersToUpstreamOnAllow": user, "headersToDownstreamOnAllow": user}),
    );
    // What comes back has the headers that the service got, and after them those of the response.
    let response = send(provider, asked()).await;
    let users: Vec<_> = response.headers().get_all("x-user").iter().collect();
    assert_eq!(users, ["bob", "ann", "bob"]);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_an_error_that_says_so() {
    let provider: EnvoyExternalAuthorizationHttpProvider =
        serde_json::from_value(json!({"service": "a.example", "port": 1})).unwrap();
    let client = service_fn(|_: Request<Body>| async {
        let mut response = Response::new(Body::from(vec![b'a'; (1 << 20) + 1]));
        *response.status_mut() = StatusCode::FORBIDDEN;
        Ok::<_, Infallible>(response)
    });
    let authorizer = HttpAuthorizer::new(&provider, client).unwrap();
    let error = authorizer.check(check(asked())).await.unwrap_err();
    assert!(
        matches!(error, AuthorizeError::TooLarge(1_048_576)),
        "{error:?}"
    );
}

/// A body whose client waits for the answer.
struct Waiting;

impl http_body::Body for Waiting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Allows what it gets no body of.
struct Bodiless;

impl Authorize for Bodiless {
    fn check(&self, check: Check) -> CheckFuture<'_> {
        let answer = match check.body {
            None => Answer::allow(),
            Some(_) => Answer::deny(StatusCode::FORBIDDEN),
        };
        Box::pin(ready(Ok(answer)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_awaited_unless_there_is_none_or_the_client_waits_itself() {
    let settings = Settings {
        body: Some(BodySettings {
            max_bytes: 8,
            allow_partial: false,
        }),
        ..Settings::default()
    };
    let provider = || Provider::new(Bodiless, settings);
    let without = Request::post("/asked").body(Full::default()).unwrap();
    assert_eq!(send(provider(), without).await.status(), 200);
    assert_eq!(send(provider(), asked()).await.status(), 413);

    let websocket = |version| {
        let request = Request::get("/asked").version(version);
        request.header("upgrade", "WebSocket")
    };
    for (request, is_awaited) in [
        (Request::post("/asked"), true),
        (Request::connect("http://a.example/asked"), false),
        (
            websocket(Version::HTTP_2).header("connection", "x, Upgrade"),
            false,
        ),
        (websocket(Version::HTTP_2), true),
        (
            websocket(Version::HTTP_11).header("connection", "upgrade"),
            true,
        ),
    ] {
        let request = request.body(Waiting).unwrap();
        let shown = format!("{} {:?}", request.method(), request.headers());
        let providers = Providers::default().with("p", provider());
        let silence = service_fn(|_: Request<PrefixedBody<Waiting>>| {
            ready(Ok::<_, Infallible>(Response::new(Body::default())))
        });
        let service = ExtAuthzLayer::new(policies("p"), providers).layer(silence);
        let answered = tokio::time::timeout(Duration::from_secs(9), service.oneshot(request)).await;
        assert_eq!(answered.is_err(), is_awaited, "{shown}");
    }
}

/// Takes tokens out of the query, and says who has shown them.
struct Exchange;

impl Authorize for Exchange {
    fn check(&self, _: Check) -> CheckFuture<'_> {
        let changes = Changes {
            set_query: vec![("user".to_owned(), "ann".to_owned())],
            remove_query: vec!["token".to_owned()],
            ..Changes::default()
        };
        Box::pin(ready(Ok(Answer::Allow(Box::new(changes)))))
    }
}

#[tokio::test]
async fn an_authorizer_changes_the_query() {
    let providers = Providers::default().with("p", Provider::new(Exchange, Settings::default()));
    let echo = service_fn(|request: Request<PrefixedBody<Body>>| {
        let uri = Bytes::from(request.uri().to_string());
        ready(Ok::<_, Infallible>(Response::new(Full::new(uri))))
    });
    let service = ExtAuthzLayer::new(policies("p"), providers).layer(echo);
    let request = Request::get("http://a.example/asked?token=7&q=1&user=bob");
    let response = service
        .oneshot(request.body(Body::default()).unwrap())
        .await;
    let seen = body(response.unwrap()).await;
    assert_eq!(seen, "http://a.example/asked?q=1&user=ann");
}

#[tokio::test]
async fn what_has_no_room_for_the_authorizers_query_is_denied_though_failures_pass() {
    let settings = Settings {
        fail_open: true,
        ..Settings::default()
    };
    let long = format!("/asked?q={}", "1".repeat(65_520));
    let request = Request::get(long).body(Body::default()).unwrap();
    let response = send(Provider::new(Exchange, settings), request).await;
    assert_eq!(response.status(), 403);
}

/// The question about a request, as the layer puts it.
pub(super) fn check(request: Request<Body>) -> Check {
    let (head, _) = request.into_parts();
    let policies = policies("p");
    let rebuilt = Request::from_parts(head.clone(), ());
    let nowhere = ([0, 0, 0, 0], 0).into();
    let facts = HttpRequest::of(&rebuilt, Connection::new(nowhere, nowhere));
    let Custom::Ask { rule, .. } = policies.custom().evaluate(&facts) else {
        panic!("nobody is asked")
    };
    let scheme = TargetScheme::of(&head.uri, &head.extensions);
    Check {
        method: head.method,
        scheme: scheme.try_into().unwrap(),
        uri: head.uri,
        version: head.version,
        headers: head.headers,
        body: None,
        connection: head.extensions.get().cloned(),
        peer: head.extensions.get().cloned(),
        rule: Arc::clone(rule),
        time: SystemTime::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_failing_server_opens_or_closes() {
    let failing = http_server(|_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
    .await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [failing, closed] {
        for (fields, status) in [
            (json!({}), 403),
            (json!({"statusOnError": "503"}), 503),
            (json!({"failOpen": true, "statusOnError": "503"}), 200),
        ] {
            let response = send(http_provider(address, fields.clone()), asked()).await;
            assert_eq!(response.status(), status, "{fields}");
        }
    }
}

/// Never answers.
struct Silent;

impl Authorize for Silent {
    fn check(&self, _: Check) -> CheckFuture<'_> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_authorizer_is_not_waited_for() {
    let settings = Settings {
        timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let start = tokio::time::Instant::now();
    let response = send(Provider::new(Silent, settings), asked()).await;
    assert_eq!(response.status(), 403);
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let denied = response.extensions().get::<ExtAuthzDenied>().unwrap();
    assert!(
        matches!(denied, ExtAuthzDenied::ProviderFailed(denial) if denial.status == 403),
        "{denied:?}"
    );
}

#[tokio::test]
async fn what_no_rule_matches_is_not_asked_about() {
    let request = Request::get("/free").body(Full::default()).unwrap();
    let response = send(Provider::new(Silent, Settings::default()), request).await;
    assert_eq!(response.status(), 200);
}

/// Has to be ready before it is called; a clone has to become so itself.
#[derive(Debug, Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<PrefixedBody<Body>>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<PrefixedBody<Body>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called before it was ready"
        );
        ready(Ok(Response::new(Full::default())))
    }
}

/// Allows everything.
struct Open;

impl Authorize for Open {
    fn check(&self, _: Check) -> CheckFuture<'_> {
        Box::pin(async { Ok(Answer::allow()) })
    }

    fn check_connection(&self, _: ConnectionCheck) -> CheckFuture<'_> {
        Box::pin(async { Ok(Answer::allow()) })
    }
}

fn denial() -> Denial {
    Denial {
        status: StatusCode::FORBIDDEN,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

/// Denies everything.
struct Shut;

impl Authorize for Shut {
    fn check(&self, _: Check) -> CheckFuture<'_> {
        Box::pin(async { Ok(Answer::Deny(Box::new(denial()))) })
    }

    fn check_connection(&self, _: ConnectionCheck) -> CheckFuture<'_> {
        Box::pin(async { Ok(Answer::Deny(Box::new(denial()))) })
    }
}

#[tokio::test]
async fn no_readiness_is_held_while_a_provider_is_asked() {
    let silent = Provider::new(Silent, Settings::default());
    let layer = ExtAuthzLayer::new(policies("p"), Providers::default().with("p", silent));
    let inner = service_fn(|_: Request<PrefixedBody<Body>>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = layer.layer(ConcurrencyLimit::new(inner, 1));
    let request = |path| Request::get(path).body(Full::default()).unwrap();
    // Not even by the instance that was ready and has been called.
    let mut called = service.clone();
    let mut asked = pin!(called.ready().await.unwrap().call(request("/asked")));
    let is_asked = poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_pending())).await;
    assert!(is_asked);
    let response = service.oneshot(request("/free")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn only_what_is_ready_is_called() {
    let providers = Providers::default().with("p", Provider::new(Open, Settings::default()));
    let layer = ExtAuthzLayer::new(policies("p"), providers);
    let mut service = layer.layer(Strict::default());
    for path in ["/asked", "/free", "/asked"] {
        let request = Request::get(path).body(Full::default()).unwrap();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn requests_for_an_unknown_provider_are_denied() {
    let echo = service_fn(|_: Request<PrefixedBody<Body>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let layer = ExtAuthzLayer::new(policies("p"), Providers::default());
    let service = ServiceBuilder::new().layer(layer).service(echo);
    let response = service.oneshot(asked()).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(body(response).await, "RBAC: access denied");
}

#[tokio::test(start_paused = true)]
async fn a_connection_passes_whom_its_provider_lets_pass() {
    let rule = &check(asked()).rule;
    let name = Arc::from("p");
    let ask = Custom::Ask {
        provider: &name,
        rule,
    };
    let silent = |fail_open| {
        let settings = Settings {
            fail_open,
            ..Settings::default()
        };
        Providers::default().with("p", Provider::new(Silent, settings))
    };
    let open = Providers::default().with("p", Provider::new(Open, Settings::default()));
    let shut = Providers::default().with("p", Provider::new(Shut, Settings::default()));
    let of_rule = ConnectionDenied::Policy(Denied::Rule(Arc::clone(rule)));
    let cases = [
        ("none is asked", Custom::Pass, Providers::default(), Ok(())),
        (
            "there are several",
            Custom::Deny(rule),
            open.clone(),
            Err(of_rule.clone()),
        ),
        ("there is none", ask, Providers::default(), Err(of_rule)),
        ("it allows", ask, open, Ok(())),
        ("it denies", ask, shut, Err(ConnectionDenied::Provider)),
        (
            "it knows requests only",
            ask,
            silent(false),
            Err(ConnectionDenied::ProviderFailed),
        ),
        ("it may fail", ask, silent(true), Ok(())),
    ];
    for (case, custom, providers, expected) in cases {
        let check = ConnectionCheck {
            connection: ConnectionInfo {
                peer: ([10, 0, 0, 1], 1).into(),
                local: ([10, 0, 0, 2], 2).into(),
                tls: None,
            },
            peer: None,
            server_name: None,
        };
        let passes = providers.allow_connection(custom, check).await;
        assert_eq!(passes, expected, "{case}");
    }
}

#[test]
fn a_provider_that_cannot_be_asked_is_refused() {
    let cases = [
        json!({"service": "a b", "port": 1}),
        json!({"service": "a", "port": 1, "pathPrefix": "check"}),
        json!({"service": "a", "port": 1, "includeAdditionalHeadersInCheck": {"a b": "1"}}),
        json!({"service": "a", "port": 1, "headersToUpstreamOnAllow": ["*"]}),
    ];
    for fields in cases {
        let provider = serde_json::from_value(fields.clone()).unwrap();
        assert!(HttpAuthorizer::new(&provider, ()).is_err(), "{fields}");
    }
    let provider = serde_json::from_value(json!({"statusOnError": "no"})).unwrap();
    assert!(Settings::of_http(&provider).is_err());
}
