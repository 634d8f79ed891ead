//! Retries.
//!
//! ```
//! use mesh_core::resource::istio::virtual_service::HttpRetry;
//! use mesh_core::validate::{Report, retry};
//!
//! let retry_on = "5xx,503,sometimes".into();
//! let retries = HttpRetry { attempts: 2, retry_on, ..HttpRetry::default() };
//! let report = Report::default();
//! retry::validate(&retries, report.root());
//! assert_eq!(report.into_violations()[0].message, "`sometimes` is not a condition of `retryOn`");
//! ```

use super::{At, duration};
use crate::resource::istio::virtual_service::HttpRetry;
use crate::status;

/// Envoy's conditions: those of `x-envoy-retry-on`, then those of `x-envoy-retry-grpc-on`.
const CONDITIONS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Checks a retry policy of a route or of the mesh (`ValidateHTTPRetry`).
pub fn validate(retries: &HttpRetry, at: At<'_>) {
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        retry_remote_localities,
        retry_ignore_previous_hosts: _,
        backoff,
    } = retries;
    if *attempts < 0 {
        at.field("attempts")
            .error(format_args!("`{attempts}` attempts are fewer than none"));
    }
    let configured =
        per_try_timeout.is_some() || !retry_on.is_empty() || retry_remote_localities.is_some();
    if *attempts == 0 && configured {
        at.error("retries are configured, but 0 attempts disable them");
    }
    duration::validate_optional(*per_try_timeout, at.field("perTryTimeout"));
    if !retry_on.is_empty() {
        validate_conditions(retry_on, at.field("retryOn"));
    }
    duration::validate_optional(*backoff, at.field("backoff"));
}

/// Checks conditions with commas, and no spaces, between.
fn validate_conditions(conditions: &str, at: At<'_>) {
    for condition in conditions.split(',') {
        let is_status = condition.parse().is_ok_and(status::is_known);
        if !is_status && !CONDITIONS.contains(&condition) {
            at.error(format_args!(
                "`{condition}` is not a condition of `retryOn`"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn conditions_are_envoys_or_status_codes() {
        let cases = [
            (
                json!({"attempts": 1, "retryOn": "5xx,gateway-error,503"}),
                0,
            ),
            (json!({"attempts": 1, "retryOn": "5xx, gateway-error"}), 1),
            (json!({"attempts": 1, "retryOn": "99,600"}), 2),
            (
                json!({"attempts": 1, "perTryTimeout": "1ns", "backoff": "0s"}),
                2,
            ),
            (json!({"attempts": -1}), 1),
            (json!({"attempts": 0}), 0),
            (json!({"attempts": 0, "retryOn": "5xx"}), 1),
            (json!({"retryRemoteLocalities": false}), 1),
        ];
        for (retries, errors) in cases {
            assert_errors(&retries.to_string(), errors, |at| {
                validate(&read(retries.clone()), at);
            });
        }
    }
}
