//! The gateway in the place of a sidecar: connections are captured on their way.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use examples::authority::Authority;
use examples::gateway::{Capture, Gateway, MeshWide};
use mesh_core::model::listener::Direction;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::telemetry::access_log::channel;
use mesh_tls::config::ApplicationProtocol;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

use crate::peers::{Failures, Service, Taking, identity, mesh_authority, mesh_client};
use crate::policies::eventually;
use crate::policies_asked::{documents, entry, mesh as mesh_of};
use crate::policies_traced::{Collector, mesh};
use crate::recorded::line;
use crate::scene::{config_of, settings};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const WEB: &str = "spiffe://cluster.local/ns/web/sa/web";

#[test]
fn strict_takes_mutual_tls_alone() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (sidecar, failures) = inbound(&authority, &service, "STRICT");
    let address = sidecar.captured(0).unwrap();
    assert_eq!(plaintext(address).unwrap(), "");
    assert_eq!(failures.next_of_client(), "plaintext");
    let answer = in_mesh(address, &authority).unwrap();
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
}

#[test]
fn permissive_takes_plaintext_as_well() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (sidecar, _) = inbound(&authority, &service, "PERMISSIVE");
    let address = sidecar.captured(0).unwrap();
    for answer in [plaintext(address), in_mesh(address, &authority)] {
        let answer = answer.unwrap();
        assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
    }
}

#[test]
fn disabled_passes_on_what_comes() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (sidecar, _) = inbound(&authority, &service, "DISABLE");
    let address = sidecar.captured(0).unwrap();
    let answer = plaintext(address).unwrap();
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
    assert!(in_mesh(address, &authority).is_err(), "nobody ends its TLS");
}

#[test]
fn a_port_whose_protocol_is_not_declared_is_looked_at() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (mut gateway, _) = sidecar(&authority, &service);
    let policy = peer_authentication("PERMISSIVE");
    publish(
        &mut gateway,
        &format!("{policy}---{}", kubernetes(&service, "unnamed")),
    );
    let address = gateway.captured(0).unwrap();
    let answer = plaintext(address).unwrap();
    // Envoy's name tells that requests were read, and not bytes copied.
    assert!(answer.contains("server: istio-envoy\r\n"), "{answer}");
    let answer = in_mesh(address, &authority).unwrap();
    assert!(answer.contains("server: istio-envoy\r\n"), "{answer}");
}

#[test]
fn what_the_workload_calls_is_routed() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let mut settings = settings();
    settings.captures = vec![calls()];
    settings.identity = Some(identity(&authority, CART));
    let mut gateway = Gateway::start(settings).unwrap();
    publish(&mut gateway, &users(&service, "http"));
    let answer = ask(gateway.captured(0).unwrap(), "users.example:8080").unwrap();
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
}

#[test]
fn what_the_workload_is_asked_is_recorded_as_by_the_destination() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let mut settings = settings();
    settings.metrics = true;
    settings.captures = vec![captured(&service)];
    settings.identity = Some(identity(&authority, CART));
    let mut gateway = Gateway::start(settings).unwrap();
    let policy = peer_authentication("PERMISSIVE");
    publish(
        &mut gateway,
        &format!("{policy}---{}", kubernetes(&service, "http")),
    );
    in_mesh(gateway.captured(0).unwrap(), &authority).unwrap();
    let metrics = || gateway.metrics().unwrap().encode();
    let text = eventually(metrics, |text| !text.is_empty());
    let source = format!("source_principal=\"{WEB}\"");
    for label in [
        "reporter=\"destination\"",
        "destination_app=\"cart\"",
        "destination_cluster=\"Kubernetes\"",
        "destination_principal=\"spiffe://cluster.local/ns/",
        &source,
    ] {
        assert!(text.contains(label), "{label} in {text}");
    }
    assert!(!text.contains("reporter=\"source\""), "{text}");
}

#[test]
fn each_direction_is_logged_as_telemetry_says_of_it() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let inbound = format!("inbound|{}||", service.address.port());
    let format = json!({"logFormat": {"text": "%UPSTREAM_CLUSTER%"}});
    let mesh = mesh_of(&json!({"name": "mine", "envoyFileAccessLog": format}));
    for protocol in ["http", "tcp"] {
        for (mode, expected) in [
            ("CLIENT", "outbound|8080||users.example"),
            ("SERVER", &inbound),
        ] {
            let (sink, mut lines) = channel(10);
            let mut settings = settings();
            settings.access_log = Some(sink);
            settings.captures = vec![captured(&service), calls()];
            settings.identity = Some(identity(&authority, CART));
            let mut gateway = Gateway::start(settings).unwrap();
            let services = [&*kubernetes(&service, protocol), &users(&service, protocol)];
            let services = documents(&services);
            publish(&mut gateway, &documents(&[&services, &mesh, &logs(mode)]));
            let asked = || plaintext(gateway.captured(0).unwrap()).unwrap();
            let asks = || ask(gateway.captured(1).unwrap(), "users.example:8080").unwrap();
            // The one that is not logged first.
            match mode {
                "CLIENT" => [asked(), asks()],
                _ => [asks(), asked()],
            };
            assert_eq!(line(&mut lines), expected, "{mode} of {protocol}");
        }
    }
}

