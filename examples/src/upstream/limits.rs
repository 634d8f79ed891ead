//! What a cluster allows of the connections to its endpoints.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::model::cluster::Cluster;
use mesh_discovery::circuit_breaker::{Breakers, Permit, Resource};
use mesh_discovery::connect::PoolSettings;
use mesh_discovery::service::Target;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::transport::Transport;

/// The `connectionPool` of a cluster, and what is counted of it. Cheap to clone.
///
/// Connections are kept apart from those of other clusters to the same address.
#[derive(Clone)]
pub struct ConnectionLimits {
    shared: Rc<Shared>,
}

struct Shared {
    cluster: Arc<Cluster>,
    settings: PoolSettings,
    breakers: Arc<Breakers>,
}

impl ConnectionLimits {
    /// The limits of a target's cluster; `None` if it has none.
    pub fn of(target: &Target) -> Option<Self> {
        let cluster = &target.cluster;
        if cluster.policy.connection_pool.is_none() && cluster.tcp_keepalive.is_none() {
            return None;
        }
        let shared = Rc::new(Shared {
            settings: PoolSettings::compile(cluster),
            cluster: Arc::clone(cluster),
            breakers: Arc::clone(&target.breakers),
        });
        Some(Self { shared })
    }

    /// The cluster.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    pub(super) fn settings(&self) -> &PoolSettings {
        &self.shared.settings
    }

    /// Whether connections that were made by these may be used by others.
    pub(super) fn are_same(&self, other: &Self) -> bool {
        self.shared.settings == other.shared.settings
            && Arc::ptr_eq(&self.shared.breakers, &other.shared.breakers)
            && self.cluster().tcp_keepalive == other.cluster().tcp_keepalive
    }

    /// Sets on a new connection what is to be set.
    pub(super) fn prepare(&self, transport: &Transport) -> io::Result<()> {
        transport.stream().set_keepalive(self.cluster())
    }
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionLimits")
            .field(self.settings())
            .finish()
    }
}

/// Lets as many connections to an endpoint be made as there may be.
pub(super) struct Gate {
    limits: ConnectionLimits,
    open: Cell<usize>,
    freed: Notify,
}

impl Gate {
    pub(super) fn new(limits: ConnectionLimits) -> Rc<Self> {
        Rc::new(Self {
            limits,
            open: Cell::new(0),
            freed: Notify::new(),
        })
    }

    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    pub(super) fn settings(&self) -> &PoolSettings {
        self.limits.settings()
    }

    /// Counts a request as waiting for a connection; `None` if too many are.
    pub(super) fn queue(&self) -> Option<Permit> {
        let breakers = &self.limits.shared.breakers;
        breakers.acquire(Resource::PendingRequests)
    }

    /// The right to make a connection; `None` if there are as many as there may be. An endpoint that
    /// has none gets one nevertheless, as in Envoy.
    pub(super) fn slot(self: &Rc<Self>) -> Option<Slot> {
        let breakers = &self.limits.shared.breakers;
        let is_first = self.open.get() == 0;
        let permit = breakers.acquire(Resource::Connections);
        let permit = permit.or_else(|| is_first.then(|| breakers.acquire_beyond_limit()))?;
        self.open.set(self.open.get() + 1);
        Some(Slot {
            gate: Rc::clone(self),
            _permit: permit,
        })
    }

    /// Tells one who waits that a connection may be had.
    pub(super) fn notify(&self) {
        self.freed.notify_one();
    }

    /// Waits until a connection may be had. It may be gone again then.
    pub(super) async fn freed(self: Rc<Self>) {
        self.freed.notified().await;
    }
}

/// A connection that is counted, until this is dropped.
pub(super) struct Slot {
    gate: Rc<Gate>,
    _permit: Permit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.open.set(self.gate.open.get() - 1);
        self.gate.notify();
    }
}

/// What is left of the life of a connection.
pub(super) struct Life {
    requests: Cell<u32>,
    expires: Option<Instant>,
    // `None` if somebody else has it.
    slot: Option<Slot>,
    gate: Rc<Gate>,
}

impl Life {
    /// That of a connection that was just made by the right of `slot`.
    pub(super) fn new(slot: Slot) -> Self {
        let gate = Rc::clone(&slot.gate);
        let settings = gate.settings();
        Self {
            requests: Cell::new(settings.max_requests),
            expires: settings
                .max_connection_duration
                .map(|age| Instant::now() + age),
            slot: Some(slot),
            gate,
        }
    }

    /// Gives the right to the connection to who keeps it open.
    pub(super) fn take_slot(&mut self) -> Option<Slot> {
        self.slot.take()
    }

    /// Time between pings of an HTTP/2 connection, and how long an answer may take.
    pub(super) fn keepalive(&self) -> Option<(Duration, Duration)> {
        self.gate.settings().keepalive
    }

