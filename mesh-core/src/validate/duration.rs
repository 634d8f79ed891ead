//! Durations of timeouts and intervals.
//!
//! ```
//! use mesh_core::duration::Duration;
//! use mesh_core::validate::{Report, duration};
//!
//! let report = Report::default();
//! duration::validate_optional(None, report.root());
//! duration::validate_optional(Some(Duration::ZERO), report.root());
//! assert_eq!(report.into_violations().len(), 1);
//! ```

use super::At;
use crate::duration::{Duration, DurationRangeError};

/// Checks a duration that may be absent and that only the schema bounds: at least a millisecond.
pub fn validate_minimum(duration: Option<Duration>, at: At<'_>) {
    let min = Duration::from_millis(1);
    if let Some(duration) = duration.filter(|duration| *duration < min) {
        at.error(DurationRangeError::TooShort { duration });
    }
}

/// Checks a duration that may be absent: at least a millisecond, in whole ones
/// (`ValidateDuration`).
pub fn validate_optional(duration: Option<Duration>, at: At<'_>) {
    if let Some(duration) = duration {
        at.check(duration.validate());
    }
}

/// Checks the time that connections are drained: whole seconds, at least one
/// (`ValidateDrainDuration`).
pub fn validate_drain(duration: Duration, at: At<'_>) {
    if let Err(error) = duration.validate() {
        at.error(error);
    } else if !duration.is_whole_seconds() {
        at.error(format_args!(
            "`{duration}` is not a whole number of seconds"
        ));
    }
}

/// Checks how long a connection may take to be made: up to an hour (`ValidateConnectTimeout`).
pub fn validate_connect_timeout(timeout: Duration, at: At<'_>) {
    let (min, max) = (Duration::from_millis(1), Duration::from_secs(3_600));
    at.check(timeout.validate_range(min, max));
}

/// Checks how long a proxy waits for the first bytes: zero, or whole milliseconds
/// (`ValidateProtocolDetectionTimeout`).
pub fn validate_detection_timeout(timeout: Duration, at: At<'_>) {
    if timeout.as_nanos() % 1_000_000 != 0 {
        at.error(format_args!(
            "`{timeout}` is not a whole number of milliseconds"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn each_use_has_its_bounds() {
        type Rule = fn(Duration, At<'_>);
        let minimum: Rule = |duration, at| validate_minimum(Some(duration), at);
        let cases: [(&str, Rule, &str, usize); 11] = [
            ("minimum", minimum, "1500us", 0),
            ("minimum", minimum, "999us", 1),
            ("drain", validate_drain, "45s", 0),
            ("drain", validate_drain, "1500ms", 1),
            ("drain", validate_drain, "0s", 1),
            ("connect", validate_connect_timeout, "10s", 0),
            ("connect", validate_connect_timeout, "1h", 0),
            ("connect", validate_connect_timeout, "1h1ms", 1),
            ("connect", validate_connect_timeout, "1500us", 1),
            ("detection", validate_detection_timeout, "0s", 0),
            ("detection", validate_detection_timeout, "1500us", 1),
        ];
        for (name, rule, text, errors) in cases {
            assert_errors(&format!("{name} {text}"), errors, |at| {
                rule(text.parse().unwrap(), at)
            });
        }
    }
}
