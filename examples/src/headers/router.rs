//! What Envoy's router says about its attempts, to the upstream and to the client, and by which headers it
//! is told what to do. How long an upstream has, [`TimeoutLayer`](mesh_policy::timeout::TimeoutLayer) says.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use examples::headers::router;
//! use http::HeaderMap;
//!
//! let mut headers = HeaderMap::new();
//! router::set_attempt_count(&mut headers, 1);
//! router::set_upstream_service_time(&mut headers, Duration::from_micros(3900));
//!
//! assert_eq!(headers["x-envoy-attempt-count"], "1");
//! assert_eq!(headers["x-envoy-upstream-service-time"], "3");
//!
//! headers.insert("x-envoy-retry-on", http::HeaderValue::from_static("5xx"));
//! router::remove_steering(&mut headers);
//! assert!(!headers.contains_key("x-envoy-retry-on"));
//! ```

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Tells the upstream which attempt it sees.
pub const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
/// Tells the client that a limit on connections or requests is reached.
pub const X_ENVOY_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
/// Tells the client how many milliseconds the upstream took.
pub const X_ENVOY_UPSTREAM_SERVICE_TIME: HeaderName =
    HeaderName::from_static("x-envoy-upstream-service-time");

/// By what Envoy's router, and our layers, are told what to do.
const READ: [HeaderName; 7] = [
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
];

/// By what Envoy's router is told what no layer of ours does.
const UNREAD: [HeaderName; 4] = [
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-upstream-stream-duration-ms"),
];

/// By what Envoy's router is told what to do. It sends none of them on.
///
/// Source: `Filter::decodeHeaders`, `FilterUtility::finalTimeout` and `RetryStateImpl::create` in Envoy.
pub fn steering() -> impl Iterator<Item = HeaderName> {
    READ.into_iter().chain(UNREAD)
}

/// Removes what tells Envoy's router what to do ([`steering`]).
pub fn remove_steering(headers: &mut HeaderMap) {
    for name in steering() {
        headers.remove(name);
    }
}

/// Removes what tells Envoy's router what no layer of ours does.
pub(crate) fn remove_unread(headers: &mut HeaderMap) {
    for name in UNREAD {
        headers.remove(name);
    }
}

/// Tells the upstream that this is the `attempt`th, counted from 1.
pub fn set_attempt_count(headers: &mut HeaderMap, attempt: u32) {
    headers.insert(X_ENVOY_ATTEMPT_COUNT, number(attempt.into()));
}

/// Tells the client that the upstream took `elapsed` to answer.
pub fn set_upstream_service_time(headers: &mut HeaderMap, elapsed: Duration) {
    let elapsed = number(milliseconds(elapsed));
    headers.insert(X_ENVOY_UPSTREAM_SERVICE_TIME, elapsed);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Most are of one digit, which takes no allocation.
fn number(number: u64) -> HeaderValue {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let digit = usize::try_from(number)
        .ok()
        .and_then(|number| DIGITS.get(number));
    match digit {
        Some(digit) => HeaderValue::from_static(digit),
        None => HeaderValue::from(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for expected in [0, 9, 10, 65_536, u64::MAX] {
            assert_eq!(number(expected), expected.to_string().as_str());
        }
    }
}
