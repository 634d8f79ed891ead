//! What a cluster allows of the connections to its endpoints.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
use mesh_discovery::balance::policy::Policy;
use mesh_discovery::circuit_breaker::{Breakers, Permit, Resource};
use mesh_discovery::cluster::Upstream;
use mesh_discovery::connect::PoolSettings;
use mesh_discovery::service::Target;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::endpoint::Protocol;
use super::transport::Transport;

#[cfg(test)]
mod tests;

/// The `connectionPool` of a cluster, and what is counted of it. Cheap to clone.
///
/// Connections are kept apart from those of other clusters to the same address.
#[derive(Clone)]
pub struct ConnectionLimits {
    shared: Rc<Shared>,
}

struct Shared {
    cluster: Arc<Cluster>,
    /// That the connections lead to.
    member: Member,
    settings: PoolSettings,
    breakers: Arc<Breakers>,
}

impl ConnectionLimits {
    /// The limits of a target's cluster; `None` if it has none.
    ///
    /// `upstream` is the cluster while it serves, which is asked whether it has an endpoint at the target's
    /// address still. It is not looked up where there are no limits.
    pub fn of(target: &Target, upstream: impl FnOnce() -> Option<Arc<Upstream>>) -> Option<Self> {
        let cluster = &target.cluster;
        if cluster.policy.connection_pool.is_none() && cluster.tcp_keepalive.is_none() {
            return None;
        }
        let shared = Rc::new(Shared {
            settings: PoolSettings::compile(cluster),
            cluster: Arc::clone(cluster),
            member: Member {
                endpoint: Arc::downgrade(&target.endpoint),
                address: target.endpoint.address.clone(),
                upstream: upstream().map_or_else(Weak::new, |upstream| Arc::downgrade(&upstream)),
            },
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

    /// Whether the cluster has a list of endpoints: others are made for each request.
    fn are_of_list(&self) -> bool {
        let Cluster {
            discovery, policy, ..
        } = self.cluster();
        let is_any = matches!(
            discovery,
            Discovery::DynamicDns | Discovery::OriginalDestination
        );
        let policy = || Policy::compile(policy.load_balancer.as_deref()).unwrap_or_default();
        !is_any && policy() != Policy::Passthrough
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

/// An endpoint of a cluster, of which there is another version when its weight, its labels or its health
/// change.
#[derive(Clone)]
struct Member {
    /// The version that was known last.
    endpoint: Weak<Endpoint>,
    address: EndpointAddress,
    upstream: Weak<Upstream>,
}

impl Member {
    /// Whether the cluster has no endpoint at the address any more, or is gone itself.
    fn has_gone(&mut self) -> bool {
        if self.endpoint.strong_count() > 0 {
            return false;
        }
        let upstream = self.upstream.upgrade();
        let next = upstream.and_then(|upstream| upstream.balancer().endpoint(&self.address));
        if let Some(next) = &next {
            self.endpoint = Arc::downgrade(next);
        }
        next.is_none()
    }
}

/// Lets as many connections to an endpoint be made as there may be.
pub(super) struct Gate {
    limits: ConnectionLimits,
    /// That of the request before, if it is known when it has gone.
    member: RefCell<Option<Member>>,
    open: Cell<usize>,
    // Apart, for what is there for the one protocol would wake who waits for the other in vain, and
    // nobody in his place.
    http1_freed: Notify,
    http2_freed: Notify,
}

impl Gate {
    pub(super) fn new(limits: ConnectionLimits) -> Rc<Self> {
        let gate = Self {
            member: RefCell::default(),
            open: Cell::new(0),
            http1_freed: Notify::new(),
            http2_freed: Notify::new(),
            limits,
        };
        gate.follow(&gate.limits);
        Rc::new(gate)
    }

    /// Notes who has to be there for connections to be kept: the endpoint of the request before.
    pub(super) fn follow(&self, limits: &ConnectionLimits) {
        let mut known = self.member.borrow_mut();
        let member = &limits.shared.member;
        let is_same = |known: &Member| known.endpoint.ptr_eq(&member.endpoint);
        if !known.as_ref().is_some_and(is_same) {
            *known = limits.are_of_list().then(|| member.clone());
        }
    }

    /// Whether the cluster has no endpoint any more at the address that the last request went to.
    pub(super) fn has_endpoint_gone(&self) -> bool {
        let mut known = self.member.borrow_mut();
        known.as_mut().is_some_and(Member::has_gone)
    }

    /// Whether there are connections, or some are being made.
    pub(super) fn has_open(&self) -> bool {
        self.open.get() > 0
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

    /// Tells one who waits to speak `protocol` that a connection may be had.
    fn notify(&self, protocol: Protocol) {
        self.notify_of(protocol).notify_one();
    }

    /// Waits until a connection may be had to speak `protocol`. It may be gone again then.
    pub(super) async fn freed(self: Rc<Self>, protocol: Protocol) {
        self.notify_of(protocol).notified().await;
    }

    fn notify_of(&self, protocol: Protocol) -> &Notify {
        match protocol {
            Protocol::Http1 => &self.http1_freed,
            Protocol::Http2 => &self.http2_freed,
        }
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
        self.gate.notify(Protocol::Http1);
        self.gate.notify(Protocol::Http2);
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

    /// Tells one who waits to speak `protocol` that the connection may be had.
    pub(super) fn notify(&self, protocol: Protocol) {
        self.gate.notify(protocol);
    }
}

/// How many times a connection without requests is looked at, once in each `interval`, before it is
/// closed.
pub(super) fn max_sweeps(idle: Option<Duration>, interval: Duration) -> u32 {
    let sweeps = idle.map(|idle| idle.as_nanos().div_ceil(interval.as_nanos().max(1)));
    let sweeps = sweeps.and_then(|sweeps| u32::try_from(sweeps).ok());
    sweeps.unwrap_or(u32::MAX)
}
