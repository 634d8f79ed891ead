//! Servers of Gateways with `ISTIO_MUTUAL`, and the pins that they and those with `MUTUAL` demand.

use mesh_core::resource::istio::gateway::TlsProtocol;

use super::gateway::{mutual, shop, store_of};
use super::*;
use crate::certificate::Certificate;
use crate::digest::Sha256;

fn of_mesh(compiler: &TlsCompiler, settings: ServerTlsSettings) -> ServerTls {
    let mut chain = http_chain();
    chain.tls = Some(listener::ServerTls::Gateway(Box::new(ServerTlsSettings {
        mode: ServerTlsMode::IstioMutual,
        ..settings
    })));
    compiler.server(&chain).unwrap().unwrap()
}

fn names(names: &[&str]) -> ServerTlsSettings {
    ServerTlsSettings {
        subject_alt_names: names.iter().map(ToString::to_string).collect(),
        ..ServerTlsSettings::default()
    }
}

#[tokio::test]
async fn a_gateway_of_the_mesh_lets_in_whom_it_names() {
    let [td, partner] = ["td", "partner"].map(Authority::new);
    let server = Workload::new(&td, "/gateway", &[&td, &partner]);
    let cart = "spiffe://td/ns/shop/sa/cart";
    let local = Workload::new(&td, "/ns/shop/sa/cart", &[&td]);
    let other = Workload::new(&td, "/ns/shop/sa/web", &[&td]);
    let federated = Workload::new(&partner, "/w", &[&td]);
    // The authority of a partner vouches for what it likes, but for one URI.
    let forger = Workload::new(&partner, "/w", &[&td]);
    let forged = [
        SanType::URI("spiffe://partner/w".try_into().unwrap()),
        SanType::DnsName(cart.try_into().unwrap()),
        SanType::Rfc822Name(cart.try_into().unwrap()),
    ];
    forger.publisher.publish(Identity {
        svid: partner
            .leaf(testing::leaf_params(forged))
            .try_into()
            .unwrap(),
        bundles: bundles(&[&td]),
    });
    let partners = "spiffe://partner/w";
    let cases = [
        ("cart", &local, &[cart][..], "ok"),
        ("web", &other, &[cart], "peer_names"),
        ("federated", &federated, &[cart, partners], "ok"),
        ("federated, not named", &federated, &[cart], "peer_names"),
        ("forged", &forger, &[cart], "peer_names"),
        ("no names", &local, &[], "ok"),
        ("federated, no names", &federated, &[], "peer_trust_domain"),
    ];
    for (case, client, listed, expected) in cases {
        let server = of_mesh(&server.compiler, names(listed));
        let outcome = shake(&server, &client.client(&[]), Http1).await;
        assert_eq!(outcome.labels().0, expected, "{case}");
    }
}

#[tokio::test]
async fn a_gateway_of_the_mesh_refuses_whom_its_own_lists_revoke_and_those_of_the_mesh() {
    let td = Authority::new("td");
    let store = SecretStore::default();
    let workload = Workload::new(&td, "/gateway", &[&td]);
    let settings = ServerTlsSettings {
        ca_crl: "/crl.pem".into(),
        ..ServerTlsSettings::default()
    };
    let server = of_mesh(
        &workload.compiler.clone().with_secrets(store.clone()),
        settings,
    );
    let client = Workload::new(&td, "/w", &[&td]);
    client.publisher.publish(Identity {
        svid: td.numbered_svid("/w", 7),
        bundles: bundles(&[&td]),
    });
    let client = client.client(&[]);
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().0, "peer_revocation_unknown");
    let name = SecretName::RevocationsFile("/crl.pem".into());
    for (of_gateway, of_mesh, expected) in [
        (9, None, "ok"),
        (7, None, "peer_revoked"),
        (9, Some(8), "ok"),
        (9, Some(7), "peer_revoked"),
    ] {
        let lists = td.revocations(&[of_gateway]);
        store.publish(&name, TlsSecret::default().with_revocations(lists));
        let bundle = match of_mesh {
            Some(serial) => td.bundle().with_revocations(td.revocations(&[serial])),
            None => td.bundle(),
        };
        let bundles = TrustBundles::from_iter([bundle]);
        workload.publisher.publish_bundles(bundles);
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels().0, expected, "{of_gateway} {of_mesh:?}");
    }
}

