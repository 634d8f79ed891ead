//! Which outcomes are tried again: the grammar of `retryOn`.
//!
//! | condition | tried again |
//! |---|---|
//! | `5xx` | any status from 500 to 599, and any reset but overflow |
//! | `gateway-error` | 502, 503, 504, and any reset but overflow |
//! | `reset` | any reset but overflow |
//! | `reset-before-request` | a reset before any of the request was sent |
//! | `connect-failure` | the connection could not be made |
//! | `refused-stream` | the upstream refused the stream, unprocessed |
//! | `retriable-4xx` | 409 |
//! | `retriable-status-codes` | the codes of the policy and of `x-envoy-retriable-status-codes` |
//! | `retriable-headers` | a response with a header of `x-envoy-retriable-header-names` |
//! | `envoy-ratelimited` | a response with `x-envoy-ratelimited`, which no other condition tries again |
//! | `http3-post-connect-failure` | nothing here: HTTP/3 is not spoken to upstreams |
//! | `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted`, `unavailable` | a response whose headers have this gRPC status |
//!
//! Source: Envoy's [router filter], `source/common/router/retry_state_impl.cc`.
//!
//! [router filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on
//!
//! # Example
//!
//! ```
//! use mesh_core::attributes::{ResetReason, UpstreamReset};
//! use mesh_policy::retry::condition::{Condition, Conditions};
//!
//! let conditions = Conditions::parse(["connect-failure", "unavailable"]);
//! assert!(conditions.contains(Condition::ConnectFailure));
//!
//! let refused = UpstreamReset::before_request(ResetReason::ConnectionFailure);
//! assert!(conditions.include_reset(refused));
//! let closed = UpstreamReset::after_request(ResetReason::ConnectionTermination);
//! assert!(!conditions.include_reset(closed));
//! ```

use http::{HeaderMap, HeaderName};
use mesh_core::attributes::{ResetReason, UpstreamReset};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A condition of `retryOn`.
///
/// See the [module docs](self) for what each means.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Condition {
    /// `cancelled`
    Cancelled,
    /// `connect-failure`
    ConnectFailure,
    /// `deadline-exceeded`
    DeadlineExceeded,
    /// `envoy-ratelimited`
    EnvoyRateLimited,
    /// `5xx`
    FiveXx,
    /// `gateway-error`
    GatewayError,
    /// `http3-post-connect-failure`
    Http3PostConnectFailure,
    /// `internal`
    Internal,
    /// `refused-stream`
    RefusedStream,
    /// `reset`
    Reset,
    /// `reset-before-request`
    ResetBeforeRequest,
    /// `resource-exhausted`
    ResourceExhausted,
    /// `retriable-4xx`
    Retriable4xx,
    /// `retriable-headers`
    RetriableHeaders,
    /// `retriable-status-codes`
    RetriableStatusCodes,
    /// `unavailable`
    Unavailable,
}

impl Condition {
    /// The condition that `name` stands for in the header `x-envoy-retry-on`.
    pub fn of_http(name: &str) -> Option<Self> {
        Some(match name {
            "5xx" => Self::FiveXx,
            "connect-failure" => Self::ConnectFailure,
            "envoy-ratelimited" => Self::EnvoyRateLimited,
            "gateway-error" => Self::GatewayError,
            "http3-post-connect-failure" => Self::Http3PostConnectFailure,
            "refused-stream" => Self::RefusedStream,
            "reset" => Self::Reset,
            "reset-before-request" => Self::ResetBeforeRequest,
            "retriable-4xx" => Self::Retriable4xx,
            "retriable-headers" => Self::RetriableHeaders,
            "retriable-status-codes" => Self::RetriableStatusCodes,
            _ => return None,
        })
    }

    /// The condition that `name` stands for in the header `x-envoy-retry-grpc-on`.
    pub fn of_grpc(name: &str) -> Option<Self> {
        Some(match name {
            "cancelled" => Self::Cancelled,
            "deadline-exceeded" => Self::DeadlineExceeded,
            "internal" => Self::Internal,
            "resource-exhausted" => Self::ResourceExhausted,
            "unavailable" => Self::Unavailable,
            _ => return None,
        })
    }

    /// The condition of a gRPC status, if there is one.
    fn of_grpc_status(status: &[u8]) -> Option<Self> {
        Some(match status {
            b"1" => Self::Cancelled,
            b"4" => Self::DeadlineExceeded,
            b"8" => Self::ResourceExhausted,
            b"13" => Self::Internal,
            b"14" => Self::Unavailable,
            _ => return None,
        })
    }
}

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Conditions(u32);

