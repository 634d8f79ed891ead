//! Whole handshakes in memory, with right and wrong certificates for every mode.

mod credentials;
mod gateway;
mod gateway_of_mesh;
mod inbound;
mod kinds;
mod resumption;
mod revocation;
mod revocation_lists;
mod settings;
mod standing;

use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::model::cluster::{
    Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls as ResolvedUpstream,
};
use mesh_core::model::listener::{self, FilterChain, HttpConnection, NetworkFilter, TcpProxy};
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use rcgen::SanType;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{ApplicationProtocol, ClientTls, MeshIdentity, TlsCompiler};
use crate::connect::{ConnectError, TlsConnector};
use crate::resolve::{self, Identity, IdentityPublisher};
use crate::secret::TlsSecret;
use crate::secret_store::{SecretName, SecretStore};
use crate::svid::X509Svid;
use crate::testing::{self, Authority, NOW, provider};
use crate::trust_bundle::TrustBundles;
use crate::verify::Roots;

/// A workload of the mesh.
struct Workload {
    compiler: TlsCompiler,
    publisher: IdentityPublisher,
}

/// Time that stands still at `NOW`.
#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(testing::now())
    }
}

fn compiler(secrets: SecretStore) -> TlsCompiler {
    TlsCompiler::new(provider(), secrets).with_time_provider(Arc::new(FixedTime))
}

impl Workload {
    /// One whose identity is of `authority`, and who believes `trusted`.
    fn new(authority: &Authority, path: &str, trusted: &[&Authority]) -> Self {
        let (publisher, live) = resolve::channel();
        publisher.publish(Identity {
            svid: authority.svid(path),
            bundles: bundles(trusted),
        });
        let domains = TrustDomains::new("td".parse().unwrap());
        let compiler =
            compiler(SecretStore::default()).with_identity(MeshIdentity::new(live, domains));
        Self {
            compiler,
            publisher,
        }
    }

    fn server(&self) -> ServerTls {
        let mut chain = http_chain();
        chain.tls = Some(listener::ServerTls::Mesh {
            alpn: vec!["h2".into(), "http/1.1".into()],
        });
        self.compiler.server(&chain).unwrap().unwrap()
    }

    fn client(&self, subject_alt_names: &[&str]) -> ClientTls {
        let mut cluster = Cluster::new("outbound|80||cart".into());
        cluster.tls = ResolvedUpstream::Mesh(MeshTls {
            sni: "outbound_.80_._.cart.shop.svc.cluster.local".into(),
            subject_alt_names: subject_alt_names.iter().map(ToString::to_string).collect(),
        });
        towards_any(&self.compiler, &cluster)
    }
}

fn bundles(authorities: &[&Authority]) -> TrustBundles {
    authorities
        .iter()
        .map(|authority| authority.bundle())
        .collect()
}

fn http_chain() -> FilterChain {
    FilterChain::new(NetworkFilter::Http(HttpConnection::new("inbound|80||")))
}

fn towards_any(compiler: &TlsCompiler, cluster: &Cluster) -> ClientTls {
    let endpoint = Endpoint::new(EndpointAddress::Ip("192.0.2.7:443".parse().unwrap()));
    let upstream = compiler.upstream(cluster).unwrap();
    upstream.towards(&endpoint).unwrap().clone()
}

fn gateway(store: &SecretStore, settings: ServerTlsSettings) -> ServerTls {
    let mut chain = http_chain();
    chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
    compiler(store.clone()).server(&chain).unwrap().unwrap()
}

fn client(store: &SecretStore, settings: ClientTlsSettings) -> ClientTls {
    let mut cluster = Cluster::new("outbound|443||shop.example".into());
    cluster.tls = ResolvedUpstream::Settings(Box::new(settings));
    towards_any(&compiler(store.clone()), &cluster)
}

/// What both ends say of their handshake.
struct Outcome {
    server: Result<TlsPeer, Diagnosis>,
    client: Result<TlsPeer, ConnectError>,
}

