//! Issuing certificates, and handshakes beside bare rustls.
//!
//! Each bench checks what it times: the certificate is for the caller and the request's key, and a
//! handshake ends with both sides verified.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Issuance, IssuancePolicy, Issuer, SerialNumber};
use mesh_tls::certificate::SubjectAltName;
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::resolve::{self, Identity, LiveIdentity};
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::PeerVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection,
};
use rustls_pki_types::{ServerName, UnixTime};

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(NOW)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{name}")
        .parse()
        .unwrap()
}

fn issuer(kind: KeyKind) -> Issuer {
    let key = Arc::new(SigningKey::generate(kind).unwrap());
    let root = RootSpec::default().sign(key, NOW, SerialNumber::new([1; 16]), &provider());
    Issuer::new(Arc::new(root.unwrap()), IssuancePolicy::default())
}

fn issuing(c: &mut Criterion) {
    let provider = provider();
    let id = id("cart");
    let mut group = c.benchmark_group("CSR to certificate");
    group.throughput(Throughput::Elements(1));
    for (name, signing, signed) in [
        ("P-256 by P-256", KeyKind::EcdsaP256, KeyKind::EcdsaP256),
        ("P-256 by RSA 2048", KeyKind::RSA_2048, KeyKind::EcdsaP256),
        ("RSA 2048 by RSA 2048", KeyKind::RSA_2048, KeyKind::RSA_2048),
    ] {
        let issuer = issuer(signing);
        let key = SigningKey::generate(signed).unwrap();
        let request = key.signing_request(&id).unwrap();
        let issue = || {
            let request = SigningRequest::from_pem(request.as_bytes(), &provider).unwrap();
            let issuance = Issuance::for_workload(&id, NOW, SerialNumber::new([2; 16]));
            issuer.issue(&request, &issuance).unwrap().to_pem()
        };
        let chain = issue().concat();
        let leaf = mesh_tls::pem::certificates(chain.as_bytes())
            .unwrap()
            .remove(0);
        assert_eq!(leaf.names(), [SubjectAltName::Uri(id.to_string())]);
        assert_eq!(leaf.public_key(), key.public_key());
        group.bench_function(name, |b| b.iter(|| black_box(issue())));
    }
    group.finish();
}

fn handshakes(c: &mut Criterion) {
    let issuer = issuer(KeyKind::EcdsaP256);
    let mut group = c.benchmark_group("mTLS handshake, both sides");
    group.throughput(Throughput::Elements(1));
    for (name, (client, server)) in [
        ("SPIFFE, live identity", spiffe(&issuer)),
        ("bare rustls", bare(&issuer)),
    ] {
        let shake = || handshake(&client, &server);
        let (client, server) = shake();
        assert!(client.peer_certificates().is_some() && server.peer_certificates().is_some());
        group.bench_function(name, |b| b.iter(shake));
    }
    group.finish();
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

/// The names of the certificate that both ways of verification ask for.
fn names(name: &str) -> Vec<SubjectAltName> {
    vec![
        SubjectAltName::Uri(id(name).to_string()),
        SubjectAltName::Dns("cart.shop".into()),
    ]
}

fn svid(issuer: &Issuer, name: &str) -> X509Svid {
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = key.signing_request(&id(name)).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
    let issuance = Issuance {
        names: names(name),
        ..Issuance::for_workload(&id(name), NOW, SerialNumber::new([2; 16]))
    };
    let issued = issuer.issue(&request, &issuance).unwrap();
    X509Svid::new(issued.chain, key.private_key().clone_key(), &provider()).unwrap()
}

fn live(issuer: &Issuer, name: &str) -> LiveIdentity {
    let bundle = TrustBundle::new(id(name).trust_domain(), issuer.roots().to_vec()).unwrap();
    let (publisher, live) = resolve::channel();
    publisher.publish(Identity {
        svid: svid(issuer, name),
        bundles: TrustBundles::from_iter([bundle]),
    });
    live
}

fn spiffe(issuer: &Issuer) -> Configs {
    let verifier =
        |live: &LiveIdentity| PeerVerifier::spiffe(live.bundles().clone(), provider()).unwrap();
    let (ours, theirs) = (live(issuer, "web"), live(issuer, "cart"));
    let client = ClientConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier(&ours).server_verifier())
        .with_client_cert_resolver(ours.resolver());
    let server = ServerConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier(&theirs).client_verifier())
        .with_cert_resolver(theirs.resolver());
    without_resumption(client, server)
}

fn bare(issuer: &Issuer) -> Configs {
    let mut roots = RootCertStore::empty();
    for root in issuer.roots() {
        roots.add(root.der().clone()).unwrap();
    }
    let roots = Arc::new(roots);
    let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let chain = |svid: &X509Svid| svid.chain().iter().map(|one| one.der().clone()).collect();
    let (ours, theirs) = (svid(issuer, "web"), svid(issuer, "cart"));
    let client = ClientConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(servers.build().unwrap())
        .with_client_auth_cert(chain(&ours), ours.private_key().clone_key())
        .unwrap();
    let server = ServerConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(chain(&theirs), theirs.private_key().clone_key())
        .unwrap();
    without_resumption(client, server)
}

fn without_resumption(mut client: ClientConfig, mut server: ServerConfig) -> Configs {
    client.resumption = Resumption::disabled();
    server.send_tls13_tickets = 0;
    (Arc::new(client), Arc::new(server))
}

fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> (ClientConnection, ServerConnection) {
    let name = ServerName::try_from("cart.shop").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    (client, server)
}

/// Passes what one side has to say to the other.
fn pass<A, B>(
    from: &mut impl DerefMut<Target = ConnectionCommon<A>>,
    to: &mut impl DerefMut<Target = ConnectionCommon<B>>,
) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets().unwrap();
    }
}

criterion_group!(benches, issuing, handshakes);
criterion_main!(benches);
