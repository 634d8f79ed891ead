//! Certificates that are revoked while connections by them carry something else than HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use examples::authority::Authority;
use examples::gateway::Gateway;
use mesh_policy::telemetry::access_log::channel;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::certificate::Certificate;
use mesh_tls::config::ApplicationProtocol;
use mesh_tls::resolve::{self, Identity, IdentityPublisher, LiveIdentity};
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::front::{self, RULE};
use crate::peers::{Service, Taking, in_mesh, mesh_authority, mesh_client};
use crate::policies_asked::config_map;
use crate::scene::{ask, publish, settings};
use crate::tcp::{SERVER, TCP_ROUTE, connect, entry, next_line, rest, rule, yaml};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/ingress";

#[test]
fn bytes_go_no_further_to_a_server_that_is_revoked() {
    let mesh = Mesh::new();
    let (cart, live) = mesh.identity(CART);
    let service = Service::start(in_mesh(live));
    let (sink, mut lines) = channel(10);
    let mut settings = settings();
    settings.access_log = Some(sink);
    settings.identity = Some(mesh.gateway.clone());
    let mut gateway = Gateway::start(settings).unwrap();
    let log = json!({
        "accessLogFile": "/dev/stdout",
        "accessLogFormat": "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%\n",
    });
    let documents = [
        yaml(SERVER, TCP_ROUTE),
        entry("db", service.address),
        rule("tls: { mode: ISTIO_MUTUAL }"),
        config_map(&log),
    ];
    assert_eq!(publish(&mut gateway, &documents.join("---")), [""; 0]);
    let mut client = connect(&gateway);
    assert!(ask(&mut client, "/").starts_with("HTTP/1.1 200 "));

    mesh.revoke(cart.svid.leaf());
    assert_eq!(rest(&mut client), "");
    let line = next_line(&mut lines);
    assert_eq!(line, "- upstream_certificate_no_longer_trusted");
}

#[test]
fn bytes_come_no_further_from_a_client_that_is_revoked() {
    let mesh = Mesh::new();
    let (stolen, live) = mesh.identity(CART);
    let service = Service::start(Taking::Plaintext);
    let mut settings = settings();
    settings.identity = Some(mesh.gateway.clone());
    let mut gateway = Gateway::start(settings).unwrap();
    let server = "port: { number: 443, name: tls, protocol: TLS }\n    hosts: [db.example]\n    \
                  tls: { mode: ISTIO_MUTUAL }";
    let documents = [yaml(server, TCP_ROUTE), entry("db", service.address)];
    assert_eq!(publish(&mut gateway, &documents.join("---")), [""; 0]);
    let client = mesh_client(live, "db.example");
    let config = client.config(ApplicationProtocol::Tcp).clone();
    let connection = ClientConnection::new(config, client.server_name(None).unwrap()).unwrap();
    let mut client = StreamOwned::new(connection, connect(&gateway));
    assert!(ask(&mut client, "/").starts_with("HTTP/1.1 200 "));

    mesh.revoke(stolen.svid.leaf());
    // It is closed without a word.
    let read = client.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::UnexpectedEof));
}

#[test]
fn what_is_told_by_another_protocol_goes_no_further_to_a_server_that_is_revoked() {
    let mesh = Mesh::new();
    let (cart, live) = mesh.identity(CART);
    let Taking::Mesh(acceptor) = in_mesh(live) else {
        panic!("it is of the mesh");
    };
    let (_runtime, address) = switching(acceptor);
    let mut settings = settings();
    settings.identity = Some(mesh.gateway.clone());
    let mut gateway = Gateway::start(settings).unwrap();
    let rule = format!("{RULE}    tls: {{ mode: ISTIO_MUTUAL }}\n");
    let documents = front::yaml("HTTP", address, &rule);
    assert_eq!(publish(&mut gateway, &documents), [""; 0]);
    let mut client = TcpStream::connect(gateway.address(80).unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let offer = "GET / HTTP/1.1\r\nhost: shop.example\r\n\
                 connection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write_all(offer.as_bytes()).unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nhello") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0].into());
    }
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");

    mesh.revoke(cart.svid.leaf());
    assert_eq!(rest(&mut client), "");
}

/// A server of the mesh that switches protocols, says hello, and listens.
fn switching(acceptor: TlsAcceptor) -> (Runtime, SocketAddr) {
    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
                            connection: upgrade\r\nupgrade: websocket\r\n\r\nhello";
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap().stream;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(ANSWER).await.unwrap();
        // It ends when the gateway ends it, in whatever way.
        let _ = stream.read_to_end(&mut head).await;
    });
    (runtime, address)
}

/// The authority of a mesh, and the gateway in it.
struct Mesh {
    authority: Authority,
    gateway: LiveIdentity,
    publisher: IdentityPublisher,
    bundle: TrustBundle,
}

impl Mesh {
    fn new() -> Self {
        let authority = mesh_authority();
        let own = authority.identity(GATEWAY, &[]).unwrap();
        let bundle = own.bundles.get(&"cluster.local".parse().unwrap()).unwrap();
        let bundle = TrustBundle::clone(bundle);
        let (publisher, gateway) = resolve::channel();
        publisher.publish(own);
        Self {
            authority,
            gateway,
            publisher,
            bundle,
        }
    }

    /// An identity of somebody.
    fn identity(&self, id: &str) -> (Identity, LiveIdentity) {
        let identity = self.authority.identity(id, &[]).unwrap();
        let (publisher, live) = resolve::channel();
        publisher.publish(identity.clone());
        (identity, live)
    }

    /// Tells the gateway that a certificate counts no more.
    fn revoke(&self, certificate: &Certificate) {
        let lists = self.authority.revocations(&[certificate]).unwrap();
        let bundle = self.bundle.clone().with_revocations(lists);
        self.publisher
            .publish_bundles(TrustBundles::from_iter([bundle]));
    }
}
