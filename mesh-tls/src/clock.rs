//! Arithmetic on the time of certificates, and on parts of it.

use std::time::Duration;

use rustls_pki_types::UnixTime;

/// `duration` after `time`.
pub(crate) fn later(time: UnixTime, duration: Duration) -> UnixTime {
    let time = Duration::from_secs(time.as_secs());
    UnixTime::since_unix_epoch(time.saturating_add(duration))
}

/// `duration` before `time`, not before 1970.
pub(crate) fn earlier(time: UnixTime, duration: Duration) -> UnixTime {
    let time = Duration::from_secs(time.as_secs());
    UnixTime::since_unix_epoch(time.saturating_sub(duration))
}

/// A part of `duration`, by a number between 0 and 1.
pub(crate) fn part(duration: Duration, fraction: f64) -> Duration {
    let seconds = duration.as_secs_f64() * unit(fraction);
    // The longest duration is rounded up as a number, beyond what a duration holds.
    let part = Duration::try_from_secs_f64(seconds).unwrap_or(duration);
    part.min(duration)
}

/// The nearest number between 0 and 1; 0 if it is none.
pub(crate) fn unit(number: f64) -> f64 {
    if number.is_nan() {
        0.0
    } else {
        number.clamp(0.0, 1.0)
    }
}
