//! Connections that carry no HTTP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use examples::gateway::Gateway;
use mesh_policy::telemetry::access_log::{LogLines, channel};
use mesh_tls::config::ApplicationProtocol;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::peers::{
    Failures, Hosts, Service, Taking, identity, in_mesh, mesh_authority, mesh_client,
};
use crate::policies_asked::config_map;
use crate::scene::{publish, settings};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/ingress";

pub(crate) const SERVER: &str = "port: { number: 443, name: tcp, protocol: TCP }\n    hosts: ['*']";

#[test]
fn ports_that_nothing_declares_are_known() {
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE)]);
    assert_eq!(gateway.undeclared().collect::<Vec<u16>>(), [80]);
}

#[test]
fn bytes_go_both_ways_until_both_sides_are_done() {
    let backend = Backend::start("");
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &backend.yaml("db")]);
    let mut client = connect(&gateway);
    client.write_all(b"question").unwrap();
    // The client has said everything, and is answered after that.
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), "got question");
}

#[test]
fn a_server_may_speak_first() {
    let backend = Backend::start("220 ready\r\n");
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &backend.yaml("db")]);
    let mut client = connect(&gateway);
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
}

#[test]
fn connections_are_divided_by_weight() {
    let (backend, other) = (Backend::start("a"), Backend::start("b"));
    let routes = "
  tcp:
  - route:
    - { destination: { host: db.example }, weight: 0 }
    - { destination: { host: other.example }, weight: 100 }
";
    let gateway = serve(&[
        &yaml(SERVER, routes),
        &backend.yaml("db"),
        &other.yaml("other"),
    ]);
    for _ in 0..10 {
        let mut client = connect(&gateway);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), "bgot ");
    }
}

#[test]
fn a_client_stays_with_its_endpoint_where_addresses_are_hashed() {
    let (one, other) = (Backend::start("a"), Backend::start("b"));
    let rule = rule("loadBalancer: { consistentHash: { useSourceIp: true } }");
    let both = entry_of("db", &[one.address, other.address]);
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &both, &rule]);
    let greetings = [(); 20].map(|()| {
        let mut greeting = [0];
        connect(&gateway).read_exact(&mut greeting).unwrap();
        greeting
    });
    assert_eq!(greetings, [greetings[0]; 20]);
}

#[test]
fn an_endpoint_that_is_not_reached_is_ejected() {
    let backend = Backend::start("a");
    let ejecting = "outlierDetection: { consecutive5xxErrors: 1, maxEjectionPercent: 100, \
                    baseEjectionTime: 600s }, loadBalancer: { simple: ROUND_ROBIN }";
    let both = entry_of("db", &[closed(), backend.address]);
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &both, &rule(ejecting)]);
    let reached = [(); 10].map(|()| connect(&gateway).read_exact(&mut [0]).is_ok());
    let failed = reached.iter().filter(|is_reached| !**is_reached).count();
    assert_eq!(failed, 1, "{reached:?}");
}

#[test]
fn a_connection_that_is_silent_or_lasts_for_too_long_is_closed() {
    for limit in ["idleTimeout", "maxConnectionDuration"] {
        let backend = Backend::start("");
        let rule = rule(&format!("connectionPool: {{ tcp: {{ {limit}: 200ms }} }}"));
        let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &backend.yaml("db"), &rule]);
        let mut client = connect(&gateway);
        client.write_all(b"a").unwrap();
        // Neither side ends it, and by default silence may last an hour.
        assert_eq!(rest(&mut client), "", "{limit}");
    }
}

#[test]
fn a_connection_that_a_policy_denies_is_closed() {
    let backend = Backend::start("220 ready");
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &backend.yaml("db"), DENY]);
    assert_eq!(rest(&mut connect(&gateway)), "");
}

#[test]
fn a_connection_to_nobody_is_closed() {
    let gateway = serve(&[&yaml(SERVER, TCP_ROUTE), &entry("db", closed())]);
    assert_eq!(rest(&mut connect(&gateway)), "");
}

