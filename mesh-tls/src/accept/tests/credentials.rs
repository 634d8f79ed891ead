//! Where certificates, authorities and revocation lists come from, and what is believed without them.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_core::resource::istio::gateway::{TlsCertificate, TlsProtocol};
use mesh_core::resource::istio::mesh_config::{TlsConfig, TlsConfigProtocol};
use mesh_core::resource::kubernetes::secret::Secret;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};

use super::gateway::{mutual, shop, simple, store_of};
use super::*;
use crate::credential::Credential;
use crate::digest::Sha256;
use crate::drain::DrainList;
use crate::pem;

fn client_files() -> SecretName {
    SecretName::CredentialFiles {
        certificate: "/client.pem".into(),
        key: "/client.key".into(),
    }
}

fn of_host(authority: &Authority, host: &str, serial: u64) -> Credential {
    let name = SanType::DnsName(host.try_into().unwrap());
    let mut params = testing::leaf_params([name]);
    params.serial_number = Some(serial.into());
    authority.leaf(params)
}

fn with_roots(authority: &Authority) -> TlsSecret {
    TlsSecret::default().with_roots(Roots::new([authority.certificate()]).unwrap())
}

/// A store whose client and server have certificates with these serial numbers.
pub(super) fn numbered(authority: &Authority, client: u64, server: u64) -> SecretStore {
    let store = store_of(authority);
    let of_client = of_host(authority, "client.example", client);
    store.publish(
        &client_files(),
        TlsSecret::default().with_credential(of_client),
    );
    let of_server = of_host(authority, "shop.example", server);
    let secret = with_roots(authority).with_credential(of_server);
    store.publish(&"shop".parse().unwrap(), secret);
    store
}

/// The Secret of a server, with what its keys hold.
pub(super) fn secret(authority: &Authority, further: &[(&str, String)]) -> TlsSecret {
    let host = authority.host("shop.example");
    let key = pem::encode("PRIVATE KEY", host.private_key().secret_der());
    let chain = pem::encode_certificates(host.chain());
    let values = [
        ("tls.crt", chain),
        ("tls.key", key),
        (
            "ca.crt",
            pem::encode_certificates([&authority.certificate()]),
        ),
    ];
    let mut secret = Secret::default();
    for (name, value) in values.iter().chain(further) {
        let value = STANDARD.encode(value);
        secret.data.insert((*name).to_owned(), value);
    }
    TlsSecret::from_kubernetes(&secret, &provider()).unwrap()
}

#[tokio::test]
async fn a_rule_that_names_no_authorities_believes_those_of_the_system_alone() {
    let [known, stranger] = [Authority::new("root"), Authority::new("root")];
    let roots = Roots::new([known.certificate()]).unwrap();
    for ca_certificates in ["", "system"] {
        for mode in [simple(), mutual()] {
            let mut cluster = Cluster::new("outbound|443||shop.example".into());
            cluster.tls = ResolvedUpstream::Settings(Box::new(ClientTlsSettings {
                ca_certificates: ca_certificates.into(),
                ..mode
            }));
            for (authority, expected) in [(&known, "ok"), (&stranger, "peer_issuer_untrusted")] {
                let store = numbered(authority, 1, 2);
                let server = gateway(&store, shop(ServerTlsMode::Simple));
                let system = compiler(store).with_system_roots(roots.clone());
                let outcome = shake(&server, &towards_any(&system, &cluster), Http1).await;
                assert_eq!(outcome.labels().1, expected, "`{ca_certificates}`");
            }
            let nobody = compiler(SecretStore::default());
            let error = nobody.upstream(&cluster).unwrap_err().to_string();
            assert!(error.contains("no authority to verify"), "{error}");
        }
    }
}

/// Believes every server, and keeps what it staples.
#[derive(Debug, Default)]
struct Stapled(Mutex<Vec<u8>>);

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = response.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn the_response_of_a_secret_is_stapled() {
    let authority = Authority::new("root");
    let store = SecretStore::default();
    let stapled = secret(&authority, &[("tls.ocsp-staple", "response".into())]);
    store.publish(&"shop".parse().unwrap(), stapled);
    let acceptor = TlsAcceptor::new(gateway(&store, shop(ServerTlsMode::Simple)));
    let verifier = Arc::new(Stapled::default());
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "shop.example".try_into().unwrap();
    let (accepted, connected) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(name, client_io)
    );
    assert!(accepted.is_ok() && connected.is_ok());
    assert_eq!(*verifier.0.lock().unwrap(), b"response");
}

