//! A connection to an endpoint, encrypted or not.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use mesh_core::attributes::{PeerIdentity, UpstreamConnection};
use mesh_core::identity::SpiffeId;
use mesh_discovery::connect::Stream;
use mesh_discovery::endpoint::socket_path;
use mesh_tls::certificate::Certificate;
use mesh_tls::config::ApplicationProtocol;
use mesh_tls::connect::Connected;
use mesh_tls::drain::Tracked;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::endpoint::Address;
use super::error::UpstreamError;
use super::origination::Origination;
use super::preface::Preface;
use super::source::connect_from;
use crate::maybe_tls::MaybeTls;

/// In place of a time that the clock does not reach.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection to an endpoint.
pub(crate) type Transport = MaybeTls<Stream, TlsStream<Stream>>;

/// A connection that was made, and what is known of it.
pub(crate) struct Established {
    pub(crate) transport: Transport,
    pub(crate) known: UpstreamConnection,
    pub(crate) trust: Trust,
}

/// Whether the server of a connection is believed still, where it was verified and somebody rechecks it.
#[derive(Debug, Default)]
pub(crate) struct Trust(Option<Tracked>);

impl Trust {
    /// Whether the server would be refused now, so that nothing more is sent to it.
    pub(super) fn is_lost(&self) -> bool {
        self.0.as_ref().is_some_and(Tracked::is_draining)
    }

    /// Waits until the server would be refused; for ever where nobody asks.
    pub(crate) async fn lost(&self) {
        match &self.0 {
            Some(tracked) => tracked.draining().await,
            None => pending().await,
        }
    }
}

/// What a connection leads to, and what it proves.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Way {
    pub(crate) address: Address,
    pub(crate) tls: Option<Origination>,
    /// The host that names the server, where the TLS settings do not.
    pub(crate) server: Option<Box<str>>,
    /// The address to connect from; `None` leaves it to the system.
    pub(crate) source: Option<IpAddr>,
    /// What connections begin with, before TLS.
    pub(crate) preface: Option<Preface>,
}

impl Way {
    /// The way to `address`, for requests to `host`.
    pub(crate) fn new(address: Address, tls: Option<Origination>, host: Option<&str>) -> Self {
        let server = tls.as_ref().and_then(|tls| tls.server(host));
        Self {
            server: server.map(Into::into),
            address,
            tls,
            source: None,
            preface: None,
        }
    }

    /// Begins connections with `preface`.
    pub(crate) fn with_preface(self, preface: Option<Preface>) -> Self {
        Self { preface, ..self }
    }

    /// Connects from `source`.
    pub(crate) fn with_source(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Establishes a connection to speak `protocol` on, within `timeout`.
    pub(crate) async fn connect(
        &self,
        protocol: ApplicationProtocol,
        timeout: Duration,
    ) -> Result<Established, UpstreamError> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + FAR);
        let stream = timeout_at(deadline, self.dial())
            .await
            .map_err(|_elapsed| UpstreamError::ConnectTimeout)?
            .map_err(UpstreamError::Connect)?;
        let mut known = UpstreamConnection {
            local: stream.local_addr(),
            ..UpstreamConnection::default()
        };
        let Some(tls) = &self.tls else {
            return Ok(Established {
                transport: Transport::Plain(stream),
                known,
                trust: Trust::default(),
            });
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let connecting = tls.connect(stream, (protocol, self.server.as_deref()), left);
        let connected = connecting.await.map_err(UpstreamError::Handshake)?;
        let Connected {
            stream,
            peer,
            tracked,
        } = connected;
        known.identity = peer.own.as_ref().and_then(named);
        known.peer = peer.identity.map(|PeerIdentity(id)| id);
        Ok(Established {
            transport: Transport::Tls(Box::new(stream)),
            known,
            trust: Trust(tracked),
        })
    }

    async fn dial(&self) -> io::Result<Stream> {
        let mut stream = match &self.address {
            Address::Ip(address) => {
                let stream = connect_from(self.source, *address).await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(socket_path(path)).await?),
        };
        if let Some(preface) = &self.preface {
            preface.send(&mut stream).await?;
        }
        Ok(stream)
    }
}

/// Who a certificate names in the mesh.
fn named(certificate: &Certificate) -> Option<SpiffeId> {
    certificate.uris().find_map(|uri| uri.parse().ok())
}

impl Transport {
    /// The connection under TLS, if there is any.
    pub(crate) fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether the other end holds the connection open and says nothing, as far as is known without
    /// waiting. What TLS says for itself does not count.
    pub(super) fn is_silent(&mut self) -> bool {
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        // A byte that nobody asked for, the end, or an error: it is of no more use.
        Pin::new(self)
            .poll_read(&mut unwoken, &mut byte)
            .is_pending()
    }
}