impl Conditions {
    /// The conditions that `names` stand for, HTTP or gRPC. As in Envoy, names that are not known
    /// ask for nothing; validation of the resource reports them.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let known = |name| Condition::of_http(name).or_else(|| Condition::of_grpc(name));
        names.into_iter().filter_map(known).collect()
    }

    /// The set with `condition`.
    #[must_use]
    pub fn with(self, condition: Condition) -> Self {
        Self(self.0 | 1 << condition as u32)
    }

    /// The conditions of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `condition` is in the set.
    pub fn contains(self, condition: Condition) -> bool {
        self.0 & (1 << condition as u32) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a request whose stream ended so is one to try again.
    pub fn include_reset(self, reset: UpstreamReset) -> bool {
        if reset.reason == ResetReason::Overflow {
            return false;
        }
        let any = [Condition::FiveXx, Condition::GatewayError, Condition::Reset];
        any.into_iter().any(|condition| self.contains(condition))
            || (!reset.request_started && self.contains(Condition::ResetBeforeRequest))
            || match reset.reason {
                ResetReason::ConnectionFailure => self.contains(Condition::ConnectFailure),
                ResetReason::RemoteRefusedStream => self.contains(Condition::RefusedStream),
                ResetReason::ConnectionTermination
                | ResetReason::LocalReset
                | ResetReason::Overflow
                | ResetReason::ProtocolError
                | ResetReason::RemoteReset => false,
            }
    }

    /// Whether a response with `status` is one to try again by the class of its status alone.
    pub(super) fn include_status(self, status: u16) -> bool {
        match status {
            409 => self.contains(Condition::Retriable4xx),
            502..=504 => self.contains(Condition::FiveXx) || self.contains(Condition::GatewayError),
            500..=599 => self.contains(Condition::FiveXx),
            _ => false,
        }
    }

    /// Whether a response whose headers are `headers` is one to try again for its gRPC status.
    pub(super) fn include_grpc_status(self, headers: &HeaderMap) -> bool {
        let status = headers.get(GRPC_STATUS);
        let condition = status.and_then(|status| Condition::of_grpc_status(status.as_bytes()));
        condition.is_some_and(|condition| self.contains(condition))
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(conditions: I) -> Self {
        conditions.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_never_tried_again() {
        let all = Conditions(u32::MAX);
        let overflow = UpstreamReset::before_request(ResetReason::Overflow);
        assert!(!all.include_reset(overflow));
    }

    #[test]
    fn resets_are_tried_again_as_the_conditions_say() {
        use ResetReason::{ConnectionFailure, LocalReset, RemoteRefusedStream, RemoteReset};
        let before = UpstreamReset::before_request;
        let after = UpstreamReset::after_request;
        for (condition, reset, expected) in [
            ("5xx", after(LocalReset), true),
            ("gateway-error", after(RemoteReset), true),
            ("reset", after(RemoteReset), true),
            ("reset-before-request", before(RemoteReset), true),
            ("reset-before-request", after(RemoteReset), false),
            ("connect-failure", before(ConnectionFailure), true),
            ("connect-failure", before(RemoteReset), false),
            ("refused-stream", after(RemoteRefusedStream), true),
            ("refused-stream", after(RemoteReset), false),
            ("retriable-4xx", before(ConnectionFailure), false),
            ("retriable-status-codes", before(ConnectionFailure), false),
            ("unavailable", before(ConnectionFailure), false),
            ("nonsense", before(ConnectionFailure), false),
        ] {
            let conditions = Conditions::parse([condition]);
            let case = format!("{condition}: {reset:?}");
            assert_eq!(conditions.include_reset(reset), expected, "{case}");
        }
    }

    #[test]
    fn statuses_are_tried_again_as_the_conditions_say() {
        for (condition, status, expected) in [
            ("5xx", 500, true),
            ("5xx", 503, true),
            ("5xx", 499, false),
            ("gateway-error", 500, false),
            ("gateway-error", 502, true),
            ("gateway-error", 504, true),
            ("gateway-error", 505, false),
            ("retriable-4xx", 409, true),
            ("retriable-4xx", 429, false),
            ("connect-failure", 503, false),
        ] {
            let conditions = Conditions::parse([condition]);
            assert_eq!(
                conditions.include_status(status),
                expected,
                "{condition}: {status}"
            );
        }
    }
}
