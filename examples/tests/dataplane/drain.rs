//! Listeners and workers that come to their end.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::scene::{Gateway, PATIENCE, Peer, Upstream};

#[test]
fn draining_finishes_what_is_in_flight() {
    let (drain, draining) = std::sync::mpsc::channel();
    let (idle_closed, is_closed) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        drain.send(()).unwrap();
        is_closed.recv_timeout(PATIENCE).unwrap();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    let gateway = Gateway::default().before(&upstream);
    let address = gateway.address;
    let mut idle = Peer::connect(address);
    let mut client = Peer::connect(address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    draining.recv_timeout(PATIENCE).unwrap();
    let idle = thread::spawn(move || {
        let rest = idle.rest();
        idle_closed.send(()).unwrap();
        rest
    });

    assert!(
        gateway.workers.drain(PATIENCE),
        "all connections are closed"
    );

    let answer = client.rest();
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(idle.join().unwrap(), "");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    upstream.finish();
}

#[test]
fn draining_ends_at_its_deadline() {
    let (drain, draining) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        drain.send(()).unwrap();
        // Never answers, and ends with the gateway's connection.
        connection.rest();
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    draining.recv_timeout(PATIENCE).unwrap();
    assert!(!gateway.workers.drain(Duration::from_millis(10)));
    upstream.finish();
}

#[test]
fn connections_outlive_their_listener() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        connection.head();
        connection.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    gateway.workers.unlisten(0);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 204"));
    upstream.finish();
}
