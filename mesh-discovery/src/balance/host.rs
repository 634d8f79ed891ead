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
pub struct Host {
    endpoint: Arc<Endpoint>,
    state: Arc<HostState>,
    weight: u32,
}

impl Host {
    /// An endpoint that is known from `now` on.
    pub fn new(endpoint: impl Into<Arc<Endpoint>>, now: Instant) -> Self {
        Self::with_state(endpoint.into(), Arc::new(HostState::new(now)))
    }

    /// The endpoint as it is now, with the state that it had.
    pub(crate) fn with_state(endpoint: Arc<Endpoint>, state: Arc<HostState>) -> Self {
        // Envoy refuses a weight of 0; Istio makes it 1.
        let weight = endpoint.weight.max(1);
        Self {
            endpoint,
            state,
            weight,
        }
    }

    /// What the configuration says of it.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// What is known of it.
    pub fn state(&self) -> &Arc<HostState> {
        &self.state
    }

    /// Its share of the requests, relative to the others. At least 1.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// What tells hosts from each other while they exist.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.state).addr()
    }

    /// Whether this is the other one, with the same configuration.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state) && Arc::ptr_eq(&self.endpoint, &other.endpoint)
    }

    /// Counts a request as being served until the returned value is dropped.
    pub fn begin(&self) -> ActiveRequest {
        self.state.active.fetch_add(1, Ordering::Relaxed);
        ActiveRequest {
            state: Arc::clone(&self.state),
        }
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
pub struct ActiveRequest {
    state: Arc<HostState>,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.state.active.fetch_sub(1, Ordering::Relaxed);
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
        let weight = f64::from(host.weight);
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
        self.since(host.state.since)
    }

    fn since(&self, time: Instant) -> Duration {
        self.now.saturating_duration_since(time)
    }
}
