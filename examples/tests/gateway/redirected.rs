//! The gateway in the place of a sidecar that connections are redirected to, as netfilter does it: one
//! socket a direction, whatever the connections were made to.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use examples::gateway::{Capture, Destination, Gateway, MeshWide, OriginalDestination};
use mesh_core::model::listener::Direction;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tokio::net::TcpStream as Accepted;

use crate::peers::{Failures, Service, Taking, identity, mesh_authority};
use crate::scene::{ask, config_of, settings};

const CART: &str = "10.1.0.1:8080";
const USERS: &str = "10.1.0.2:8080";

#[test]
fn each_connection_is_served_by_the_listener_of_what_it_was_made_to() {
    let (cart, users) = (tcp("cart"), tcp("users"));
    let mut sidecar = Sidecar::start(Direction::Outbound);
    sidecar.publish(&[entry("cart", CART, cart), entry("users", USERS, users)]);
    assert_eq!(sidecar.read(CART), "cart");
    assert_eq!(sidecar.read(USERS), "users");
}

#[test]
fn what_no_listener_is_for_passes_to_where_it_was_made_to() {
    let elsewhere = tcp("elsewhere");
    let mut sidecar = Sidecar::start(Direction::Outbound);
    sidecar.publish(&[entry("cart", CART, tcp("cart"))]);
    assert_eq!(sidecar.read(&elsewhere.to_string()), "elsewhere");
}

#[test]
fn a_connection_is_served_by_the_listener_of_the_generation_that_it_comes_to() {
    let (old, new) = (tcp("old"), tcp("new"));
    let mut sidecar = Sidecar::start(Direction::Outbound);
    sidecar.publish(&[entry("cart", CART, old)]);
    assert_eq!(sidecar.read(CART), "old");
    // The listeners that come are before the one that stays.
    sidecar.publish(&[
        entry("addresses", "10.0.0.1:8080", tcp("addresses")),
        entry("cart", CART, new),
    ]);
    assert_eq!(sidecar.read(CART), "new");
    assert_eq!(sidecar.read("10.0.0.1:8080"), "addresses");
}

#[test]
fn a_connection_that_stays_keeps_its_listener_while_others_come() {
    let mut sidecar = Sidecar::start(Direction::Outbound);
    sidecar.publish(&[answer("80", "first")]);
    let mut client = sidecar.connect("10.1.0.1:80");
    assert!(ask(&mut client, "/").ends_with("first"));
    // 70 comes before 80.
    sidecar.publish(&[answer("70", "other"), answer("80", "second")]);
    assert!(ask(&mut client, "/").ends_with("second"));
    // Nothing is routed where nothing listens, and the connection remains.
    sidecar.publish(&[answer("70", "other")]);
    let gone = ask(&mut client, "/");
    assert!(gone.starts_with("HTTP/1.1 404 "), "{gone}");
    sidecar.publish(&[answer("60", "another"), answer("80", "third")]);
    assert!(ask(&mut client, "/").ends_with("third"));
}

#[test]
fn the_application_is_called_from_an_address_that_is_not_redirected() {
    let (told, source) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let application = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let _ = told.send(stream.peer_addr().unwrap().ip());
        }
    });
    let mut sidecar = Sidecar::start(Direction::Inbound);
    sidecar.publish(&[]);
    let mut client = sidecar.connect(&application.to_string());
    // What it speaks is waited for, before anybody is called.
    client.write_all(b"hello\r\n").unwrap();
    let source = source.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(source, IpAddr::from([127, 0, 0, 6]));
    drop(client);
}

#[test]
fn a_connection_that_nothing_has_redirected_is_closed() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        let mut sidecar = Sidecar::start(direction);
        sidecar.publish(&[]);
        let mut client = connect(sidecar.address());
        assert_eq!(read(&mut client), "");
        assert_eq!(sidecar.failures.next_of_client(), "not_redirected");
    }
}

#[test]
fn a_connection_whose_destination_the_system_does_not_know_is_closed() {
    let (observer, failures) = Failures::observe();
    let mut settings = settings();
    settings.handshakes = Some(observer);
    settings.captures = vec![Capture::redirected(Direction::Outbound, anywhere())];
    let mut gateway = Gateway::start(settings).unwrap();
    publish(&mut gateway, &[]);
    let mut client = connect(gateway.captured(0).unwrap());
    assert_eq!(read(&mut client), "");
    assert_eq!(failures.next_of_client(), "not_redirected");
}

#[test]
fn a_fixed_capture_of_its_own_address_does_not_come_back() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (observer, failures) = Failures::observe();
    let mut settings = settings();
    settings.handshakes = Some(observer);
    settings.captures = vec![Capture::fixed(Direction::Outbound, address, address)];
    let mut gateway = Gateway::start(settings).unwrap();
    publish(&mut gateway, &[]);
    assert_eq!(read(&mut connect(address)), "");
    assert_eq!(failures.next_of_client(), "not_redirected");
}