#[test]
fn connections_and_bytes_are_counted() {
    let backend = Backend::start("");
    let mut settings = settings();
    settings.metrics = true;
    let mut gateway = Gateway::start(settings).unwrap();
    let yaml = format!("{}---{}", yaml(SERVER, TCP_ROUTE), backend.yaml("db"));
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);
    let mut client = connect(&gateway);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), "got question");
    let text = gateway.metrics().unwrap().encode();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    assert_eq!(
        value("istio_tcp_connections_opened_total{"),
        Some(1),
        "{text}"
    );
    assert_eq!(value("istio_tcp_received_bytes_total{"), Some(8), "{text}");
    assert_eq!(value("istio_tcp_sent_bytes_total{"), Some(12), "{text}");
}

#[test]
fn connections_that_reach_nobody_are_counted_with_the_flags_that_say_why() {
    let backend = Backend::start("");
    let (routes, db) = (yaml(SERVER, TCP_ROUTE), backend.yaml("db"));
    let (nobody, closed) = (entry("db", closed()), entry("db", closed()));
    let nobody = nobody.split("  endpoints:").next().unwrap();
    for (documents, flags) in [
        (&[&*routes, &*db, DENY][..], "-"),
        (&[&*routes, &*closed], "UF,URX"),
        (&[&*routes, nobody], "UH"),
    ] {
        let hang = |gateway: &Gateway| assert_eq!(rest(&mut connect(gateway)), "");
        let (_, gateway) = recorded(documents, "%RESPONSE_FLAGS%", hang);
        let text = gateway.metrics().unwrap().encode();
        for metric in ["opened", "closed"] {
            let name = format!("istio_tcp_connections_{metric}_total{{");
            let mut lines = text.lines();
            let line = lines.find(|line| line.starts_with(&name)).unwrap();
            let label = format!("response_flags=\"{flags}\"");
            assert!(line.contains(&label) && line.ends_with(" 1"), "{text}");
        }
    }
}

/// The line that a gateway of `documents` logs of a connection, after `speak` has used it.
fn logged(documents: &[&str], format: &str, speak: impl FnOnce(&Gateway)) -> String {
    recorded(documents, format, speak).0
}

/// The same, and the gateway, which has counted the connection by then.
fn recorded(documents: &[&str], format: &str, speak: impl FnOnce(&Gateway)) -> (String, Gateway) {
    recorded_in(json!({}), documents, format, speak)
}

/// The same with these settings of the mesh.
fn recorded_in(
    mut mesh: Value,
    documents: &[&str],
    format: &str,
    speak: impl FnOnce(&Gateway),
) -> (String, Gateway) {
    let (sink, mut lines) = channel(10);
    let mut settings = settings();
    settings.access_log = Some(sink);
    settings.metrics = true;
    mesh["accessLogFile"] = "/dev/stdout".into();
    mesh["accessLogFormat"] = format!("{format}\n").into();
    let mut gateway = Gateway::start(settings).unwrap();
    let documents = [&documents.join("---"), "---", &config_map(&mesh)].concat();
    assert_eq!(publish(&mut gateway, &documents), [""; 0]);
    speak(&gateway);
    (next_line(&mut lines), gateway)
}

