//! nginx, as a server that verifies clients and as a proxy that verifies servers.
//!
//! Both are on Unix sockets, so that no port has to be found. nginx looks at the certificate of a
//! client after the handshake, and refuses it with `400`; it looks at that of a server after the
//! handshake, too, and closes the connection.

use std::path::PathBuf;
use std::process::Command;

use mesh_core::resource::istio::destination_rule::ClientTlsMode;
use mesh_core::resource::istio::gateway::ServerTlsMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::hosts::Hosts;
use crate::ours::{OneConnection, REQUEST, call_on, status};
use crate::process::Server;

/// An nginx with one server, on a Unix socket beside the certificates.
struct Nginx {
    socket: PathBuf,
    _process: Server,
}

impl Nginx {
    /// Starts it with these directives in its only server.
    fn start(hosts: &Hosts, directives: &str) -> Self {
        let socket = hosts.files.path("nginx.sock");
        let _ = std::fs::remove_file(&socket);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|what| {
            let path = hosts.files.name(what);
            format!("  {what}_temp_path {path};\n")
        });
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {pid};\nerror_log stderr notice;\nevents {{}}\n\
             http {{\n  access_log off;\n{temporary}  server {{\n{directives}  }}\n}}\n",
            pid = hosts.files.name("nginx.pid"),
            temporary = temporary.concat(),
        );
        hosts.files.write("nginx.conf", &configuration);
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(hosts.files.path("nginx.conf"));
        nginx.arg("-p").arg(hosts.files.path(""));
        let mut process = Server::start(nginx.args(["-e", "stderr"]));
        // It says how it waits for connections when it listens already.
        process.wait_for("event method");
        Self {
            socket,
            _process: process,
        }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }
}

/// A server of HTTPS that has `credential`, and demands a certificate of clients.
fn demanding(hosts: &Hosts, credential: &str) -> Nginx {
    let file = |name: &str| hosts.files.name(name);
    let directives = format!(
        "    listen unix:{socket} ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_client_certificate {roots};
    ssl_verify_client on;
    return 200 $ssl_client_verify;
",
        socket = file("nginx.sock"),
        chain = file(&format!("{credential}.pem")),
        key = file(&format!("{credential}.key")),
        roots = file("root.pem"),
    );
    Nginx::start(hosts, &directives)
}

/// A proxy that calls `shop.example` on `port` with `credential`, and believes `authority`.
fn proxy(hosts: &Hosts, port: u16, credential: Option<&str>, authority: &str) -> Nginx {
    let file = |name: &str| hosts.files.name(name);
    let credential = credential.map_or_else(String::new, |name| {
        let [chain, key] = ["pem", "key"].map(|kind| file(&format!("{name}.{kind}")));
        format!("    proxy_ssl_certificate {chain};\n    proxy_ssl_certificate_key {key};\n")
    });
    let directives = format!(
        "    listen unix:{socket};
    location / {{ proxy_pass https://127.0.0.1:{port}; }}
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_name shop.example;
    proxy_ssl_server_name on;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {roots};
{credential}",
        socket = file("nginx.sock"),
        roots = file(authority),
    );
    Nginx::start(hosts, &directives)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx"]
async fn our_client_and_a_server_of_nginx_verify_each_other() {
    use ClientTlsMode::{Mutual, Simple};
    let hosts = Hosts::new();
    let cases = [
        ("root-server", Mutual, "root-client", "200"),
        ("root-server", Mutual, "stranger-client", "400"),
        ("root-server", Simple, "root-client", "400"),
        (
            "stranger-server",
            Mutual,
            "root-client",
            "peer_issuer_untrusted",
        ),
        ("root-client", Mutual, "root-client", "peer_names"),
    ];
    for (server, mode, client, expected) in cases {
        let nginx = demanding(&hosts, server);
        let connector = hosts.connector(mode, client);
        let answer = call_on(&connector, nginx.connect().await, REQUEST).await;
        assert_eq!(status(&answer), expected, "{server} {mode:?} {client}");
        if expected == "200" {
            assert!(answer.ends_with("SUCCESS"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx"]
async fn a_proxy_of_nginx_and_our_server_verify_each_other() {
    let hosts = Hosts::new();
    let (ours, others) = (Some("root-client"), Some("stranger-client"));
    let cases = [
        (ours, "root.pem", "200", "ok"),
        (others, "root.pem", "502", "peer_issuer_untrusted"),
        (None, "root.pem", "502", "no_client_certificate"),
        (ours, "stranger.pem", "502", "no request"),
    ];
    for (credential, authority, expected, outcome) in cases {
        let server = OneConnection::accept(hosts.acceptor(ServerTlsMode::Mutual)).await;
        let nginx = proxy(&hosts, server.port, credential, authority);
        let mut client = nginx.connect().await;
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let name = format!("{credential:?} {authority}");
        assert_eq!(status(&answer), expected, "{name}");
        assert_eq!(server.outcome().await, outcome, "{name}");
    }
}
