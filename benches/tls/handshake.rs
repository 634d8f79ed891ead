//! Full handshakes of mutual TLS 1.3 in memory, both sides of which are on one thread: by what is
//! compiled from the model of a mesh, with all that requests are told of the connection, and by
//! tokio-rustls with the verifiers that rustls makes of webpki. Those verify the chain of each peer
//! anew; ours remembers the chains that it has verified, as it does in a mesh.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use mesh_core::attributes::PeerIdentity;
use mesh_core::identity::TrustDomains;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::ca::{Issuance, Issuer, SerialNumber};
use mesh_tls::certificate::SubjectAltName;
use mesh_tls::config::{ApplicationProtocol, MeshIdentity, TlsCompiler};
use mesh_tls::connect::TlsConnector;
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::resolve::{self, Identity};
use mesh_tls::secret_store::SecretStore;
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::duplex;
use tokio::runtime::{Builder, Runtime};

use crate::fixture::{NOW, id, issuer, provider};

/// More than a flight of either side.
const BUFFER: usize = 1 << 14;

pub(crate) fn handshakes(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let issuer = issuer(KeyKind::EcdsaP256, NOW);
    let mesh = Mesh::new(&issuer, NOW);
    let bare = Bare::new(&issuer);
    let proven = runtime.block_on(mesh.handshake());
    let expected = ["web", "cart"].map(|name| Some(PeerIdentity(id(name))));
    assert_eq!(proven, expected);
    assert_eq!(runtime.block_on(bare.handshake()), [1, 1]);

    let mut group = c.benchmark_group("mTLS handshake, both sides");
    group.throughput(Throughput::Elements(1));
    group.bench_function("mesh", |b| {
        b.to_async(&runtime).iter(|| mesh.handshake());
    });
    group.bench_function("bare rustls", |b| {
        b.to_async(&runtime).iter(|| bare.handshake());
    });
    group.finish();
    in_turns(&runtime, &mesh, &bare);
}

/// Handshakes of each in a round.
const HANDSHAKES: u32 = 40;
/// Rounds.
const ROUNDS: usize = 25;

#[expect(clippy::disallowed_methods, reason = "a bench has no other clock")]
fn now() -> Instant {
    Instant::now()
}

/// Both in turns, so that a machine that is slower for a while is so for both.
fn in_turns(runtime: &Runtime, mesh: &Mesh, bare: &Bare) {
    let time = |round: &dyn Fn()| {
        let start = now();
        (0..HANDSHAKES).for_each(|_| round());
        start.elapsed() / HANDSHAKES
    };
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let mesh = time(&|| drop(runtime.block_on(mesh.handshake())));
            let bare = time(&|| _ = runtime.block_on(bare.handshake()));
            (mesh, bare)
        })
        .collect();
    let ratio = |(mesh, bare): (Duration, Duration)| bare.as_secs_f64() / mesh.as_secs_f64();
    times.sort_by(|one, other| ratio(*one).total_cmp(&ratio(*other)));
    let (mesh, bare) = times[times.len() / 2];
    let times = ratio((mesh, bare));
    eprintln!(
        "mTLS handshake, both sides: {mesh:.1?}; bare rustls: {bare:.1?}, {times:.2} times that"
    );
}