/// The next line of a log.
pub(crate) fn next_line(lines: &mut LogLines) -> String {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let line = async { tokio::time::timeout(Duration::from_secs(20), lines.recv()).await };
    let line = runtime.block_on(line).unwrap().unwrap();
    let line = String::from_utf8(line.to_vec()).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_connection_is_logged_when_it_has_ended() {
    const FORMAT: &str = "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% \
        %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON% %BYTES_RECEIVED% \
        %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%";
    let backend = Backend::start("");
    let (routes, db) = (yaml(SERVER, TCP_ROUTE), backend.yaml("db"));
    let (cluster, address) = ("outbound|80||db.example", backend.address);
    let line = logged(&[&routes, &db], FORMAT, |gateway| {
        let mut client = connect(gateway);
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), "got question");
    });
    assert_eq!(line, format!("- 0 - - - 8 12 {cluster} {address}"));

    let hang = |gateway: &Gateway| assert_eq!(rest(&mut connect(gateway)), "");
    let short = rule("connectionPool: { tcp: { maxConnectionDuration: 200ms } }");
    let line = logged(&[&routes, &db, &short], FORMAT, hang);
    assert_eq!(line, format!("- 0 DT - - 0 0 {cluster} {address}"));

    let line = logged(&[&routes, &db, DENY], FORMAT, hang);
    let denied = "rbac_access_denied_matched_policy[ns[istio-system]-policy[nobody]-rule[0]]";
    assert_eq!(line, format!("- 0 - {denied} - 0 0 {cluster} -"));

    let closed = closed();
    let line = logged(&[&routes, &entry("db", closed)], FORMAT, hang);
    let why = "delayed_connect_error:_Connection_refused";
    assert_eq!(line, format!("- 0 UF,URX - {why} 0 0 {cluster} {closed}"));

    let nobody = entry("db", closed);
    let nobody = nobody.split("  endpoints:").next().unwrap();
    let line = logged(&[&routes, nobody], FORMAT, hang);
    assert_eq!(line, format!("- 0 UH - - 0 0 {cluster} -"));

    let full = rule("connectionPool: { tcp: { maxConnections: 1 } }");
    let greeting = Backend::start("hello");
    let line = logged(&[&routes, &greeting.yaml("db"), &full], FORMAT, |gateway| {
        let mut first = connect(gateway);
        // It has been connected to the backend before there is another.
        first.read_exact(&mut [0; 5]).unwrap();
        hang(gateway);
    });
    assert_eq!(line, format!("- 0 UO - - 0 0 {cluster} -"));
}

#[test]
fn the_log_names_the_server_that_tls_asks_for_where_it_is_passed_on() {
    const FORMAT: &str = "%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %RESPONSE_FLAGS% \
        %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER%";
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("db.example", false)));
    let (server, db) = (yaml(PASSTHROUGH, SNI_ROUTE), entry("db", service.address));
    for (name, expected) in [
        ("db.example", "db.example - - - outbound|80||db.example"),
        // As Envoy logs what no filter chain takes.
        (
            "other.example",
            "other.example - NR filter_chain_not_found -",
        ),
    ] {
        let line = logged(&[&server, &db], FORMAT, |gateway| {
            drop(ask(gateway, &hosts.pem(), name));
        });
        assert_eq!(line, expected);
    }
}

#[test]
fn plaintext_where_all_chains_take_tls_is_logged_as_what_no_chain_takes() {
    const FORMAT: &str = "%REQUESTED_SERVER_NAME% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%";
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("db.example", false)));
    let (server, db) = (yaml(PASSTHROUGH, SNI_ROUTE), entry("db", service.address));
    let line = logged(&[&server, &db], FORMAT, |gateway| {
        let mut client = connect(gateway);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(rest(&mut client), "");
    });
    assert_eq!(line, "- NR filter_chain_not_found");
}

#[test]
fn connections_that_no_chain_takes_are_not_logged_where_the_mesh_says_so() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("db.example", false)));
    let (server, db) = (yaml(PASSTHROUGH, SNI_ROUTE), entry("db", service.address));
    let quiet = json!({"disableEnvoyListenerLog": true});
    let speak = |gateway: &Gateway| {
        drop(ask(gateway, &hosts.pem(), "other.example"));
        drop(ask(gateway, &hosts.pem(), "db.example"));
    };
    let format = "%REQUESTED_SERVER_NAME%";
    let (line, _) = recorded_in(quiet, &[&server, &db], format, speak);
    assert_eq!(line, "db.example");
}

