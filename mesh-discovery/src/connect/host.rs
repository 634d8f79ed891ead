//! The connections to one endpoint, and the requests that wait for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body::Body;
use mesh_core::model::cluster::{Cluster, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower_service::Service;

use super::backoff::Failures;
use super::connection::{BoxError, Connection, Establish, Sender, establish};
use super::failure::Failure;
use super::lease::Lease;
use super::open::Open;
use super::settings::PoolSettings;
use super::transport::{Current, Generation, Transport};
use crate::balance::lists_endpoints;
use crate::circuit_breaker::{Permit, Resource};
use crate::service::{Random, Target};

/// The connections to an endpoint over one version of HTTP.
pub(super) struct Host<B> {
    is_http2: bool,
    settings: ArcSwapOption<Compiled>,
    random: Random,
    state: Mutex<State<B>>,
    /// A connection can be used, or another one be made, or could not be made.
    freed: Notify,
}

/// The settings of a version of the cluster.
struct Compiled {
    cluster: Arc<Cluster>,
    transport: Arc<Transport>,
    /// Whether endpoints are those of a list, and not made for a request.
    is_listed: bool,
    settings: PoolSettings,
}

struct State<B> {
    /// That of the request before, if it is known when it has gone.
    endpoint: Option<Weak<Endpoint>>,
    current: Current,
    /// HTTP/1.1 connections without a request, the one used last at the end; all HTTP/2 connections
    /// that take requests.
    available: Vec<Connection<B>>,
    /// Connections that are there or being made.
    open: usize,
    /// Connections by the transport of now that are being made.
    connecting: usize,
    failures: Failures,
}

/// What a request can do now.
enum Step<B> {
    Use(Connection<B>),
    Connect(Permit, Begin),
    Fail(Failure),
    Wait,
}

/// What there was when a connection was begun.
#[derive(Clone, Copy)]
struct Begin {
    /// How many failures.
    since: u64,
    generation: Generation,
}

impl<B> State<B> {
    /// Requests go by `transport` from now on: connections by another take none any more, and what was
    /// not reached by it may be reached now.
    fn enter(&mut self, transport: &Arc<Transport>) {
        if self.current.changes_to(transport) {
            self.available.clear();
            self.connecting = 0;
            self.failures.end();
        }
    }

    /// Notes who has to be there for connections to be kept: of endpoints that are not listed, each
    /// request has another.
    fn follow(&mut self, target: &Target, is_listed: bool) {
        let known = self.endpoint.as_ref().map(Weak::as_ptr);
        if known != Some(Arc::as_ptr(&target.endpoint)) {
            self.endpoint = is_listed.then(|| Arc::downgrade(&target.endpoint));
        }
    }

    /// Whether what is of `generation` is of use.
    fn is_current(&self, generation: Generation) -> bool {
        self.current.generation() == generation
    }

    /// A connection is not being made any more.
    fn has_tried(&mut self, begin: Begin) {
        if self.is_current(begin.generation) {
            self.connecting -= 1;
        }
    }
}

impl<B> Host<B> {
    pub(super) fn new(is_http2: bool, random: Random) -> Self {
        let state = State {
            endpoint: None,
            current: Current::new(),
            available: Vec::new(),
            open: 0,
            connecting: 0,
            failures: Failures::default(),
        };
        Self {
            is_http2,
            settings: ArcSwapOption::empty(),
            random,
            state: Mutex::new(state),
            freed: Notify::new(),
        }
    }

    /// The settings of the cluster, compiled once for each version of it.
    fn settings(&self, target: &Target) -> Arc<Compiled> {
        let cluster = &target.cluster;
        let known = self.settings.load_full();
        let is_same = |known: &Arc<Compiled>| {
            let is_same = known.transport.mesh_tls == target.endpoint.mesh_tls;
            is_same && Arc::ptr_eq(&known.cluster, cluster)
        };
        known.filter(is_same).unwrap_or_else(|| {
            let compiled = Arc::new(Compiled {
                cluster: Arc::clone(cluster),
                transport: Arc::new(Transport::to(target)),
                is_listed: lists_endpoints(cluster),
                settings: PoolSettings::compile(cluster),
            });
            self.settings.store(Some(Arc::clone(&compiled)));
            compiled
        })
    }

    /// Whether there are no connections, and none is being made.
    pub(super) fn is_unused(&self) -> bool {
        self.state().open == 0
    }

    /// Whether nobody has the endpoint any more that requests went to.
    pub(super) fn has_endpoint_gone(&self) -> bool {
        let state = self.state();
        let endpoint = state.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| endpoint.strong_count() == 0)
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection, or the right to make one. `since` is how many failures there were when the
    /// request came; `None` if it comes now.
    fn step(&self, target: &Target, compiled: &Compiled, since: &mut Option<u64>) -> Step<B> {
        let mut state = self.state();
        state.enter(&compiled.transport);
        state.follow(target, compiled.is_listed);
        let since = *since.get_or_insert(state.failures.count());
        let is_usable =
            |connection: &Connection<B>| !connection.is_closed() && !connection.usage.is_retired();
        state.available.retain(is_usable);
        if let Some(connection) = self.take(&mut state, &compiled.settings) {
            return Step::Use(connection);
        }
        if let Some(failure) = state.failures.since(since) {
            return Step::Fail(failure);
        }
        // A connection that is being made will take more than one request.
        if self.is_http2 && state.connecting > 0 {
            return Step::Wait;
        }
        if let Some(failure) = state.failures.held_back(Instant::now()) {
            return Step::Fail(failure);
        }
        let permit = target.breakers.acquire(Resource::Connections);
        let is_first = state.open == 0;
        let permit = permit.or_else(|| is_first.then(|| target.breakers.acquire_beyond_limit()));
        match permit {
            Some(permit) => {
                state.open += 1;
                state.connecting += 1;
                let generation = state.current.generation();
                Step::Connect(permit, Begin { since, generation })
            }
            None => Step::Wait,
        }
    }

    fn take(&self, state: &mut State<B>, settings: &PoolSettings) -> Option<Connection<B>> {
        let connection = if self.is_http2 {
            let has_room =
                |connection: &&Connection<B>| connection.usage.has_room(settings.max_streams);
            let connection = state.available.iter().find(has_room)?;
            connection.share()?
        } else {
            state.available.pop()?
        };
        connection.usage.begin(settings.max_requests);
        Some(connection)
    }

    /// A connection is not being made any more. Another can make it, who is told once it is not counted
    /// either.
    fn give_up(&self, begin: Begin) {
        self.state().has_tried(begin);
    }

    fn connected(&self, connection: &Connection<B>, begin: Begin) {
        let mut state = self.state();
        state.has_tried(begin);
        if state.is_current(begin.generation) {
            state.available.extend(connection.share());
            state.failures.end();
        }
        drop(state);
        if self.is_http2 {
            // The others can share it.
            self.freed.notify_waiters();
        }
    }

    /// A connection could not be made. All who wait are told, as in Envoy: the next attempt would take as
    /// long, unless it is by another transport.
    fn failed(&self, failure: Failure, begin: Begin) {
        let mut state = self.state();
        state.has_tried(begin);
        if state.is_current(begin.generation) {
            let (now, random) = (Instant::now(), self.random.draw());
            state.failures.record(failure, begin.since, now, random);
        }
        drop(state);
        self.freed.notify_waiters();
    }

    /// A connection is not there any more.
    pub(super) fn closed(&self) {
        self.state().open -= 1;
        self.freed.notify_one();
    }

    /// Gives up the connections that take no further requests, so that each closes when its last response
    /// has ended.
    pub(super) fn forget_retired(&self) {
        let mut state = self.state();
        state.available.retain(|one| !one.usage.is_retired());
    }

    pub(super) fn put_back(&self, connection: Connection<B>) {
        let mut state = self.state();
        let is_current = state.is_current(connection.usage.generation);
        if is_current && !connection.usage.is_retired() && !connection.is_closed() {
            state.available.push(connection);
        }
        drop(state);
        self.freed.notify_one();
    }

    /// An HTTP/2 connection can take one request more.
    pub(super) fn has_room(&self) {
        self.freed.notify_one();
    }
}

impl<B> Host<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Waits for a connection.
    pub(super) async fn connection<C>(
        self: &Arc<Self>,
        connector: &mut C,
        target: &Target,
    ) -> Result<Lease<B>, Failure>
    where
        C: Service<Target>,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let compiled = self.settings(target);
        let mut since = None;
        let mut pending: Option<Permit> = None;
        loop {
            // Registered before the look, so that what is freed in between is not missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            let attempt = match self.step(target, &compiled, &mut since) {
                Step::Use(connection) => return Ok(Lease::new(self, connection, false)),
                Step::Fail(failure) => return Err(failure),
                Step::Connect(permit, begin) => Some(Attempt::new(self, begin, permit)),
                Step::Wait => None,
            };
            pending = pending.or_else(|| target.breakers.acquire(Resource::PendingRequests));
            if pending.is_none() {
                return Err(Failure::Overflow);
            }
            let Some(attempt) = attempt else {
                freed.await;
                continue;
            };
            let establish = Establish {
                target,
                settings: &compiled.settings,
                is_http2: self.is_http2,
                generation: attempt.begin.generation,
                open: Arc::clone(&attempt.open),
            };
            return attempt.run(connector, establish).await;
        }
    }
}

