//! Whose a connection is, where its other end speaks for another (the PROXY protocol).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use examples::gateway::Gateway;
use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
use mesh_discovery::proxy_protocol::{Decoded, Header, Limits, decode, encode};
use mesh_policy::telemetry::access_log::channel;
use mesh_tls::diagnose::Side;
use tokio::runtime::Builder;

use crate::front::RULE;
use crate::scene::{Scene, ask, publish, settings};

const CART: &str = "
  - route: [{ destination: { host: cart.example } }]
    retries: { attempts: 0 }
";

/// Balancers before the gateway say whose connections are.
const TOPOLOGY: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    defaultConfig: { gatewayTopology: { proxyProtocol: {} } }
";

const VERSIONS: [ProxyProtocolVersion; 2] = [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2];

#[test]
fn a_client_is_who_the_balancer_says() {
    let (sink, mut lines) = channel(10);
    let mut settings = settings();
    (settings.access_log, settings.log_all) = (Some(sink), true);
    let mut scene = Scene::new(CART);
    scene.gateway = Gateway::start(settings).unwrap();
    assert_eq!(scene.publish(CART, TOPOLOGY), [""; 0]);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    for version in VERSIONS {
        let mut client = scene.connect();
        client.write_all(&encode(version, &header())).unwrap();
        let answer = echoed(&mut client);
        assert!(
            answer.contains("\r\nx-seen: 192.0.2.1\r\n"),
            "{version:?}: {answer}"
        );
        let line = async { tokio::time::timeout(PATIENCE, lines.recv()).await };
        let line = runtime.block_on(line).unwrap().unwrap();
        let line = String::from_utf8(line.to_vec()).unwrap();
        assert!(line.contains(" 192.0.2.9:443 192.0.2.1:1000 "), "{line}");
    }
}

#[test]
fn policies_are_about_who_the_balancer_says() {
    let mut scene = Scene::new(CART);
    let policy = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: known, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  rules: [{ from: [{ source: { ipBlocks: [192.0.2.0/24] } }] }]
";
    let further = format!("{TOPOLOGY}---{policy}");
    assert_eq!(scene.publish(CART, &further), [""; 0]);
    for (client, status) in [("192.0.2.1:1", "200"), ("198.51.100.1:1", "403")] {
        let header = Header::tcp(client.parse().unwrap(), header().tcp_addresses().unwrap().1);
        let mut connection = scene.connect();
        let header = encode(ProxyProtocolVersion::V1, &header);
        connection.write_all(&header).unwrap();
        let answer = ask(&mut connection, "/");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[test]
fn a_client_without_a_balancer_is_refused() {
    let mut scene = Scene::new(CART);
    assert_eq!(scene.publish(CART, TOPOLOGY), [""; 0]);
    let mut client = scene.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // What was not read resets the connection.
    let _ = client.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    let handshakes = scene.gateway.handshakes();
    assert_eq!(handshakes.count(Side::Server, "proxy_protocol"), 1);
}

#[test]
fn a_gateway_that_expects_no_balancer_takes_its_header_for_nonsense() {
    let scene = Scene::new(CART);
    let mut client = scene.connect();
    let header = encode(ProxyProtocolVersion::V1, &header());
    client.write_all(&header).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_service_is_told_whose_a_connection_is() {
    for (version, written) in VERSIONS.iter().zip(["V1", "V2"]) {
        let service = Told::start();
        let mut scene = Scene::new(CART);
        scene.service = service.address;
        let rule = format!("{RULE}    proxyProtocol: {{ version: {written} }}\n");
        assert_eq!(scene.publish(CART, &rule), [""; 0]);
        let gateway = scene.gateway.address(80).unwrap();
        for _ in 0..2 {
            let mut client = scene.connect();
            let own = client.local_addr().unwrap();
            // The connection is kept for this client, and for no other.
            for _ in 0..2 {
                let answer = ask(&mut client, "/");
                let expected = format!("{version:?} {own} {gateway}");
                assert!(answer.ends_with(&expected), "{answer}");
            }
        }
    }
}

#[test]
fn a_service_is_told_who_the_balancer_says() {
    let service = Told::start();
    let mut scene = Scene::new(CART);
    scene.service = service.address;
    let rule = format!("{TOPOLOGY}---{RULE}    proxyProtocol: {{}}\n");
    assert_eq!(scene.publish(CART, &rule), [""; 0]);
    let mut client = scene.connect();
    let header = encode(ProxyProtocolVersion::V2, &header());
    client.write_all(&header).unwrap();
    let answer = ask(&mut client, "/");
    assert!(
        answer.ends_with("V1 192.0.2.1:1000 192.0.2.9:443"),
        "{answer}"
    );
}

#[test]
fn bytes_that_are_no_http_begin_with_whose_they_are() {
    let service = Told::start();
    let port = service.address.port();
    let yaml = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers: [{{ port: {{ number: 443, name: tcp, protocol: TCP }}, hosts: ['*'] }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*']
  gateways: [shop]
  tcp: [{{ route: [{{ destination: {{ host: cart.example }} }}] }}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  resolution: STATIC
  ports: [{{ number: 80, name: tcp, protocol: TCP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ tcp: {port} }} }}]
---{RULE}    proxyProtocol: {{ version: V2 }}
"
    );
    let mut gateway = Gateway::start(settings()).unwrap();
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);
    let address = gateway.address(443).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let own = client.local_addr().unwrap();
    let answer = ask(&mut client, "/");
    assert!(answer.ends_with(&format!("V2 {own} {address}")), "{answer}");
}

/// How long is waited for what has to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A balancer's client.
fn header() -> Header {
    let (client, balancer): (SocketAddr, SocketAddr) =
        (([192, 0, 2, 1], 1000).into(), ([192, 0, 2, 9], 443).into());
    Header::tcp(client, balancer)
}

/// The answer to a request whose `x-forwarded-for` the service has seen.
fn echoed(client: &mut TcpStream) -> String {
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\nx-echo: x-forwarded-for\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    crate::scene::read(client)
}

/// A service that answers each request with the header that its connection began with.
struct Told {
    address: SocketAddr,
}

impl Told {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                thread::spawn(move || serve(connection));
            }
        });
        Self { address }
    }
}

fn serve(mut connection: TcpStream) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1024]);
    let mut told = None;
    // Until the gateway closes it.
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..length]);
        if told.is_none() {
            told = take_header(&mut bytes);
        }
        if told.is_some() && bytes.ends_with(b"\r\n\r\n") {
            bytes.clear();
            let told = told.as_deref().unwrap();
            let length = told.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{told}");
            connection.write_all(answer.as_bytes()).unwrap();
        }
    }
}

/// Takes the header off, if it is there, and says what is in it.
fn take_header(bytes: &mut Vec<u8>) -> Option<String> {
    let version = match bytes.starts_with(b"PROXY") {
        true => ProxyProtocolVersion::V1,
        false => ProxyProtocolVersion::V2,
    };
    let Decoded::Header { header, length } = decode(bytes, &Limits::default()).unwrap() else {
        return None;
    };
    bytes.drain(..length);
    let (client, destination) = header.tcp_addresses().unwrap();
    Some(format!("{version:?} {client} {destination}"))
}