impl Outcome {
    fn labels(&self) -> (&'static str, &'static str) {
        let server = self.server.as_ref().map_or_else(Diagnosis::label, |_| "ok");
        let client = match &self.client {
            Ok(_) => "ok",
            Err(ConnectError::Handshake(diagnosis)) => diagnosis.label(),
            Err(ConnectError::ServerName(_)) => "server name",
        };
        (server, client)
    }

    fn identities(&self) -> [Option<String>; 2] {
        let name = |peer: &TlsPeer| peer.identity.as_ref().map(|id| id.0.to_string());
        [
            self.server.as_ref().ok().and_then(name),
            self.client.as_ref().ok().and_then(name),
        ]
    }
}

/// Shakes hands, and lets the server say a word inside.
async fn shake(server: &ServerTls, client: &ClientTls, protocol: ApplicationProtocol) -> Outcome {
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::new(server.clone());
    let connector = TlsConnector::new(client.clone(), protocol);
    let serving = async {
        let mut accepted = acceptor.accept(server_io).await?;
        accepted.stream.write_all(b"!").await.unwrap();
        accepted.stream.shutdown().await.unwrap();
        // The client may still have something to say about the certificate.
        let _ = accepted.stream.read(&mut [0]).await;
        Ok(accepted.peer)
    };
    let connecting = async {
        let mut connected = connector
            .connect(client_io, Some("shop.example:443"))
            .await?;
        let mut word = [0];
        let read = connected.stream.read_exact(&mut word).await;
        read.map_err(|error| connector.diagnose(&error))?;
        Ok(connected.peer)
    };
    let (server, client) = tokio::join!(serving, connecting);
    Outcome { server, client }
}

use ApplicationProtocol::{Http1, Http2, Tcp};

#[tokio::test]
async fn workloads_of_the_mesh_prove_their_identities_to_each_other() {
    let authority = Authority::new("td");
    let [cart, web] = ["/ns/shop/sa/cart", "/ns/shop/sa/web"]
        .map(|path| Workload::new(&authority, path, &[&authority]));
    let expected = "spiffe://td/ns/shop/sa/cart";
    for protocol in [Http1, Http2, Tcp] {
        let outcome = shake(&cart.server(), &web.client(&[expected]), protocol).await;
        assert_eq!(outcome.labels(), ("ok", "ok"), "{protocol:?}");
        let web = Some("spiffe://td/ns/shop/sa/web".to_owned());
        assert_eq!(outcome.identities(), [web, Some(expected.to_owned())]);
    }
}

#[tokio::test]
async fn what_a_handshake_settled_is_told() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let cases: [(_, Option<&[u8]>); 3] = [
        (Http1, Some(b"http/1.1")),
        (Http2, Some(b"h2")),
        (Tcp, None),
    ];
    for (protocol, alpn) in cases {
        let outcome = shake(&workload.server(), &workload.client(&[]), protocol).await;
        let peer = outcome.server.unwrap();
        let name = Some("outbound_.80_._.cart.shop.svc.cluster.local");
        assert_eq!(peer.info.server_name.as_deref(), name);
        assert_eq!(peer.info.alpn.as_deref(), alpn, "{protocol:?}");
        assert_eq!(peer.info.version, Some("TLSv1.3"));
        assert!(peer.info.cipher_suite.unwrap().starts_with("TLS_AES_"));
        let chain = peer.certificates.unwrap();
        let sha256 = crate::digest::Sha256::of_provider(&provider()).unwrap();
        assert_eq!(
            peer.info.peer_fingerprint,
            Some(*sha256.digest(&chain.0[0]).as_bytes())
        );
        assert_eq!(peer.info.peer_chain_digest, peer.info.peer_fingerprint);
    }
}

