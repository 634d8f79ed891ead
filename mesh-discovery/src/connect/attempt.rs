//! Connections that are being made.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tower_service::Service;

use super::connection::{BoxError, Connection, Establish, establish};
use super::failure::Failure;
use super::host::{Compiled, Host};
use super::lease::Lease;
use super::open::Open;
use super::transport::Generation;
use crate::service::Target;

/// What came of an attempt.
pub(super) type Made<B> = Result<Connection<B>, Failure>;

/// The attempts to connect to an endpoint. One goes on when its request has gone: the next takes it over, or
/// the pool takes what it makes.
pub(super) struct Attempts<B> {
    next: u64,
    /// The oldest first.
    running: BTreeMap<u64, Running<B>>,
}

struct Running<B> {
    generation: Generation,
    request: oneshot::Sender<Made<B>>,
}

impl<B> Attempts<B> {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            running: BTreeMap::new(),
        }
    }

    /// Notes another one, by its number, and tells a request what comes of it.
    pub(super) fn begin(&mut self, generation: Generation) -> (u64, oneshot::Receiver<Made<B>>) {
        let (request, made) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        let running = Running {
            generation,
            request,
        };
        self.running.insert(id, running);
        (id, made)
    }

    /// Whether there is one of `generation`.
    pub(super) fn any(&self, generation: Generation) -> bool {
        let mut running = self.running.values();
        running.any(|attempt| attempt.generation == generation)
    }

    /// Whether there is one of `generation` that no request waits for.
    pub(super) fn any_unclaimed(&self, generation: Generation) -> bool {
        let mut running = self.running.values();
        running.any(|attempt| attempt.is_unclaimed(generation))
    }

    /// Tells another request what comes of the oldest of `generation` that none waits for.
    pub(super) fn claim(&mut self, generation: Generation) -> Option<oneshot::Receiver<Made<B>>> {
        let mut running = self.running.values_mut();
        let unclaimed = running.find(|attempt| attempt.is_unclaimed(generation))?;
        let (request, made) = oneshot::channel();
        unclaimed.request = request;
        Some(made)
    }

    /// Forgets one that is over, and says who is to be told.
    pub(super) fn end(&mut self, id: u64) -> Option<oneshot::Sender<Made<B>>> {
        self.running.remove(&id).map(|running| running.request)
    }
}

impl<B> Running<B> {
    fn is_unclaimed(&self, generation: Generation) -> bool {
        self.generation == generation && self.request.is_closed()
    }
}

/// What there was when an attempt was begun.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    /// Its number.
    pub(super) id: u64,
    /// How many failures.
    pub(super) since: u64,
    pub(super) generation: Generation,
}

/// An attempt. Dropped before it is over, as with its runtime, it makes room for another.
pub(super) struct Attempt<B> {
    begin: Begin,
    open: Arc<Open<B>>,
    is_over: bool,
}

impl<B> Attempt<B> {
    pub(super) fn new(begin: Begin, open: Open<B>) -> Self {
        Self {
            begin,
            open: Arc::new(open),
            is_over: false,
        }
    }
}

impl<B> Attempt<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Connects on a task of its own, which ends at the connect timeout.
    pub(super) fn spawn<C>(self, connector: C, target: Target, compiled: Arc<Compiled>)
    where
        C: Service<Target> + Send + 'static,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        C::Error: Send,
        C::Future: Send,
    {
        tokio::spawn(self.run(connector, target, compiled));
    }

    async fn run<C>(mut self, mut connector: C, target: Target, compiled: Arc<Compiled>)
    where
        C: Service<Target>,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let establishing = Establish {
            target: &target,
            settings: &compiled.settings,
            is_http2: self.open.host.is_http2(),
            generation: self.begin.generation,
            open: Arc::clone(&self.open),
        };
        let made = establish(&mut connector, establishing).await;
        // Who only connects to an endpoint does not keep it.
        drop((connector, target));
        self.is_over = true;
        let host = &self.open.host;
        match made {
            Ok(connection) => host.connected(connection, self.begin, &compiled.settings),
            Err(failure) => host.failed(failure, self.begin),
        }
    }
}

impl<B> Drop for Attempt<B> {
    fn drop(&mut self) {
        if !self.is_over {
            self.open.host.give_up(self.begin);
        }
    }
}

/// A request that waits for what comes of an attempt. Given up, it leaves the connection to others.
pub(super) struct Claim<'a, B: Body + Send + 'static> {
    pub(super) host: &'a Arc<Host<B>>,
    pub(super) made: oneshot::Receiver<Made<B>>,
}

impl<B: Body + Send + 'static> Claim<'_, B> {
    pub(super) async fn lease(mut self) -> Result<Lease<B>, Failure> {
        // An attempt that says nothing was dropped with its runtime, or its connector has panicked.
        let made = (&mut self.made).await.unwrap_or(Err(Failure::Connect));
        made.map(|connection| Lease::new(self.host, connection, true))
    }
}

impl<B: Body + Send + 'static> Drop for Claim<'_, B> {
    fn drop(&mut self) {
        self.made.close();
        if let Ok(Ok(connection)) = self.made.try_recv() {
            drop(Lease::new(self.host, connection, true));
        }
    }
}
