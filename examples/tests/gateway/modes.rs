//! The modes of PeerAuthentication: as the filter chains that a sidecar serves, and as `PortMode` for those
//! who serve none.

use std::sync::Arc;

use mesh_core::model::Model;
use mesh_core::model::listener::Transport;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_routing::l4::{Connection, FilterChainTable};
use mesh_tls::client_hello::{Detected, detect};
use mesh_tls::mode::{Action, PortMode};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::scene::config_of;

const PORT: u16 = 8080;

#[test]
fn a_mode_decides_as_the_filter_chains_of_a_sidecar_do() {
    let firsts = [
        ("mesh HTTP", hello(&["istio-http/1.1", "istio"])),
        ("mesh TCP", hello(&["istio-peer-exchange", "istio"])),
        ("other TLS", hello(&["h2", "http/1.1"])),
        ("bare TLS", hello(&[])),
        ("malformed TLS", Detected::Malformed),
        ("plaintext", Detected::Plaintext),
    ];
    let mut seen = Vec::new();
    for mode in ["STRICT", "PERMISSIVE", "DISABLE"] {
        for (protocol, is_http) in [("http", true), ("tcp", false), ("unnamed", false)] {
            let model = model_of(mode, protocol);
            let port = PortMode::of_policy(&model.policies.peer, PORT, is_http);
            for (name, first) in &firsts {
                let decided = port.decide(first);
                let case = format!("{name} at a port of {protocol}, {mode}");
                assert_eq!(decided, by_chains(&model, first), "{case}");
                seen.push(decided);
            }
        }
    }
    for action in [Action::PassOn, Action::Refuse, Action::Terminate] {
        assert!(seen.contains(&action), "{action:?}");
    }
}

/// What the filter chains of the sidecar make of a connection.
fn by_chains(model: &Model, first: &Detected) -> Action {
    let mut listeners = model.listeners.iter();
    let listener = listeners.find(|listener| listener.name == "virtualInbound");
    let table = FilterChainTable::compile(listener.unwrap()).unwrap();
    let mut connection = Connection::to(([10, 0, 0, 1], PORT).into());
    let alpn: Vec<&str> = match first {
        Detected::ClientHello(hello) => hello.alpn_texts().collect(),
        _ => Vec::new(),
    };
    connection.application_protocols = &alpn;
    if *first != Detected::Plaintext {
        connection.transport = Transport::Tls;
    }
    match table.lookup(&connection).map(|chain| chain.tls.is_some()) {
        None => Action::Refuse,
        Some(true) => Action::Terminate,
        Some(false) => Action::PassOn,
    }
}

fn hello(alpn: &[&str]) -> Detected {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = "cart".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    detect(&bytes)
}

/// A sidecar whose port speaks `protocol`.
fn model_of(mode: &str, protocol: &str) -> Model {
    let config = config_of(&format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: shop }}
spec: {{ mtls: {{ mode: {mode} }} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: cart, namespace: shop }}
spec:
  selector: {{ app: cart }}
  ports: [{{ name: {protocol}, port: 80, targetPort: {PORT} }}]
"
    ));
    let mut workload = Workload::sidecar("shop").with_label("app", "cart");
    workload.addresses = vec![[10, 0, 0, 1].into()];
    resolve(&config, &workload)
}
