//! Connections that go on in another protocol.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::policies::eventually;
use crate::scene::Scene;

const OFFER: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\
                     connection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[test]
fn a_websocket_counts_as_a_request_until_it_is_closed() {
    let port = switching();
    let mut scene = Scene::new("\n  - directResponse: { status: 200 }\n");
    let service = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: chat, namespace: shop }}
spec:
  hosts: [chat.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: chat, namespace: shop }}
spec:
  host: chat.example
  trafficPolicy: {{ connectionPool: {{ http: {{ http2MaxRequests: 1 }} }} }}
"
    );
    let rule = "\n  - route: [{ destination: { host: chat.example } }]\n";
    assert_eq!(scene.publish(rule, &service), [""; 0]);

    let (chat, head) = offer(&scene);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (_, head) = offer(&scene);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nx-envoy-overloaded: true\r\n"), "{head}");

    drop(chat);
    let switched = |head: &String| head.starts_with("HTTP/1.1 101 ");
    let head = eventually(|| offer(&scene).1, switched);
    assert!(switched(&head), "{head}");
}

/// Offers the gateway to switch; the head of its answer.
fn offer(scene: &Scene) -> (TcpStream, String) {
    let mut client = scene.connect();
    client.write_all(OFFER.as_bytes()).unwrap();
    let head = head(&mut client);
    (client, head)
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    head
}

/// A server that switches whenever it is asked to, and listens until the client closes. Its port.
fn switching() -> u16 {
    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
                            connection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                head(&mut stream);
                stream.write_all(ANSWER).unwrap();
                // It ends when the gateway ends it, in whatever way.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}
