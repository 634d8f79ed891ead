//! Servers and clients with credentials of their own.

use mesh_core::resource::istio::gateway::TlsProtocol;

use super::*;

/// A store with the credential `shop` of `shop.example`, its authorities, and those of servers.
pub(super) fn store_of(authority: &Authority) -> SecretStore {
    let store = SecretStore::default();
    let roots = Roots::new([authority.certificate()]).unwrap();
    let shop = TlsSecret::default()
        .with_credential(authority.host("shop.example"))
        .with_roots(roots.clone());
    store.publish(&"shop".parse().unwrap(), shop);
    let authorities = SecretName::AuthoritiesFile("/ca.pem".into());
    store.publish(&authorities, TlsSecret::default().with_roots(roots));
    let client = SecretName::CredentialFiles {
        certificate: "/client.pem".into(),
        key: "/client.key".into(),
    };
    let credential = authority.host("client.example");
    store.publish(&client, TlsSecret::default().with_credential(credential));
    store
}

pub(super) fn shop(mode: ServerTlsMode) -> ServerTlsSettings {
    ServerTlsSettings {
        mode,
        credential_name: "shop".into(),
        ..ServerTlsSettings::default()
    }
}

pub(super) fn simple() -> ClientTlsSettings {
    ClientTlsSettings {
        mode: ClientTlsMode::Simple,
        ca_certificates: "/ca.pem".into(),
        ..ClientTlsSettings::default()
    }
}

pub(super) fn mutual() -> ClientTlsSettings {
    ClientTlsSettings {
        mode: ClientTlsMode::Mutual,
        client_certificate: "/client.pem".into(),
        private_key: "/client.key".into(),
        ..simple()
    }
}

#[tokio::test]
async fn each_mode_of_a_gateway_asks_for_what_it_says() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let strangers = store_of(&Authority::new("stranger"));
    let trusting = ClientTlsSettings {
        ca_certificates: String::new(),
        insecure_skip_verify: Some(true),
        ..mutual()
    };
    let no_cert = client(&store, simple());
    let cert = client(&store, mutual());
    let strange = client(&strangers, trusting);
    use ServerTlsMode as M;
    let cases = [
        (M::Simple, &no_cert, ("ok", "ok")),
        (M::Simple, &cert, ("ok", "ok")),
        (
            M::Mutual,
            &no_cert,
            ("no_client_certificate", "our_certificate_missing"),
        ),
        (M::Mutual, &cert, ("ok", "ok")),
        (
            M::Mutual,
            &strange,
            ("peer_issuer_untrusted", "our_issuer_untrusted"),
        ),
        (M::OptionalMutual, &no_cert, ("ok", "ok")),
        (M::OptionalMutual, &cert, ("ok", "ok")),
        (
            M::OptionalMutual,
            &strange,
            ("peer_issuer_untrusted", "our_issuer_untrusted"),
        ),
    ];
    for (mode, client, expected) in cases {
        let outcome = shake(&gateway(&store, shop(mode)), client, Http1).await;
        assert_eq!(outcome.labels(), expected, "{mode:?}");
    }
}

#[tokio::test]
async fn a_client_knows_whether_the_server_asked_who_it_is() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let [no_cert, cert] = [simple(), mutual()].map(|settings| client(&store, settings));
    use ServerTlsMode as M;
    let unasked = Some("our_certificate_unasked");
    let cases = [
        (M::Simple, &no_cert, None),
        (M::Simple, &cert, unasked),
        (M::Mutual, &cert, None),
        (M::OptionalMutual, &no_cert, None),
        (M::OptionalMutual, &cert, None),
    ];
    for (mode, client, expected) in cases {
        for version in [TlsProtocol::Tlsv1_2, TlsProtocol::Tlsv1_3] {
            let settings = ServerTlsSettings {
                max_protocol_version: version,
                ..shop(mode)
            };
            let outcome = shake(&gateway(&store, settings), client, Http1).await;
            let [server, client] = [outcome.client.unwrap(), outcome.server.unwrap()];
            let found = server.unasked().map(|diagnosis| diagnosis.label());
            assert_eq!(found, expected, "{mode:?} {version:?}");
            assert!(client.unasked().is_none(), "clients always ask");
        }
    }
}

