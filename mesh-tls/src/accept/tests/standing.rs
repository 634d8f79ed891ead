//! Connections that stand while the configuration of their server is replaced.

use mesh_core::resource::istio::gateway::TlsProtocol;
use mesh_core::resource::istio::mesh_config::{TlsConfig, TlsConfigProtocol};

use super::gateway::{mutual, shop, simple, store_of};
use super::*;
use crate::drain::{DrainList, Endings};
use crate::trust_bundle::ExtraAuthorities;

/// The chain of a server with these settings.
fn chain(settings: ServerTlsSettings) -> FilterChain {
    let mut chain = http_chain();
    chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
    chain
}

/// Compiles a generation of one chain.
fn compile(compiler: &TlsCompiler, list: &DrainList, chain: &FilterChain) -> (ServerTls, Endings) {
    let endings = Endings::new();
    let compiler = compiler
        .clone()
        .with_drain_list(list.clone())
        .with_endings(endings.clone());
    (compiler.server(chain).unwrap().unwrap(), endings)
}

/// Compiles a generation of one chain, and keeps it.
fn publish(compiler: &TlsCompiler, list: &DrainList, chain: &FilterChain) -> ServerTls {
    let (server, endings) = compile(compiler, list, chain);
    list.keep(endings);
    server
}

type Client = Result<crate::connect::Connected<tokio::io::DuplexStream>, ConnectError>;

/// Connects; both ends of a connection that stands.
async fn connect(
    server: &ServerTls,
    client: &ClientTls,
) -> (Accepted<tokio::io::DuplexStream>, Client) {
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::new(server.clone());
    let connector = TlsConnector::new(client.clone(), Http1);
    let (accepted, connected) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(client_io, Some("shop.example"))
    );
    (accepted.unwrap(), connected)
}

fn is_draining<IO>(accepted: &Accepted<IO>) -> bool {
    accepted.tracked.as_ref().unwrap().is_draining()
}

/// Whether a connection of `client` to a server of the chain `before` drains once that is `after`.
async fn drains(
    store: &SecretStore,
    client: ClientTlsSettings,
    (before, after): (&FilterChain, &FilterChain),
) -> bool {
    let (compiler, list) = (compiler(store.clone()), DrainList::new());
    let server = publish(&compiler, &list, before);
    let (accepted, _client) = connect(&server, &super::client(store, client)).await;
    assert_eq!((list.len(), list.recheck()), (1, 0));
    publish(&compiler, &list, after);
    list.recheck();
    is_draining(&accepted)
}

fn named(name: &str) -> ServerTlsSettings {
    ServerTlsSettings {
        subject_alt_names: vec![name.into()],
        ..shop(ServerTlsMode::Mutual)
    }
}

#[tokio::test]
async fn a_connection_stays_whose_chain_asks_for_the_same() {
    let store = store_of(&Authority::new("root"));
    use ServerTlsMode as M;
    for (case, client, settings) in [
        ("nothing", simple(), shop(M::Simple)),
        ("a certificate", mutual(), shop(M::Mutual)),
        ("a name", mutual(), named("client.example")),
        ("perhaps, with one", mutual(), shop(M::OptionalMutual)),
        ("perhaps, without", simple(), shop(M::OptionalMutual)),
    ] {
        let chain = chain(settings);
        assert!(!drains(&store, client, (&chain, &chain)).await, "{case}");
    }
}

#[tokio::test]
async fn a_connection_drains_whose_chain_is_gone_or_asks_for_something_else() {
    let store = store_of(&Authority::new("root"));
    use ServerTlsMode as M;
    let mut other_host = chain(shop(M::Simple));
    other_host.matches.server_names = vec!["other.example".into()];
    let latest = ServerTlsSettings {
        min_protocol_version: TlsProtocol::Tlsv1_3,
        ..shop(M::Simple)
    };
    let pinned = ServerTlsSettings {
        verify_certificate_hash: vec!["00".repeat(32)],
        ..shop(M::Mutual)
    };
    let verified = chain(shop(M::Mutual));
    for (case, client, before, after) in [
        ("verified", simple(), shop(M::Simple), verified.clone()),
        ("always", simple(), shop(M::OptionalMutual), verified),
        ("name", mutual(), named("client.example"), chain(named("a"))),
        ("pins", mutual(), shop(M::Mutual), chain(pinned)),
        ("versions", simple(), shop(M::Simple), chain(latest)),
        ("gone", simple(), shop(M::Simple), other_host),
    ] {
        let chains = (&chain(before), &after);
        assert!(drains(&store, client, chains).await, "{case}");
    }
}

