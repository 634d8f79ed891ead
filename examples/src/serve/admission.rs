//! How connections are told apart before anything is served on them.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::FilterChain;

use super::accept::Connection;
use super::chains::{FilterChains, Refused};
use super::inspected::Inspected;
use super::listener::ListenerId;

/// How the connections of a thread are told apart, and what becomes of those that carry no HTTP.
pub trait Admission: 'static {
    /// The filter chains of a listener. `None` takes each of its connections as plaintext HTTP.
    fn chains(&self, listener: ListenerId) -> Option<Arc<FilterChains>>;

    /// The address that the clients of a listener connect to, which is `bound` unless they are
    /// redirected on their way.
    fn destination(&self, listener: ListenerId, bound: SocketAddr) -> SocketAddr {
        let _ = listener;
        bound
    }

    /// Serves a connection that carries no HTTP, until it ends.
    fn forward(
        &self,
        connection: Connection,
        chain: Arc<FilterChain>,
        stream: Inspected,
    ) -> impl Future<Output = ()> + 'static;

    /// Is told of a connection that is closed before it is served.
    fn refused(&self, connection: &Connection, why: &Refused);
}

/// Takes every connection as plaintext HTTP.
pub(super) struct AllHttp;

impl Admission for AllHttp {
    fn chains(&self, _listener: ListenerId) -> Option<Arc<FilterChains>> {
        None
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
