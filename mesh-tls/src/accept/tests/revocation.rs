//! Certificates of the mesh that are revoked.

use mesh_core::watch;
use rustls_pki_types::CertificateDer;

use super::*;
use crate::drain::{DrainList, Handshake};
use crate::verify::{Purpose, Revocations};

/// A workload whose certificate has this serial number, and who knows these lists.
fn numbered(authority: &Authority, serial: u64, lists: watch::Watch<Revocations>) -> Workload {
    let (publisher, live) = resolve::channel();
    publisher.publish(Identity {
        svid: authority.numbered_svid("/w", serial),
        bundles: bundles(&[authority]),
    });
    let identity = MeshIdentity::new(live, TrustDomains::new("td".parse().unwrap()));
    let identity = identity.with_revocations(lists);
    Workload {
        compiler: compiler(SecretStore::default()).with_identity(identity),
        publisher,
    }
}

#[tokio::test]
async fn a_workload_whose_certificate_is_revoked_is_refused_on_both_sides() {
    let authority = Authority::new("td");
    let none = || Revocations::default().into();
    let others = || authority.revocations(&[9]).into();
    let cases = [
        ("no lists", none(), none(), ("ok", "ok")),
        ("others are revoked", others(), others(), ("ok", "ok")),
        (
            "the client",
            authority.revocations(&[2]).into(),
            none(),
            ("peer_revoked", "our_certificate_refused"),
        ),
        (
            "the server",
            none(),
            authority.revocations(&[1]).into(),
            ("our_certificate_refused", "peer_revoked"),
        ),
        (
            "a list of another authority",
            Authority::new("td").revocations(&[]).into(),
            none(),
            ("peer_revocation_unknown", "our_issuer_untrusted"),
        ),
    ];
    for (name, of_server, of_client, expected) in cases {
        let server = numbered(&authority, 1, of_server).server();
        let client = numbered(&authority, 2, of_client).client(&["spiffe://td/w"]);
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_list_that_is_replaced_counts_from_the_next_handshake_and_drains_those_before() {
    let authority = Authority::new("td");
    let (publisher, lists) = watch::channel(Revocations::default());
    let server = numbered(&authority, 1, lists).server();
    let client = numbered(&authority, 2, Revocations::default().into()).client(&[]);
    let outcome = shake(&server, &client, Http1).await;
    let chain: Vec<CertificateDer<'static>> = {
        let certificates = outcome.server.unwrap().certificates.unwrap();
        certificates.0.to_vec()
    };
    let list = DrainList::new();
    let handshake = Handshake {
        chain,
        purpose: Purpose::Client,
        server_name: None,
        at: testing::now(),
    };
    let connection = list
        .begin()
        .register(handshake, server.verifier().unwrap().clone());
    assert_eq!((list.recheck(), connection.is_draining()), (0, false));

    publisher.publish(authority.revocations(&[2]));
    assert_eq!((list.recheck(), connection.is_draining()), (1, true));
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().0, "peer_revoked");
}

#[tokio::test]
async fn connections_to_a_server_that_is_revoked_or_whose_root_is_dropped_drain() {
    let [authority, other] = [Authority::new("td"), Authority::new("td")];
    let server = numbered(&authority, 1, Revocations::default().into()).server();
    type Distrust = fn(&watch::Publisher<Revocations>, &Workload, [&Authority; 2]);
    let cases: [(&str, Distrust); 2] = [
        ("revoked", |lists, _, [authority, _]| {
            lists.publish(authority.revocations(&[1]));
        }),
        ("dropped", |_, client, [_, other]| {
            client.publisher.publish_bundles(bundles(&[other]));
        }),
    ];
    for (name, distrust) in cases {
        let (publisher, lists) = watch::channel(Revocations::default());
        let mut client = numbered(&authority, 2, lists);
        let list = DrainList::new();
        client.compiler = client.compiler.with_drain_list(list.clone());
        let connector = TlsConnector::new(client.client(&["spiffe://td/w"]), Http2);
        let acceptor = TlsAcceptor::new(server.clone());
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let (_accepted, connected) = tokio::join!(
            acceptor.accept(server_io),
            connector.connect(client_io, None)
        );
        let connected = connected.unwrap();
        let tracked = connected.tracked.as_ref().unwrap();
        assert_eq!((list.len(), list.recheck()), (1, 0), "{name}");
        assert!(!tracked.is_draining(), "{name}");

        distrust(&publisher, &client, [&authority, &other]);
        assert_eq!(list.recheck(), 1, "{name}");
        assert!(tracked.is_draining(), "{name}");
        drop(connected);
        assert!(list.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_connection_to_a_host_is_asked_about_by_the_name_that_it_was_made_by() {
    use super::gateway::{shop, simple, store_of};

    let authority = Authority::new("root");
    let store = store_of(&authority);
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let list = DrainList::new();
    let mut cluster = Cluster::new("outbound|443||shop.example".into());
    cluster.tls = ResolvedUpstream::Settings(Box::new(simple()));
    let compiler = compiler(store.clone()).with_drain_list(list.clone());
    let connector = TlsConnector::new(towards_any(&compiler, &cluster), Http1);
    let acceptor = TlsAcceptor::new(server);
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let (_accepted, connected) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(client_io, Some("shop.example:443"))
    );
    let tracked = connected.unwrap().tracked.unwrap();
    assert_eq!(list.recheck(), 0);
    store.withdraw(&SecretName::AuthoritiesFile("/ca.pem".into()));
    assert_eq!((list.recheck(), tracked.is_draining()), (1, true));
}