#[tokio::test]
async fn the_listener_of_a_chain_and_the_limits_of_the_mesh_are_a_part_of_it() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let chain = chain(shop(ServerTlsMode::Simple));
    let compiler = compiler(store.clone());
    let client = client(&store, simple());
    let limits = TlsConfig {
        min_protocol_version: TlsConfigProtocol::Tlsv1_3,
        ..TlsConfig::default()
    };
    let here = || compiler.clone().for_listener("here");
    for (case, after, drains) in [
        ("the same", here(), false),
        ("there", compiler.clone().for_listener("there"), true),
        ("limits", here().with_defaults(limits), true),
    ] {
        let list = DrainList::new();
        let server = publish(&here(), &list, &chain);
        let (accepted, _client) = connect(&server, &client).await;
        publish(&after, &list, &chain);
        list.recheck();
        assert_eq!(is_draining(&accepted), drains, "{case}");
    }
}

#[tokio::test]
async fn whom_the_mesh_believes_no_more_is_asked_of_the_verifier_of_now() {
    let [td, extra] = ["td", "extra"].map(Authority::new);
    let (_publisher, live) = {
        let (publisher, live) = resolve::channel();
        publisher.publish(Identity {
            svid: td.svid("/gateway"),
            bundles: bundles(&[&td]),
        });
        (publisher, live)
    };
    let believing = |extra: ExtraAuthorities, domains: TrustDomains| {
        let identity = MeshIdentity::new(live.clone(), domains).with_extra_authorities(extra);
        compiler(SecretStore::default()).with_identity(identity)
    };
    let mut both = ExtraAuthorities::default();
    let pem = extra.bundle().to_pem();
    both.add_pem(pem.as_bytes(), &["extra".parse().unwrap()])
        .unwrap();
    let domains = || TrustDomains::new("td".parse().unwrap());
    let chain = chain(ServerTlsSettings {
        mode: ServerTlsMode::IstioMutual,
        ..ServerTlsSettings::default()
    });
    let list = DrainList::new();
    let server = publish(&believing(both.clone(), domains()), &list, &chain);
    let [ours, theirs] = [&td, &extra].map(|of| Workload::new(of, "/w", &[&td]));
    let (ours, _client) = connect(&server, &ours.client(&["spiffe://td/gateway"])).await;
    let (theirs, _other) = connect(&server, &theirs.client(&["spiffe://td/gateway"])).await;
    publish(&believing(both, domains()), &list, &chain);
    assert_eq!(list.recheck(), 0, "nothing has changed");
    publish(
        &believing(ExtraAuthorities::default(), domains()),
        &list,
        &chain,
    );
    assert_eq!(list.recheck(), 1);
    assert!(is_draining(&theirs) && !is_draining(&ours));
}

#[tokio::test]
async fn a_connection_that_the_next_generation_accepts_early_stays() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let compiler = compiler(store.clone());
    let client = client(&store, mutual());
    let list = DrainList::new();
    let [before, after] = [ServerTlsMode::Simple, ServerTlsMode::Mutual]
        .map(shop)
        .map(chain);
    publish(&compiler, &list, &before);
    let (server, endings) = compile(&compiler, &list, &after);
    let (accepted, _client) = connect(&server, &client).await;
    assert_eq!(list.recheck(), 0, "for another reason");
    list.keep(endings);
    assert_eq!(list.recheck(), 0);
    assert!(!is_draining(&accepted));
}

#[tokio::test]
async fn a_connection_that_the_last_generation_accepts_late_drains_at_once() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let compiler = compiler(store.clone());
    let client = client(&store, simple());
    let list = DrainList::new();
    let [before, after] = [ServerTlsMode::Simple, ServerTlsMode::Mutual]
        .map(shop)
        .map(chain);
    let server = publish(&compiler, &list, &before);
    publish(&compiler, &list, &after);
    list.recheck();
    let (accepted, _client) = connect(&server, &client).await;
    assert!(is_draining(&accepted));
}
