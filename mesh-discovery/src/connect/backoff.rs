//! When a connection is tried again after it could not be made.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use crate::backoff::{half_or_more, longest};

/// The longest wait after the second failure in a row; it doubles with each further one.
const BASE: Duration = Duration::from_millis(25);
/// The longest wait after any failure.
const MAX: Duration = Duration::from_secs(1);

/// Connections that could not be made.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u64,
    last: Option<Failure>,
    backoff: Backoff,
}

impl Failures {
    /// How many there were, so that who waits sees another.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Why a request that has waited since there were `count` failures waits in vain.
    pub(super) fn since(&self, count: u64) -> Option<Failure> {
        self.last.filter(|_| self.count != count)
    }

    /// Why there may be no attempt at `now`.
    pub(super) fn held_back(&self, now: Instant) -> Option<Failure> {
        self.last.filter(|_| self.backoff.is_waiting(now))
    }

    /// Until when there may be no attempt, if there may be none at `now`.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.backoff.until.filter(|until| now < *until)
    }

    /// Counts a failure of an attempt that began when there were `count`. Attempts at the same time
    /// count as one for the wait after them.
    pub(super) fn record(&mut self, failure: Failure, count: u64, now: Instant, random: u64) {
        if self.count == count {
            self.backoff.handle_failure(now, random);
        }
        self.count += 1;
        self.last = Some(failure);
    }

    /// A connection was made.
    pub(super) fn end(&mut self) {
        self.backoff = Backoff::default();
    }
}

/// The failures in a row to connect to an endpoint, and the wait after them. The first is none yet: an
/// endpoint that has just been started again is not to be waited for.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Counts a failure. Up to half of the wait is taken off by `random`, uniform over all values.
    fn handle_failure(&mut self, now: Instant, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.until = self
            .failures
            .checked_sub(2)
            .map(|doublings| now + half_or_more(longest(BASE, MAX, doublings), random));
    }

    /// Whether another connection has to wait.
    fn is_waiting(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for millis in [0, 25, 50, 100, 200, 400, 800, 1000, 1000] {
            backoff.handle_failure(now, u64::MAX);
            let wait = Duration::from_millis(millis);
            assert!(!backoff.is_waiting(now + wait), "{millis} ms");
            let just_before = now + wait.saturating_sub(Duration::from_micros(1));
            assert_eq!(backoff.is_waiting(just_before), millis > 0, "{millis} ms");
        }
    }
}
