//! Injected faults.

use crate::percent;
use crate::resource::istio::percent::Percent;
use crate::resource::istio::virtual_service::{Abort, Delay, HttpFaultInjection};
use crate::status;
use crate::validate::{At, duration};

/// Names of gRPC's status codes, by number.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Checks a fault, which delays, aborts or both (`validateHTTPFaultInjection`).
pub fn validate_fault(fault: &HttpFaultInjection, at: At<'_>) {
    let HttpFaultInjection { delay, abort } = fault;
    if delay.is_none() && abort.is_none() {
        at.error("a fault has a `delay`, an `abort` or both");
    }
    if let Some(delay) = delay {
        validate_delay(delay, at.field("delay"));
    }
    if let Some(abort) = abort {
        validate_abort(abort, at.field("abort"));
    }
}

/// Checks a delay (`validateHTTPFaultInjectionDelay`).
pub fn validate_delay(delay: &Delay, at: At<'_>) {
    validate_percentage(delay.percentage.as_ref(), at.field("percentage"));
    at.at_most_one(&[
        ("fixedDelay", delay.fixed_delay.is_some()),
        ("exponentialDelay", delay.exponential_delay.is_some()),
    ]);
    duration::validate_optional(delay.fixed_delay, at.field("fixedDelay"));
    if delay.exponential_delay.is_some() {
        at.field("exponentialDelay")
            .error("Istio does not support exponential delays");
    }
}

/// Checks an abort (`validateHTTPFaultInjectionAbort`).
pub fn validate_abort(abort: &Abort, at: At<'_>) {
    let Abort {
        http_status,
        grpc_status,
        http2_error,
        percentage,
    } = abort;
    validate_percentage(percentage.as_ref(), at.field("percentage"));
    at.at_most_one(&[
        ("httpStatus", http_status.is_some()),
        ("grpcStatus", grpc_status.is_some()),
        ("http2Error", http2_error.is_some()),
    ]);
    if http_status.is_none() && grpc_status.is_none() && http2_error.is_none() {
        at.warning("an abort without status has no effect");
    }
    if let Some(code) = http_status {
        at.field("httpStatus")
            .check(status::validate_injected(i64::from(*code)));
    }
    if let Some(name) = grpc_status
        && !GRPC_STATUSES.contains(&name.as_str())
    {
        at.field("grpcStatus")
            .error(format_args!("`{name}` is not the name of a gRPC status"))
            .help("names are in capitals, such as `NOT_FOUND`");
    }
    if http2_error.is_some() {
        at.field("http2Error")
            .error("Istio does not support HTTP/2 errors");
    }
}

/// Checks a share of requests: 0, or from 0.0001 to 100 (`validatePercentage`).
fn validate_percentage(percentage: Option<&Percent>, at: At<'_>) {
    let Some(percentage) = percentage else {
        return;
    };
    match percent::Percent::new(percentage.value) {
        Ok(percent) if percent.is_too_small() => {
            at.error(format_args!(
                "percentage `{percent}` is smaller than 0.0001"
            ));
        }
        Ok(_) => {}
        Err(error) => {
            at.error(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn a_fault_delays_or_aborts() {
        let cases = [
            (json!({}), 1),
            (
                json!({"delay": {"fixedDelay": "3s", "percentage": {"value": 0.0001}}}),
                0,
            ),
            (
                json!({"delay": {"fixedDelay": "3s", "percentage": {"value": 0.00001}}}),
                1,
            ),
            (json!({"delay": {"fixedDelay": "0s"}}), 1),
            (json!({"delay": {"exponentialDelay": "1s"}}), 1),
            (
                json!({"abort": {"httpStatus": 600, "percentage": {"value": 100}}}),
                0,
            ),
            (
                json!({"abort": {"httpStatus": 100, "percentage": {"value": 101}}}),
                2,
            ),
            (json!({"abort": {"grpcStatus": "NOT_FOUND"}}), 0),
            (json!({"abort": {"grpcStatus": "not_found"}}), 1),
            (json!({"abort": {"http2Error": "NO_ERROR"}}), 1),
            (json!({"abort": {"httpStatus": 500, "grpcStatus": "OK"}}), 1),
        ];
        for (fault, errors) in cases {
            assert_errors(&fault.to_string(), errors, |at| {
                validate_fault(&read(fault.clone()), at);
            });
        }
        assert_warnings("no status", 1, |at| validate_abort(&Abort::default(), at));
    }
}
