//! Certificates of hosts that are revoked: by lists in files, in Secrets and in ConfigMaps.

use super::credentials::{numbered, secret};
use super::gateway::{mutual, shop, simple};
use super::*;
use crate::pem;

fn crl() -> SecretName {
    SecretName::RevocationsFile("/crl.pem".into())
}

#[tokio::test]
async fn without_the_revocation_lists_of_a_gateway_no_client_is_believed() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 7, 1);
    let settings = ServerTlsSettings {
        ca_crl: "/crl.pem".into(),
        ..shop(ServerTlsMode::Mutual)
    };
    let (server, client) = (gateway(&store, settings), client(&store, mutual()));
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().0, "peer_revocation_unknown");
    for (revoked, expected) in [(9, "ok"), (7, "peer_revoked")] {
        let lists = authority.revocations(&[revoked]);
        store.publish(&crl(), TlsSecret::default().with_revocations(lists));
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels().0, expected);
    }
    store.withdraw(&crl());
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().0, "peer_revocation_unknown");
}

#[tokio::test]
async fn without_the_revocation_lists_of_a_rule_no_server_is_believed() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 1, 7);
    let settings = ClientTlsSettings {
        ca_crl: "/crl.pem".into(),
        ..simple()
    };
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let client = client(&store, settings);
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.labels().1, "peer_revocation_unknown");
    for (revoked, expected) in [(9, "ok"), (7, "peer_revoked")] {
        let lists = authority.revocations(&[revoked]);
        store.publish(&crl(), TlsSecret::default().with_revocations(lists));
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels().1, expected);
    }
}

#[tokio::test]
async fn the_revocation_lists_of_a_secret_count_in_its_handshakes() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 7, 1);
    let server = gateway(&store, shop(ServerTlsMode::Mutual));
    let client = client(&store, mutual());
    let list = |revoked| pem::encode("X509 CRL", &authority.revocation_list(&[revoked]));
    let cases = [
        (vec![("ca.crl", list(9))], "ok"),
        (vec![("ca.crl", list(7))], "peer_revoked"),
        (vec![("crl", list(9))], "ok"),
        (vec![("crl", list(7))], "peer_revoked"),
        // The generic one comes first, unless it is empty.
        (vec![("crl", list(9)), ("ca.crl", list(7))], "ok"),
        (vec![("crl", list(7)), ("ca.crl", list(9))], "peer_revoked"),
        (
            vec![("crl", "\n".into()), ("ca.crl", list(7))],
            "peer_revoked",
        ),
    ];
    for (lists, expected) in cases {
        let secret = secret(&authority, &lists);
        store.publish(&"shop".parse().unwrap(), secret);
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels().0, expected, "{lists:?}");
    }
}

#[tokio::test]
async fn the_revocation_lists_beside_the_authorities_of_a_rule_count_for_servers() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 1, 7);
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let by_credential = |name: &str| ClientTlsSettings {
        ca_certificates: String::new(),
        credential_name: name.to_owned(),
        ..simple()
    };
    let root = pem::encode_certificates([&authority.certificate()]);
    for (revoked, expected) in [(9, "ok"), (7, "peer_revoked")] {
        let list = pem::encode("X509 CRL", &authority.revocation_list(&[revoked]));
        for key in ["crl", "ca.crl"] {
            let data = [("ca.crt", &*root), (key, &*list)];
            let secret = TlsSecret::from_config_map(data).unwrap();
            store.publish(&"configmap://shop/map".parse().unwrap(), secret);
            let client = client(&store, by_credential("configmap://shop/map"));
            let outcome = shake(&server, &client, Http1).await;
            assert_eq!(outcome.labels().1, expected, "{key}");
        }
    }
}

#[tokio::test]
async fn the_revocation_lists_of_a_rule_count_beside_the_authorities_of_the_system() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 1, 7);
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let mut cluster = Cluster::new("outbound|443||shop.example".into());
    cluster.tls = ResolvedUpstream::Settings(Box::new(ClientTlsSettings {
        ca_certificates: String::new(),
        ca_crl: "/crl.pem".into(),
        ..simple()
    }));
    let roots = Roots::new([authority.certificate()]).unwrap();
    let system = compiler(store.clone()).with_system_roots(roots);
    let client = towards_any(&system, &cluster);
    for (revoked, expected) in [(9, "ok"), (7, "peer_revoked")] {
        let lists = authority.revocations(&[revoked]);
        store.publish(&crl(), TlsSecret::default().with_revocations(lists));
        let outcome = shake(&server, &client, Http1).await;
        assert_eq!(outcome.labels().1, expected);
    }
}
