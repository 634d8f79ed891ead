//! Retry vectors: a request, how its attempts end, and what Envoy decides of each.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mesh_core::attributes::{ResetReason, UpstreamReset};
use mesh_core::model::retry::RetryPolicy;
use mesh_policy::retry::state::{Outcome as Ended, RetryState, Verdict};
use serde_json::Value;

use crate::case::{Outcome, list, text};

/// Vectors that do not hold what their tests set up, and what that is.
const LOST: [(&str, &str); 7] = [
    (
        "PolicyLimitedByRequestHeaders",
        "the headers of its further requests",
    ),
    (
        "PolicyResourceExhaustedRemoteRateLimited",
        "the headers of its response",
    ),
    (
        "RetriableHeadersMergedConfigAndRequestHeaders",
        "the headers of policy and requests",
    ),
    (
        "RetriableHeadersPolicySetViaRequestHeader",
        "the headers of its requests",
    ),
    ("RetriableStatusCodes", "the status codes of its policy"),
    (
        "RetriableStatusCodesHeader",
        "the headers of its further requests",
    ),
    (
        "RuntimeGuard",
        "the runtime flag of Envoy that it sets, and that nothing here has",
    ),
];

/// Runs a vector.
pub(super) fn run(vector: &Value) -> Outcome {
    let name = text(vector, "test");
    if let Some((_, what)) = LOST.iter().find(|(test, _)| *test == name) {
        return Outcome::Unsupported(format!("the vector has not {what}"));
    }
    let mut state = match state(vector) {
        Ok(state) => state,
        Err(why) => return Outcome::unsupported(why),
    };
    if vector.get("retry_enabled") == Some(&Value::Bool(false)) {
        return Outcome::equal(&false, &state.is_enabled());
    }
    for (step, expected) in steps(vector) {
        // What the cluster bears is not in the vectors; it is what their decisions say of it.
        let permit = || (expected != "NoOverflow").then_some(());
        let verdict = match decide(&mut state, step, permit) {
            Ok(verdict) => verdict,
            Err(why) => return Outcome::unsupported(why),
        };
        let decision = match verdict {
            Verdict::Accept => "No",
            Verdict::LimitExceeded => "NoRetryLimitExceeded",
            Verdict::Overflow => "NoOverflow",
            Verdict::Retry { .. } => "Yes",
        };
        if decision != expected {
            return Outcome::Failed(format!("expected {expected}, got {decision} after {step}"));
        }
    }
    Outcome::Passed
}

fn state(vector: &Value) -> Result<RetryState, String> {
    let state = match vector.get("policy") {
        Some(written) => RetryState::new(&Arc::new(policy(written)?)),
        None => RetryState::without_policy(),
    };
    let request = vector.get("request_headers").unwrap_or(&Value::Null);
    Ok(state.with_request_headers(&headers(request)?))
}

/// The policy, whose members are those of Envoy's mock, with C++ expressions for values.
fn policy(written: &Value) -> Result<RetryPolicy, String> {
    let mut policy = RetryPolicy {
        attempts: 1,
        retry_on: Vec::new(),
        ..RetryPolicy::default()
    };
    if let Some(attempts) = written.get("num_retries_").and_then(Value::as_str) {
        policy.attempts = attempts
            .parse()
            .map_err(|_| format!("attempts `{attempts}`"))?;
    }
    match text(written, "retry_on_").rsplit("::").next() {
        None | Some("") => {}
        Some("RETRY_ON_5XX") => policy.retry_on.push("5xx".to_owned()),
        Some("RETRY_ON_CONNECT_FAILURE") => policy.retry_on.push("connect-failure".to_owned()),
        Some(other) => return Err(format!("the condition `{other}`")),
    }
    Ok(policy)
}

/// How attempts end, and what is decided of each.
fn steps(vector: &Value) -> Vec<(&Value, &str)> {
    if vector.get("response").is_some() {
        let decisions = ["decision", "then"].map(|field| text(vector, field));
        let there = decisions
            .into_iter()
            .filter(|decision| !decision.is_empty());
        return there.map(|decision| (vector, decision)).collect();
    }
    let steps = list(vector, "steps").iter();
    steps.map(|step| (step, text(step, "decision"))).collect()
}

fn decide(
    state: &mut RetryState,
    step: &Value,
    permit: impl FnOnce() -> Option<()>,
) -> Result<Verdict<()>, String> {
    if let Some(response) = step.get("response") {
        let status = text(response, ":status").parse();
        let status: StatusCode = status.map_err(|_| "a response without a status".to_owned())?;
        let headers = &headers(response)?;
        let outcome = Ended::Response { status, headers };
        return Ok(state.decide(outcome, None, 0, permit));
    }
    let reset = match text(step, "reset") {
        "connect_failure" => UpstreamReset::before_request(ResetReason::ConnectionFailure),
        "overflow_reset" => UpstreamReset::before_request(ResetReason::Overflow),
        "remote_refused_stream_reset" => {
            UpstreamReset::after_request(ResetReason::RemoteRefusedStream)
        }
        "remote_reset" => UpstreamReset::after_request(ResetReason::RemoteReset),
        other => return Err(format!("the reset `{other}`")),
    };
    Ok(state.decide(Ended::Reset(reset), None, 0, permit))
}

/// The header fields of `written`, without pseudo-header fields.
fn headers(written: &Value) -> Result<HeaderMap, String> {
    let fields = written.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !name.starts_with(':'));
    let headers = fields.map(|(name, value)| {
        let name: Option<HeaderName> = name.parse().ok();
        let value: Option<HeaderValue> = value.as_str().and_then(|value| value.parse().ok());
        name.zip(value)
    });
    let headers: Option<HeaderMap> = headers.collect();
    headers.ok_or_else(|| format!("the headers {written}"))
}
