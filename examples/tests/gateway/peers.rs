//! Services that speak TLS, and certificates for them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bytes::Bytes;
use examples::authority::Authority;
use examples::gateway::HandshakeObserver;
use examples::member;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mesh_core::model::cluster::{self, Cluster};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::{ClientTls, UpstreamTls};
use mesh_tls::diagnose::Side;
use mesh_tls::resolve::{self, LiveIdentity};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Runtime;

/// An authority of hosts.
pub(crate) struct Hosts {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self {
            issuer: issuer.unwrap(),
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `name`, and its key, as PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue_der(name);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue_der(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// How `name` is served, over HTTP/1.1 and HTTP/2; whether clients need a certificate.
    pub(crate) fn server(&self, name: &str, demands_certificate: bool) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match demands_certificate {
            true => builder.with_client_cert_verifier(clients.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let (certificate, key) = self.issue_der(name);
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// Who a service is, and how it takes connections.
pub(crate) enum Taking {
    Plaintext,
    Tls(ServerConfig),
    Mesh(TlsAcceptor),
}

/// A service that answers with what it knows of the connection: `HTTP/1.1 sni=a alpn=b peer=c`.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Service {
    pub(crate) fn start(taking: Taking) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let taking = Arc::new(taking);
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(take(Arc::clone(&taking), stream));
            }
        });
        Self {
            address,
            connections,
            _runtime: runtime,
        }
    }

    /// How many connections it has taken.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A service in plaintext at a Unix socket, for as long as the runtime is there.
pub(crate) fn at_unix_socket(path: PathBuf) -> Runtime {
    let runtime = runtime();
    runtime.spawn(async move {
        let listener = UnixListener::bind(path).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, "unix".to_owned()));
        }
    });
    runtime
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

async fn take(taking: Arc<Taking>, stream: TcpStream) {
    match &*taking {
        Taking::Plaintext => answer(stream, "plaintext".to_owned()).await,
        Taking::Tls(config) => {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.clone()));
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let state = stream.get_ref().1;
            let alpn = state.alpn_protocol().map(String::from_utf8_lossy);
            let seen = format!(
                "sni={} alpn={} peer={}",
                state.server_name().unwrap_or("-"),
                alpn.as_deref().unwrap_or("-"),
                state.peer_certificates().map_or(0, <[_]>::len)
            );
            answer(stream, seen).await;
        }
        Taking::Mesh(acceptor) => {
            let Ok(accepted) = acceptor.accept(stream).await else {
                return;
            };
            let identity = accepted.peer.identity.as_ref();
            let seen = format!(
                "sni={} peer={}",
                accepted.peer.info.server_name.as_deref().unwrap_or("-"),
                identity.map_or("-", |identity| identity.0.as_str())
            );
            answer(accepted.stream, seen).await;
        }
    }
}

async fn answer<IO>(io: IO, seen: String)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let text = format!("{:?} {seen}", request.version());
        async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text))) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // The other end's trouble shows in what it sees.
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

/// Handshakes that fail, as they are told of.
pub(crate) struct Failures(Receiver<(Side, String)>);

impl Failures {
    /// Who tells of them, and where they are told.
    pub(crate) fn observe() -> (HandshakeObserver, Self) {
        let (told, failures) = mpsc::channel();
        let observer = HandshakeObserver::new(move |failed| {
            // A test that is over listens no more.
            let _ = told.send((failed.side, failed.cause.to_owned()));
        });
        (observer, Self(failures))
    }

    /// The cause of the next one, which has to be a client's.
    pub(crate) fn next_of_client(&self) -> String {
        let (side, cause) = self.0.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(side, Side::Server);
        cause
    }
}

pub(crate) fn mesh_authority() -> Authority {
    Authority::new("cluster.local".parse().unwrap()).unwrap()
}

/// A live identity that stays what it is.
pub(crate) fn identity(authority: &Authority, id: &str) -> LiveIdentity {
    let (publisher, live) = resolve::channel();
    publisher.publish(authority.identity(id, &[]).unwrap());
    live
}

/// Takes mutual TLS of the mesh, as `live`.
pub(crate) fn in_mesh(live: LiveIdentity) -> Taking {
    Taking::Mesh(member::acceptor(live, &["h2", "http/1.1"]).unwrap())
}

/// Speaks mutual TLS of the mesh, as `live`, and asks for `sni`.
pub(crate) fn mesh_client(live: LiveIdentity, sni: &str) -> ClientTls {
    let mut cluster = Cluster::new("client".into());
    cluster.tls = cluster::UpstreamTls::Mesh(cluster::MeshTls {
        sni: sni.to_owned(),
        subject_alt_names: Vec::new(),
    });
    let compiler = member::compiler(live).unwrap();
    match compiler.upstream(&cluster).unwrap() {
        UpstreamTls::Always(tls) => tls,
        other => panic!("{other:?}"),
    }
}
