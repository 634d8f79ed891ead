//! TLS towards the service behind the gateway.

use std::sync::mpsc;
use std::time::Duration;

use examples::gateway::{Gateway, HandshakeObserver};
use mesh_policy::telemetry::access_log::channel;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::front::{Files, Front, ROUTE, RULE, body};
use crate::peers::{Hosts, Service, Taking, at_unix_socket};
use crate::scene::{LISTEN, publish, settings};

#[test]
fn a_service_that_wants_tls_gets_it() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.example", false)));
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE, sni: cart.example"));
    let answer = gateway.get("shop.example");
    assert_eq!(
        body(&answer),
        "HTTP/1.1 sni=cart.example alpn=http/1.1 peer=0"
    );
}

#[test]
fn http2_is_spoken_inside_of_tls_where_the_port_says_so() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.example", false)));
    let files = Files::new(&hosts);
    let rule = files.rule("mode: SIMPLE, sni: cart.example");
    let gateway = Front::speaking("GRPC", &service, &rule);
    let answer = gateway.get("shop.example");
    assert_eq!(body(&answer), "HTTP/2.0 sni=cart.example alpn=h2 peer=0");
}

#[test]
fn the_host_of_the_request_names_the_server_where_the_rule_does_not() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("*.shop.example", false)));
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE"));
    for host in ["a.shop.example", "b.shop.example:8080"] {
        let name = host.split(':').next().unwrap();
        let expected = format!("HTTP/1.1 sni={name} alpn=http/1.1 peer=0");
        assert_eq!(body(&gateway.get(host)), expected);
    }
    let refused = gateway.get("other.example");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert_eq!(gateway.failed("peer_names"), 1);
}

#[test]
fn a_service_that_is_not_believed_is_not_asked() {
    let (hosts, others) = (Hosts::new(), Hosts::new());
    let service = Service::start(Taking::Tls(others.server("cart.example", false)));
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE, sni: cart.example"));
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(
        body(&answer),
        "upstream connect error or disconnect/reset before headers. reset reason: remote \
         connection failure",
    );
    assert_eq!(gateway.failed("peer_issuer_untrusted"), 1);

    let rule = "mode: SIMPLE, sni: cart.example, insecureSkipVerify: true";
    let rule = format!("{RULE}    tls: {{ {rule} }}\n");
    let careless = Front::new(&service, &rule);
    let answer = careless.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn the_access_log_says_why_there_is_no_tls() {
    let (hosts, others) = (Hosts::new(), Hosts::new());
    let service = Service::start(Taking::Tls(others.server("cart.example", false)));
    let files = Files::new(&hosts);
    let (sink, mut lines) = channel(10);
    let mut settings = settings();
    (settings.access_log, settings.log_all) = (Some(sink), true);
    let gateway = Front::with(
        settings,
        &service,
        &files.rule("mode: SIMPLE, sni: cart.example"),
    );
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 503 "));
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let line = async { tokio::time::timeout(Duration::from_secs(20), lines.recv()).await };
    let line = runtime.block_on(line).unwrap().unwrap();
    let line = String::from_utf8(line.to_vec()).unwrap();
    assert!(line.contains(" 503 UF "), "{line}");
    assert!(
        line.contains("\"TLS_error:the server is not believed: "),
        "{line}"
    );
}

#[test]
fn authorities_that_were_replaced_are_believed_once_they_are_published() {
    let (hosts, next) = (Hosts::new(), Hosts::new());
    let service = Service::start(Taking::Tls(next.server("cart.example", false)));
    let files = Files::new(&hosts);
    let rule = files.rule("mode: SIMPLE, sni: cart.example");
    let mut gateway = Front::new(&service, &rule);
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 503 "));

    let path = files.directory.path().join("ca.pem");
    assert_eq!(gateway.gateway.files(), std::slice::from_ref(&path));
    std::fs::write(path, next.pem()).unwrap();
    gateway.publish("HTTP", &service, &rule);
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_service_in_plaintext_is_told_from_one_that_speaks_tls() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Plaintext);
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE, sni: cart.example"));
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(gateway.failed("plaintext"), 1);
}

#[test]
fn a_certificate_of_a_secret_is_presented() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.example", true)));
    let rule = with_certificate(&hosts);
    let gateway = Front::new(&service, &rule);
    let answer = gateway.get("shop.example");
    assert_eq!(
        body(&answer),
        "HTTP/1.1 sni=cart.example alpn=http/1.1 peer=1"
    );

    // Who has none is refused by the service, which in TLS 1.3 says so after the handshake.
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE, sni: cart.example"));
    let answer = gateway.get("shop.example");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(gateway.failed("our_certificate_missing"), 1);
}