/// Time that stands still.
#[derive(Debug)]
struct Clock(UnixTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// The SVID of a service.
pub(crate) fn svid(issuer: &Issuer, name: &str, now: UnixTime) -> X509Svid {
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = key.signing_request(&id(name)).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
    let issuance = Issuance {
        // Both ways of verification find the name that they ask for.
        names: vec![
            SubjectAltName::Uri(id(name).to_string()),
            SubjectAltName::Dns("cart.shop".into()),
        ],
        ..Issuance::for_workload(&id(name), now, SerialNumber::new([2; 16]))
    };
    let issued = issuer.issue(&request, &issuance).unwrap();
    X509Svid::new(issued.chain, key.private_key().clone_key(), &provider()).unwrap()
}

/// `web` calls `cart`.
pub(crate) struct Mesh {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
}

impl Mesh {
    pub(crate) fn new(issuer: &Issuer, now: UnixTime) -> Self {
        let mut chain = FilterChain::new(NetworkFilter::Http(HttpConnection::new("inbound|80||")));
        let alpn = vec!["h2".into(), "http/1.1".into()];
        chain.tls = Some(ServerTls::Mesh { alpn });
        let server = compiler(issuer, "cart", now).server(&chain).unwrap();

        let mut cluster = Cluster::new("outbound|80||cart.shop".into());
        cluster.tls = UpstreamTls::Mesh(MeshTls {
            sni: "outbound_.80_._.cart.shop".into(),
            subject_alt_names: vec![id("cart").to_string()],
        });
        let client = compiler(issuer, "web", now).upstream(&cluster).unwrap();
        let endpoint = Endpoint::new(EndpointAddress::Ip("192.0.2.1:80".parse().unwrap()));
        let client = client.towards(&endpoint).unwrap().clone();
        Self {
            acceptor: TlsAcceptor::new(server.unwrap()),
            connector: TlsConnector::new(client, ApplicationProtocol::Http2),
        }
    }

    /// Who the server and the client take each other for.
    async fn handshake(&self) -> [Option<PeerIdentity>; 2] {
        let (ours, theirs) = duplex(BUFFER);
        let accepting = self.acceptor.accept(theirs);
        let connecting = self.connector.connect(ours, None);
        let (accepted, connected) = tokio::join!(accepting, connecting);
        [
            accepted.unwrap().peer.identity,
            connected.unwrap().peer.identity,
        ]
    }
}

fn compiler(issuer: &Issuer, name: &str, now: UnixTime) -> TlsCompiler {
    let bundle = TrustBundle::new(id(name).trust_domain(), issuer.roots().to_vec()).unwrap();
    let (publisher, live) = resolve::channel();
    publisher.publish(Identity {
        svid: svid(issuer, name, now),
        bundles: TrustBundles::from_iter([bundle]),
    });
    let domains = TrustDomains::new("cluster.local".parse().unwrap());
    TlsCompiler::new(provider(), SecretStore::default())
        .with_identity(MeshIdentity::new(live, domains))
        .with_time_provider(Arc::new(Clock(now)))
}

/// The same certificates without anything of ours.
struct Bare {
    acceptor: tokio_rustls::TlsAcceptor,
    connector: tokio_rustls::TlsConnector,
}

impl Bare {
    fn new(issuer: &Issuer) -> Self {
        let mut roots = RootCertStore::empty();
        for root in issuer.roots() {
            roots.add(root.der().clone()).unwrap();
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let (chain, key) = credential(&svid(issuer, "cart", NOW));
        let mut server = ServerConfig::builder_with_details(provider(), Arc::new(Clock(NOW)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        server.session_storage = Arc::new(NoServerSessionStorage {});

        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider());
        let (chain, key) = credential(&svid(issuer, "web", NOW));
        let mut client = ClientConfig::builder_with_details(provider(), Arc::new(Clock(NOW)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_webpki_verifier(servers.build().unwrap())
            .with_client_auth_cert(chain, key)
            .unwrap();
        client.resumption = Resumption::in_memory_sessions(32);
        for alpn in [&mut server.alpn_protocols, &mut client.alpn_protocols] {
            *alpn = vec![b"h2".to_vec()];
        }
        Self {
            acceptor: Arc::new(server).into(),
            connector: Arc::new(client).into(),
        }
    }

    /// How many certificates the server and the client have verified.
    async fn handshake(&self) -> [usize; 2] {
        let (ours, theirs) = duplex(BUFFER);
        let name = ServerName::try_from("cart.shop").unwrap();
        let accepting = self.acceptor.accept(theirs);
        let connecting = self.connector.connect(name, ours);
        let (accepted, connected) = tokio::join!(accepting, connecting);
        let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
        [
            accepted.get_ref().1.peer_certificates().unwrap().len(),
            connected.get_ref().1.peer_certificates().unwrap().len(),
        ]
    }
}

fn credential(svid: &X509Svid) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = svid.chain().iter().map(|one| one.der().clone()).collect();
    (chain, svid.private_key().clone_key())
}
