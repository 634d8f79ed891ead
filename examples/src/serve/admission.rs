//! How connections are told apart before anything is served on them.

use std::future::{Future, pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::FilterChain;
use tokio::net::TcpStream;

use super::accept::Connection;
use super::chains::{FilterChains, Refused};
use super::inspected::Inspected;
use super::listener::ListenerId;

/// How the connections of a thread are told apart, and what becomes of those that carry no HTTP.
pub trait Admission: 'static {
    /// Says by which listener a connection is served that was just accepted. Until then, `connection`
    /// has the id of the socket, and the address that the socket says it was made to.
    ///
    /// # Errors
    ///
    /// Nothing serves it. It is closed, and [`refused`](Self::refused) is told.
    fn admit(&self, connection: &Connection, stream: &TcpStream) -> Result<Admitted, Refused>;

    /// Serves a connection that carries no HTTP, until it ends.
    fn forward(
        &self,
        connection: Connection,
        chain: Arc<FilterChain>,
        stream: Inspected,
    ) -> impl Future<Output = ()> + 'static;

    /// Waits until a connection that stands would not be taken any more, whose bytes are taken as they come:
    /// by the chain that passes it on, or else as HTTP. It is then drained, as Envoy does with those of a filter
    /// chain that has changed; one that carries no HTTP ends. The default waits for ever.
    fn outlived(
        &self,
        connection: Connection,
        passed_on: Option<Arc<FilterChain>>,
    ) -> impl Future<Output = ()> + 'static {
        let _ = (connection, passed_on);
        pending()
    }

    /// Is told of a connection that is closed before it is served.
    fn refused(&self, connection: &Connection, why: &Refused);
}

/// By what a connection is served.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The listener, of which there may be several behind a socket that connections are redirected
    /// to.
    pub listener: ListenerId,
    /// The address that the client wants to reach.
    pub destination: SocketAddr,
    /// Whether it begins with a header of the PROXY protocol, which says whose it is. One without is
    /// closed.
    pub proxy_protocol: bool,
    /// The filter chains that take it. `None` takes it as plaintext HTTP.
    pub chains: Option<Arc<FilterChains>>,
}

/// Takes every connection as plaintext HTTP.
pub(super) struct AllHttp;

impl Admission for AllHttp {
    fn admit(&self, connection: &Connection, _: &TcpStream) -> Result<Admitted, Refused> {
        Ok(Admitted {
            listener: connection.listener,
            destination: connection.local,
            proxy_protocol: false,
            chains: None,
        })
    }

    fn forward(
        &self,
        _: Connection,
        _: Arc<FilterChain>,
        _: Inspected,
    ) -> impl Future<Output = ()> + 'static {
        ready(())
    }

    fn refused(&self, _: &Connection, _: &Refused) {}
}
