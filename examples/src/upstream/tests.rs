//! Requests to real sockets, whose other end each test plays itself.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use mesh_core::attributes::ResponseFlag;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

mod kept;

type Outbound = UnsyncBoxBody<Bytes, io::Error>;

#[tokio::test(flavor = "local")]
async fn a_connection_is_used_again() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        for path in ["/1", "/2"] {
            assert!(
                connection
                    .head()
                    .await
                    .starts_with(&format!("GET {path} HTTP/1.1\r\n"))
            );
            connection
                .write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    };
    let ask = async {
        for path in ["/1", "/2"] {
            let response = pool.send(&endpoint, get(path)).await.unwrap();
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                "ok"
            );
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn a_body_that_is_not_read_to_its_end_costs_the_connection() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut first = upstream.accept().await;
        first.head().await;
        first
            .write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        assert_eq!(first.read_to_end().await, "", "nothing more is sent on it");
        let mut second = upstream.accept().await;
        second.head().await;
        second.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let ask = async {
        drop(pool.send(&endpoint, get("/")).await.unwrap());
        let response = pool.send(&endpoint, get("/")).await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_closed_while_idle_is_replaced() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (closed, mut is_closed) = mpsc::channel::<()>(1);
    let serve = async {
        let mut first = upstream.accept().await;
        first.head().await;
        first
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        drop(first);
        drop(closed);
        let mut second = upstream.accept().await;
        assert!(second.head().await.starts_with("POST /2 "));
        assert_eq!(second.read_exact(4).await, "body");
        second
            .write("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        pool.send(&endpoint, get("/1")).await.unwrap();
        assert!(is_closed.recv().await.is_none());
        // Lets the runtime hear of it.
        tokio::task::yield_now().await;
        let request = post("/2", full("body"));
        let response = pool.send(&endpoint, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn a_request_that_was_written_is_not_sent_again() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        drop(connection);
    };
    let ask = async {
        let error = pool.send(&endpoint, get("/")).await.unwrap_err();
        assert_eq!(
            error.response_flag(),
            Some(ResponseFlag::UpstreamConnectionTermination)
        );
        let body = error
            .to_response()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(
            body,
            "upstream connect error or disconnect/reset before headers. \
             reset reason: connection termination"
        );
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn what_is_not_http_is_a_protocol_error() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        connection.write("nonsense\r\n\r\n").await;
    };
    let ask = async {
        let error = pool.send(&endpoint, get("/")).await.unwrap_err();
        assert_eq!(
            (error.status(), error.response_flag()),
            (
                StatusCode::BAD_GATEWAY,
                Some(ResponseFlag::UpstreamProtocolError)
            )
        );
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn nobody_listening_is_a_connect_failure() {
    let (upstream, endpoint) = Upstream::listen().await;
    drop(upstream);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let endpoint = Endpoint::at(endpoint.address.clone(), protocol);
        let pool = Pool::new(PoolSettings::default());
        let error = pool
            .send(&endpoint, get("http://a.example/"))
            .await
            .unwrap_err();
        assert!(matches!(error, UpstreamError::Connect(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn request_bodies_are_framed_whatever_the_method() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        assert!(
            connection
                .head()
                .await
                .contains("transfer-encoding: chunked\r\n")
        );
        let body = "3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(connection.read_exact(body.len()).await, body);
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        let (body, stream) = channel();
        body.send(Ok(Frame::data(Bytes::from_static(b"abc"))))
            .unwrap();
        drop(body);
        let request = Request::get("/").body(stream).unwrap();
        pool.send(&endpoint, request).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn an_absolute_form_becomes_origin_form() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        let head = connection.head().await;
        assert!(
            head.starts_with("GET /x?y HTTP/1.1\r\nhost: b.example:81\r\n"),
            "{head}"
        );
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        let request = get("http://b.example:81/x?y");
        pool.send(&endpoint, request).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn the_body_waits_for_the_upstream_to_ask_for_it() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (body, stream) = channel();
    let serve = async {
        let mut connection = upstream.accept().await;
        assert!(connection.head().await.contains("expect: 100-continue\r\n"));
        body.send(Ok(Frame::data(Bytes::from_static(b"abc"))))
            .unwrap();
        assert!(connection.has_nothing_to_read(), "the body is held back");
        connection.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(connection.read_exact(3).await, "abc");
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        let mut request = post("/", stream);
        request
            .headers_mut()
            .insert("expect", "100-continue".parse().unwrap());
        request
            .headers_mut()
            .insert("content-length", "3".parse().unwrap());
        let response = pool.send(&endpoint, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_does_not_know_the_expectation_gets_the_body_anyway() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        assert_eq!(connection.read_exact(3).await, "abc");
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        let mut request = post("/", full("abc"));
        request
            .headers_mut()
            .insert("expect", "100-continue".parse().unwrap());
        pool.send(&endpoint, request).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn a_client_may_write_on_after_the_response_has_begun() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (body, stream) = channel();
    let (received, mut all_received) = mpsc::channel::<()>(1);
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        connection.write(head).await;
        assert_eq!(connection.read_exact(13).await, "3\r\nabc\r\n0\r\n\r\n");
        received.send(()).await.unwrap();
        connection.write("end").await;
    };
    let ask = async {
        let response = pool.send(&endpoint, post("/", stream)).await.unwrap();
        body.send(Ok(Frame::data(Bytes::from_static(b"abc"))))
            .unwrap();
        drop(body);
        // Nobody polls the body of the response meanwhile.
        assert!(all_received.recv().await.is_some());
        let end = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(end, "end");
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_writes_on_is_not_waited_for_when_the_response_is_over() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (sender, body) = channel();
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        // More than any socket holds, of which nothing is read.
        let more = Bytes::from(vec![0; 64 << 20]);
        sender.send(Ok(Frame::data(more))).unwrap();
        connection
    };
    let ask = async {
        let response = pool.send(&endpoint, post("/", body)).await.unwrap();
        response.into_body()
    };
    let (_connection, body) = tokio::join!(serve, ask);
    tokio::task::yield_now().await;
    assert!(!sender.is_closed(), "the request is still being sent");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
    sender.closed().await;
}

#[tokio::test(flavor = "local")]
async fn trailers_are_passed_on() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let serve = async {
        let mut connection = upstream.accept().await;
        connection.head().await;
        let head = "HTTP/1.1 200 OK\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.write(head).await;
        connection.write("3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n").await;
        connection.head().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let ask = async {
        let response = pool.send(&endpoint, get("/")).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-t"], "1");
        // The connection is free again.
        pool.send(&endpoint, get("/")).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local")]
async fn http2_requests_share_a_connection() {
    let (upstream, endpoint) = Upstream::listen().await;
    let endpoint = Endpoint::at(endpoint.address, Protocol::Http2);
    tokio::task::spawn_local(async move {
        let stream = upstream.accept().await.stream;
        let echo =
            hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                let name = request.uri().to_string();
                Ok::<_, io::Error>(http::Response::new(full(name)))
            });
        let io = hyper_util::rt::TokioIo::new(stream);
        let http2 = hyper::server::conn::http2::Builder::new(crate::local::LocalExecutor);
        http2.serve_connection(io, echo).await.unwrap();
    });
    let pool = Pool::new(PoolSettings::default());
    let ask = |path: &'static str| {
        let mut request = get(path);
        request
            .headers_mut()
            .insert("host", "a.example".parse().unwrap());
        let response = pool.send(&endpoint, request);
        async move {
            let body = response.await.unwrap().into_body();
            body.collect().await.unwrap().to_bytes()
        }
    };
    let (first, second) = tokio::join!(ask("/1"), ask("/2"));
    assert_eq!(first, "http://a.example/1");
    assert_eq!(second, "http://a.example/2");
}

struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    async fn listen() -> (Self, Endpoint) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = Endpoint::new(listener.local_addr().unwrap(), Protocol::Http1);
        (Self { listener }, endpoint)
    }

    async fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().await.unwrap();
        Connection { stream }
    }
}

struct Connection {
    stream: TcpStream,
}

impl Connection {
    async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(self.stream.read_u8().await.unwrap()));
        }
        head
    }

    async fn read_exact(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    async fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        // A connection that is given up with something unread is reset.
        let _ = self.stream.read_to_string(&mut text).await;
        text
    }

    fn has_nothing_to_read(&self) -> bool {
        let error = self.stream.try_read(&mut [0]).unwrap_err();
        error.kind() == io::ErrorKind::WouldBlock
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }
}

fn get(uri: &str) -> Request<Outbound> {
    let empty = Empty::new().map_err(|never| match never {});
    Request::get(uri).body(empty.boxed_unsync()).unwrap()
}

fn post(uri: &str, body: Outbound) -> Request<Outbound> {
    let request = Request::builder().method(Method::POST).uri(uri);
    request.body(body).unwrap()
}

fn full(text: impl Into<Bytes>) -> Outbound {
    let full = Full::new(text.into()).map_err(|never| match never {});
    full.boxed_unsync()
}

type Sender = mpsc::UnboundedSender<io::Result<Frame<Bytes>>>;

/// A body of which the test decides when it has what.
fn channel() -> (Sender, Outbound) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(frames).boxed_unsync())
}