#[tokio::test]
async fn a_gateway_checks_names_and_pins_of_clients() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let client = client(&store, mutual());
    let mutual = || shop(ServerTlsMode::Mutual);
    let with_names = |name: &str| ServerTlsSettings {
        subject_alt_names: vec![name.into()],
        ..mutual()
    };
    let pin = ServerTlsSettings {
        verify_certificate_hash: vec!["00".repeat(32)],
        ..mutual()
    };
    let cases = [
        ("name", with_names("client.example"), "ok"),
        ("other name", with_names("other.example"), "peer_names"),
        ("other pin", pin, "peer_not_pinned"),
    ];
    for (name, settings, expected) in cases {
        let outcome = shake(&gateway(&store, settings), &client, Http1).await;
        assert_eq!(outcome.labels().0, expected, "{name}");
    }
}

#[tokio::test]
async fn what_an_unverified_client_presents_proves_nothing() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let settings = ServerTlsSettings {
        insecure_skip_verify: Some(true),
        ..shop(ServerTlsMode::OptionalMutual)
    };
    let server = gateway(&store, settings);
    for settings in [simple(), mutual()] {
        let outcome = shake(&server, &client(&store, settings), Http1).await;
        let peer = outcome.server.unwrap();
        assert_eq!((peer.identity, peer.certificates), (None, None));
        let digests = [peer.info.peer_fingerprint, peer.info.peer_chain_digest];
        assert_eq!(digests, [None; 2]);
    }
}

#[tokio::test]
async fn a_client_checks_authority_and_name_of_the_server() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let strangers = store_of(&Authority::new("stranger"));
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let sni = |name: &str| ClientTlsSettings {
        sni: name.into(),
        ..simple()
    };
    let names = |name: &str| ClientTlsSettings {
        subject_alt_names: vec![name.into()],
        ..simple()
    };
    let cases = [
        ("host of the request", &store, simple(), "ok"),
        ("sni", &store, sni("shop.example"), "ok"),
        ("other sni", &store, sni("other.example"), "peer_names"),
        ("names", &store, names("shop.example"), "ok"),
        ("other names", &store, names("other.example"), "peer_names"),
        (
            "other authority",
            &strangers,
            simple(),
            "peer_issuer_untrusted",
        ),
    ];
    for (name, store, settings, expected) in cases {
        let outcome = shake(&server, &client(store, settings), Http1).await;
        assert_eq!(outcome.labels().1, expected, "{name}");
    }
}

#[tokio::test]
async fn a_credential_is_live() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let name: SecretName = "shop".parse().unwrap();
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let client = client(&store, simple());
    store.withdraw(&name);
    assert_eq!(
        shake(&server, &client, Http1).await.labels().0,
        "no_server_certificate"
    );
    let credential = authority.host("shop.example");
    let leaf = credential.leaf().der().clone();
    store.publish(&name, TlsSecret::default().with_credential(credential));
    let outcome = shake(&server, &client, Http1).await;
    assert_eq!(outcome.client.unwrap().certificates.unwrap().0[0], leaf);
}

#[tokio::test]
async fn without_a_common_version_both_ends_say_so() {
    use rustls::version::TLS12;

    let authority = Authority::new("root");
    let store = store_of(&authority);
    let settings = ServerTlsSettings {
        min_protocol_version: TlsProtocol::Tlsv1_3,
        ..shop(ServerTlsMode::Simple)
    };
    let acceptor = TlsAcceptor::new(gateway(&store, settings));
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "shop.example".try_into().unwrap();
    let (server, client) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(name, client_io)
    );
    assert_eq!(server.unwrap_err().label(), "no_common_version");
    let diagnosis = Diagnosis::of_io(Side::Client, &client.unwrap_err(), None);
    assert_eq!(diagnosis.label(), "no_common_version");
}

