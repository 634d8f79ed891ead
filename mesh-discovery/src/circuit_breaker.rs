//! Limits on what is under way to a cluster.
//!
//! Each cluster has a limit on connections, on requests that wait for one, and on requests. What
//! would exceed one is refused at once, so that a slow upstream does not pile up work. Limits and
//! counts are those of one client and one cluster. (Envoy's [circuit breaking]; Istio's
//! `connectionPool`.)
//!
//! [circuit breaking]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mesh_discovery::circuit_breaker::{Breakers, Limits, Resource};
//!
//! let limits = Limits { requests: 1, ..Limits::default() };
//! let breakers = Arc::new(Breakers::new(limits));
//!
//! let permit = breakers.acquire(Resource::Requests).unwrap();
//! assert!(breakers.acquire(Resource::Requests).is_none(), "one is under way");
//! drop(permit);
//! assert!(breakers.acquire(Resource::Requests).is_some());
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mesh_core::resource::istio::destination_rule::ConnectionPoolSettings;

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Resource {
    /// Connections to all endpoints.
    Connections,
    /// Requests that wait for a connection.
    PendingRequests,
    /// Requests whose response has not ended.
    Requests,
}

/// The most of each resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections. Istio's `tcp.maxConnections`.
    pub connections: u32,
    /// Requests that wait for a connection. Istio's `http.http1MaxPendingRequests`.
    pub pending_requests: u32,
    /// Requests. Istio's `http.http2MaxRequests`, which holds for every version of HTTP.
    pub requests: u32,
}

impl Limits {
    /// What a DestinationRule's `connectionPool` says. It cannot say 0, which is no limit.
    pub fn compile(settings: Option<&ConnectionPoolSettings>) -> Self {
        let limit = |written: Option<i32>| match written.map(u32::try_from) {
            None | Some(Ok(0) | Err(_)) => u32::MAX,
            Some(Ok(limit)) => limit,
        };
        let tcp = settings.and_then(|settings| settings.tcp.as_ref());
        let http = settings.and_then(|settings| settings.http.as_ref());
        Self {
            connections: limit(tcp.map(|tcp| tcp.max_connections)),
            pending_requests: limit(http.map(|http| http.http1_max_pending_requests)),
            requests: limit(http.map(|http| http.http2_max_requests)),
        }
    }
}

impl Default for Limits {
    /// Istio's default: 2³² − 1 of each, which is no limit.
    fn default() -> Self {
        Self::compile(None)
    }
}

/// The counts of a cluster.
#[derive(Debug)]
pub struct Breakers {
    connections: Count,
    pending_requests: Count,
    requests: Count,
}

#[derive(Debug)]
struct Count {
    used: AtomicU32,
    limit: AtomicU32,
}

impl Breakers {
    /// Nothing is under way.
    pub fn new(limits: Limits) -> Self {
        let count = |limit| Count {
            used: AtomicU32::new(0),
            limit: AtomicU32::new(limit),
        };
        Self {
            connections: count(limits.connections),
            pending_requests: count(limits.pending_requests),
            requests: count(limits.requests),
        }
    }

    /// Takes other limits. What is under way stays, even if it is more.
    pub fn set_limits(&self, limits: Limits) {
        let Limits {
            connections,
            pending_requests,
            requests,
        } = limits;
        self.connections.limit.store(connections, Ordering::Relaxed);
        self.pending_requests
            .limit
            .store(pending_requests, Ordering::Relaxed);
        self.requests.limit.store(requests, Ordering::Relaxed);
    }

    /// Counts one more, until the permit is dropped. `None` if the limit is reached.
    pub fn acquire(self: &Arc<Self>, resource: Resource) -> Option<Permit> {
        let count = self.count(resource);
        let limit = count.limit.load(Ordering::Relaxed);
        let more = |used: u32| used.checked_add(1).filter(|used| *used <= limit);
        count
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Permit {
            breakers: Arc::clone(self),
            resource,
        })
    }

    /// Counts one more connection, whatever the limit: an endpoint that has none gets one, so that
    /// its requests do not wait for ever.
    pub fn acquire_beyond_limit(self: &Arc<Self>) -> Permit {
        let resource = Resource::Connections;
        self.count(resource).used.fetch_add(1, Ordering::Relaxed);
        Permit {
            breakers: Arc::clone(self),
            resource,
        }
    }

    /// How much is under way.
    pub fn used(&self, resource: Resource) -> u32 {
        self.count(resource).used.load(Ordering::Relaxed)
    }

    fn count(&self, resource: Resource) -> &Count {
        match resource {
            Resource::Connections => &self.connections,
            Resource::PendingRequests => &self.pending_requests,
            Resource::Requests => &self.requests,
        }
    }
}

/// One that is under way.
#[derive(Debug)]
#[must_use = "what is dropped is not under way any more"]
pub struct Permit {
    breakers: Arc<Breakers>,
    resource: Resource,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let count = self.breakers.count(self.resource);
        count.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_zero_is_none() {
        let cases = [
            ("{}", [u32::MAX; 3]),
            (
                r#"{"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 2, "http2MaxRequests": 3}}"#,
                [1, 2, 3],
            ),
            (
                r#"{"tcp": {"maxConnections": 0}, "http": {"http2MaxRequests": -1}}"#,
                [u32::MAX; 3],
            ),
        ];
        for (text, expected) in cases {
            let limits = Limits::compile(Some(&serde_json::from_str(text).unwrap()));
            let found = [limits.connections, limits.pending_requests, limits.requests];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn each_resource_is_counted_by_itself_and_limits_can_change() {
        let breakers = Arc::new(Breakers::new(Limits {
            connections: 1,
            ..Limits::default()
        }));
        let _connection = breakers.acquire(Resource::Connections).unwrap();
        assert!(breakers.acquire(Resource::Connections).is_none());
        assert!(breakers.acquire(Resource::PendingRequests).is_some());
        breakers.set_limits(Limits {
            connections: 2,
            ..Limits::default()
        });
        let _other = breakers.acquire(Resource::Connections).unwrap();
        assert_eq!(breakers.used(Resource::Connections), 2);
        assert_eq!(breakers.used(Resource::PendingRequests), 0);
    }
}