#[tokio::test]
async fn authorities_of_clients_are_looked_for_in_their_own_secret_first() {
    let [own, partner] = ["own", "partner"].map(Authority::new);
    let store = store_of(&own);
    let of_partner = of_host(&partner, "client.example", 1);
    let theirs = store_of(&own);
    theirs.publish(
        &client_files(),
        TlsSecret::default().with_credential(of_partner),
    );
    let clients = [client(&store, mutual()), client(&theirs, mutual())];
    let named = ServerTlsSettings {
        ca_cert_credential_name: "partner".into(),
        ..shop(ServerTlsMode::Mutual)
    };
    store.publish(&"partner".parse().unwrap(), with_roots(&partner));
    let beside = shop(ServerTlsMode::Mutual);
    let suffixed: SecretName = "shop-cacert".parse().unwrap();
    let cases = [
        (
            "caCertCredentialName",
            &named,
            false,
            ["peer_issuer_untrusted", "ok"],
        ),
        (
            "NAME-cacert",
            &beside,
            true,
            ["peer_issuer_untrusted", "ok"],
        ),
        ("NAME", &beside, false, ["ok", "peer_issuer_untrusted"]),
    ];
    for (name, settings, is_published, expected) in cases {
        match is_published {
            true => store.publish(&suffixed, with_roots(&partner)),
            false => store.withdraw(&suffixed),
        }
        let server = gateway(&store, settings.clone());
        for (client, expected) in clients.iter().zip(expected) {
            let outcome = shake(&server, client, Http1).await;
            assert_eq!(outcome.labels().0, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn certificates_are_read_from_the_files_of_a_list() {
    let authority = Authority::new("root");
    let store = store_of(&authority);
    let files = SecretName::CredentialFiles {
        certificate: "/shop.pem".into(),
        key: "/shop.key".into(),
    };
    let host = authority.host("shop.example");
    let leaf = host.leaf().der().clone();
    store.publish(&files, TlsSecret::default().with_credential(host));
    let settings = ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        tls_certificates: vec![TlsCertificate {
            server_certificate: "/shop.pem".into(),
            private_key: "/shop.key".into(),
            ca_certificates: String::new(),
        }],
        ..ServerTlsSettings::default()
    };
    let outcome = shake(&gateway(&store, settings), &client(&store, simple()), Http1).await;
    assert_eq!(outcome.client.unwrap().certificates.unwrap().0[0], leaf);
}

#[test]
fn where_a_server_says_nothing_the_defaults_of_the_mesh_say() {
    let store = SecretStore::default();
    let compiler = compiler(store).with_defaults(TlsConfig {
        min_protocol_version: TlsConfigProtocol::Tlsv1_3,
        ecdh_curves: vec!["X25519".into()],
        cipher_suites: vec!["ECDHE-ECDSA-AES128-GCM-SHA256".into()],
    });
    let compile = |settings: ServerTlsSettings| {
        let mut chain = http_chain();
        chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
        compiler.server(&chain).map(|server| {
            let server = server.unwrap();
            let provider = Arc::clone(server.config(&[]).crypto_provider());
            let tls12 = provider.cipher_suites.iter();
            let tls12 = tls12.filter(|suite| suite.tls13().is_none()).count();
            (tls12, provider.kx_groups.len())
        })
    };
    let simple = || shop(ServerTlsMode::Simple);
    assert_eq!(compile(simple()).unwrap(), (1, 1));
    let written = ServerTlsSettings {
        ecdh_curves: vec!["P-256".into(), "P-384".into()],
        ..simple()
    };
    assert_eq!(compile(written).unwrap(), (1, 2));
    let to_12 = ServerTlsSettings {
        max_protocol_version: TlsProtocol::Tlsv1_2,
        ..simple()
    };
    let error = compile(to_12.clone()).unwrap_err().to_string();
    assert!(error.contains("no version of TLS"), "{error}");
    let from_12 = ServerTlsSettings {
        min_protocol_version: TlsProtocol::Tlsv1_2,
        ..to_12
    };
    assert_eq!(compile(from_12).unwrap(), (1, 1));

    let mut cluster = Cluster::new("outbound|443||shop.example".into());
    cluster.tls = ResolvedUpstream::Settings(Box::new(gateway::simple()));
    let client = towards_any(&compiler, &cluster);
    let provider = client.config(Http1).crypto_provider();
    assert_eq!(provider.kx_groups.len(), 1);
}

#[tokio::test]
async fn a_connection_with_a_certificate_is_listed_until_it_ends() {
    let authority = Authority::new("root");
    let store = numbered(&authority, 7, 1);
    let list = DrainList::new();
    let compile = |mode| {
        let mut chain = http_chain();
        chain.tls = Some(listener::ServerTls::Gateway(Box::new(shop(mode))));
        let compiler = compiler(store.clone()).with_drain_list(list.clone());
        TlsAcceptor::new(compiler.server(&chain).unwrap().unwrap())
    };
    let cases = [
        (ServerTlsMode::Simple, mutual(), 0),
        (ServerTlsMode::OptionalMutual, simple(), 0),
        (ServerTlsMode::Mutual, mutual(), 1),
    ];
    for (mode, settings, listed) in cases {
        let connector = TlsConnector::new(client(&store, settings), Http1);
        let acceptor = compile(mode);
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let (accepted, _connected) = tokio::join!(
            acceptor.accept(server_io),
            connector.connect(client_io, Some("shop.example"))
        );
        let accepted = accepted.unwrap();
        assert_eq!((list.len(), list.recheck()), (listed, 0), "{mode:?}");
        drop(accepted);
        assert!(list.is_empty(), "{mode:?}");
    }

    let connector = TlsConnector::new(client(&store, mutual()), Http1);
    let acceptor = compile(ServerTlsMode::Mutual);
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let (accepted, _connected) = tokio::join!(
        acceptor.accept(server_io),
        connector.connect(client_io, Some("shop.example"))
    );
    let tracked = accepted.unwrap().tracked.unwrap();
    let lists = authority.revocations(&[7]);
    let revoking = with_roots(&authority).with_revocations(lists);
    store.publish(&"shop".parse().unwrap(), revoking);
    assert_eq!((list.recheck(), tracked.is_draining()), (1, true));
}

#[tokio::test]
async fn a_certificate_of_ours_that_is_refused_is_told_by_its_fingerprint() {
    let [own, stranger] = ["own", "stranger"].map(Authority::new);
    let store = store_of(&own);
    let strange = of_host(&stranger, "client.example", 7);
    let sha256 = Sha256::of_provider(&provider()).unwrap();
    let fingerprint = strange.leaf().fingerprint(&sha256);
    store.publish(
        &client_files(),
        TlsSecret::default().with_credential(strange),
    );
    let server = gateway(&store, shop(ServerTlsMode::Mutual));
    let outcome = shake(&server, &client(&store, mutual()), Http1).await;
    let error = outcome.client.unwrap_err().to_string();
    let expected = format!(
        "the server does not trust the authority that signed our certificate \
         (certificate {fingerprint}, signed by `CN=stranger`, valid for another 1 day)"
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_server_of_tls_1_2_that_shares_nothing_may_have_wanted_a_certificate() {
    // The fatal alert `handshake_failure`.
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let store = store_of(&Authority::new("root"));
    let cases = [
        (simple(), "no_common_cipher_or_certificate"),
        (mutual(), "no_common_cipher"),
    ];
    for (settings, expected) in cases {
        let connector = TlsConnector::new(client(&store, settings), Http1);
        let (client_io, mut server_io) = tokio::io::duplex(1 << 16);
        server_io.write_all(&alert).await.unwrap();
        let error = connector.connect(client_io, Some("shop.example")).await;
        let Err(ConnectError::Handshake(diagnosis)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(diagnosis.label(), expected);
    }
}
