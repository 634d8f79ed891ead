//! The connections to one endpoint, and the requests that wait for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body::Body;
use mesh_core::model::cluster::Cluster;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::attempt::{Attempt, Begin, Claim, Made};
use super::connection::{BoxError, Connection};
use super::failure::Failure;
use super::lease::Lease;
use super::open::Open;
use super::settings::PoolSettings;
use super::state::State;
use super::transport::Transport;
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
    /// The same, for those who look and take nothing: so that they take nobody's turn.
    pub(super) changed: Arc<Notify>,
}

/// The settings of a version of the cluster.
pub(super) struct Compiled {
    cluster: Arc<Cluster>,
    pub(super) transport: Arc<Transport>,
    /// Whether endpoints are those of a list, and not made for a request.
    pub(super) is_listed: bool,
    pub(super) settings: PoolSettings,
}

/// What a request can do now.
enum Step<B> {
    Use(Connection<B>),
    /// Connect, and wait for what comes of it.
    Connect(Attempt<B>, oneshot::Receiver<Made<B>>),
    /// Wait for what comes of an attempt whose request has gone.
    Claim(oneshot::Receiver<Made<B>>),
    Fail(Failure),
    Wait,
}

impl<B> Host<B> {
    pub(super) fn new(is_http2: bool, random: Random) -> Self {
        Self {
            is_http2,
            settings: ArcSwapOption::empty(),
            random,
            state: Mutex::new(State::new()),
            freed: Notify::new(),
            changed: Arc::default(),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// The settings of the cluster, compiled once for each version of it.
    pub(super) fn settings(&self, target: &Target) -> Arc<Compiled> {
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
        self.state().has_endpoint_gone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection, or the right to make one. `since` is how many failures there were when the
    /// request came; `None` if it comes now.
    fn step(
        self: &Arc<Self>,
        target: &Target,
        compiled: &Compiled,
        since: &mut Option<u64>,
    ) -> Step<B> {
        let mut state = self.state();
        state.enter_for(target, compiled);
        let since = *since.get_or_insert(state.failures.count());
        if let Some(connection) = self.take(&mut state, &compiled.settings) {
            return Step::Use(connection);
        }
        if let Some(failure) = state.failures.since(since) {
            return Step::Fail(failure);
        }
        let generation = state.current.generation();
        // A connection that is being made will take more than one request.
        if self.is_http2 && state.attempts.any(generation) {
            return Step::Wait;
        }
        if let Some(made) = state.attempts.claim(generation) {
            return Step::Claim(made);
        }
        if let Some(failure) = state.failures.held_back(Instant::now()) {
            return Step::Fail(failure);
        }
        match self.begin(&mut state, target, since) {
            Some((attempt, made)) => Step::Connect(attempt, made),
            None => Step::Wait,
        }
    }

    /// Begins an attempt, if there may be another connection.
    pub(super) fn begin(
        self: &Arc<Self>,
        state: &mut State<B>,
        target: &Target,
        since: u64,
    ) -> Option<(Attempt<B>, oneshot::Receiver<Made<B>>)> {
        let permit = target.breakers.acquire(Resource::Connections);
        let is_first = state.open == 0;
        let permit = permit.or_else(|| is_first.then(|| target.breakers.acquire_beyond_limit()))?;
        state.open += 1;
        let generation = state.current.generation();
        let (id, made) = state.attempts.begin(generation);
        let begin = Begin {
            id,
            since,
            generation,
        };
        Some((Attempt::new(begin, Open::new(self, permit)), made))
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

    /// An attempt has come to nothing. Another can be made, of which is told once it is not counted either.
    pub(super) fn give_up(&self, begin: Begin) {
        let request = self.state().attempts.end(begin.id);
        drop(request);
    }

    /// A connection could not be made. All who wait are told, as in Envoy: the next attempt would take as
    /// long, unless it is by another transport.
    pub(super) fn failed(&self, failure: Failure, begin: Begin) {
        let mut state = self.state();
        let request = state.attempts.end(begin.id);
        if state.is_current(begin.generation) {
            let (now, random) = (Instant::now(), self.random.draw());
            state.failures.record(failure, begin.since, now, random);
        }
        drop(state);
        if let Some(request) = request {
            // Who has gone does not want to know.
            let _ = request.send(Err(failure));
        }
        self.tell_all();
    }

    /// A connection is not there any more.
    pub(super) fn closed(&self) {
        self.state().open -= 1;
        self.tell_one();
    }

    fn tell_one(&self) {
        self.freed.notify_one();
        self.changed.notify_waiters();
    }

    fn tell_all(&self) {
        self.freed.notify_waiters();
        self.changed.notify_waiters();
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
        self.tell_one();
    }

    /// An HTTP/2 connection can take one request more.
    pub(super) fn has_room(&self) {
        self.tell_one();
    }
}

impl<B> Host<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A connection that can take a request now.
    pub(super) fn at_hand(self: &Arc<Self>, target: &Target) -> Option<Lease<B>> {
        let compiled = self.settings(target);
        let mut state = self.state();
        state.enter_for(target, &compiled);
        let connection = self.take(&mut state, &compiled.settings)?;
        drop(state);
        Some(Lease::new(self, connection, false))
    }

    /// Waits for a connection. `connect` has attempts made, which go on when this is dropped.
    pub(super) async fn connection(
        self: &Arc<Self>,
        target: &Target,
        connect: &mut impl FnMut(Attempt<B>, Arc<Compiled>),
    ) -> Result<Lease<B>, Failure> {
        let compiled = self.settings(target);
        let mut since = None;
        let mut pending: Option<Permit> = None;
        loop {
            // Registered before the look, so that what is freed in between is not missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            let (attempt, made) = match self.step(target, &compiled, &mut since) {
                Step::Use(connection) => return Ok(Lease::new(self, connection, false)),
                Step::Fail(failure) => return Err(failure),
                Step::Connect(attempt, made) => (Some(attempt), Some(made)),
                Step::Claim(made) => (None, Some(made)),
                Step::Wait => (None, None),
            };
            pending = pending.or_else(|| target.breakers.acquire(Resource::PendingRequests));
            if pending.is_none() {
                return Err(Failure::Overflow);
            }
            if let Some(attempt) = attempt {
                connect(attempt, Arc::clone(&compiled));
            }
            match made {
                Some(made) => return Claim { host: self, made }.lease().await,
                None => freed.await,
            }
        }
    }

    /// A connection was made: for the request that waits for it, or else for the next.
    pub(super) fn connected(
        self: &Arc<Self>,
        connection: Connection<B>,
        begin: Begin,
        settings: &PoolSettings,
    ) {
        let mut state = self.state();
        let request = state.attempts.end(begin.id);
        let request = request.filter(|request| !request.is_closed());
        let is_current = state.is_current(begin.generation);
        if is_current {
            state.failures.end();
        }
        match request {
            Some(request) => {
                connection.usage.begin(settings.max_requests);
                state
                    .available
                    .extend(connection.share().filter(|_| is_current));
                drop(state);
                if let Err(Ok(connection)) = request.send(Ok(connection)) {
                    // The request has just gone.
                    drop(Lease::new(self, connection, true));
                }
            }
            None if is_current && !state.has_endpoint_gone() => {
                state.available.push(connection);
                drop(state);
            }
            None => drop((state, connection)),
        }
        match self.is_http2 {
            true => self.tell_all(),
            false => self.tell_one(),
        }
    }
}
