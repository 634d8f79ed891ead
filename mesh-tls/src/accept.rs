//! Accepting TLS, and mesh mTLS beside plaintext.
//!
//! [`TlsAcceptor`] ends the TLS of one filter chain. [`InboundAcceptor`] does what a PeerAuthentication
//! asks for: it tells mesh mTLS from plaintext, and ends only the former.
//!
//! A handshake that fails becomes a [`Diagnosis`].
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mesh_core::model::listener::{self, FilterChain, HttpConnection, NetworkFilter};
//! use mesh_tls::accept::TlsAcceptor;
//! use mesh_tls::config::{MeshIdentity, TlsCompiler};
//! use mesh_tls::resolve;
//! use mesh_tls::secret_store::SecretStore;
//! use tokio::io::AsyncWriteExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_core::identity::TrustDomains;
//!
//! let (_publisher, live) = resolve::channel();
//! let identity = MeshIdentity::new(live, TrustDomains::new("cluster.local".parse()?));
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let compiler = TlsCompiler::new(provider, SecretStore::default()).with_identity(identity);
//!
//! let http = NetworkFilter::Http(HttpConnection::new("inbound|8080||"));
//! let mut chain = FilterChain::new(http);
//! chain.tls = Some(listener::ServerTls::Mesh { alpn: vec!["h2".into()] });
//! let acceptor = TlsAcceptor::new(compiler.server(&chain)?.expect("TLS ends here"));
//!
//! let (mut client, server) = tokio::io::duplex(64);
//! client.write_all(b"GET / HTTP/1.1\r\n").await?;
//! let diagnosis = acceptor.accept(server).await.unwrap_err();
//! assert_eq!(diagnosis.to_string(), "the client does not speak TLS; is it plaintext?");
//! # Ok(())
//! # }
//! ```

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use mesh_core::model::policy::MtlsMode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::client_hello::Detected;
use crate::config::ServerTls;
use crate::connection::TlsPeer;
use crate::diagnose::{Cause, Diagnosis, OwnCertificate, Side};
use crate::drain::{DrainList, Handshake, Pending, Tracked};
use crate::mode::{Action, PortMode};
use crate::peek::{Peeked, peek_until, until};
use crate::verify::Purpose;

/// How long a handshake may take (`PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection whose TLS ends here.
#[derive(Debug)]
pub struct Accepted<IO> {
    /// The bytes inside.
    pub stream: TlsStream<Peeked<IO>>,
    /// What the handshake settled and proved.
    pub peer: TlsPeer,
    /// Says when the connection has to drain, if the server has a
    /// [list](crate::config::TlsCompiler::with_drain_list), and the client has presented a certificate or
    /// the chain is [known by its ending](ServerTls::ending). Keep it as long as the connection is open.
    pub tracked: Option<Tracked>,
}

/// Ends the TLS of one filter chain. Cheap to clone.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    tls: ServerTls,
    handshake_timeout: Duration,
}

impl TlsAcceptor {
    /// Accepts by `tls`.
    pub fn new(tls: ServerTls) -> Self {
        Self {
            tls,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Sets how long a handshake may take, from the call of [`accept`](Self::accept) on: the wait
    /// for the first byte counts. Default: 15 seconds.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Accepts TLS on a connection of which nothing was read.
    ///
    /// # Errors
    ///
    /// Says why there was no handshake.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn accept<IO>(&self, io: IO) -> Result<Accepted<IO>, Diagnosis>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = self.deadline();
        let peeked = peek_until(io, deadline).await;
        let peeked = peeked.map_err(|error| Diagnosis::of_io(Side::Server, &error, None))?;
        self.accept_peeked_until(peeked, deadline).await
    }

    /// Accepts TLS on a connection whose first bytes are known. The limit of time begins here; use
    /// [`accept_peeked_until`](Self::accept_peeked_until) where it began before.
    ///
    /// # Errors
    ///
    /// Says why there was no handshake.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn accept_peeked<IO>(&self, io: Peeked<IO>) -> Result<Accepted<IO>, Diagnosis>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.accept_peeked_until(io, self.deadline()).await
    }

