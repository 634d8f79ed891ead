//! Connections that stand while the configuration comes to ask for more of clients.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use examples::authority::Authority;
use examples::gateway::{Gateway, MeshWide};
use mesh_core::config::options::MeshOptions;
use mesh_tls::config::{ApplicationProtocol, ClientTls};
use mesh_tls::pem::encode_certificates;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};

use crate::mutual::{GATEWAY, WEB, YAML};
use crate::peers::{Service, Taking, identity, mesh_authority, mesh_client};
use crate::scene::{ask, config_of, model_of, publish, settings};
use crate::sidecar::{self, inbound, kubernetes, peer_authentication};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A gateway of a mesh.
fn gateway(authority: &Authority) -> Gateway {
    let mut settings = settings();
    settings.identity = Some(identity(authority, GATEWAY));
    Gateway::start(settings).unwrap()
}

fn connect(gateway: &Gateway, client: &ClientTls) -> Client {
    let config = client.config(ApplicationProtocol::Http1);
    let name = client.server_name(None).unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let socket = TcpStream::connect(gateway.address(443).unwrap()).unwrap();
    let timeout = Duration::from_secs(20);
    socket.set_read_timeout(Some(timeout)).unwrap();
    StreamOwned::new(connection, socket)
}

fn is_answered(client: &mut Client) {
    let answer = ask(client, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Waits for the end of a connection, without another request.
fn ends(client: &mut Client) {
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_connection_ends_when_its_server_comes_to_ask_for_other_clients() {
    let authority = mesh_authority();
    let asking = |more: &str| YAML.replace("ISTIO_MUTUAL", &format!("ISTIO_MUTUAL{more}"));
    let client = mesh_client(identity(&authority, WEB), "shop.example");
    for more in [
        ", subjectAltNames: [spiffe://cluster.local/ns/shop/sa/cart]".to_owned(),
        format!(", verifyCertificateHash: [{}]", "ab".repeat(32)),
    ] {
        let mut gateway = gateway(&authority);
        assert_eq!(publish(&mut gateway, YAML), [""; 0]);
        let mut standing = connect(&gateway, &client);
        is_answered(&mut standing);
        // Other routes, and the same TLS.
        let routes = YAML.replace("string: welcome", "string: hello");
        assert_eq!(publish(&mut gateway, &routes), [""; 0]);
        let answer = ask(&mut standing, "/");
        assert!(answer.ends_with("hello"), "{answer}");

        assert_eq!(publish(&mut gateway, &asking(&more)), [""; 0]);
        ends(&mut standing);
        let mut again = connect(&gateway, &client);
        let refused = again.write_all(b"GET").and_then(|()| again.read(&mut [0]));
        assert!(refused.is_err(), "{more}");
    }
}

#[test]
fn a_connection_ends_when_the_mesh_believes_its_client_no_more() {
    let [authority, partner] = [mesh_authority(), mesh_authority()];
    let mut stranger = partner.identity(WEB, &[]).unwrap();
    stranger.bundles = authority.identity(WEB, &[]).unwrap().bundles;
    let (publisher, live) = mesh_tls::resolve::channel();
    publisher.publish(stranger);
    let mut gateway = gateway(&authority);
    let mut publish = |options: Value| {
        let mut wide = MeshWide::of(&config_of(YAML));
        wide.options = MeshOptions::new(serde_json::from_value(options).unwrap());
        assert_eq!(gateway.publish_in(&model_of(YAML), &wide).unwrap(), [""; 0]);
        let client = |live| connect(&gateway, &mesh_client(live, "shop.example"));
        [client(live.clone()), client(identity(&authority, WEB))]
    };
    let pem = encode_certificates([partner.root()]);
    let authorities = json!([{ "pem": pem, "trustDomains": ["cluster.local"] }]);
    let [mut of_partner, mut own] = publish(json!({ "caCertificates": authorities }));
    is_answered(&mut of_partner);
    is_answered(&mut own);
    publish(json!({}));
    ends(&mut of_partner);
    is_answered(&mut own);
}

#[test]
fn plaintext_goes_no_further_once_tls_is_demanded() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (mut gateway, _) = inbound(&authority, &service, "PERMISSIVE");
    let address = gateway.captured(0).unwrap();
    let mut standing = sidecar::connect(address).unwrap();
    let answer = ask(&mut standing, "/");
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
    let mut set_mode = |mode: &str| {
        let policy = peer_authentication(mode);
        let service = kubernetes(&service, "http");
        sidecar::publish(&mut gateway, &format!("{policy}---{service}"));
    };
    set_mode("PERMISSIVE");
    let answer = ask(&mut standing, "/");
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");

    set_mode("STRICT");
    assert_eq!(standing.read(&mut [0]).unwrap(), 0);
    let answer = sidecar::in_mesh(address, &authority).unwrap();
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
}

#[test]
fn bytes_in_plaintext_go_no_further_once_tls_is_demanded() {
    let (authority, service) = (mesh_authority(), Service::start(Taking::Plaintext));
    let (mut gateway, _) = sidecar::sidecar(&authority, &service);
    let mut set_mode = |mode: &str| {
        let policy = peer_authentication(mode);
        let service = kubernetes(&service, "tcp");
        sidecar::publish(&mut gateway, &format!("{policy}---{service}"));
        gateway.captured(0).unwrap()
    };
    let mut standing = sidecar::connect(set_mode("DISABLE")).unwrap();
    let answer = ask(&mut standing, "/");
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
    // Who takes TLS as well takes plaintext still.
    set_mode("PERMISSIVE");
    let answer = ask(&mut standing, "/");
    assert!(answer.ends_with("HTTP/1.1 plaintext"), "{answer}");
    set_mode("STRICT");
    let end = standing.read(&mut [0]);
    let is_over = match &end {
        Ok(read) => *read == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    };
    assert!(is_over, "{end:?}");
}