#[test]
fn both_kinds_of_captures_are_served_at_once() {
    let service = Service::start(Taking::Plaintext);
    let mut sidecar = Sidecar::start_with(
        Direction::Outbound,
        Some(Capture::fixed(
            Direction::Inbound,
            service.address,
            anywhere(),
        )),
    );
    sidecar.publish(&[answer("80", "called")]);
    let mut client = sidecar.connect("10.1.0.1:80");
    assert!(ask(&mut client, "/").ends_with("called"));
    let mut client = connect(sidecar.gateway.captured(1).unwrap());
    let request = "GET / HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    assert!(read(&mut client).ends_with("HTTP/1.1 plaintext"));
}

/// A sidecar, and what stands for netfilter: it knows by their own addresses where clients connect to.
struct Sidecar {
    gateway: Gateway,
    failures: Failures,
    redirected: Arc<Mutex<BTreeMap<SocketAddr, SocketAddr>>>,
}

impl Sidecar {
    fn start(direction: Direction) -> Self {
        Self::start_with(direction, None)
    }

    fn start_with(direction: Direction, further: Option<Capture>) -> Self {
        let redirected: Arc<Mutex<BTreeMap<SocketAddr, SocketAddr>>> = Arc::default();
        let known = Arc::clone(&redirected);
        let find = move |stream: &Accepted| {
            let known = known.lock().unwrap();
            let destination = known.get(&stream.peer_addr()?).copied();
            // netfilter knows the socket, where it has redirected nothing.
            destination.map_or_else(|| stream.local_addr(), Ok)
        };
        let capture = Capture {
            direction,
            destination: Destination::Original(OriginalDestination::by(find)),
            bind: anywhere(),
        };
        let (observer, failures) = Failures::observe();
        let mut settings = settings();
        settings.handshakes = Some(observer);
        settings.captures = [capture].into_iter().chain(further).collect();
        let cart = "spiffe://cluster.local/ns/shop/sa/cart";
        settings.identity = Some(identity(&mesh_authority(), cart));
        Self {
            gateway: Gateway::start(settings).unwrap(),
            failures,
            redirected,
        }
    }

    fn publish(&mut self, documents: &[String]) {
        publish(&mut self.gateway, documents);
    }

    fn address(&self) -> SocketAddr {
        self.gateway.captured(0).unwrap()
    }

    /// Connects to `destination`, and is redirected.
    fn connect(&self, destination: &str) -> TcpStream {
        // The address is taken before the connection is made, so that it is known when it comes.
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        socket.bind(&anywhere().into()).unwrap();
        let own = socket.local_addr().unwrap().as_socket().unwrap();
        let destination = destination.parse().unwrap();
        self.redirected.lock().unwrap().insert(own, destination);
        socket.connect(&self.address().into()).unwrap();
        let client = TcpStream::from(socket);
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client
    }

    /// What is said at once at `destination`.
    fn read(&self, destination: &str) -> String {
        read(&mut self.connect(destination))
    }
}

fn publish(gateway: &mut Gateway, documents: &[String]) {
    let config = config_of(&documents.join("---"));
    let mut workload = Workload::sidecar("shop").with_label("app", "cart");
    workload.addresses = vec![[127, 0, 0, 1].into()];
    let model = resolve(&config, &workload);
    let warnings = gateway.publish_in(&model, &MeshWide::of(&config)).unwrap();
    assert_eq!(warnings, [""; 0]);
}

/// A service that says its name, and closes.
fn tcp(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(name.as_bytes()));
        }
    });
    address
}

/// A service at an address of the mesh, which is really at `endpoint`.
fn entry(name: &str, address: &str, endpoint: SocketAddr) -> String {
    let (address, port) = address.split_once(':').unwrap();
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [{name}.example]
  addresses: [{address}]
  resolution: STATIC
  ports: [{{ number: {port}, name: tcp, protocol: TCP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ tcp: {} }} }}]
",
        endpoint.port()
    )
}

/// A service on `port` of any address, for which the sidecar answers.
fn answer(port: &str, text: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: shop-{port}, namespace: shop }}
spec:
  hosts: [shop.example]
  resolution: STATIC
  ports: [{{ number: {port}, name: http-{port}, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1 }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop-{port}, namespace: shop }}
spec:
  hosts: [shop.example]
  http:
    - match: [{{ port: {port} }}]
      directResponse: {{ status: 200, body: {{ string: {text} }} }}
"
    )
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
}

/// All that is said; nothing if the connection is closed.
fn read(client: &mut TcpStream) -> String {
    let mut text = String::new();
    match client.read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => text,
    }
}