    /// Until when a handshake may take that begins now; `None` is for ever.
    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.handshake_timeout)
    }

    /// Accepts TLS on a connection whose first bytes are known, until `deadline` at most; `None` is for
    /// ever.
    ///
    /// # Errors
    ///
    /// Says why there was no handshake.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn accept_peeked_until<IO>(
        &self,
        io: Peeked<IO>,
        deadline: Option<Instant>,
    ) -> Result<Accepted<IO>, Diagnosis>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |cause| Err(Diagnosis::new(Side::Server, cause));
        let offered: Vec<&[u8]> = match io.detected() {
            Detected::ClientHello(hello) => hello.alpn().collect(),
            Detected::Malformed => Vec::new(),
            Detected::Plaintext => return failed(Cause::Plaintext),
            Detected::Incomplete { .. } if io.has_ended() => return failed(Cause::Closed),
            Detected::Incomplete { .. } => return failed(Cause::TimedOut),
        };
        let pending = self.tls.drain_list().map(DrainList::begin);
        let config = self.tls.config(&offered).clone();
        let handshake = tokio_rustls::TlsAcceptor::from(config).accept(io);
        let Some(accepted) = until(deadline, handshake).await else {
            return failed(Cause::TimedOut);
        };
        let stream = accepted.map_err(|error| self.diagnose(&error))?;
        let (_, state) = stream.get_ref();
        let peer = TlsPeer {
            own: self.tls.own_certificate(),
            asks_for_own: true,
            ..TlsPeer::new(state, state.server_name(), self.tls.verifier())
        };
        let tracked = self.track(&peer, pending);
        Ok(Accepted {
            stream,
            peer,
            tracked,
        })
    }

    /// Lists a connection.
    fn track(&self, peer: &TlsPeer, pending: Option<Pending>) -> Option<Tracked> {
        let pending = pending?;
        let (presented, ending) = (peer.certificates.as_ref(), self.tls.ending());
        if presented.is_none() && ending.is_none() {
            return None;
        }
        let handshake = Handshake {
            chain: presented.map(|chain| chain.0.to_vec()).unwrap_or_default(),
            purpose: Purpose::Client,
            server_name: None,
            at: self.tls.config(&[]).time_provider.current_time()?,
        };
        let verifier = presented.and_then(|_| self.tls.verifier().cloned());
        Some(pending.register_accepted(handshake, verifier, ending))
    }

    /// What an error of a handshake means, on the thread that got it.
    fn diagnose(&self, error: &io::Error) -> Diagnosis {
        // The verifier was asked by the poll that failed, so that this is the same thread.
        let verifier = self.tls.verifier();
        let refusal = verifier.and_then(|verifier| verifier.take_refusal());
        let config = self.tls.config(&[]);
        let own = OwnCertificate::new(
            self.tls.own_certificate(),
            config.crypto_provider(),
            config.time_provider.as_ref(),
        );
        Diagnosis::of_io(Side::Server, error, refusal).with_own_certificate(own)
    }
}

/// A connection to a workload of the mesh.
#[derive(Debug)]
pub enum Inbound<IO> {
    /// Mesh mTLS, which ended here.
    Mesh(Box<Accepted<IO>>),
    /// Plaintext, or TLS of the application, as it came.
    PassedOn(Peeked<IO>),
}

/// Accepts mesh mTLS, plaintext or both, by the mode of a port. Cheap to clone.
///
/// [`mode`](crate::mode) has the rules.
#[derive(Clone, Debug)]
pub struct InboundAcceptor {
    port: PortMode,
    tls: TlsAcceptor,
    detection_timeout: Option<Duration>,
}

impl InboundAcceptor {
    /// Accepts on a port of this mode; where it is mesh mTLS, by `tls`.
    pub fn new(port: PortMode, tls: TlsAcceptor) -> Self {
        Self {
            port,
            tls,
            detection_timeout: None,
        }
    }

    /// Sets how long the first bytes are waited for where plaintext is accepted as well
    /// (`protocolDetectionTimeout`); then the connection is passed on. Default: they are waited for
    /// as long as the connection is open, as in Istio. Ports whose servers speak first need a limit, or
    /// the mode `DISABLE`.
    #[must_use]
    pub fn with_detection_timeout(mut self, timeout: Duration) -> Self {
        self.detection_timeout = Some(timeout);
        self
    }

    /// Accepts a connection of which nothing was read. The limit of a handshake begins at once where
    /// mesh mTLS is demanded, else when the first bytes are known.
    ///
    /// # Errors
    ///
    /// Says why the connection has to be closed.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn accept<IO>(&self, io: IO) -> Result<Inbound<IO>, Diagnosis>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let start = Instant::now();
        let deadline = match self.port.mode {
            MtlsMode::Disable => Some(start),
            MtlsMode::Permissive => self.detection_timeout.and_then(|t| start.checked_add(t)),
            MtlsMode::Strict => self.tls.deadline(),
        };
        let peeked = peek_until(io, deadline).await;
        let peeked = peeked.map_err(|error| Diagnosis::of_io(Side::Server, &error, None))?;
        match self.port.decide(peeked.detected()) {
            Action::PassOn => Ok(Inbound::PassedOn(peeked)),
            Action::Refuse => Err(Diagnosis::new(Side::Server, refusal(peeked.detected()))),
            Action::Terminate => {
                let deadline = match self.port.mode {
                    MtlsMode::Strict => deadline,
                    MtlsMode::Disable | MtlsMode::Permissive => self.tls.deadline(),
                };
                let accepted = self.tls.accept_peeked_until(peeked, deadline).await?;
                Ok(Inbound::Mesh(Box::new(accepted)))
            }
        }
    }
}

/// Why a connection with these first bytes is refused.
fn refusal(first: &Detected) -> Cause {
    match first {
        Detected::Plaintext | Detected::Incomplete { .. } => Cause::Plaintext,
        Detected::ClientHello(_) | Detected::Malformed => Cause::NoCommonAlpn,
    }
}