#[test]
fn tls_is_passed_on_by_its_server_name() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("db.example", false)));
    let (observer, failures) = Failures::observe();
    let mut settings = settings();
    settings.handshakes = Some(observer);
    let mut gateway = Gateway::start(settings).unwrap();
    let yaml = [yaml(PASSTHROUGH, SNI_ROUTE), entry("db", service.address)].join("---");
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);
    let answer = ask(&gateway, &hosts.pem(), "db.example").unwrap();
    assert!(
        answer.ends_with("HTTP/1.1 sni=db.example alpn=- peer=0"),
        "{answer}"
    );

    assert!(ask(&gateway, &hosts.pem(), "other.example").is_err());
    assert_eq!(failures.next_of_client(), "no_filter_chain");
    assert_eq!(service.connections(), 1);
}

#[test]
fn tls_is_passed_on_to_the_host_that_its_server_name_is() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("db.localhost", false)));
    let port = service.address.port();
    let server = "port: { number: 443, name: tls, protocol: TLS }\n    hosts: ['*']\n    \
                  tls: { mode: PASSTHROUGH }";
    // The route takes more than the service is for.
    let routes = format!(
        "
  tls:
  - match: [{{ sniHosts: ['*'] }}]
    route: [{{ destination: {{ host: '*.localhost', port: {{ number: {port} }} }} }}]
"
    );
    let entry = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: any, namespace: shop }}
spec:
  hosts: ['*.localhost']
  resolution: DYNAMIC_DNS
  ports: [{{ number: {port}, name: tls, protocol: TLS }}]
"
    );
    let yaml = yaml(server, &routes).replace("hosts: ['*.example']", "hosts: ['*']");
    let gateway = serve(&[&yaml, &entry]);
    let answer = ask(&gateway, &hosts.pem(), "DB.localhost").unwrap();
    assert!(answer.contains("sni=db.localhost "), "{answer}");

    for outside in ["localhost", "db.example"] {
        assert!(ask(&gateway, &hosts.pem(), outside).is_err(), "{outside}");
    }
    assert_eq!(service.connections(), 1);
}

#[test]
fn bytes_inside_of_tls_are_forwarded() {
    let hosts = Hosts::new();
    let backend = Backend::start("");
    let (chain, key) = hosts.issue("db.example");
    let secret = format!(
        "
apiVersion: v1
kind: Secret
metadata: {{ name: db, namespace: istio-system }}
stringData: {{ tls.crt: {chain:?}, tls.key: {key:?} }}
"
    );
    let server = "port: { number: 443, name: tls, protocol: TLS }\n    hosts: [db.example]\n    \
                  tls: { mode: SIMPLE, credentialName: db }";
    let gateway = serve(&[&yaml(server, TCP_ROUTE), &backend.yaml("db"), &secret]);
    let mut client = tls(&gateway, &hosts.pem(), "db.example");
    client.write_all(b"question").unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "got question");
}

#[test]
fn bytes_are_encrypted_where_the_service_wants_tls() {
    let authority = mesh_authority();
    let service = Service::start(in_mesh(identity(&authority, CART)));
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db, namespace: shop }
spec:
  host: db.example
  trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }
";
    let mut settings = settings();
    settings.identity = Some(identity(&authority, GATEWAY));
    let mut gateway = Gateway::start(settings).unwrap();
    let yaml = [
        &yaml(SERVER, TCP_ROUTE),
        &entry("db", service.address),
        rule,
    ]
    .join("---");
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);
    let mut client = connect(&gateway);
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    let answer = rest(&mut client);
    let expected = format!("sni=outbound_.80_._.db.example peer={GATEWAY}");
    assert!(answer.ends_with(&expected), "{answer}");
}

#[test]
fn between_networks_the_server_name_is_the_cluster() {
    let answer = forwarded("ports: { tcp", "serviceAccount: cart, ports: { tcp").unwrap();
    let expected = format!("sni={FORWARDED} peer={GATEWAY}");
    assert!(answer.ends_with(&expected), "{answer}");
}

#[test]
fn between_networks_nothing_is_forwarded_to_what_does_not_speak_mesh_mtls() {
    let answer = forwarded("", "");
    assert!(answer.is_err(), "{answer:?}");
}

const FORWARDED: &str = "outbound_.80_._.db.example";

