//! Servers of the mesh: the gateway proves its identity, and demands that of its clients.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use examples::authority::Authority;
use examples::gateway::{Gateway, MeshWide};
use mesh_core::config::options::MeshOptions;
use mesh_tls::config::{ApplicationProtocol, ClientTls};
use mesh_tls::diagnose::Side;
use mesh_tls::digest::Sha256;
use mesh_tls::pem::encode_certificates;
use mesh_tls::resolve::Identity;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

use crate::peers::{Failures, identity, mesh_authority, mesh_client};
use crate::scene::{self, Scene, config_of, model_of, publish, settings};

pub(crate) const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/ingress";
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/web/sa/web";

pub(crate) const YAML: &str = "
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
fn the_connections_of_a_revoked_client_are_ended_and_others_stay() {
    let authority = mesh_authority();
    let own = authority.identity(GATEWAY, &[]).unwrap();
    let (publisher, live) = mesh_tls::resolve::channel();
    publisher.publish(own.clone());
    let mut settings = settings();
    settings.identity = Some(live);
    let mut gateway = Gateway::start(settings).unwrap();
    assert_eq!(publish(&mut gateway, YAML), [""; 0]);

    let connect = |identity: &Identity| {
        let (publisher, live) = mesh_tls::resolve::channel();
        publisher.publish(identity.clone());
        connect(&gateway, &mesh_client(live, "shop.example")).unwrap()
    };
    let [stolen, good] = [WEB, WEB].map(|id| authority.identity(id, &[]).unwrap());
    let (mut revoked, mut other) = (connect(&stolen), connect(&good));
    for client in [&mut revoked, &mut other] {
        let answer = scene::ask(client, "/");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    let domain = "cluster.local".parse().unwrap();
    let bundle = TrustBundle::clone(own.bundles.get(&domain).unwrap());
    let lists = authority.revocations(&[stolen.svid.leaf()]).unwrap();
    let bundle = bundle.with_revocations(lists);
    publisher.publish_bundles(TrustBundles::from_iter([bundle]));
    // It ends without another request.
    assert_eq!(revoked.read(&mut [0]).unwrap(), 0);
    let answer = scene::ask(&mut other, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut again = connect(&stolen);
    assert!(
        again
            .write_all(b"GET")
            .and_then(|()| again.read(&mut [0]))
            .is_err()
    );
}

#[test]
fn the_next_hop_is_told_who_the_client_is_and_who_says_so() {
    let service = Scene::new("\n  - route: [{ destination: { host: cart.example } }]\n");
    let documents = service.yaml("\n  - route: [{ destination: { host: cart.example } }]\n");
    let (_, documents) = documents.split_once("---").unwrap();
    let (gateway_document, _) = YAML.split_once("---").unwrap();
    let authority = mesh_authority();
    let mut settings = settings();
    settings.identity = Some(identity(&authority, GATEWAY));
    let mut gateway = Gateway::start(settings).unwrap();
    let yaml = format!("{gateway_document}---{documents}");
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);

    let web = authority.identity(WEB, &[]).unwrap();
    let sha256 = Sha256::of_provider(authority.provider()).unwrap();
    let hash = web.svid.leaf().fingerprint(&sha256);
    let (publisher, live) = mesh_tls::resolve::channel();
    publisher.publish(web);
    let mut client = connect(&gateway, &mesh_client(live, "shop.example")).unwrap();
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\n\
                   x-echo: x-forwarded-client-cert\r\n\
                   x-forwarded-client-cert: By=forged\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let answer = scene::read(&mut client);
    let (_, seen) = answer.split_once("x-seen: ").unwrap();
    let seen = seen.lines().next().unwrap();
    let begin = format!("By={GATEWAY};Hash={hash};");
    assert!(seen.starts_with(&begin), "{seen}");
    let end = format!(";Subject=\"\";URI={WEB}");
    assert!(seen.ends_with(&end), "{seen}");
}

#[test]
fn an_authority_of_the_mesh_beside_that_of_the_identity_is_believed() {
    let (authority, partner) = (mesh_authority(), mesh_authority());
    let mut stranger = partner.identity(WEB, &[]).unwrap();
    stranger.bundles = authority.identity(WEB, &[]).unwrap().bundles;
    let (publisher, live) = mesh_tls::resolve::channel();
    publisher.publish(stranger);
    let client = mesh_client(live, "shop.example");
    let pem = encode_certificates([partner.root()]);
    let for_domain =
        |domain: &str| json!({"caCertificates": [{"pem": pem, "trustDomains": [domain]}]});
    for (options, is_believed) in [
        (for_domain("cluster.local"), true),
        (for_domain("partner.example"), false),
        (json!({"defaultConfig": {"caCertificatesPem": [pem]}}), true),
    ] {
        let mut settings = settings();
        settings.identity = Some(identity(&authority, GATEWAY));
        let mut gateway = Gateway::start(settings).unwrap();
        let config = config_of(YAML);
        let mut wide = MeshWide::of(&config);
        wide.options = MeshOptions::new(serde_json::from_value(options.clone()).unwrap());
        let model = model_of(YAML);
        assert_eq!(gateway.publish_in(&model, &wide).unwrap(), [""; 0]);
        assert_eq!(ask(&gateway, &client).is_ok(), is_believed, "{options}");
    }
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

fn connect(
    gateway: &Gateway,
    client: &ClientTls,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let config = client.config(ApplicationProtocol::Http1);
    let name = client.server_name(None).unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let socket = TcpStream::connect(gateway.address(443).unwrap())?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(StreamOwned::new(connection, socket))
}

fn ask(gateway: &Gateway, client: &ClientTls) -> io::Result<String> {
    let mut client = connect(gateway, client)?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}