#[test]
fn a_service_that_does_not_ask_who_calls_is_told_of() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.example", false)));
    let (reports, told) = mpsc::channel();
    let mut settings = settings();
    settings.handshakes = Some(HandshakeObserver::new(move |report| {
        // A test that is over listens no more.
        let _ = reports.send(report.to_string());
    }));
    let gateway = Front::with(settings, &service, &with_certificate(&hosts));
    let answer = gateway.get("shop.example");
    assert_eq!(
        body(&answer),
        "HTTP/1.1 sni=cart.example alpn=http/1.1 peer=0"
    );
    let told = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(
        told,
        "the connection with `outbound|80||cart.example` stands, but the server asked for no \
         certificate, and does not know who we are [our_certificate_unasked]"
    );
    let text = gateway.gateway.handshakes().encode();
    let labels = "{side=\"client\",cause=\"our_certificate_unasked\"}";
    assert!(
        text.contains(&format!("\nmesh_tls_handshake_warnings_total{labels} 1\n")),
        "{text}"
    );
    assert!(!text.contains("failures_total"), "{text}");
}

/// A rule that presents a certificate of the authority.
fn with_certificate(hosts: &Hosts) -> String {
    let (chain, key) = hosts.issue("client.example");
    let authority = hosts.pem();
    format!(
        "{RULE}    tls: {{ mode: MUTUAL, credentialName: client, sni: cart.example }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: client, namespace: istio-system }}
stringData: {{ tls.crt: {chain:?}, tls.key: {key:?}, ca.crt: {authority:?} }}
"
    )
}

#[test]
fn requests_share_a_connection_only_if_it_proves_the_same() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("*.shop.example", false)));
    let files = Files::new(&hosts);
    let gateway = Front::new(&service, &files.rule("mode: SIMPLE"));
    for host in [
        "a.shop.example",
        "b.shop.example",
        "a.shop.example",
        "b.shop.example",
    ] {
        assert!(gateway.get(host).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(service.connections(), 2);
}

#[test]
fn connections_outlive_a_configuration_that_leaves_their_tls_alone() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.example", false)));
    let files = Files::new(&hosts);
    let mut gateway = Front::new(&service, &files.rule("mode: SIMPLE, sni: cart.example"));
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 200 "));
    gateway.publish(
        "HTTP",
        &service,
        &files.rule("mode: SIMPLE, sni: cart.example"),
    );
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 200 "));
    assert_eq!(service.connections(), 1);

    let rule = "mode: SIMPLE, sni: cart.example, subjectAltNames: [cart.example]";
    gateway.publish("HTTP", &service, &files.rule(rule));
    assert!(gateway.get("shop.example").starts_with("HTTP/1.1 200 "));
    assert_eq!(service.connections(), 2, "it proves something else now");
}

#[test]
fn a_backend_tls_policy_encrypts() {
    let hosts = Hosts::new();
    let service = Service::start(Taking::Tls(hosts.server("cart.internal", false)));
    let authority = hosts.pem();
    let policy = format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: authorities, namespace: shop }}
data: {{ ca.crt: {authority:?} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{ name: cart, namespace: shop }}
spec:
  targetRefs: [{{ group: networking.istio.io, kind: ServiceEntry, name: cart }}]
  validation:
    hostname: cart.internal
    caCertificateRefs: [{{ group: '', kind: ConfigMap, name: authorities }}]
"
    );
    let gateway = Front::new(&service, &policy);
    let answer = gateway.get("shop.example");
    assert_eq!(
        body(&answer),
        "HTTP/1.1 sni=cart.internal alpn=http/1.1 peer=0"
    );
}

#[test]
fn an_endpoint_can_be_a_unix_socket() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cart.sock");
    let _runtime = at_unix_socket(path.clone());
    let entry = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 'unix://{}' }}]
",
        path.display()
    );
    let mut gateway = Gateway::start(settings()).unwrap();
    assert_eq!(
        publish(&mut gateway, &format!("{LISTEN}---{ROUTE}---{entry}")),
        [""; 0]
    );
    let gateway = Front { gateway };
    assert_eq!(body(&gateway.get("shop.example")), "HTTP/1.1 unix");
}
