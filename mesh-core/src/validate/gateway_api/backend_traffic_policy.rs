//! Retries and sessions of backends.

use std::collections::BTreeSet;

use super::{name, session_persistence, validate_len};
use crate::duration::GatewayDuration;
use crate::resource::gateway_api::backend_traffic_policy::{
    BackendTrafficPolicy, RequestRate, RetryBudget, RetryConstraint,
};
use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::validate::At;

/// The most targets.
const MAX_TARGETS: usize = 16;

/// The most requests in an interval.
const MAX_COUNT: u32 = 1_000_000;

/// Checks an experimental `XBackendTrafficPolicy`.
///
/// ```
/// use mesh_core::resource::gateway_api::backend_traffic_policy::BackendTrafficPolicy;
/// use mesh_core::validate::{Report, gateway_api};
///
/// let policy: BackendTrafficPolicy = serde_json::from_str(
///     r#"{
///         "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
///         "retryConstraint": {"budget": {"percent": 20, "interval": "2h"}}
///     }"#,
/// )?;
/// let report = Report::default();
/// gateway_api::validate_backend_traffic_policy(&policy, report.root());
/// let violations = report.into_violations();
/// assert_eq!(violations[0].origin.path(), "retryConstraint.budget.interval");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn validate_backend_traffic_policy(policy: &BackendTrafficPolicy, at: At<'_>) {
    let BackendTrafficPolicy {
        target_refs,
        retry_constraint,
        session_persistence,
    } = policy;
    let targets = at.field("targetRefs");
    validate_len(target_refs, 1, MAX_TARGETS, targets);
    let mut seen = BTreeSet::new();
    targets.each(target_refs, |target, at| {
        let LocalObjectReference { group, kind, name } = target;
        at.require_written("group");
        name::validate_reference(Some(group), Some(kind), name, at);
        at.require(
            seen.insert((group, kind, name)),
            "the same target is there twice",
        );
    });
    if let Some(constraint) = retry_constraint {
        validate_constraint(constraint, at.field("retryConstraint"));
    }
    if let Some(persistence) = session_persistence {
        session_persistence::validate(persistence, at.field("sessionPersistence"));
    }
}

fn validate_constraint(constraint: &RetryConstraint, at: At<'_>) {
    let RetryConstraint {
        budget,
        min_retry_rate,
    } = constraint;
    if let Some(RetryBudget { percent, interval }) = budget {
        let at = at.field("budget");
        let is_percent = percent.is_none_or(|percent| percent <= 100);
        at.field("percent")
            .require(is_percent, "a percentage is at most 100");
        validate_interval(*interval, 1_000, at.field("interval"));
    }
    if let Some(RequestRate { count, interval }) = min_retry_rate {
        let at = at.field("minRetryRate");
        let is_count = count.is_none_or(|count| (1..=MAX_COUNT).contains(&count));
        at.field("count")
            .require(is_count, "a count is from 1 to 1000000");
        validate_interval(*interval, 1, at.field("interval"));
    }
}

/// Checks an interval of up to an hour.
fn validate_interval(interval: Option<GatewayDuration>, min_millis: u128, at: At<'_>) {
    let hour = 3_600_000;
    let millis = interval.map(|interval| interval.as_std().as_millis());
    if millis.is_some_and(|millis| !(min_millis..=hour).contains(&millis)) {
        at.error(format_args!("an interval is from {min_millis}ms to 1h"));
    }
}