/// A connection that is being made. Dropped before it is over, it makes room for another.
struct Attempt<'a, B> {
    host: &'a Arc<Host<B>>,
    begin: Begin,
    open: Arc<Open<B>>,
    is_over: bool,
}

impl<'a, B> Attempt<'a, B> {
    fn new(host: &'a Arc<Host<B>>, begin: Begin, permit: Permit) -> Self {
        Self {
            host,
            begin,
            open: Arc::new(Open::new(host, permit)),
            is_over: false,
        }
    }
}

impl<B> Attempt<'_, B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    async fn run<C>(
        mut self,
        connector: &mut C,
        establishing: Establish<'_, B>,
    ) -> Result<Lease<B>, Failure>
    where
        C: Service<Target>,
        C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let max_requests = establishing.settings.max_requests;
        let established = establish(connector, establishing).await;
        self.is_over = true;
        match established {
            Ok(connection) => {
                connection.usage.begin(max_requests);
                self.host.connected(&connection, self.begin);
                Ok(Lease::new(self.host, connection, true))
            }
            Err(failure) => {
                self.host.failed(failure, self.begin);
                Err(failure)
            }
        }
    }
}

impl<B> Drop for Attempt<'_, B> {
    fn drop(&mut self) {
        if !self.is_over {
            self.host.give_up(self.begin);
        }
    }
}

impl<B> Connection<B> {
    /// The same connection for another request, if it takes several at a time.
    fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                usage: Arc::clone(&self.usage),
            }),
        }
    }
}
