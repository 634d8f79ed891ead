//! Connecting with TLS.
//!
//! [`TlsConnector`] speaks the TLS of one cluster over a connection that is already made. A
//! handshake that fails becomes a [`Diagnosis`].
//!
//! In TLS 1.3 the client is done before the server has looked at its certificate: a server that
//! refuses it says so in answer to the first read. [`TlsConnector::diagnose`] tells why.
//!
//! A server that asks for no certificate does not know who we are, whatever we are configured to
//! prove. The connection is made all the same, as by Envoy; [`TlsPeer::unasked`] tells, for whoever
//! wants to be known.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, UpstreamTls};
//! use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
//! use mesh_tls::config::{ApplicationProtocol, TlsCompiler};
//! use mesh_tls::connect::TlsConnector;
//! use mesh_tls::secret_store::SecretStore;
//! use tokio::io::AsyncWriteExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Cluster::new("outbound|443||shop.example".into());
//! cluster.tls = UpstreamTls::Settings(Box::new(ClientTlsSettings {
//!     mode: ClientTlsMode::Simple,
//!     ca_certificates: "/etc/certs/ca.pem".into(),
//!     ..ClientTlsSettings::default()
//! }));
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let tls = TlsCompiler::new(provider, SecretStore::default()).upstream(&cluster)?;
//! let endpoint = Endpoint::new(EndpointAddress::Ip("192.0.2.7:443".parse()?));
//! let tls = tls.towards(&endpoint).expect("the endpoint gets TLS").clone();
//! let connector = TlsConnector::new(tls, ApplicationProtocol::Http1);
//!
//! let (client, mut server) = tokio::io::duplex(1 << 14);
//! server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
//! let error = connector.connect(client, Some("shop.example:443")).await.unwrap_err();
//! assert_eq!(error.to_string(), "the server does not speak TLS; is it plaintext?");
//! # Ok(())
//! # }
//! ```

use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::config::{ApplicationProtocol, ClientTls, ServerNameError};
use crate::connection::TlsPeer;
use crate::diagnose::{Diagnosis, OwnCertificate, Side};
use crate::drain::{DrainList, Handshake, Pending, Tracked};
use crate::peek::until;
use crate::verify::Purpose;

/// How long a handshake may take: as long as a connection may take to be made
/// (`meshConfig.connectTimeout`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection whose TLS begins here.
#[derive(Debug)]
pub struct Connected<IO> {
    /// The bytes inside.
    pub stream: TlsStream<IO>,
    /// What the handshake settled, and what the server has proven.
    pub peer: TlsPeer,
    /// Says when the connection has to drain, if the client has a
    /// [list](crate::config::TlsCompiler::with_drain_list) and verifies servers. Keep it as long as the
    /// connection is open, and send nothing more by a connection that drains.
    pub tracked: Option<Tracked>,
}

/// Begins the TLS of one cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    tls: ClientTls,
    protocol: ApplicationProtocol,
    handshake_timeout: Duration,
}

impl TlsConnector {
    /// Connects by `tls`, to speak `protocol` inside.
    pub fn new(tls: ClientTls, protocol: ApplicationProtocol) -> Self {
        Self {
            tls,
            protocol,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// Sets how long a handshake may take. Default: ten seconds.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Shakes hands over `io`. `host` is the host of the request, which names the server where the
    /// settings do not.
    ///
    /// # Errors
    ///
    /// Says why there was no handshake.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn connect<IO>(
        &self,
        io: IO,
        host: Option<&str>,
    ) -> Result<Connected<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.tls.server_name(host)?;
        let (config, asked) = self.tls.asked(self.protocol);
        let sent = name.to_str().into_owned();
        let pending = self.tls.drain_list().map(DrainList::begin);
        let handshake = tokio_rustls::TlsConnector::from(config).connect(name.clone(), io);
        let deadline = Instant::now().checked_add(self.handshake_timeout);
        let connected = until(deadline, handshake).await;
        let connected = connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|error| self.diagnose(&error))?;
        let (_, state) = stream.get_ref();
        let peer = TlsPeer {
            own: self.tls.own_certificate(),
            asks_for_own: asked.is_some_and(|asked| asked.is_asked()),
            ..TlsPeer::new(state, Some(&sent), Some(self.tls.verifier()))
        };
        let tracked = self.track(&peer, name, pending);
        Ok(Connected {
            stream,
            peer,
            tracked,
        })
    }

    /// Lists a connection to the server called `name`.
    fn track(
        &self,
        peer: &TlsPeer,
        name: ServerName<'static>,
        pending: Option<Pending>,
    ) -> Option<Tracked> {
        let time = &self.tls.config(self.protocol).time_provider;
        let handshake = Handshake {
            chain: peer.certificates.as_ref()?.0.to_vec(),
            purpose: Purpose::Server,
            server_name: Some(name),
            at: time.current_time()?,
        };
        Some(pending?.register(handshake, self.tls.verifier().clone()))
    }

    /// What an error of the connection means, on the thread that got it.
    pub fn diagnose(&self, error: &io::Error) -> Diagnosis {
        let refusal = self.tls.verifier().take_refusal();
        let config = self.tls.config(self.protocol);
        let own = OwnCertificate::new(
            self.tls.own_certificate(),
            config.crypto_provider(),
            config.time_provider.as_ref(),
        );
        Diagnosis::of_io(Side::Client, error, refusal).with_own_certificate(own)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] Diagnosis),
    /// The server has no name to ask for.
    #[error(transparent)]
    ServerName(#[from] ServerNameError),
}