/// Settings that pin a certificate, its key, or others, and whether a client with it is let in.
fn pinning(leaf: &Certificate) -> [(&'static str, ServerTlsSettings, bool); 5] {
    let sha256 = Sha256::of_provider(&provider()).unwrap();
    let hash = leaf.fingerprint(&sha256).to_string();
    let spki = leaf.public_key_fingerprint(&sha256).to_base64();
    let others = sha256.digest(b"other");
    let (other_hash, other_spki) = (others.to_string(), others.to_base64());
    let pins = |hashes: &[&String], spkis: &[&String]| ServerTlsSettings {
        verify_certificate_hash: hashes.iter().copied().cloned().collect(),
        verify_certificate_spki: spkis.iter().copied().cloned().collect(),
        ..ServerTlsSettings::default()
    };
    [
        ("certificate", pins(&[&other_hash, &hash], &[]), true),
        ("key", pins(&[], &[&other_spki, &spki]), true),
        ("either", pins(&[&other_hash], &[&spki]), true),
        ("another certificate", pins(&[&other_hash], &[]), false),
        ("another key", pins(&[], &[&other_spki]), false),
    ]
}

#[tokio::test]
async fn a_gateway_demands_the_certificate_or_the_key_that_it_pins() {
    let td = Authority::new("td");
    let store = store_of(&td);
    let client_files = SecretName::CredentialFiles {
        certificate: "/client.pem".into(),
        key: "/client.key".into(),
    };
    let own = td.host("client.example");
    let secret = TlsSecret::default().with_credential(own.clone());
    store.publish(&client_files, secret);
    let of_gateway = client(&store, mutual());
    for (case, pins, is_pinned) in pinning(own.leaf()) {
        let settings = ServerTlsSettings {
            verify_certificate_hash: pins.verify_certificate_hash,
            verify_certificate_spki: pins.verify_certificate_spki,
            ..shop(ServerTlsMode::Mutual)
        };
        let outcome = shake(&gateway(&store, settings), &of_gateway, Http1).await;
        let expected = if is_pinned { "ok" } else { "peer_not_pinned" };
        assert_eq!(outcome.labels().0, expected, "{case}");
    }

    let server = Workload::new(&td, "/gateway", &[&td]);
    let workload = Workload::new(&td, "/w", &[&td]);
    let svid = td.svid("/w");
    let leaf = svid.leaf().clone();
    let bundles = bundles(&[&td]);
    workload.publisher.publish(Identity { svid, bundles });
    let workload = workload.client(&[]);
    for (case, pins, is_pinned) in pinning(&leaf) {
        let outcome = shake(&of_mesh(&server.compiler, pins), &workload, Http1).await;
        let expected = if is_pinned { "ok" } else { "peer_not_pinned" };
        assert_eq!(outcome.labels().0, expected, "{case}, of the mesh");
    }
}

#[test]
fn what_a_gateway_of_the_mesh_does_not_do_is_noted() {
    let td = Authority::new("td");
    let workload = Workload::new(&td, "/gateway", &[&td]);
    let settings = ServerTlsSettings {
        min_protocol_version: TlsProtocol::Tlsv1_3,
        max_protocol_version: TlsProtocol::Tlsv1_3,
        cipher_suites: vec!["ECDHE-ECDSA-AES128-GCM-SHA256".into()],
        ecdh_curves: vec!["P-256".into()],
        insecure_skip_verify: Some(true),
        ..ServerTlsSettings::default()
    };
    let server = of_mesh(&workload.compiler, settings);
    assert!(!server.verifier().unwrap().is_insecure());
    let told = server.notices().iter().map(|notice| &*notice.message);
    let by_mesh = "has no effect: ISTIO_MUTUAL is limited by `meshMTLS` of the mesh";
    let expected = [
        format!("`minProtocolVersion` {by_mesh}"),
        format!("`maxProtocolVersion` {by_mesh}"),
        format!("`cipherSuites` {by_mesh}"),
        format!("`ecdhCurves` {by_mesh}"),
        "`insecureSkipVerify` has no effect: ISTIO_MUTUAL verifies its clients".to_owned(),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let server = of_mesh(&workload.compiler, ServerTlsSettings::default());
    assert!(server.notices().is_empty());
}
