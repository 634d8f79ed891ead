//! HTTP/1.1 from end to end.

use crate::scene::{Gateway, PATIENCE, Peer, Upstream};

#[test]
fn a_request_reaches_the_upstream_as_a_gateway_forwards_it() {
    let upstream = Upstream::start(|mut connection| {
        let head = connection.head();
        connection
            .write("HTTP/1.1 200 OK\r\nserver: mine\r\nkeep-alive: 5\r\ncontent-length: 0\r\n\r\n");
        head
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write(
        "GET http://a.example/x/../y HTTP/1.1\r\nhost: b\r\nconnection: x-z\r\nx-z: 1\r\n\r\n",
    );

    let answer = client.head();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nserver: istio-envoy\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nx-envoy-upstream-service-time: "),
        "{answer}"
    );
    assert!(!answer.contains("keep-alive"), "{answer}");

    let head = upstream.finish();
    assert!(
        head.starts_with("GET /y HTTP/1.1\r\nhost: a.example\r\n"),
        "{head}"
    );
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-envoy-external-address: 127.0.0.1",
        "x-envoy-attempt-count: 1",
    ] {
        assert!(
            head.contains(&format!("\r\n{line}\r\n")),
            "{line} in {head}"
        );
    }
    assert!(head.contains("\r\nx-request-id: "), "{head}");
    assert!(!head.contains("x-z"), "{head}");
}

#[test]
fn what_is_refused_does_not_reach_the_upstream() {
    // Nobody is there: what reached it would be answered with 503.
    let gateway = Gateway::default().before_address(([127, 0, 0, 1], 9).into());
    let lines = "a: b\r\n".repeat(100);
    let long = format!("a: {}\r\n", "b".repeat(61 * 1024));
    for (line, headers, status) in [
        ("GET / HTTP/1.0", "host: a\r\n", 426),
        ("GET / HTTP/1.1", "", 400),
        ("GET / HTTP/1.1", "host: a\r\nhost: b\r\n", 400),
        ("GET x HTTP/1.1", "host: a\r\n", 400),
        ("GET /%00 HTTP/1.1", "host: a\r\n", 400),
        ("GET https://a/ HTTP/1.1", "host: a\r\n", 403),
        ("CONNECT a:80 HTTP/1.1", "host: a\r\n", 404),
        (
            "GET / HTTP/1.1",
            "host: a\r\nconnection: upgrade\r\nupgrade: x\r\n",
            403,
        ),
        (
            "GET / HTTP/1.1",
            "host: a\r\nconnection: upgrade\r\nupgrade: h2c, x\r\n",
            403,
        ),
        ("GET / HTTP/1.1", "host: x@a\r\n", 400),
        ("GET / HTTP/1.1", &format!("host: a\r\n{lines}"), 431),
        ("GET / HTTP/1.1", &format!("host: a\r\n{long}"), 431),
    ] {
        let mut client = Peer::connect(gateway.address);
        client.write(&format!("{line}\r\n{headers}\r\n"));
        let answer = client.rest();
        let answered = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(answered, status.to_string(), "{line}: {answer}");
    }
}

#[test]
fn a_response_is_passed_on_while_it_comes() {
    let (first_read, is_read) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        is_read.recv_timeout(PATIENCE).unwrap();
        connection.write("4\r\nlast\r\n0\r\n\r\n");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    client.head();
    assert_eq!(client.exactly(10), "5\r\nfirst\r\n");
    first_read.send(()).unwrap();
    assert_eq!(client.exactly(14), "4\r\nlast\r\n0\r\n\r\n");
    upstream.finish();
}

#[test]
fn a_request_body_is_passed_on_with_its_trailers() {
    let body = "3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        let received = connection.exactly(body.len());
        connection.write("HTTP/1.1 200 OK\r\ntrailer: x-u\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.write("0\r\nx-u: 2\r\n\r\n");
        received
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-t\r\n");
    client.write("transfer-encoding: chunked\r\n\r\n");
    client.write(body);
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.exactly(13), "0\r\nx-u: 2\r\n\r\n");
    assert_eq!(upstream.finish(), body);
}

#[test]
fn trailers_do_not_say_what_headers_may_not() {
    let body = "3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        let received = connection.exactly(body.len());
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        received
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n");
    client.write("trailer: x-t, x-forwarded-client-cert\r\n\r\n3\r\nabc\r\n0\r\n");
    client.write("x-forwarded-client-cert: URI=spiffe://a\r\nx-undeclared: 1\r\nx-t: 1\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(upstream.finish(), body);
}

#[test]
fn a_response_in_another_coding_than_chunked_is_502() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n");
        connection.write("0\r\n\r\n");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    upstream.finish();
}

#[test]
fn the_client_is_told_to_continue_when_the_upstream_says_so() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 100 Continue\r\n\r\n");
        let body = connection.exactly(3);
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        body
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.write("abc");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(upstream.finish(), "abc");
}

#[test]
fn the_client_is_not_told_to_continue_when_the_upstream_refuses() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert!(
        client
            .head()
            .starts_with("HTTP/1.1 417 Expectation Failed\r\n")
    );
    upstream.finish();
}

#[test]
fn an_upgraded_connection_carries_anything_both_ways() {
    let upstream = Upstream::start(|mut connection| {
        let head = connection.head();
        connection.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi");
        assert_eq!(connection.exactly(4), "ping");
        connection.write("pong");
        head
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\r\n");
    let answer = client.head();
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    assert!(answer.contains("upgrade: websocket\r\n"), "{answer}");
    assert_eq!(client.exactly(2), "hi");
    client.write("ping");
    assert_eq!(client.exactly(4), "pong");
    let head = upstream.finish();
    assert!(
        head.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
        "{head}"
    );
}

#[test]
fn an_upstream_may_decline_to_upgrade() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.exactly(2), "no");
    upstream.finish();
}

#[test]
fn an_upstream_that_speaks_http_1_0_is_answered_for_in_http_1_1() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with("D\r\nuntil the end\r\n0\r\n\r\n"),
        "{answer}"
    );
    upstream.finish();
}
