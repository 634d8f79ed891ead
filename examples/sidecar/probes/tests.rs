use std::convert::Infallible;

use ::http::header::{HOST, LOCATION};
use ::http::{HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const PATH: &str = "/app-health/cart/readyz";

#[tokio::test]
async fn http_is_asked_as_the_kubelet_would_ask() {
    let port = application(|request| {
        let host = request.headers().get(HOST).unwrap().to_str().unwrap();
        let agent = request.headers().get("user-agent").unwrap();
        let seen = format!("{} {host} {}", request.uri(), agent.to_str().unwrap());
        (StatusCode::ACCEPTED, HeaderMap::new(), seen)
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("10.0.0.7:15020"));
    headers.insert("user-agent", HeaderValue::from_static("kube-probe/1.33"));
    let get = json!({"httpGet": {"path": "ready?deep", "port": port}});
    let (status, seen) = answer(&get, &headers).await;
    assert_eq!(status, 202);
    assert_eq!(seen, format!("/ready?deep 10.0.0.7:{port} kube-probe/1.33"));
}

#[tokio::test]
async fn a_redirect_within_the_application_is_followed() {
    let port = application(|request| match request.uri().path() {
        "/ready" => (StatusCode::FOUND, location("/slowly"), String::new()),
        path => (StatusCode::OK, HeaderMap::new(), path.to_owned()),
    })
    .await;
    let get = json!({"httpGet": {"path": "/ready", "port": port}});
    let answer = answer(&get, &HeaderMap::new()).await;
    assert_eq!(answer, (200, "/slowly".to_owned()));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_a_good_answer() {
    let port = application(|_| {
        let elsewhere = location("https://login.example/");
        (StatusCode::FOUND, elsewhere, String::new())
    })
    .await;
    let get = json!({"httpGet": {"port": port}});
    assert_eq!(answer(&get, &HeaderMap::new()).await.0, 200);
}

#[tokio::test]
async fn redirects_without_end_are_none() {
    let port = application(|_| (StatusCode::FOUND, location("/"), String::new())).await;
    let get = json!({"httpGet": {"port": port}});
    let (status, why) = answer(&get, &HeaderMap::new()).await;
    assert_eq!(status, 500);
    assert!(why.contains("lead elsewhere"), "{why}");
}

#[tokio::test]
async fn a_port_is_open_or_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = json!({"tcpSocket": {"port": port}, "timeoutSeconds": 5});
    assert_eq!(answer(&socket, &HeaderMap::new()).await.0, 200);
    drop(listener);
    assert_eq!(answer(&socket, &HeaderMap::new()).await.0, 500);
}

#[tokio::test]
async fn grpc_says_whether_it_serves() {
    for (serving, expected) in [(1, 200), (2, 500)] {
        let port = health(serving).await;
        let grpc = json!({"grpc": {"port": port, "service": "cart"}, "timeoutSeconds": 5});
        let (status, why) = answer(&grpc, &HeaderMap::new()).await;
        assert_eq!(status, expected, "{why}");
    }
}

#[tokio::test]
async fn an_application_that_does_not_answer_in_time_is_not_well() {
    // It takes the connection, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let get = json!({"httpGet": {"port": port}, "timeoutSeconds": 1});
    let (status, why) = answer(&get, &HeaderMap::new()).await;
    assert_eq!(status, 500);
    assert!(why.contains("no answer within 1s"), "{why}");
}

#[tokio::test]
async fn a_probe_that_nobody_wrote_is_a_bad_request() {
    let prober = prober(&json!({"tcpSocket": {"port": 1}}));
    let headers = HeaderMap::new();
    let answer = prober.answer("/app-health/cart/livez", &headers).await;
    assert_eq!(answer.status(), 400);
}

/// Status and text of the answer to a probe.
async fn answer(probe: &Value, headers: &HeaderMap) -> (u16, String) {
    let response = prober(probe).answer(PATH, headers).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn prober(probe: &Value) -> Prober {
    Prober {
        application: [127, 0, 0, 1].into(),
        source: None,
        ports: vec![15020],
        probes: json!({ PATH: probe }).to_string().parse().unwrap(),
    }
}

fn location(to: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(to))])
}

/// The port of an application that answers by HTTP.
async fn application(
    answer: impl Fn(&Request<Incoming>) -> (StatusCode, HeaderMap, String) + Copy + Send + 'static,
) -> u16 {
    serve(move |request| {
        let (status, headers, text) = answer(&request);
        let mut response = Response::new(Full::<Bytes>::from(text).boxed());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    })
    .await
}

/// The port of one that answers to `grpc.health.v1.Health/Check` of `cart`.
async fn health(status: u8) -> u16 {
    serve(move |request| {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let trailers = HeaderMap::from_iter([(
            ::http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let message = Full::<Bytes>::from(vec![0, 0, 0, 0, 2, 0x08, status]);
        let body = message.with_trailers(std::future::ready(Some(Ok(trailers))));
        let mut response = Response::new(body.boxed());
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", kind);
        response
    })
    .await
}

type Boxed = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn serve(
    answer: impl Fn(Request<Incoming>) -> Response<Boxed> + Copy + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                // The prober is done when it has its answer.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}
