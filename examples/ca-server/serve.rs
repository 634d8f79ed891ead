//! The server: TLS with a certificate of the authority's own, and the certificate service.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use examples::program::report::chain;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mesh_core::identity::{ServiceAccount, SpiffeId, TrustDomains};
use mesh_core::watch::Watch;
use mesh_tls::ca::authenticate::AuthenticateLayer;
use mesh_tls::ca::{Issuance, IssueError, Issuer};
use mesh_tls::certificate::SubjectAltName;
use mesh_tls::connection::{Connection, ConnectionLayer, TlsPeer};
use mesh_tls::csr::{KeyKind, SigningRequest, SigningRequestError};
use mesh_tls::drain::DrainList;
use mesh_tls::grpc::CertificateService;
use mesh_tls::key::{KeyError, SigningKey};
use mesh_tls::resolve::{self, Identity, LiveIdentity};
use mesh_tls::source::{Keeper, Notice, SvidSource};
use mesh_tls::svid::{SvidError, X509Svid};
use mesh_tls::trust_bundle::{TrustBundle, TrustBundleError, TrustBundles};
use mesh_tls::verify::{PeerVerifier, Revocations};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceBuilder;

use crate::authority::{MeshAuthority, serial};
use crate::client::{Client, Listing};
use crate::tokens::Tokens;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that is believed no more has for the answers that it waits for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Answers requests for certificates. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    tls: TlsAcceptor,
    verifier: PeerVerifier,
    authenticate: AuthenticateLayer,
    service: CertificateService,
    live: LiveIdentity,
    connections: DrainList,
    clock: Arc<dyn TimeProvider>,
}

impl Server {
    /// A server with a certificate of the authority's, which it renews by itself; by the wall clock
    /// `clock`.
    pub(crate) fn new(
        authority: &MeshAuthority,
        tokens: Tokens,
        dns_names: &[String],
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let provider = authority.provider();
        let account = ServiceAccount {
            namespace: "istio-system",
            name: "ca-server",
        };
        let own = OwnIdentity {
            id: SpiffeId::from_service_account(authority.trust_domain(), account)?,
            issuer: authority.issuer().clone(),
            revocations: authority.revocations(),
            dns_names: dns_names.to_vec(),
            provider: Arc::clone(provider),
            clock: Arc::clone(&clock),
        };
        let (publisher, live) = resolve::channel();
        let keeper = Keeper::new(own, Arc::clone(&clock), fastrand::f64).with_observer(|notice| {
            if let Some(sentence) = sentence(&notice) {
                eprintln!("{sentence}");
            }
        });
        tokio::spawn(keeper.run(publisher));

        let verifier = PeerVerifier::spiffe(live.bundles().clone(), Arc::clone(provider))?;
        let clients = Arc::unwrap_or_clone(verifier.client_verifier()).optional();
        let mut tls = live.server_config(clients)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        tls.time_provider = Arc::clone(&clock);
        let issuer = authority.issuer().clone();
        Ok(Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            verifier,
            authenticate: AuthenticateLayer::new().with_token_review(Arc::new(tokens)),
            service: CertificateService::new(issuer, Arc::clone(provider), Arc::clone(&clock))
                .with_trust_domains(TrustDomains::new(authority.trust_domain().clone())),
            live,
            connections: DrainList::new(),
            clock,
        })
    }

    /// The identity that clients are shown.
    #[cfg(test)]
    pub(crate) fn live(&self) -> &LiveIdentity {
        &self.live
    }

    /// Serves. A connection that cannot be accepted, for want of file descriptors mostly, is reported.
    pub(crate) async fn run(self, listener: TcpListener) -> Infallible {
        self.live.ready().await;
        tokio::select! {
            never = self.recheck() => never,
            never = self.accept(listener) => never,
        }
    }

    async fn accept(&self, listener: TcpListener) -> Infallible {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("accept: {error}");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let server = self.clone();
            tokio::spawn(async move {
                if let Err(error) = server.connection(stream).await {
                    eprintln!("connection: {error}");
                }
            });
        }
    }

    /// Looks at the connections again whenever roots or revocation lists have changed.
    pub(crate) async fn recheck(&self) -> Infallible {
        let mut bundles = self.live.bundles().clone();
        loop {
            bundles.changed().await;
            let connections = self.connections.clone();
            // It takes as long as the handshakes of all of them.
            let rechecked = spawn_blocking(move || connections.recheck()).await;
            if let Err(error) = rechecked {
                eprintln!("clients that are trusted no more stay connected: {error}");
            }
        }
    }

    async fn connection(self, stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
        let ends = (stream.peer_addr()?, stream.local_addr()?);
        self.serve(stream, ends).await
    }

    /// Serves a connection until it is over, or its client is to be believed no more.
    pub(crate) async fn serve<IO>(
        self,
        io: IO,
        (peer, local): (SocketAddr, SocketAddr),
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pending = self.connections.begin();
        let stream = timeout(HANDSHAKE_TIMEOUT, self.tls.accept(io)).await??;
        let (_, state) = stream.get_ref();
        let tls = TlsPeer::new(state, state.server_name(), Some(&self.verifier));
        let listing = Listing {
            pending,
            verifier: &self.verifier,
            clock: Arc::clone(&self.clock),
        };
        let client =
            Client::new(&tls, listing).ok_or("until when the client is believed cannot be told")?;
        let service = ServiceBuilder::new()
            .layer(ConnectionLayer::new(Connection::tls(peer, local, tls)))
            .layer(self.authenticate)
            .service(self.service);
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        tokio::select! {
            served = connection.as_mut() => return Ok(served?),
            () = client.distrusted() => connection.as_mut().graceful_shutdown(),
        }
        // A client that does not take the hint is left alone.
        timeout(DRAIN_TIMEOUT, connection).await.unwrap_or(Ok(()))?;
        Ok(())
    }
}