fn logs(mode: &str) -> String {
    format!(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{ name: all, namespace: istio-system }}
spec: {{ accessLogging: [{{ match: {{ mode: {mode} }}, providers: [{{ name: mine }}] }}] }}
"
    )
}

#[test]
fn spans_of_what_the_workload_is_asked_are_those_of_a_server() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let collector = Collector::default();
    let mut settings = settings();
    settings.captures = vec![captured(&service)];
    settings.identity = Some(identity(&authority, CART));
    let mut gateway = Gateway::start(settings).unwrap();
    let collected = entry("otel.example", collector.start(), "GRPC");
    let others = [&kubernetes(&service, "http"), &collected, &mesh(), SPANS];
    publish(&mut gateway, &documents(&others));
    plaintext(gateway.captured(0).unwrap()).unwrap();
    // What waits is sent when its generation ends.
    publish(&mut gateway, &collected);
    let spans = collector.spans();
    let kinds: Vec<_> = spans.iter().map(|span| span.kind()).collect();
    assert_eq!(kinds, [SpanKind::Server]);
}

const SPANS: &str = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: istio-system }
spec:
  tracing:
  - { match: { mode: CLIENT }, randomSamplingPercentage: 0 }
  - { match: { mode: SERVER }, providers: [{ name: collector }], randomSamplingPercentage: 100 }
";

/// The sidecar of the service.
pub(crate) fn inbound(authority: &Authority, service: &Service, mode: &str) -> (Gateway, Failures) {
    let (mut gateway, failures) = sidecar(authority, service);
    let policy = peer_authentication(mode);
    publish(
        &mut gateway,
        &format!("{policy}---{}", kubernetes(service, "http")),
    );
    (gateway, failures)
}

pub(crate) fn sidecar(authority: &Authority, service: &Service) -> (Gateway, Failures) {
    let (observer, failures) = Failures::observe();
    let mut settings = settings();
    settings.handshakes = Some(observer);
    settings.captures = vec![captured(service)];
    settings.identity = Some(identity(authority, CART));
    (Gateway::start(settings).unwrap(), failures)
}

/// The connections to the service.
fn captured(service: &Service) -> Capture {
    Capture::fixed(
        Direction::Inbound,
        service.address,
        ([127, 0, 0, 1], 0).into(),
    )
}

/// The connections of the workload to `users`.
fn calls() -> Capture {
    Capture::fixed(
        Direction::Outbound,
        "10.1.2.3:8080".parse().unwrap(),
        ([127, 0, 0, 1], 0).into(),
    )
}

/// A service that the workload calls, whose port speaks `protocol`.
fn users(service: &Service, protocol: &str) -> String {
    let (upper, port) = (protocol.to_uppercase(), service.address.port());
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: users, namespace: shop }}
spec:
  hosts: [users.example]
  addresses: [10.1.2.3]
  resolution: STATIC
  ports: [{{ number: 8080, name: {protocol}, protocol: {upper} }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ {protocol}: {port} }} }}]
"
    )
}

pub(crate) fn publish(gateway: &mut Gateway, yaml: &str) {
    let config = config_of(yaml);
    let mut workload = Workload::sidecar("shop").with_label("app", "cart");
    workload.addresses = vec![[127, 0, 0, 1].into()];
    let model = resolve(&config, &workload);
    let warnings = gateway.publish_in(&model, &MeshWide::of(&config)).unwrap();
    assert_eq!(warnings, [""; 0]);
}

pub(crate) fn peer_authentication(mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: shop }}
spec: {{ mtls: {{ mode: {mode} }} }}
"
    )
}

pub(crate) fn kubernetes(service: &Service, port_name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{ name: cart, namespace: shop }}
spec:
  selector: {{ app: cart }}
  ports: [{{ name: {port_name}, port: 80, targetPort: {} }}]
",
        service.address.port()
    )
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n";

fn plaintext(address: SocketAddr) -> io::Result<String> {
    ask(address, "cart")
}

/// The answer; empty if the connection is closed without one.
fn ask(address: SocketAddr, host: &str) -> io::Result<String> {
    let mut client = connect(address)?;
    client.write_all(REQUEST.replace("HOST", host).as_bytes())?;
    let mut answer = String::new();
    match client.read_to_string(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(answer),
        read => read.map(|_| answer),
    }
}

pub(crate) fn in_mesh(address: SocketAddr, authority: &Authority) -> io::Result<String> {
    let tls = mesh_client(identity(authority, WEB), "outbound_.80_._.cart");
    let config = tls.config(ApplicationProtocol::Http1).clone();
    let connection = ClientConnection::new(config, tls.server_name(None).unwrap()).unwrap();
    let mut client = StreamOwned::new(connection, connect(address)?);
    client.write_all(REQUEST.replace("HOST", "cart").as_bytes())?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(client)
}
