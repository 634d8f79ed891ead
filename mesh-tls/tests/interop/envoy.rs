//! Envoy, as client and as server of mesh mTLS with our SVIDs, which its SPIFFE validator verifies.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::files::Files;
use crate::mesh::{CART, DOMAIN, Mesh, SNI, WEB};
use crate::ours::{OneConnection, REQUEST, call, status};
use crate::process::Server;

pub(crate) const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// An Envoy with the listeners and clusters of a test.
pub(crate) struct Envoy {
    /// Of each listener, by its name.
    pub(crate) ports: BTreeMap<String, u16>,
    _process: Server,
}

impl Envoy {
    pub(crate) fn start(files: &Files, listeners: &[Value], clusters: &[Value]) -> Self {
        let bootstrap = json!({
            "node": {"id": "web", "cluster": "web"},
            "admin": {"address": any_port()},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        });
        files.write("envoy.json", &bootstrap.to_string());
        let admin = files.path("admin");
        let _ = std::fs::remove_file(&admin);
        let mut envoy = Command::new("envoy");
        envoy.arg("--config-path").arg(files.path("envoy.json"));
        envoy.arg("--admin-address-path").arg(&admin);
        envoy.args(["--disable-hot-restart", "--concurrency", "1"]);
        envoy.args([
            "--log-level",
            "error",
            "--component-log-level",
            "config:info",
        ]);
        let mut process = Server::start(&mut envoy);
        // It listens then, and has all that it waits for.
        process.wait_for("starting workers");
        let address = std::fs::read_to_string(&admin).unwrap();
        Self {
            ports: ports(address.trim()).unwrap(),
            _process: process,
        }
    }
}

fn any_port() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

/// The ports of all listeners.
fn ports(admin: &str) -> Option<BTreeMap<String, u16>> {
    let answer = ask(admin, "/listeners")?;
    // Lines such as `name::127.0.0.1:4711`.
    let listeners = answer.lines().filter_map(|line| line.split_once("::"));
    let ports = listeners.map(|(name, address)| {
        let address: SocketAddr = address.parse().ok()?;
        Some((name.to_owned(), address.port()))
    });
    ports.collect()
}

