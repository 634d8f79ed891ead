//! When a request is tried again, and what a consistent hash is taken of. Data for the layers that
//! do it.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::retry::RetryPolicy;
//!
//! let policy = RetryPolicy::default();
//! assert_eq!(policy.attempts, 2);
//! assert!(policy.retry_on.iter().any(|condition| condition == "connect-failure"));
//! assert!(policy.retriable_status_codes.is_empty(), "an upstream 503 is not retried");
//! ```

use std::time::Duration;

use serde::Serialize;

/// When and how often a request is tried again.
///
/// The default is Istio's: two further attempts, at hosts that were not tried before, on failures
/// that cannot have reached the application, or that gRPC calls `UNAVAILABLE` or `CANCELLED`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RetryPolicy {
    /// Attempts beside the first.
    pub attempts: u32,
    /// Conditions, as in Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
    pub retry_on: Vec<String>,
    /// Status codes of the condition `retriable-status-codes`.
    pub retriable_status_codes: Vec<u16>,
    /// How long one attempt may take. `None` leaves only the route's timeout.
    pub per_try_timeout: Option<Duration>,
    /// Whether hosts that were already tried are avoided.
    pub avoid_previous_hosts: bool,
    /// How often the balancer is asked for another host before a tried one is accepted.
    pub host_selection_attempts: u32,
    /// Whether further attempts move to other localities (Envoy's `previous_priorities`).
    pub avoid_previous_priorities: bool,
    /// First interval of the back-off, doubled for each attempt, with full jitter. The longest is
    /// ten times this.
    pub backoff_base: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let retry_on = [
            "connect-failure",
            "refused-stream",
            "unavailable",
            "cancelled",
            "retriable-status-codes",
        ];
        Self {
            attempts: 2,
            retry_on: retry_on.map(String::from).into(),
            retriable_status_codes: Vec::new(),
            per_try_timeout: None,
            avoid_previous_hosts: true,
            host_selection_attempts: 5,
            avoid_previous_priorities: false,
            backoff_base: Duration::from_millis(25),
        }
    }
}

/// What a consistent-hash balancer hashes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HashPolicy {
    /// A cookie, which the proxy sets where it is absent and `ttl` is given.
    Cookie {
        /// The cookie's name.
        name: String,
        /// Path attribute of a cookie that the proxy sets.
        path: String,
        /// Lifetime of a cookie that the proxy sets. Zero makes a session cookie, `None` none.
        ttl: Option<Duration>,
        /// Further attributes of a cookie that the proxy sets, such as `SameSite=Lax`.
        attributes: Vec<(String, String)>,
    },
    /// A request header field.
    Header(String),
    /// A query parameter.
    QueryParam(String),
    /// The address of the client.
    SourceIp,
}
