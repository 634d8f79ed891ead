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
    let connection = list.register(handshake, server.verifier().unwrap().clone());
    assert_eq!((list.recheck(), connection.is_draining()), (0, false));

    publisher.publish(authority.revocations(&[2]));
    assert_eq!((list.recheck(), connection.is_draining()), (1, true));
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().0, "peer_revoked");
}