/// An answer of the administration interface.
fn ask(admin: &str, path: &str) -> Option<String> {
    let mut stream = StdTcpStream::connect(admin).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A listener of HTTP. `action` is what becomes of all requests.
pub(crate) fn listener(name: &str, tls: Option<Value>, action: (&str, &Value)) -> Value {
    let route = json!({"match": {"prefix": "/"}, action.0: action.1});
    // Envoy's own view of the client.
    let peer = json!([{"header": {"key": "peer", "value": "%DOWNSTREAM_PEER_URI_SAN%"}}]);
    let manager = json!({
        "@type": format!(
            "{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": name,
        "route_config": {
            "response_headers_to_add": peer,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [{
            "name": "router",
            "typed_config": {"@type": format!("{TYPE}.filters.http.router.v3.Router")},
        }],
    });
    let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
    if let Some(tls) = tls {
        chain["transport_socket"] = json!({"name": "tls", "typed_config": tls});
    }
    json!({"name": name, "address": any_port(), "filter_chains": [chain]})
}

/// A cluster of one endpoint on loopback.
pub(crate) fn cluster(name: &str, port: u16, tls: &Value) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "transport_socket": {"name": "tls", "typed_config": tls},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

/// What is common to both sides: an SVID, and Envoy's SPIFFE validator, which believes
/// `cluster.local`. `expected` is the name that the peer has to have.
fn mutual(mesh: &Mesh, svid: Option<&str>, expected: Option<&str>) -> Value {
    let file = |name: &str| json!({"filename": mesh.files.name(name)});
    let validation = validation(&file(&format!("{DOMAIN}.pem")), expected);
    let certificates = svid.map(|svid| {
        json!({
            "certificate_chain": file(&format!("{svid}.pem")),
            "private_key": file(&format!("{svid}.key")),
        })
    });
    json!({
        "tls_certificates": Vec::from_iter(certificates),
        "validation_context": validation,
        "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
    })
}

/// Envoy's SPIFFE validator, which believes `roots` about `cluster.local`.
pub(crate) fn validation(roots: &Value, expected: Option<&str>) -> Value {
    let mut validation = json!({
        "custom_validator_config": {
            "name": "envoy.tls.cert_validator.spiffe",
            "typed_config": {
                "@type": format!("{TYPE}.transport_sockets.tls.v3.SPIFFECertValidatorConfig"),
                "trust_domains": [{"name": DOMAIN, "trust_bundle": roots}],
            },
        },
    });
    if let Some(expected) = expected {
        validation["match_typed_subject_alt_names"] =
            json!([{"san_type": "URI", "matcher": {"exact": expected}}]);
    }
    validation
}

fn downstream(mesh: &Mesh, svid: &str) -> Value {
    let mut common = mutual(mesh, Some(svid), None);
    common["alpn_protocols"] = json!(["h2", "http/1.1"]);
    json!({
        "@type": format!("{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": common,
        "require_client_certificate": true,
    })
}

fn upstream(mesh: &Mesh, svid: Option<&str>, expected: &str) -> Value {
    let mut common = mutual(mesh, svid, Some(expected));
    common["alpn_protocols"] = json!(["istio-http/1.1", "istio", "http/1.1"]);
    json!({
        "@type": format!("{TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"),
        "common_tls_context": common,
        "sni": SNI,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs envoy"]
async fn our_client_and_a_server_of_envoy_verify_each_others_svids() {
    let mesh = Mesh::new();
    let listeners = ["cart", "web", "foreign", "forged", "expired"].map(|svid| {
        let answer = json!({"status": 200, "body": {"inline_string": "ok"}});
        let action = ("direct_response", &answer);
        listener(svid, Some(downstream(&mesh, svid)), action)
    });
    let envoy = Envoy::start(&mesh.files, &listeners, &[]);
    let cases = [
        ("cart", Some("web"), CART, "200"),
        ("foreign", Some("web"), CART, "peer_trust_domain"),
        ("forged", Some("web"), WEB, "peer_issuer_untrusted"),
        ("expired", Some("web"), WEB, "peer_expired"),
        ("web", Some("web"), CART, "peer_names"),
        ("cart", Some("foreign"), CART, "our_certificate_refused"),
        ("cart", Some("forged"), CART, "our_certificate_refused"),
        ("cart", Some("expired"), CART, "our_certificate_refused"),
        ("cart", None, CART, "our_certificate_missing"),
    ];
    for (server, client, expected_server, expected) in cases {
        let connector = match client {
            Some(client) => mesh.connector(client, expected_server),
            None => mesh.anonymous_connector(expected_server),
        };
        let answer = call(&connector, envoy.ports[server], REQUEST).await;
        assert_eq!(status(&answer), expected, "{server} {client:?}");
        if expected == "200" {
            assert!(answer.contains(&format!("peer: {WEB}\r\n")), "{answer}");
        }
    }
}

/// A call through Envoy: its name, the SVIDs of our server and of Envoy, the name that Envoy expects
/// the server to have, and what becomes of the connection.
type Call<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, &'a str);

/// A server of ours for each call, and an Envoy with a way to each of them.
async fn servers_behind_envoy(mesh: &Mesh, calls: &[Call<'_>]) -> (Vec<OneConnection>, Envoy) {
    let (mut servers, mut listeners, mut clusters) = (Vec::new(), Vec::new(), Vec::new());
    for (name, server, client, expected_server, _) in calls {
        let server = OneConnection::accept(mesh.acceptor(server)).await;
        let tls = upstream(mesh, *client, expected_server);
        clusters.push(cluster(name, server.port, &tls));
        listeners.push(listener(name, None, ("route", &json!({"cluster": name}))));
        servers.push(server);
    }
    let envoy = Envoy::start(&mesh.files, &listeners, &clusters);
    (servers, envoy)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs envoy"]
async fn a_client_of_envoy_and_our_server_verify_each_others_svids() {
    let mesh = Mesh::new();
    let accepted = format!("ok {WEB}");
    let (web, refused) = (Some("web"), "our_certificate_refused");
    let calls = [
        ("right", "cart", web, CART, accepted.as_str()),
        (
            "foreign client",
            "cart",
            Some("foreign"),
            CART,
            "peer_trust_domain",
        ),
        (
            "forged client",
            "cart",
            Some("forged"),
            CART,
            "peer_issuer_untrusted",
        ),
        (
            "expired client",
            "cart",
            Some("expired"),
            CART,
            "peer_expired",
        ),
        (
            "no certificate",
            "cart",
            None,
            CART,
            "no_client_certificate",
        ),
        ("foreign server", "foreign", web, CART, refused),
        ("forged server", "forged", web, WEB, refused),
        ("expired server", "expired", web, WEB, refused),
        ("another name", "web", web, CART, refused),
    ];
    let (servers, envoy) = servers_behind_envoy(&mesh, &calls).await;
    for ((name, _, _, _, expected), server) in calls.into_iter().zip(servers) {
        let address = ("127.0.0.1", envoy.ports[name]);
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let expected_status = if expected == accepted { "200" } else { "503" };
        assert_eq!(status(&answer), expected_status, "{name}: {answer}");
        assert_eq!(server.outcome().await, expected, "{name}");
    }
}
