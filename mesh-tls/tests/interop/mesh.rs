//! Workloads of a mesh, with SVIDs by our own authority.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::{SpiffeId, TrustDomain, TrustDomains};
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Issuance, IssuancePolicy, Issuer, SerialNumber};
use mesh_tls::config::{ApplicationProtocol, MeshIdentity, TlsCompiler};
use mesh_tls::connect::TlsConnector;
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::resolve::{self, Identity, LiveIdentity};
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::Roots;
use rustls_pki_types::UnixTime;

use crate::files::{Files, provider};

/// The trust domain of the mesh.
pub(crate) const DOMAIN: &str = "cluster.local";
const FOREIGN_DOMAIN: &str = "foreign.example";

pub(crate) const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const FOREIGN_WEB: &str = "spiffe://foreign.example/ns/shop/sa/web";

/// What clients of the mesh ask for.
pub(crate) const SNI: &str = "outbound_.80_._.cart.shop.svc.cluster.local";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// SVIDs, all of which believe `cluster.local`:
///
/// - `cart` and `web` are members of it;
/// - `foreign` is a member of another trust domain;
/// - `forged` says that it is `web`, by the authority of that other trust domain;
/// - `expired` was `web` until yesterday.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) files: Files,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let mesh = Self {
            files: Files::new(),
        };
        let own = mesh.authority(DOMAIN, 1);
        let foreign = mesh.authority(FOREIGN_DOMAIN, 2);
        let now = UnixTime::now();
        mesh.issue(&own, "cart", CART, now);
        mesh.issue(&own, "web", WEB, now);
        mesh.issue(&foreign, "foreign", FOREIGN_WEB, now);
        mesh.issue(&foreign, "forged", WEB, now);
        let long_ago = now.as_secs() - 2 * DAY.as_secs();
        let long_ago = UnixTime::since_unix_epoch(Duration::from_secs(long_ago));
        mesh.issue(&own, "expired", WEB, long_ago);
        mesh
    }

    /// An authority whose root is in `DOMAIN.pem`.
    fn authority(&self, domain: &str, serial: u8) -> Issuer {
        let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256).unwrap());
        let serial = SerialNumber::new([serial; 16]);
        let root = RootSpec::default().sign(key, UnixTime::now(), serial, &provider());
        let issuer = Issuer::new(Arc::new(root.unwrap()), IssuancePolicy::default());
        let roots = pem::encode_certificates(issuer.roots());
        self.files.write(&format!("{domain}.pem"), &roots);
        issuer
    }

    fn issue(&self, issuer: &Issuer, name: &str, id: &str, now: UnixTime) {
        let id: SpiffeId = id.parse().unwrap();
        let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
        let request = key.signing_request(&id).unwrap();
        let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
        let issuance = Issuance::for_workload(&id, now, SerialNumber::new([3; 16]));
        let chain = issuer.issue(&request, &issuance).unwrap().chain;
        let chain = pem::encode_certificates(&chain);
        self.files.write_credential(name, &chain, &key.to_pem());
    }

    fn identity(&self, svid: &str) -> Identity {
        let chain = self.files.read(&format!("{svid}.pem"));
        let key = self.files.read(&format!("{svid}.key"));
        let roots = self.files.read(&format!("{DOMAIN}.pem"));
        let bundle = TrustBundle::from_pem(domain(), &roots).unwrap();
        Identity {
            svid: X509Svid::from_pem(&chain, &key, &provider()).unwrap(),
            bundles: TrustBundles::from_iter([bundle]),
        }
    }

    fn compiler(&self, svid: &str) -> TlsCompiler {
        let (publisher, live) = resolve::channel();
        publisher.publish(self.identity(svid));
        compiler(live)
    }

    /// Our server: a port with `STRICT` mTLS.
    pub(crate) fn acceptor(&self, svid: &str) -> TlsAcceptor {
        acceptor(&self.compiler(svid))
    }

    /// Our client with `ISTIO_MUTUAL`, which expects `server`.
    pub(crate) fn connector(&self, svid: &str, server: &str) -> TlsConnector {
        let tls = UpstreamTls::Mesh(MeshTls {
            sni: SNI.into(),
            subject_alt_names: vec![server.into()],
        });
        connector(&self.compiler(svid), tls)
    }

    /// Our client, which expects `server` and has no certificate.
    pub(crate) fn anonymous_connector(&self, server: &str) -> TlsConnector {
        let store = SecretStore::default();
        let path = "roots.pem".to_owned();
        let roots = Roots::from_pem(&self.files.read(&format!("{DOMAIN}.pem"))).unwrap();
        let secret = TlsSecret::default().with_roots(roots);
        store.publish(&SecretName::AuthoritiesFile(path.clone()), secret);
        let tls = UpstreamTls::Settings(Box::new(ClientTlsSettings {
            mode: ClientTlsMode::Simple,
            ca_certificates: path,
            sni: SNI.into(),
            subject_alt_names: vec![server.into()],
            ..ClientTlsSettings::default()
        }));
        connector(&TlsCompiler::new(provider(), store), tls)
    }
}

/// Compiles for a workload of the mesh.
pub(crate) fn compiler(live: LiveIdentity) -> TlsCompiler {
    let identity = MeshIdentity::new(live, TrustDomains::new(domain()));
    TlsCompiler::new(provider(), SecretStore::default()).with_identity(identity)
}

/// A port with `STRICT` mTLS.
pub(crate) fn acceptor(compiler: &TlsCompiler) -> TlsAcceptor {
    let http = NetworkFilter::Http(HttpConnection::new("inbound|8080||"));
    let mut chain = FilterChain::new(http);
    let alpn = vec!["h2".into(), "http/1.1".into()];
    chain.tls = Some(ServerTls::Mesh { alpn });
    TlsAcceptor::new(compiler.server(&chain).unwrap().unwrap())
}

fn connector(compiler: &TlsCompiler, tls: UpstreamTls) -> TlsConnector {
    let mut cluster = Cluster::new("outbound|80||cart.shop.svc.cluster.local".into());
    cluster.tls = tls;
    let upstream = compiler.upstream(&cluster).unwrap();
    let endpoint = Endpoint::new(EndpointAddress::Ip("127.0.0.1:80".parse().unwrap()));
    let tls = upstream.towards(&endpoint).unwrap().clone();
    TlsConnector::new(tls, ApplicationProtocol::Http1)
}

fn domain() -> TrustDomain {
    DOMAIN.parse().unwrap()
}