    /// Most requests at a time on an HTTP/2 connection.
    pub(super) fn max_streams(&self) -> usize {
        let max = self.gate.settings().max_streams;
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    /// Counts a request.
    pub(super) fn begin(&self) {
        self.requests.set(self.requests.get().saturating_sub(1));
    }

    /// Whether the connection takes no further requests.
    pub(super) fn is_over(&self) -> bool {
        self.requests.get() == 0 || self.expires.is_some_and(|at| at <= Instant::now())
    }

    /// Tells one who waits that the connection may be had.
    pub(super) fn notify(&self) {
        self.gate.notify();
    }
}

/// How many times a connection without requests is looked at, once in each `interval`, before it is
/// closed.
pub(super) fn max_sweeps(idle: Option<Duration>, interval: Duration) -> u32 {
    let sweeps = idle.map(|idle| idle.as_nanos().div_ceil(interval.as_nanos().max(1)));
    let sweeps = sweeps.and_then(|sweeps| u32::try_from(sweeps).ok());
    sweeps.unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use mesh_core::service::ClusterName;
    use mesh_discovery::circuit_breaker;
    use tokio::net::TcpListener;
    use tokio::sync::Barrier;
    use tokio::task::spawn_local;

    use super::*;
    use crate::local::LocalExecutor;
    use crate::upstream::{self, Endpoint, Pool, Protocol};

    #[test]
    fn a_gate_opens_for_as_many_connections_as_there_may_be_and_for_the_first() {
        let limits = limits(r#"{"tcp": {"maxConnections": 2}}"#);
        let gate = Gate::new(limits.clone());
        let first = gate.slot().unwrap();
        let _second = gate.slot().unwrap();
        assert!(gate.slot().is_none());
        let other = Gate::new(limits);
        let _beyond = other.slot().unwrap();
        assert!(other.slot().is_none(), "it has one");
        drop(first);
        assert!(gate.slot().is_none(), "three were open");
    }

    #[test]
    fn no_more_requests_wait_than_may() {
        let gate = Gate::new(limits(r#"{"http": {"http1MaxPendingRequests": 1}}"#));
        let waiting = gate.queue().unwrap();
        assert!(gate.queue().is_none());
        drop(waiting);
        assert!(gate.queue().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_over_after_its_requests_or_its_time() {
        let life = |pool| {
            let gate = Gate::new(limits(pool));
            Life::new(gate.slot().unwrap())
        };
        let short = life(r#"{"http": {"maxRequestsPerConnection": 2}}"#);
        short.begin();
        assert!(!short.is_over());
        short.begin();
        assert!(short.is_over());

        let old = life(r#"{"tcp": {"maxConnectionDuration": "5s"}}"#);
        old.begin();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!old.is_over());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(old.is_over());
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_is_told_when_one_is_closed() {
        let gate = Gate::new(limits(r#"{"tcp": {"maxConnections": 1}}"#));
        let life = Life::new(gate.slot().unwrap());
        let mut waiting = tokio_test::task::spawn(Rc::clone(&gate).freed());
        assert!(waiting.poll().is_pending());
        drop(life);
        assert!(waiting.poll().is_ready());
        assert!(gate.slot().is_some());
    }

    #[tokio::test(flavor = "local")]
    async fn http2_requests_beyond_the_streams_of_a_connection_go_by_another() {
        for (settings, connections) in [
            ("{}", 1),
            (r#"{"http": {"maxConcurrentStreams": 1}}"#, 2),
            (r#"{"http": {"maxRequestsPerConnection": 1}}"#, 2),
        ] {
            let (address, accepted) = serve_pairs().await;
            let endpoint = Endpoint::new(address, Protocol::Http2);
            let endpoint = endpoint.with_limits(Some(limits(settings)));
            let pool = Pool::new(upstream::PoolSettings::default());
            let ask = || {
                let request = Request::get("http://a.example/").body(Empty::<Bytes>::new());
                pool.send(&endpoint, request.unwrap())
            };
            let (first, second) = tokio::join!(ask(), ask());
            assert_eq!((first.unwrap().status(), second.unwrap().status()), OK);
            assert_eq!(accepted.get(), connections, "{settings}");
        }
    }

    const OK: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::OK);

    /// Serves HTTP/2, and answers a request when there is another one. Counts connections.
    async fn serve_pairs() -> (SocketAddr, Rc<Cell<usize>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(Cell::new(0));
        let (counted, both) = (Rc::clone(&accepted), Rc::new(Barrier::new(2)));
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                let both = Rc::clone(&both);
                let answer = service_fn(move |_: Request<Incoming>| answer(Rc::clone(&both)));
                let server = http2::Builder::new(LocalExecutor);
                spawn_local(server.serve_connection(TokioIo::new(stream), answer));
            }
        });
        (address, accepted)
    }

    async fn answer(both: Rc<Barrier>) -> Result<Response<Empty<Bytes>>, Infallible> {
        both.wait().await;
        Ok(Response::new(Empty::new()))
    }

    #[test]
    fn unused_connections_are_kept_as_long_as_is_written() {
        let second = Duration::from_secs(1);
        let cases = [
            (Some(Duration::from_millis(1)), 1),
            (Some(Duration::from_secs(7)), 7),
            (None, u32::MAX),
        ];
        for (idle, expected) in cases {
            assert_eq!(max_sweeps(idle, second), expected, "{idle:?}");
        }
    }

    fn limits(pool: &str) -> ConnectionLimits {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
        let pool = cluster.policy.connection_pool.as_deref();
        let limits = circuit_breaker::Limits::compile(pool);
        ConnectionLimits {
            shared: Rc::new(Shared {
                settings: PoolSettings::compile(&cluster),
                breakers: Arc::new(Breakers::new(limits)),
                cluster: Arc::new(cluster),
            }),
        }
    }
}
