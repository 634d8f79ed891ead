//! Single connections, over a pipe and with a clock that each test moves.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::{Service, service_fn};

use super::connection::Http;
use super::limits::Limits;
use super::open::OpenConnections;
use crate::body::Body;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_without_requests_is_closed_in_time() {
    let (mut client, _open, _serving) = connect(&Limits::default());
    client.write_all(REQUEST).await.unwrap();
    let answered = Instant::now();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    let idle = answered.elapsed().as_secs();
    assert!((3600..=4500).contains(&idle), "{idle}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_with_requests_stays() {
    let (mut client, _open, _serving) = connect(&Limits::default());
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(3000)).await;
        client.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 1024];
        assert_ne!(client.read(&mut answer).await.unwrap(), 0);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_head_that_takes_too_long_ends_the_connection() {
    let (mut client, _open, serving) = connect(&Limits {
        request_headers_timeout: Some(Duration::from_secs(10)),
        ..Limits::default()
    });
    client.write_all(&REQUEST[..20]).await.unwrap();
    let begun = Instant::now();
    serving.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(flavor = "local")]
async fn the_preface_may_come_in_pieces() {
    let (mut client, _open, _serving) = connect(&Limits::default());
    for piece in [
        &b"P"[..],
        b"RI * HTTP/2.0\r\n",
        b"\r\nSM\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0",
    ] {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    client.read_exact(&mut frame).await.unwrap();
    assert_eq!(
        frame[3], 4,
        "the server's SETTINGS come first (RFC 9113 §3.4)"
    );
}

#[tokio::test(flavor = "local")]
async fn what_only_begins_like_the_preface_is_http1() {
    let (mut client, _open, _serving) = connect(&Limits::default());
    client
        .write_all(b"PRINT / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test(flavor = "local")]
async fn pipelined_requests_are_answered_in_order() {
    let (mut client, _open, _serving) = connect(&Limits::default());
    let requests: String = (0..40)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    client.write_all(requests.as_bytes()).await.unwrap();
    let last = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(last).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    let paths: Vec<&str> = answers.split("path: ").skip(1).collect();
    assert_eq!(paths.len(), 41);
    for (n, path) in paths[..40].iter().enumerate() {
        assert!(path.starts_with(&format!("/{n}\r\n")), "{n}: {path}");
    }
}

#[tokio::test(flavor = "local")]
async fn draining_ends_a_connection_that_has_sent_nothing() {
    let (mut client, open, serving) = connect(&Limits::default());
    tokio::task::yield_now().await;
    open.drain();
    open.closed().await;
    serving.await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_comes_while_draining_is_told_to_end() {
    let (_, open, _) = connect(&Limits::default());
    open.drain();
    let listed = open.add();
    let cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(listed.slot.poll_ending(&cx));
}

#[tokio::test(flavor = "local")]
async fn an_upgraded_connection_is_waited_for() {
    let echo = service_fn(|mut request: Request<Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::task::spawn_local(async move {
            let mut upgraded = TokioIo::new(upgrade.await.unwrap());
            let mut byte = [0];
            while upgraded.read(&mut byte).await.is_ok_and(|read| read == 1) {
                upgraded.write_all(&byte).await.unwrap();
            }
        });
        let response = Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "echo");
        Ok::<_, Infallible>(response.body(Body::default()).unwrap())
    });
    let (mut client, open, serving) = connect_to(echo, &Limits::default());
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write_all(request).await.unwrap();
    serving.await.unwrap();

    open.drain();
    let mut closed = pin!(open.closed());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(closed.as_mut().poll(&mut cx).is_pending());
    client.write_all(b"!").await.unwrap();
    let mut received = Vec::new();
    while received.last() != Some(&b'!') {
        received.push(client.read_u8().await.unwrap());
    }
    assert!(closed.as_mut().poll(&mut cx).is_pending());
    drop(client);
    closed.await;
}

/// A client, connected to a service that answers with the path in a header.
fn connect(limits: &Limits) -> (DuplexStream, Rc<OpenConnections>, JoinHandle<()>) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let response = Response::builder().header("path", request.uri().path());
        Ok::<_, Infallible>(response.body(Body::default()).unwrap())
    });
    connect_to(service, limits)
}

/// A client, connected to `service`.
fn connect_to<S>(service: S, limits: &Limits) -> (DuplexStream, Rc<OpenConnections>, JoinHandle<()>)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + 'static,
{
    let (client, server) = tokio::io::duplex(64 * 1024);
    let open = Rc::new(OpenConnections::default());
    let listed = open.add();
    let counted = open.open().expect("it is not waited for");
    let http = Http::new(limits);
    let serving = tokio::task::spawn_local(async move {
        let slot = Rc::clone(&listed.slot);
        http.serve(server, service, (slot, counted)).await;
    });
    let idle = Rc::clone(&open);
    let timeout = limits.idle_timeout;
    tokio::task::spawn_local(async move { idle.close_idle(timeout).await });
    (client, open, serving)
}
