//! Endpoints with what is known of them while they serve.
//!
//! A [`Host`] is an endpoint of the configuration and its [`HostState`]: how many requests it is
//! serving, since when it is known, how it has answered. The state stays when the endpoint's
//! weight, labels or place change, and goes with its address.
//!
//! # Example
//!
//! ```
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Endpoint, EndpointAddress};
//! use mesh_discovery::balance::host::Host;
//!
//! let now = Instant::now();
//! let endpoint = Endpoint::new(EndpointAddress::Ip("10.0.0.7:80".parse()?));
//! let host = Host::new(endpoint, now);
//!
//! let request = host.begin();
//! assert_eq!(host.state().active(), 1);
//! drop(request);
//! assert_eq!(host.state().active(), 0);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mesh_core::model::cluster::Endpoint;

use crate::balance::host_list::HostList;
use crate::balance::peak_ewma::Latency;
use crate::balance::slow_start::SlowStart;
use crate::health::outlier::Monitor;

/// An endpoint and its state. Cheap to clone; clones share the state.
#[derive(Clone, Debug)]
pub struct Host(Arc<Shared>);

// In one allocation: a pick of one among many spends its time waiting for memory.
#[derive(Debug)]
struct Shared {
    weight: u32,
    state: Kept,
    endpoint: Arc<Endpoint>,
}

#[derive(Debug)]
enum Kept {
    Here(HostState),
    /// Where the endpoint's first version is.
    There(Host),
}

impl Host {
    /// An endpoint that is known from `now` on.
    pub fn new(endpoint: impl Into<Arc<Endpoint>>, now: Instant) -> Self {
        Self::with_state(endpoint.into(), Kept::Here(HostState::new(now)))
    }

    /// The endpoint as it is now, with the state that it had.
    pub(crate) fn replaced(&self, endpoint: Arc<Endpoint>) -> Self {
        Self::with_state(endpoint, Kept::There(self.keeper().clone()))
    }

    fn with_state(endpoint: Arc<Endpoint>, state: Kept) -> Self {
        Self(Arc::new(Shared {
            // Envoy refuses a weight of 0; Istio makes it 1.
            weight: endpoint.weight.max(1),
            state,
            endpoint,
        }))
    }

    /// What the configuration says of it.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0.endpoint
    }

    /// What is known of it.
    pub fn state(&self) -> &HostState {
        match &self.0.state {
            Kept::Here(state) => state,
            Kept::There(keeper) => keeper.state(),
        }
    }

    /// The version of it that has the state.
    fn keeper(&self) -> &Self {
        match &self.0.state {
            Kept::Here(_) => self,
            Kept::There(keeper) => keeper,
        }
    }

    /// Its share of the requests, relative to the others. At least 1.
    pub fn weight(&self) -> u32 {
        self.0.weight
    }

    /// What tells hosts from each other while they exist. Versions of one share it.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.keeper().0).addr()
    }

    /// Whether this is the other one, with the same configuration.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id() == other.id() && Arc::ptr_eq(self.endpoint(), other.endpoint())
    }

    /// Counts a request as being served until the returned value is dropped.
    pub fn begin(&self) -> ActiveRequest {
        let host = self.keeper().clone();
        host.state().active.fetch_add(1, Ordering::Relaxed);
        ActiveRequest { host }
    }
}

/// What is known of an endpoint, shared by all who use it.
#[derive(Debug)]
pub struct HostState {
    active: AtomicU32,
    since: Instant,
    monitor: Monitor,
    latency: Latency,
}

impl HostState {
    fn new(now: Instant) -> Self {
        Self {
            active: AtomicU32::new(0),
            since: now,
            monitor: Monitor::default(),
            latency: Latency::new(now),
        }
    }

    /// How many requests it is serving.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Since when it is known.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How it has answered.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// How fast it has answered.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }
}

/// A request that an endpoint is serving. The endpoint counts it until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped is not being served any more"]
pub struct ActiveRequest {
    host: Host,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.host.state().active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How much an endpoint weighs at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Weighing<'a> {
    /// How new endpoints are warmed up.
    pub warmup: Option<&'a SlowStart>,
    /// The moment.
    pub now: Instant,
}

impl Weighing<'_> {
    /// The weight of `host`, less while it is warmed up.
    pub fn weight(&self, host: &Host) -> f64 {
        let weight = f64::from(host.weight());
        match self.warmup {
            Some(warmup) => weight * warmup.factor(self.age(host)),
            None => weight,
        }
    }

    /// Whether one of `hosts` is being warmed up. As in Envoy, one that has gone in the meantime
    /// counts.
    pub fn is_warming(&self, hosts: &HostList) -> bool {
        self.warmup
            .zip(hosts.latest())
            .is_some_and(|(warmup, latest)| self.since(latest) < warmup.window())
    }

    fn age(&self, host: &Host) -> Duration {
        self.since(host.state().since)
    }

    fn since(&self, time: Instant) -> Duration {
        self.now.saturating_duration_since(time)
    }
}
