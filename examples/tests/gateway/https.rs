use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use examples::gateway::Gateway;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::scene::{Scene, model_of, publish, settings};

const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: ['*']
  gateways: [shop]
  http:
  - directResponse: { status: 200, body: { string: we are open } }
    headers: { response: { set: { x-server-name: '%REQUESTED_SERVER_NAME%' } } }
";

#[test]
fn tls_ends_at_the_gateway() {
    let own = certificate();
    let gateway = serve("{ mode: SIMPLE, credentialName: shop }", &own);
    let answer = ask(&gateway, "shop.example", &own).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("x-server-name: shop.example\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("we are open"), "{answer}");
}

#[test]
fn a_server_name_that_no_server_has_is_closed() {
    let own = certificate();
    let gateway = serve("{ mode: SIMPLE, credentialName: shop }", &own);
    let error = ask(&gateway, "other.example", &own).unwrap_err();
    // It is not the client that refuses a certificate: it gets none.
    assert_ne!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}

#[test]
fn plaintext_is_closed_where_tls_is_expected() {
    let own = certificate();
    let gateway = serve("{ mode: SIMPLE, credentialName: shop }", &own);
    let mut client = TcpStream::connect(gateway.address(443).unwrap()).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = client.read_to_end(&mut answer);
    assert_eq!(answer, [0_u8; 0]);
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_demanded() {
    let own = certificate();
    let gateway = serve("{ mode: MUTUAL, credentialName: shop }", &own);
    assert!(ask(&gateway, "shop.example", &own).is_err());
}

#[test]
fn a_client_with_a_certificate_of_the_authority_is_let_in() {
    let (own, stranger) = (certificate(), certificate());
    for (mode, without) in [("MUTUAL", false), ("OPTIONAL_MUTUAL", true)] {
        let gateway = serve(&format!("{{ mode: {mode}, credentialName: shop }}"), &own);
        let cases = [
            ("none", None, without),
            ("its own", Some(&own), true),
            ("a stranger's", Some(&stranger), false),
        ];
        for (name, client, is_let_in) in cases {
            let answer = ask_as(client, &gateway, "shop.example", &own);
            assert_eq!(answer.is_ok(), is_let_in, "{mode}, {name}: {answer:?}");
        }
    }
}

#[test]
fn a_secret_of_another_namespace_is_not_served() {
    let own = certificate();
    let mut gateway = Gateway::start(settings()).unwrap();
    let secret = secret("vault", &own);
    let yaml = yaml("{ mode: SIMPLE, credentialName: 'kubernetes://vault/shop' }");
    let warnings = publish(&mut gateway, &format!("{yaml}---{secret}"));
    let refused = "secret `kubernetes://vault/shop`: a workload of namespace `istio-system` is \
                   given none of others";
    assert_eq!(warnings, [refused]);
    assert!(ask(&gateway, "shop.example", &own).is_err());
}

#[test]
fn without_its_secret_no_handshake_succeeds() {
    let own = certificate();
    let mut gateway = Gateway::start(settings()).unwrap();
    let yaml = yaml("{ mode: SIMPLE, credentialName: shop }");
    let warnings = gateway.publish(&model_of(&yaml)).unwrap();
    let missing = "secret `kubernetes://shop`: there is none in namespace `istio-system`";
    assert_eq!(warnings, [missing]);
    assert!(ask(&gateway, "shop.example", &own).is_err());
}

#[test]
fn who_asks_in_plaintext_is_sent_to_https() {
    let scene = Scene::new("\n  - directResponse: { status: 200 }\n");
    let mut gateway = scene.gateway;
    let yaml = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
  - port: { number: 80, name: http, protocol: HTTP }
    hosts: ['*']
    tls: { httpsRedirect: true }
";
    let model = model_of(&format!("{yaml}---{ROUTES}"));
    assert_eq!(gateway.publish(&model).unwrap(), [""; 0]);
    let mut client = TcpStream::connect(gateway.address(80).unwrap()).unwrap();
    let request = b"GET /a HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    client.write_all(request).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert!(
        answer.contains("location: https://shop.example/a\r\n"),
        "{answer}"
    );
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["shop.example".to_owned()]).unwrap()
}

fn yaml(tls: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - port: {{ number: 443, name: https, protocol: HTTPS }}
    hosts: [shop.example]
    tls: {tls}
---{ROUTES}"
    )
}

/// A gateway with `own` for its certificate, by whose authority it believes clients.
fn serve(tls: &str, own: &CertifiedKey<KeyPair>) -> Gateway {
    let secret = secret("istio-system", own);
    let mut gateway = Gateway::start(settings()).unwrap();
    let yaml = format!("{}---{secret}", yaml(tls));
    assert_eq!(publish(&mut gateway, &yaml), [""; 0]);
    gateway
}

fn secret(namespace: &str, own: &CertifiedKey<KeyPair>) -> String {
    let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{ name: shop, namespace: {namespace} }}
stringData: {{ tls.crt: {chain:?}, tls.key: {key:?}, ca.crt: {chain:?} }}
"
    )
}

/// Asks by HTTPS, believing `own` alone.
fn ask(gateway: &Gateway, host: &'static str, own: &CertifiedKey<KeyPair>) -> io::Result<String> {
    ask_as(None, gateway, host, own)
}

/// Asks by HTTPS with the certificate of `client`, believing `own` alone.
fn ask_as(
    client: Option<&CertifiedKey<KeyPair>>,
    gateway: &Gateway,
    host: &'static str,
    own: &CertifiedKey<KeyPair>,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        Some(client) => {
            let key = PrivateKeyDer::Pkcs8(client.signing_key.serialize_der().into());
            let chain = vec![client.cert.der().clone()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(host).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(gateway.address(443).unwrap())?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut client = StreamOwned::new(connection, socket);
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes())?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}