/// Why the server has no certificate, or an old one; `None` if there is nothing to say.
pub(crate) fn sentence<E: Error + 'static>(notice: &Notice<'_, E>) -> Option<String> {
    let why = match notice {
        Notice::Failed { error, .. } => chain(*error),
        Notice::NotValid { .. } => "what the authority has signed does not count now".to_owned(),
        Notice::Withdrawn => {
            "it has expired, and nobody is served until there is another".to_owned()
        }
        _ => return None,
    };
    Some(format!("the certificate of the server: {why}"))
}

/// Issues the server's certificate by its own authority.
struct OwnIdentity {
    id: SpiffeId,
    issuer: Watch<Issuer>,
    revocations: Watch<Revocations>,
    dns_names: Vec<String>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn TimeProvider>,
}

impl SvidSource for OwnIdentity {
    type Error = OwnIdentityError;

    async fn fetch(&mut self) -> Result<Identity, OwnIdentityError> {
        let key = SigningKey::generate(KeyKind::EcdsaP256)?;
        let request = key.signing_request(&self.id)?;
        let request = SigningRequest::from_pem(request.as_bytes(), &self.provider)?;
        let now = self.clock.current_time();
        let now = now.ok_or_else(|| io::Error::other("the clock cannot tell the time"))?;
        let mut issuance = Issuance::for_workload(&self.id, now, serial(&self.provider)?);
        let names = self.dns_names.iter().cloned();
        issuance.names.extend(names.map(SubjectAltName::Dns));
        let issued = self.issuer.load().issue(&request, &issuance)?;
        let domain = self.id.trust_domain();
        let bundle = TrustBundle::new(domain, issued.roots.iter().cloned())?
            .with_revocations(Revocations::clone(&self.revocations.load()));
        let key = key.private_key().clone_key();
        Ok(Identity {
            svid: X509Svid::new(issued.chain, key, &self.provider)?,
            bundles: TrustBundles::from_iter([bundle]),
        })
    }

    async fn changed(&mut self) {
        tokio::select! {
            () = self.issuer.changed() => {}
            () = self.revocations.changed() => {}
        }
    }
}

/// Why the server has no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnIdentityError {
    #[error(transparent)]
    Bundle(#[from] TrustBundleError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Request(#[from] SigningRequestError),
    #[error(transparent)]
    Svid(#[from] SvidError),
}
