//! Mirrored requests to a service that does not answer, or not to the end.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::policies::eventually;
use crate::scene::Scene;

const DROPPED: &str = "mesh_mirrored_requests_dropped_total";

/// The service `copies.example`, by `port`.
fn copies(port: u16) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: copies, namespace: shop }}
spec:
  hosts: [copies.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
"
    )
}

/// Whatever is sent to `cart.example` is mirrored to `copies.example`.
fn rules(timeout: &str) -> String {
    format!(
        "
  - timeout: {timeout}
    route: [{{ destination: {{ host: cart.example }} }}]
    mirror: {{ host: copies.example }}
"
    )
}

/// Serves the rules, and gives where the mirrored requests go.
fn mirrored(timeout: &str, policies: &str) -> (Scene, TcpListener) {
    mirrored_by(&rules(timeout), policies)
}

fn mirrored_by(rules: &str, policies: &str) -> (Scene, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut scene = Scene::new("\n  - route: [{ destination: { host: cart.example } }]\n");
    let further = format!("{}{policies}", copies(port));
    assert_eq!(scene.publish(rules, &further), [""; 0]);
    (scene, listener)
}

/// The next connection, on which a request has come.
fn accept(listener: &TcpListener) -> TcpStream {
    accept_head(listener).0
}

/// The same, and the head of the request.
fn accept_head(listener: &TcpListener) -> (TcpStream, String) {
    let (mut copy, _) = listener.accept().unwrap();
    let patience = Some(Duration::from_secs(10));
    copy.set_read_timeout(patience).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        copy.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    (copy, String::from_utf8(head).unwrap())
}

#[test]
fn mirrored_requests_count_for_the_limits_of_their_cluster_and_those_beyond_are_counted() {
    let limit = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: copies, namespace: shop }
spec:
  host: copies.example
  trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } }
";
    let (scene, listener) = mirrored("1h", limit);
    for _ in 0..3 {
        let answer = scene.get("/", "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let _unanswered = accept(&listener);
    let expected = format!("{DROPPED}{{reason=\"circuit_breaker\"}} 2\n");
    let counts = || scene.gateway.statistics().encode();
    let counts = eventually(counts, |text| text.contains(&expected));
    assert!(counts.contains(&expected), "{counts}");
    listener.set_nonblocking(true).unwrap();
    let further = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(further, Err(ErrorKind::WouldBlock));
}

#[test]
fn a_mirrored_request_ends_with_the_time_of_its_route_whether_its_answer_has_begun_or_not() {
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh"] {
        let (scene, listener) = mirrored("200ms", "");
        let answer = scene.get("/", "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let mut copy = accept(&listener);
        copy.write_all(begun.as_bytes()).unwrap();
        let ended = copy.read(&mut [0]);
        assert!(matches!(ended, Ok(0)), "{begun:?}: {ended:?}");
    }
}

#[test]
fn a_mirrored_request_has_the_time_of_its_original_and_nothing_that_is_meant_for_the_router() {
    let steering = "x-envoy-upstream-rq-timeout-ms: '200', x-envoy-retry-on: 5xx, \
                    x-envoy-max-retries: '2', x-envoy-upstream-alt-stat-name: a";
    let headers = format!("    headers: {{ request: {{ set: {{ {steering} }} }} }}\n");
    let (scene, listener) = mirrored_by(&(rules("1h") + &headers), "");
    let answer = scene.get("/", "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (mut copy, head) = accept_head(&listener);
    for name in examples::headers::router::steering() {
        assert!(!head.contains(&format!("\r\n{name}:")), "{head}");
    }
    assert!(
        head.contains("\r\nx-envoy-expected-rq-timeout-ms: 200\r\n"),
        "{head}"
    );
    assert!(matches!(copy.read(&mut [0]), Ok(0)));
}
