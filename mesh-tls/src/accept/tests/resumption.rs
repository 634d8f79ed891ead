//! Servers, asked by a client that resumes its session wherever it can.

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};

use super::gateway::{shop, store_of};
use super::*;
use crate::credential::Credential;
use crate::verify::PeerVerifier;

/// A client that verifies nobody, and presents `own`.
fn resuming(own: &Credential, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let verifier = PeerVerifier::dangerous_insecure_skip_verify(provider()).unwrap();
    let config = ClientConfig::builder_with_details(provider(), Arc::new(FixedTime))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier.server_verifier());
    let chain = own.chain().iter().map(|one| one.der().clone()).collect();
    let key = own.private_key().clone_key();
    Arc::new(config.with_client_auth_cert(chain, key).unwrap())
}

/// How the client shakes hands, the first time and the second.
async fn kinds(server: &ServerTls, client: &Arc<ClientConfig>) -> [HandshakeKind; 2] {
    let mut kinds = [HandshakeKind::Full; 2];
    for kind in &mut kinds {
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let acceptor = TlsAcceptor::new(server.clone());
        let serving = async {
            let mut accepted = acceptor.accept(server_io).await.unwrap();
            accepted.stream.write_all(b"!").await.unwrap();
            accepted.stream
        };
        let connecting = async {
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(client));
            let name = "shop.example".try_into().unwrap();
            let mut stream = connector.connect(name, client_io).await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
            stream.get_ref().1.handshake_kind()
        };
        let (_server, found) = tokio::join!(serving, connecting);
        *kind = found.unwrap();
    }
    kinds
}

#[tokio::test]
async fn a_server_that_verifies_its_clients_resumes_no_session() {
    let authority = Authority::new("td");
    let store = store_of(&authority);
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let of_mesh = {
        let mut chain = http_chain();
        chain.tls = Some(listener::ServerTls::Gateway(Box::new(ServerTlsSettings {
            mode: ServerTlsMode::IstioMutual,
            ..ServerTlsSettings::default()
        })));
        workload.compiler.server(&chain).unwrap().unwrap()
    };
    use ServerTlsMode as M;
    let cases = [
        ("SIMPLE", gateway(&store, shop(M::Simple)), true),
        ("MUTUAL", gateway(&store, shop(M::Mutual)), false),
        (
            "OPTIONAL_MUTUAL",
            gateway(&store, shop(M::OptionalMutual)),
            false,
        ),
        ("ISTIO_MUTUAL", of_mesh, false),
        ("of a sidecar", workload.server(), false),
    ];
    let own = authority.svid("/client");
    for (name, server, resumes) in cases {
        for version in [&TLS12, &TLS13] {
            let client = resuming(own.credential(), version);
            let second = match resumes {
                true => HandshakeKind::Resumed,
                false => HandshakeKind::Full,
            };
            let expected = [HandshakeKind::Full, second];
            let found = kinds(&server, &client).await;
            assert_eq!(found, expected, "{name} {:?}", version.version);
        }
    }
}
