//! Servers of the mesh: the gateway proves its identity, and demands that of its clients.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use examples::authority::Authority;
use examples::gateway::Gateway;
use mesh_tls::config::{ApplicationProtocol, ClientTls};
use mesh_tls::diagnose::Side;
use rustls::{ClientConnection, StreamOwned};

use crate::peers::{Failures, identity, mesh_authority, mesh_client};
use crate::scene::{publish, settings};

const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/ingress";
const WEB: &str = "spiffe://cluster.local/ns/web/sa/web";

const YAML: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [shop.example]
    tls: { mode: ISTIO_MUTUAL }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: ['*']
  gateways: [shop]
  http:
  - directResponse: { status: 200, body: { string: welcome } }
    headers: { response: { set: { x-peer: '%DOWNSTREAM_PEER_URI_SAN%' } } }
";

#[test]
fn a_client_of_the_mesh_is_known_by_its_identity() {
    let authority = mesh_authority();
    let (gateway, _) = serve(&authority);
    let client = mesh_client(identity(&authority, WEB), "shop.example");
    let answer = ask(&gateway, &client).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(&format!("x-peer: {WEB}\r\n")), "{answer}");
}

#[test]
fn a_client_of_another_authority_is_refused() {
    let (authority, other) = (mesh_authority(), mesh_authority());
    let (gateway, failures) = serve(&authority);
    // It believes the gateway, and is not believed.
    let mut forged = other.identity(WEB, &[]).unwrap();
    forged.bundles = authority.identity(WEB, &[]).unwrap().bundles;
    let (publisher, live) = mesh_tls::resolve::channel();
    publisher.publish(forged);
    let client = mesh_client(live, "shop.example");
    assert!(ask(&gateway, &client).is_err());
    assert_eq!(failures.next_of_client(), "peer_issuer_untrusted");

    let mut plaintext = TcpStream::connect(gateway.address(443).unwrap()).unwrap();
    plaintext.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = plaintext.read_to_end(&mut answer);
    assert_eq!(answer, [0_u8; 0]);
    assert_eq!(failures.next_of_client(), "plaintext");
    assert_eq!(gateway.handshakes().count(Side::Server, "plaintext"), 1);
    let text = gateway.handshakes().encode();
    let line = "mesh_tls_handshake_failures_total{side=\"server\",cause=\"plaintext\"} 1\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn without_an_identity_the_server_is_not_served() {
    let mut gateway = Gateway::start(settings()).unwrap();
    let warnings = publish(&mut gateway, YAML).join("\n");
    assert!(
        warnings.contains("mesh mTLS needs an identity of the mesh"),
        "{warnings}"
    );
    assert_eq!(gateway.address(443), None);
}

fn serve(authority: &Authority) -> (Gateway, Failures) {
    let (observer, failures) = Failures::observe();
    let mut settings = settings();
    settings.handshakes = Some(observer);
    settings.identity = Some(identity(authority, GATEWAY));
    let mut gateway = Gateway::start(settings).unwrap();
    assert_eq!(publish(&mut gateway, YAML), [""; 0]);
    (gateway, failures)
}

fn ask(gateway: &Gateway, client: &ClientTls) -> io::Result<String> {
    let config = client.config(ApplicationProtocol::Http1);
    let name = client.server_name(None).unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let socket = TcpStream::connect(gateway.address(443).unwrap())?;
    let mut client = StreamOwned::new(connection, socket);
    client.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}
