//! TLS towards endpoints.

use std::error::Error as _;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mesh_tls::config::{ApplicationProtocol, ClientTls};
use mesh_tls::connect::{ConnectError, Connected, TlsConnector};
use mesh_tls::diagnose::{Diagnosis, Side};
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::UpstreamError;

type Observer = Box<dyn Fn(Notice<'_>) + Send + Sync>;

/// What there is to say of a handshake.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// It failed.
    Failed(&'a ConnectError),
    /// The connection stands, and the server does not know who we are: it did not ask.
    Unasked(&'a Diagnosis),
}

/// The TLS of connections, and who is told when there is something to say of it. Cheap to clone.
///
/// Connections are shared by requests for which they prove the same: two originations are equal
/// only if one is a clone of the other.
#[derive(Clone)]
pub struct Origination(Arc<Inner>);

struct Inner {
    tls: ClientTls,
    // Whether the settings name the server, and not the request.
    names_server: bool,
    observer: Observer,
}

impl Origination {
    /// Speaks `tls`; `observer` is told whenever that fails, and when a server does not ask for our
    /// certificate.
    pub fn new(tls: ClientTls, observer: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            names_server: tls.server_name(None).is_ok(),
            tls,
            observer: Box::new(observer),
        }))
    }

    /// What of `host` decides to whom a connection leads.
    pub(super) fn server<'h>(&self, host: Option<&'h str>) -> Option<&'h str> {
        host.filter(|_| !self.0.names_server)
    }

    /// Shakes hands over `io`. `host` names the server where the settings do not.
    pub(super) async fn connect<IO>(
        &self,
        io: IO,
        (protocol, host): (ApplicationProtocol, Option<&str>),
        timeout: Duration,
    ) -> Result<Connected<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::new(self.0.tls.clone(), protocol);
        let connector = connector.with_handshake_timeout(timeout);
        match connector.connect(io, host).await {
            Ok(connected) => {
                if let Some(unasked) = connected.peer.unasked() {
                    (self.0.observer)(Notice::Unasked(&unasked));
                }
                Ok(connected)
            }
            Err(error) => {
                (self.0.observer)(Notice::Failed(&error));
                Err(error)
            }
        }
    }

    /// Tells the observer of an error after the handshake, if it is one of TLS: a server of TLS 1.3
    /// refuses a client's certificate only then.
    pub(super) fn observe(&self, error: &UpstreamError) {
        if let Some(diagnosis) = diagnose(error) {
            (self.0.observer)(Notice::Failed(&diagnosis.into()));
        }
    }
}

impl PartialEq for Origination {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Origination {}

impl Hash for Origination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for Origination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origination")
            .field("tls", &self.0.tls)
            .finish_non_exhaustive()
    }
}

/// What an error of the connection means, if rustls is where it comes from.
fn diagnose(error: &UpstreamError) -> Option<Diagnosis> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return Some(Diagnosis::of_io(Side::Client, error, None));
        }
        source = error.source();
    }
    None
}
