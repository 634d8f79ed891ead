//! Retries (`pilot/pkg/networking/core/route/retry/retry.go`).

use crate::model::Notice;
use crate::model::retry::RetryPolicy;
use crate::resolve::place::Place;
use crate::resolve::virtual_service::forward;
use crate::resource::istio::virtual_service::HttpRetry;
use crate::status;

const STATUS_CODES: &str = "retriable-status-codes";

/// What `written` asks for, or the default without it. `None` never tries again.
///
/// With a consistent hash (`hashed`) hosts that were tried are not avoided unless the rule says
/// so: the key belongs to the host.
pub(in crate::resolve) fn policy(written: Option<&HttpRetry>, hashed: bool) -> Option<RetryPolicy> {
    let mut policy = RetryPolicy {
        avoid_previous_hosts: !hashed,
        ..RetryPolicy::default()
    };
    let Some(written) = written else {
        return Some(policy);
    };
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        retry_remote_localities,
        retry_ignore_previous_hosts,
        backoff,
    } = written;
    policy.attempts = u32::try_from(*attempts)
        .ok()
        .filter(|attempts| *attempts != 0)?;
    if !retry_on.is_empty() {
        (policy.retry_on, policy.retriable_status_codes) = parse_retry_on(retry_on);
    }
    policy.per_try_timeout = per_try_timeout.and_then(|timeout| timeout.as_std());
    policy.avoid_previous_priorities = retry_remote_localities.unwrap_or(false);
    if let Some(avoid) = retry_ignore_previous_hosts {
        policy.avoid_previous_hosts = *avoid;
    }
    if let Some(backoff) = backoff.and_then(|backoff| backoff.as_std()) {
        policy.backoff_base = backoff;
    }
    Some(policy)
}

/// Checks what a rule says of retries.
pub(super) fn validate(written: &HttpRetry, place: &Place<'_>) -> Result<(), Notice> {
    if written.attempts < 0 {
        let place = place.field("attempts");
        return Err(place.notice("the rule answers 500: negative number of attempts"));
    }
    if let Some(timeout) = written.per_try_timeout {
        forward::duration(timeout, &place.field("perTryTimeout"))?;
    }
    if let Some(backoff) = written.backoff {
        forward::duration(backoff, &place.field("backoff"))?;
    }
    Ok(())
}

/// Conditions, and the status codes among them. Codes add the condition that counts them.
fn parse_retry_on(text: &str) -> (Vec<String>, Vec<u16>) {
    let mut conditions = Vec::new();
    let mut codes = Vec::new();
    let parts = text.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        match part.parse() {
            Ok(code) if status::is_known(code) => codes.push(code),
            _ => conditions.push(part.to_owned()),
        }
    }
    let counted = conditions.iter().any(|condition| condition == STATUS_CODES);
    if !codes.is_empty() && !counted {
        conditions.push(STATUS_CODES.to_owned());
    }
    (conditions, codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_in_retry_on_are_counted() {
        for (text, conditions, codes) in [
            ("5xx,reset", &["5xx", "reset"][..], &[][..]),
            ("503", &[STATUS_CODES], &[503]),
            ("reset, 429 ,503", &["reset", STATUS_CODES], &[429, 503]),
            ("retriable-status-codes,503", &[STATUS_CODES], &[503]),
            ("599", &["599"], &[]),
            (" , ", &[], &[]),
        ] {
            let (found, found_codes) = parse_retry_on(text);
            assert_eq!(found, conditions, "{text}");
            assert_eq!(found_codes, codes, "{text}");
        }
    }
}