#[tokio::test]
async fn the_digest_of_the_chain_covers_what_is_above_the_leaf() {
    let root = Authority::new("td");
    let [one, other] = ["one", "other"].map(|name| root.named_intermediate(name));
    let workload = Workload::new(&root, "/w", &[&root]);
    let leaf = one.svid("/w");
    let mut told = Vec::new();
    for above in [vec![&one], vec![&one, &other], vec![&other, &one]] {
        let above = above.into_iter().map(Authority::certificate);
        let chain: Vec<_> = [leaf.leaf().clone()].into_iter().chain(above).collect();
        let key = leaf.private_key().clone_key();
        workload.publisher.publish(Identity {
            svid: X509Svid::new(chain.clone(), key, &provider()).unwrap(),
            bundles: bundles(&[&root]),
        });
        let outcome = shake(&workload.server(), &workload.client(&[]), Http2).await;
        let all: Vec<u8> = chain.iter().flat_map(|one| one.der().to_vec()).collect();
        let sha256 = crate::digest::Sha256::of_provider(&provider()).unwrap();
        let [of_leaf, of_chain] = [&all[..chain[0].der().len()], &all]
            .map(|bytes| Some(*sha256.digest(bytes).as_bytes()));
        for peer in [outcome.server.unwrap(), outcome.client.unwrap()] {
            assert_eq!(peer.info.peer_fingerprint, of_leaf);
            assert_eq!(peer.info.peer_chain_digest, of_chain);
        }
        told.push(of_chain);
    }
    told.dedup();
    assert_eq!(told.len(), 3, "the order counts");
}

#[tokio::test]
async fn a_wrong_identity_is_refused_and_both_ends_know_why() {
    let [ours, theirs] = [Authority::new("td"), Authority::new("td")];
    let other_domain = Authority::new("other");
    let right = Workload::new(&ours, "/w", &[&ours]);
    let unknown = Workload::new(&theirs, "/w", &[&ours]);
    let foreign = Workload::new(&other_domain, "/w", &[&ours]);
    let distrustful = Workload::new(&ours, "/w", &[&theirs]);
    let none: &[&str] = &[];
    let someone_else: &[&str] = &["spiffe://td/someone-else"];
    let cases = [
        (
            "authority",
            &right,
            &unknown,
            none,
            ("peer_issuer_untrusted", "our_issuer_untrusted"),
        ),
        (
            "domain",
            &right,
            &foreign,
            none,
            ("peer_trust_domain", "our_issuer_untrusted"),
        ),
        (
            "server",
            &unknown,
            &right,
            none,
            ("our_issuer_untrusted", "peer_issuer_untrusted"),
        ),
        (
            "both",
            &right,
            &distrustful,
            none,
            ("our_issuer_untrusted", "peer_issuer_untrusted"),
        ),
        (
            "name",
            &right,
            &right,
            someone_else,
            ("our_certificate_refused", "peer_names"),
        ),
    ];
    for (name, server, client, names, expected) in cases {
        let outcome = shake(&server.server(), &client.client(names), Http2).await;
        assert_eq!(outcome.labels(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new("td");
    let server = Workload::new(&authority, "/w", &[&authority]);
    let client = Workload::new(&authority, "/w", &[&authority]);
    client.publisher.withdraw();
    let outcome = shake(&server.server(), &client.client(&[]), Http1).await;
    assert_eq!(
        outcome.labels(),
        ("no_client_certificate", "our_certificate_missing")
    );
}

#[tokio::test]
async fn a_server_without_a_certificate_ends_the_handshake() {
    let authority = Authority::new("td");
    let workload = Workload::new(&authority, "/w", &[&authority]);
    let server = workload.server();
    let client = Workload::new(&authority, "/w", &[&authority]).client(&[]);
    workload.publisher.withdraw();
    let (server, _) = shake(&server, &client, Http1).await.labels();
    assert_eq!(server, "no_server_certificate");
}

#[tokio::test]
async fn an_identity_that_is_replaced_counts_from_the_next_handshake() {
    let [old, new] = [Authority::new("td"), Authority::new("td")];
    let workload = Workload::new(&old, "/w", &[&old, &new]);
    let both = old.bundle().merge(&new.bundle()).unwrap();
    workload
        .publisher
        .publish_bundles(TrustBundles::from_iter([both.clone()]));
    let (server, client) = (workload.server(), workload.client(&[]));
    assert_eq!(shake(&server, &client, Http2).await.labels(), ("ok", "ok"));
    workload.publisher.publish(Identity {
        svid: new.svid("/renewed"),
        bundles: TrustBundles::from_iter([both]),
    });
    let outcome = shake(&server, &client, Http2).await;
    let renewed = Some("spiffe://td/renewed".to_owned());
    assert_eq!(outcome.identities(), [renewed.clone(), renewed]);
}
