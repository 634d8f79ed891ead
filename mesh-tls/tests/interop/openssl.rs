//! OpenSSL's `s_client`, `s_server` and `x509`.

use std::io::Write;
use std::process::{Command, Stdio};

use mesh_core::resource::istio::destination_rule::ClientTlsMode;
use mesh_core::resource::istio::gateway::ServerTlsMode;
use mesh_tls::digest::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::files::{Files, provider};
use crate::hosts::Hosts;
use crate::mesh::{CART, DOMAIN, Mesh, WEB};
use crate::ours::{against_our_server, call};
use crate::process::{Server, bounded};

type Arguments<'a> = &'a [&'a str];

/// What a demanding server of OpenSSL wants of clients.
const DEMANDING: [&str; 3] = ["-Verify", "1", "-verify_return_error"];

/// The same, by the strict rules of RFC 5280.
const STRICT: [&str; 4] = ["-Verify", "1", "-verify_return_error", "-x509_strict"];

/// A line, which OpenSSL's server reverses.
const LINE: &str = "abc\n";

fn with_credential(command: &mut Command, files: &Files, name: &str) {
    command.arg("-cert").arg(files.path(&format!("{name}.pem")));
    command.arg("-key").arg(files.path(&format!("{name}.key")));
}

/// A client that believes the authorities in `roots`.
fn client(files: &Files, roots: &str, credential: Option<&str>, port: u16) -> Command {
    let mut openssl = bounded("openssl");
    openssl.args(["s_client", "-brief", "-verify_return_error"]);
    openssl.args(["-servername", "shop.example"]);
    openssl.args(["-connect", &format!("127.0.0.1:{port}"), "-CAfile"]);
    openssl.arg(files.path(roots));
    if let Some(credential) = credential {
        with_credential(&mut openssl, files, credential);
    }
    openssl
}

/// A server on a port of its own choice.
fn serve(files: &Files, roots: &str, credential: &str, arguments: Arguments<'_>) -> (Server, u16) {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"]);
    openssl.args(["-rev", "-CAfile"]);
    openssl.arg(files.path(roots)).args(arguments);
    with_credential(&mut openssl, files, credential);
    let mut server = Server::start(&mut openssl);
    let port = server.port("ACCEPT");
    (server, port)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_connects_to_our_server_with_each_version() {
    let hosts = Hosts::new();
    let (ours, others) = (Some("root-client"), Some("stranger-client"));
    let cases = [
        ("-tls1_2", ours, "no request"),
        ("-tls1_3", ours, "no request"),
        ("-tls1_2", None, "no_client_certificate"),
        ("-tls1_2", others, "peer_issuer_untrusted"),
        ("-tls1_1", ours, "no_common_version"),
    ];
    for (version, credential, outcome) in cases {
        let run = |port| {
            let mut openssl = client(&hosts.files, "root.pem", credential, port);
            openssl.args([version, "-cipher", "DEFAULT@SECLEVEL=0"]);
            openssl
        };
        let found = against_our_server(hosts.acceptor(ServerTlsMode::Mutual), run).await;
        let expected = (outcome == "no request", outcome);
        let name = format!("{version} {credential:?}");
        assert_eq!((found.0, found.2.as_str()), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn our_client_verifies_openssl() {
    let hosts = Hosts::new();
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let cases: [(&str, &str, Arguments<'_>, &str); 5] = [
        ("right", "root-server", &[], "cba\n"),
        ("TLS 1.2", "root-server", &["-tls1_2"], "cba\n"),
        ("authority", "stranger-server", &[], "peer_issuer_untrusted"),
        ("name", "root-client", &[], "peer_names"),
        ("version", "root-server", &old, "no_common_version"),
    ];
    let connector = hosts.connector(ClientTlsMode::Simple, "root-client");
    for (name, credential, arguments, expected) in cases {
        let (_server, port) = serve(&hosts.files, "root.pem", credential, arguments);
        assert_eq!(call(&connector, port, LINE).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_verifies_our_client() {
    use ClientTlsMode::{Mutual, Simple};
    let hosts = Hosts::new();
    let cases = [
        (Mutual, "root-client", "cba\n"),
        (Mutual, "stranger-client", "our_issuer_untrusted"),
        (Simple, "root-client", "our_certificate_missing"),
    ];
    for (mode, credential, expected) in cases {
        let (_server, port) = serve(&hosts.files, "root.pem", "root-server", &DEMANDING);
        let found = call(&hosts.connector(mode, credential), port, LINE).await;
        assert_eq!(found, expected, "{mode:?} {credential}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn our_client_knows_whether_openssl_asked_who_it_is() {
    let hosts = Hosts::new();
    let connector = hosts.connector(ClientTlsMode::Mutual, "root-client");
    let asking: Arguments<'_> = &["-verify", "1"];
    let unasked = Some("our_certificate_unasked");
    let cases: [(Arguments<'_>, _); 3] = [(&[], unasked), (asking, None), (&DEMANDING, None)];
    for (arguments, expected) in cases {
        for version in ["-tls1_2", "-tls1_3"] {
            let arguments = [arguments, &[version]].concat();
            let (_server, port) = serve(&hosts.files, "root.pem", "root-server", &arguments);
            let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let connected = connector.connect(io, Some("shop.example")).await.unwrap();
            let found = connected.peer.unasked().map(|diagnosis| diagnosis.label());
            assert_eq!(found, expected, "{arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_and_our_server_verify_each_others_svids() {
    let mesh = Mesh::new();
    let roots = format!("{DOMAIN}.pem");
    let cases = [
        ("cart", Some("web"), "no request"),
        ("cart", Some("foreign"), "peer_trust_domain"),
        ("cart", Some("forged"), "peer_issuer_untrusted"),
        ("cart", Some("expired"), "peer_expired"),
        ("cart", None, "no_client_certificate"),
        ("forged", Some("web"), "our_issuer_untrusted"),
        ("expired", Some("web"), "our_certificate_refused"),
    ];
    for (server, credential, expected) in cases {
        let run = |port| {
            let mut openssl = client(&mesh.files, &roots, credential, port);
            // In TLS 1.3 a client is content before the server has looked at its certificate.
            openssl.args(["-tls1_2", "-x509_strict"]);
            openssl
        };
        let found = against_our_server(mesh.acceptor(server), run).await;
        let expected = (expected == "no request", expected);
        let name = format!("{server} {credential:?}");
        assert_eq!((found.0, found.2.as_str()), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_and_our_client_verify_each_others_svids() {
    let mesh = Mesh::new();
    let roots = format!("{DOMAIN}.pem");
    let cases = [
        ("cart", "web", CART, "cba\n"),
        ("foreign", "web", CART, "peer_trust_domain"),
        ("forged", "web", WEB, "peer_issuer_untrusted"),
        ("expired", "web", WEB, "peer_expired"),
        ("web", "web", CART, "peer_names"),
        ("cart", "forged", CART, "our_issuer_untrusted"),
        ("cart", "expired", CART, "our_certificate_refused"),
    ];
    for (server, client, expected_server, expected) in cases {
        let (_server, port) = serve(&mesh.files, &roots, server, &STRICT);
        let connector = mesh.connector(client, expected_server);
        let found = call(&connector, port, LINE).await;
        assert_eq!(found, expected, "{server} {client}");
    }
    let (_server, port) = serve(&mesh.files, &roots, "cart", &STRICT);
    let found = call(&mesh.anonymous_connector(CART), port, LINE).await;
    assert_eq!(found, "our_certificate_missing");
}

#[test]
#[ignore = "needs openssl"]
fn openssl_reads_the_pem_that_we_write() {
    let hosts = Hosts::new();
    let certificates = mesh_tls::pem::certificates(&hosts.files.read("root-server.pem")).unwrap();
    let written = mesh_tls::pem::encode_certificates(&certificates);
    let mut openssl = bounded("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256"]);
    let mut process = openssl.stdout(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(written.as_bytes()).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    let (_, digest) = shown.trim().split_once('=').unwrap();
    let sha256 = Sha256::of_provider(&provider()).unwrap();
    let digest = Digest::from_hex(digest).unwrap();
    assert_eq!(digest, certificates[0].fingerprint(&sha256));
}