#[tokio::test]
async fn a_client_resumes_its_session_only_where_nothing_that_verifies_can_be_replaced() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let roots = Roots::new([authority.certificate()]).unwrap();
    let system = compiler(store.clone()).with_system_roots(roots);
    let by_system = ClientTlsSettings {
        ca_certificates: String::new(),
        ..simple()
    };
    let insecure = ClientTlsSettings {
        insecure_skip_verify: Some(true),
        ..by_system.clone()
    };
    let credential = ClientTlsSettings {
        credential_name: "shop".into(),
        ..by_system.clone()
    };
    let cases = [
        ("system", by_system, true),
        ("insecure", insecure, true),
        ("authorities that can be replaced", simple(), false),
        ("authorities of a credential", credential, false),
        ("presents a certificate", mutual(), false),
    ];
    for (name, settings, is_resumed) in cases {
        let mut cluster = Cluster::new("outbound|443||shop.example".into());
        cluster.tls = ResolvedUpstream::Settings(Box::new(settings));
        let client = towards_any(&system, &cluster);
        let resumed = resumes(&server, client).await;
        assert_eq!(resumed, is_resumed, "{name}");
    }
}

#[tokio::test]
async fn a_client_of_the_mesh_does_not_resume_even_where_the_server_would() {
    let authority = Authority::new("td");
    let store = SecretStore::default();
    let svid = authority.svid("/ns/shop/sa/cart").credential().clone();
    let secret = TlsSecret::default().with_credential(svid);
    store.publish(&"shop".parse().unwrap(), secret);
    let server = gateway(&store, shop(ServerTlsMode::Simple));
    let web = Workload::new(&authority, "/ns/shop/sa/web", &[&authority]);
    assert!(!resumes(&server, web.client(&[])).await);
}

/// Whether the second connection of a client resumes the session of the first.
async fn resumes(server: &ServerTls, client: ClientTls) -> bool {
    let connector = TlsConnector::new(client, Http1);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let acceptor = TlsAcceptor::new(server.clone());
        let serving = async {
            let mut accepted = acceptor.accept(server_io).await.unwrap();
            accepted.stream.write_all(b"!").await.unwrap();
            accepted.stream
        };
        let connecting = async {
            let host = Some("shop.example");
            let mut connected = connector.connect(client_io, host).await.unwrap();
            connected.stream.read_exact(&mut [0]).await.unwrap();
            connected.stream.get_ref().1.handshake_kind()
        };
        let (_server, kind) = tokio::join!(serving, connecting);
        kinds.push(kind);
    }
    assert_eq!(kinds[0], Some(rustls::HandshakeKind::Full));
    kinds[1] == Some(rustls::HandshakeKind::Resumed)
}

#[tokio::test]
async fn an_identity_that_a_gateways_authority_names_is_claimed_and_one_of_the_mesh_is_proven() {
    use crate::connection::{ClaimedIdentity, Connection};
    use mesh_core::attributes::PeerIdentity;

    let partner = Authority::new("partner");
    let store = store_of(&partner);
    let name = SecretName::CredentialFiles {
        certificate: "/client.pem".into(),
        key: "/client.key".into(),
    };
    let svid = partner.svid("/ns/admin/sa/root").credential().clone();
    store.publish(&name, TlsSecret::default().with_credential(svid));
    let gateway = gateway(&store, shop(ServerTlsMode::Mutual));
    let outcome = shake(&gateway, &client(&store, mutual()), Http1).await;
    let of_gateway = outcome.server.unwrap();

    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let outcome = shake(&workload.server(), &workload.client(&[]), Http1).await;
    let of_mesh = outcome.server.unwrap();

    let cases = [
        (of_gateway, "spiffe://partner/ns/admin/sa/root", true),
        (of_mesh, "spiffe://td/w", false),
    ];
    for (peer, id, is_claimed) in cases {
        let address = "192.0.2.7:1".parse().unwrap();
        let mut extensions = http::Extensions::new();
        Connection::tls(address, address, peer).attach(&mut extensions);
        let expected = PeerIdentity(id.parse().unwrap());
        assert_eq!(extensions.get(), Some(&expected));
        let claimed = extensions.get::<ClaimedIdentity>();
        assert_eq!(claimed.is_some(), is_claimed, "{id}");
    }
}