/// What a service of the mesh answers whose entry has `to` in place of `from`, called by its cluster.
fn forwarded(from: &str, to: &str) -> io::Result<String> {
    let authority = mesh_authority();
    let service = Service::start(in_mesh(identity(&authority, CART)));
    let server = "port: { number: 443, name: tls, protocol: TLS }\n    hosts: ['*.example']\n    \
                  tls: { mode: AUTO_PASSTHROUGH }";
    let entry = entry("db", service.address).replace("spec:", "spec:\n  location: MESH_INTERNAL");
    let gateway = serve(&[&yaml(server, ""), &entry.replace(from, to)]);
    let client = mesh_client(identity(&authority, GATEWAY), FORWARDED);
    let config = client.config(ApplicationProtocol::Http1).clone();
    let connection = ClientConnection::new(config, client.server_name(None).unwrap()).unwrap();
    let mut client = StreamOwned::new(connection, connect(&gateway));
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

const DENY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  action: DENY
  rules: [{ from: [{ source: { ipBlocks: [127.0.0.0/8] } }] }]
";

const PASSTHROUGH: &str = "port: { number: 443, name: tls, protocol: TLS }
    hosts: ['*.example']
    tls: { mode: PASSTHROUGH }";

const SNI_ROUTE: &str = "
  tls:
  - match: [{ sniHosts: [db.example] }]
    route: [{ destination: { host: db.example } }]
";

pub(crate) const TCP_ROUTE: &str = "
  tcp: [{ route: [{ destination: { host: db.example } }] }]
";

/// An address that nobody listens at.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A server, and the routes of a VirtualService for it.
pub(crate) fn yaml(server: &str, routes: &str) -> String {
    let gateway = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - {server}
"
    );
    if routes.is_empty() {
        return gateway;
    }
    format!(
        "{gateway}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*.example']
  gateways: [shop]{routes}"
    )
}

/// A DestinationRule for `db.example`.
pub(crate) fn rule(policy: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: db, namespace: shop }}
spec: {{ host: db.example, trafficPolicy: {{ {policy} }} }}
"
    )
}

/// The service `NAME.example` at an address.
pub(crate) fn entry(name: &str, address: SocketAddr) -> String {
    entry_of(name, &[address])
}

/// The service `NAME.example` at several addresses.
fn entry_of(name: &str, addresses: &[SocketAddr]) -> String {
    let endpoints = addresses.iter().map(|address| {
        let port = address.port();
        format!("{{ address: 127.0.0.1, ports: {{ tcp: {port} }} }}")
    });
    let endpoints: Vec<_> = endpoints.collect();
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [{name}.example]
  resolution: STATIC
  ports: [{{ number: 80, name: tcp, protocol: TCP }}]
  endpoints: [{}]
",
        endpoints.join(", ")
    )
}

fn serve(documents: &[&str]) -> Gateway {
    let mut gateway = Gateway::start(settings()).unwrap();
    assert_eq!(publish(&mut gateway, &documents.join("---")), [""; 0]);
    gateway
}

pub(crate) fn connect(gateway: &Gateway) -> TcpStream {
    let client = TcpStream::connect(gateway.address(443).unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
}

/// What comes until the connection is closed, in whatever way.
pub(crate) fn rest(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8(bytes).unwrap()
}

fn tls(gateway: &Gateway, authority: &str, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, connect(gateway))
}

fn ask(gateway: &Gateway, authority: &str, name: &str) -> io::Result<String> {
    let mut client = tls(gateway, authority, name);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A service that says something first, reads until its client is done, and answers what it got.
struct Backend {
    address: SocketAddr,
}

impl Backend {
    fn start(greeting: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                // A client that went away is no concern of the next one.
                let _ = converse(&mut stream, greeting);
            }
        });
        Self { address }
    }

    fn yaml(&self, name: &str) -> String {
        entry(name, self.address)
    }
}

fn converse(stream: &mut TcpStream, greeting: &str) -> io::Result<()> {
    stream.write_all(greeting.as_bytes())?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    stream.write_all(b"got ")?;
    stream.write_all(&got)
}
