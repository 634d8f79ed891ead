//! The authority of the mesh, as a server; `ca-server` is one that can be used.

use std::error::Error;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use examples::authority::Authority;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mesh_core::identity::SpiffeId;
use mesh_tls::ca::authenticate::{Authenticate, AuthenticateLayer, Review, TokenReview};
use mesh_tls::grpc::CertificateService;
use rustls::ServerConfig;
use rustls::time_provider::DefaultTimeProvider;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tower_layer::Layer;

const SERVER: &str = "spiffe://cluster.local/ns/istio-system/sa/ca-server";

/// Issues certificates to whoever has the token. It stops when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    /// Serves `authority`; `token` proves `id`.
    pub(super) fn start(
        authority: &Authority,
        token: &str,
        id: SpiffeId,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let tls = TlsAcceptor::from(Arc::new(tls(authority)?));
        let token = Token {
            token: token.to_owned(),
            id,
        };
        let service = CertificateService::new(
            authority.issuer().clone(),
            Arc::clone(authority.provider()),
            Arc::new(DefaultTimeProvider),
        );
        let service = AuthenticateLayer::new()
            .with_token_review(Arc::new(token))
            .layer(service);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(tls.clone(), stream, service.clone()));
            }
        });
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, service: Authenticate<CertificateService>) {
    // What is wrong with a client shows at the client.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let _ = connection.await;
}

fn tls(authority: &Authority) -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
    let identity = authority.identity(SERVER, &["localhost"])?;
    let chain = identity.svid.chain().iter();
    let chain = chain.map(|certificate| certificate.der().clone()).collect();
    let key = identity.svid.private_key().clone_key();
    let mut tls = ServerConfig::builder_with_provider(Arc::clone(authority.provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

/// The only token, and whose it is.
struct Token {
    token: String,
    id: SpiffeId,
}

impl TokenReview for Token {
    fn review(&self, token: &str) -> Review {
        let proven = (token == self.token).then(|| self.id.clone().into());
        Box::pin(ready(proven))
    }
}
