//! Python's `ssl`, which is OpenSSL behind another interface: certificates are verified strictly,
//! and names are read from them.

use std::process::Command;

use crate::files::Files;
use crate::mesh::{CART, DOMAIN, Mesh, SNI, WEB};
use crate::ours::{REQUEST, against_our_server, call};
use crate::process::{Server, bounded};

/// What both sides say, given the files of their roots, chain and key.
const CONTEXT: &str = "
import socket, ssl, sys

def context(protocol, roots, chain=None, key=None):
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(roots)
    if chain:
        made.load_cert_chain(chain, key)
    return made

def identity(tls):
    return [name for kind, name in tls.getpeercert()['subjectAltName'] if kind == 'URI'][0]
";

/// Takes one connection, and tells the client who it is.
const SERVER: &str = "
tls = context(ssl.PROTOCOL_TLS_SERVER, *sys.argv[1:])
with socket.create_server(('127.0.0.1', 0)) as listener:
    print('port', listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with tls.wrap_socket(connection, server_side=True) as stream:
        stream.recv(1024)
        stream.sendall(identity(stream).encode())
";

/// Calls a server, and prints who it is and what it says.
const CLIENT: &str = "
port, name, request, *files = sys.argv[1:]
tls = context(ssl.PROTOCOL_TLS_CLIENT, *files)
with socket.create_connection(('127.0.0.1', int(port))) as connection:
    with tls.wrap_socket(connection, server_hostname=name) as stream:
        stream.sendall(request.encode())
        answer = stream.recv(1024).decode()
        print(identity(stream), answer.split()[1])
";

fn run(python: &mut Command, program: &str) {
    python.arg("-c").arg(format!("{CONTEXT}{program}"));
}

/// The paths of the roots, and of the chain and key of a credential.
fn with_files(python: &mut Command, files: &Files, credential: Option<&str>) {
    python.arg(files.path(&format!("{DOMAIN}.pem")));
    if let Some(name) = credential {
        python.arg(files.path(&format!("{name}.pem")));
        python.arg(files.path(&format!("{name}.key")));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3"]
async fn python_and_our_server_verify_each_other() {
    let mesh = Mesh::new();
    let accepted = format!("ok {WEB}");
    let cases = [
        ("cart", Some("web"), accepted.as_str()),
        ("cart", Some("foreign"), "peer_trust_domain"),
        ("cart", Some("forged"), "peer_issuer_untrusted"),
        ("cart", Some("expired"), "peer_expired"),
        ("cart", None, "no_client_certificate"),
        ("foreign", Some("web"), "our_issuer_untrusted"),
        ("expired", Some("web"), "our_certificate_refused"),
    ];
    for (server, client, expected) in cases {
        let command = |port: u16| {
            let mut python = bounded("python3");
            run(&mut python, CLIENT);
            python.args([&port.to_string(), SNI, REQUEST]);
            with_files(&mut python, &mesh.files, client);
            python
        };
        let (is_content, written, outcome) =
            against_our_server(mesh.acceptor(server), command).await;
        let name = format!("{server} {client:?}");
        assert_eq!(outcome, expected, "{name}");
        assert_eq!(is_content, expected == accepted, "{name}");
        if is_content {
            assert_eq!(written, format!("{CART} 200"), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3"]
async fn our_client_and_python_verify_each_other() {
    let mesh = Mesh::new();
    let cases = [
        ("cart", Some("web"), CART, WEB),
        ("foreign", Some("web"), CART, "peer_trust_domain"),
        ("forged", Some("web"), WEB, "peer_issuer_untrusted"),
        ("expired", Some("web"), WEB, "peer_expired"),
        ("web", Some("web"), CART, "peer_names"),
        ("cart", Some("foreign"), CART, "our_issuer_untrusted"),
        ("cart", Some("expired"), CART, "our_certificate_refused"),
        ("cart", None, CART, "our_certificate_missing"),
    ];
    for (server, client, expected_server, expected) in cases {
        let mut python = Command::new("python3");
        run(&mut python, SERVER);
        with_files(&mut python, &mesh.files, Some(server));
        let mut process = Server::start(&mut python);
        let port = process.port("port ");
        let connector = match client {
            Some(client) => mesh.connector(client, expected_server),
            None => mesh.anonymous_connector(expected_server),
        };
        let found = call(&connector, port, "hello").await;
        assert_eq!(found, expected, "{server} {client:?}");
    }
}
