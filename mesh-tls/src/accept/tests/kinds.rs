//! An RSA and an ECDSA certificate for one name.

use mesh_core::resource::istio::gateway::TlsProtocol;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::CertificateDer;

use super::gateway::{simple, store_of};
use super::*;
use crate::config::SniCertificates;

/// Publishes the secrets `rsa` and `ecdsa`, and gives their certificates.
fn publish_both(authority: &Authority, store: &SecretStore) -> [CertificateDer<'static>; 2] {
    let kinds = [
        ("rsa", &rcgen::PKCS_RSA_SHA256),
        ("ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256),
    ];
    kinds.map(|(secret, kind)| {
        let name = SanType::DnsName("shop.example".try_into().unwrap());
        let key = testing::key_pair(kind);
        let leaf = authority.leaf_with(testing::leaf_params([name]), key);
        store.publish(
            &secret.parse().unwrap(),
            TlsSecret::default().with_credential(leaf.clone()),
        );
        leaf.leaf().der().clone()
    })
}

#[tokio::test]
async fn the_client_gets_one_that_it_can_verify() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let leaves = publish_both(&authority, &store);
    let settings = |cipher: &str| ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        credential_names: vec!["rsa".into(), "ecdsa".into()],
        max_protocol_version: TlsProtocol::Tlsv1_2,
        cipher_suites: vec![cipher.into()],
        ..ServerTlsSettings::default()
    };
    let cases = [
        ("ECDHE-RSA-AES128-GCM-SHA256", &leaves[0]),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", &leaves[1]),
    ];
    for (cipher, leaf) in cases {
        let server = gateway(&store, settings(cipher));
        let outcome = shake(&server, &client(&store, simple()), Http1).await;
        let peer = outcome.client.unwrap();
        assert_eq!(&peer.certificates.unwrap().0[0], leaf, "{cipher}");
        assert_eq!(peer.info.version, Some("TLSv1.2"));
    }
}

/// Cryptography whose cipher suites of TLS 1.2 are for RSA keys.
fn with_suites_for_rsa() -> CryptoProvider {
    let mut provider = CryptoProvider::clone(&provider());
    let is_for_rsa = |suite| suite == CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .retain(|suite| is_for_rsa(suite.suite()));
    provider
}

/// Cryptography that verifies signatures of RSA keys in handshakes.
fn with_schemes_of_rsa() -> CryptoProvider {
    let mut provider = CryptoProvider::clone(&provider());
    let known = provider.signature_verification_algorithms;
    let of_rsa = known.mapping.iter().filter(|(scheme, _)| {
        use SignatureScheme as S;
        matches!(
            scheme,
            S::RSA_PSS_SHA256 | S::RSA_PSS_SHA384 | S::RSA_PSS_SHA512
        )
    });
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: known.all,
        mapping: Box::leak(of_rsa.copied().collect()),
    };
    provider
}

/// The certificate that a client with this cryptography is shown.
async fn shown(
    authority: &Authority,
    server: ServerConfig,
    (client, version): (CryptoProvider, &'static SupportedProtocolVersion),
) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    let root = authority.certificate();
    roots.add(root.der().clone()).unwrap();
    let config = ClientConfig::builder_with_details(Arc::new(client), Arc::new(FixedTime))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "shop.example".try_into().unwrap();
    let (accepted, connected) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(name, client_io)
    );
    accepted.unwrap();
    let stream = connected.unwrap();
    let (_, state) = stream.get_ref();
    state.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn by_server_name_too_the_client_gets_one_that_it_can_verify() {
    let authority = Authority::new("root");
    let store = SecretStore::default();
    let [rsa, ecdsa] = publish_both(&authority, &store);
    let server = || {
        let secrets = ["ecdsa", "rsa"].map(|name| store.watch(&name.parse().unwrap()));
        let names = [("shop.example", secrets.to_vec())];
        let certificates = SniCertificates::new(&provider(), names);
        ServerConfig::builder_with_details(provider(), Arc::new(FixedTime))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates))
    };
    let any = || CryptoProvider::clone(&provider());
    let cases = [
        ("suites of TLS 1.2", with_suites_for_rsa(), &TLS12, &rsa),
        ("schemes of TLS 1.2", with_schemes_of_rsa(), &TLS12, &rsa),
        ("schemes of TLS 1.3", with_schemes_of_rsa(), &TLS13, &rsa),
        ("any of TLS 1.2", any(), &TLS12, &ecdsa),
        ("any of TLS 1.3", any(), &TLS13, &ecdsa),
    ];
    for (name, client, version, expected) in cases {
        let found = shown(&authority, server(), (client, version)).await;
        assert_eq!(&found, expected, "{name}");
    }
}
