//! HTTP/2 on either side.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use examples::local::LocalExecutor;
use examples::serve::Limits;
use examples::upstream::Protocol;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scene::{Gateway, Upstream};

/// A call of gRPC: trailers, over HTTP/2 from end to end.
#[tokio::test(flavor = "local")]
async fn grpc_trailers_pass_from_http2_to_http2() {
    let upstream = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let (stream, _) = upstream.accept().await.unwrap();
        let service = hyper::service::service_fn(answer_with_trailers);
        let http2 = hyper::server::conn::http2::Builder::new(LocalExecutor);
        let _ = http2.serve_connection(TokioIo::new(stream), service).await;
    });
    let gateway = Gateway {
        protocol: Protocol::Http2,
        ..Gateway::default()
    };
    let gateway = gateway.before_address(address);
    let mut client = connect_http2(gateway.address).await;
    let request = Request::post("http://a.example/svc/Method").header("te", "trailers");
    let request = request
        .body(Full::new(Bytes::from_static(b"call")))
        .unwrap();

    let response = client.send_request(request).await.unwrap();

    assert_eq!(response.headers()["server"], "istio-envoy");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "a.example trailers call");
}

async fn answer_with_trailers(
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let te = request.headers()["te"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = format!("{host} {te} {}", String::from_utf8_lossy(&body));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from(body)), Frame::trailers(trailers)];
    let frames = futures_util::stream::iter(frames.map(Ok));
    Ok(Response::new(StreamBody::new(frames)))
}

/// A WebSocket by extended `CONNECT` (RFC 8441) becomes an HTTP/1.1 upgrade.
#[tokio::test(flavor = "local")]
async fn an_http2_websocket_reaches_an_http1_upstream() {
    let upstream = Upstream::start(|mut connection| {
        let head = connection.head();
        connection.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        );
        assert_eq!(connection.exactly(4), "ping");
        connection.write("pong");
        head
    });
    let gateway = Gateway {
        limits: Limits {
            extended_connect: true,
            ..Limits::default()
        },
        ..Gateway::default()
    };
    let gateway = gateway.before(&upstream);
    let mut client = connect_http2(gateway.address).await;
    // Lets the server's settings arrive, which allow what follows.
    let first = Request::options("http://a.example/%00")
        .body(Full::default())
        .unwrap();
    assert_eq!(client.send_request(first).await.unwrap().status(), 400);
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "http://a.example/chat".parse().unwrap();
    let protocol = hyper::ext::Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);

    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"ping").await.unwrap();
    let mut pong = [0; 4];
    tunnel.read_exact(&mut pong).await.unwrap();

    assert_eq!(&pong, b"pong");
    let head = upstream.finish();
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
}

#[tokio::test(flavor = "local")]
async fn http2_clients_reach_http1_upstreams() {
    let upstream = Upstream::start(|mut connection| {
        let head = connection.head();
        connection
            .write("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok");
        head
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = connect_http2(gateway.address).await;
    let request = Request::get("http://a.example/x")
        .body(Full::default())
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "ok"
    );
    let head = upstream.finish();
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: a.example\r\n"), "{head}");
}

/// A client's fault must not be one of the endpoint, which could be ejected for it.
#[tokio::test(flavor = "local")]
async fn a_malformed_body_is_not_blamed_on_an_http2_upstream() {
    let upstream = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let (stream, _) = upstream.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: Request<Incoming>| async {
            request.into_body().collect().await?;
            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
        });
        let http2 = hyper::server::conn::http2::Builder::new(LocalExecutor);
        let _ = http2.serve_connection(TokioIo::new(stream), service).await;
    });
    let gateway = Gateway {
        protocol: Protocol::Http2,
        ..Gateway::default()
    };
    let gateway = gateway.before_address(address);
    let mut client = tokio::net::TcpStream::connect(gateway.address)
        .await
        .unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("reset reason: local reset"), "{answer}");
}

type Http2Client = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn connect_http2(address: SocketAddr) -> Http2Client {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let http2 = hyper::client::conn::http2::Builder::new(LocalExecutor);
    let (client, connection) = http2.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    client
}
