//! When changes are acted on: after a time without any, or when the first has waited long enough.

use std::time::{Duration, Instant};

/// How long changes are collected.
///
/// ```
/// use std::time::Duration;
///
/// use mesh_discovery::registry::Debounce;
///
/// assert_eq!(Debounce::default().quiet, Duration::from_millis(100));
/// assert_eq!(Debounce::NONE.max, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Debounce {
    /// Time without changes after which those before are acted on. Default: 100 ms
    /// (`PILOT_DEBOUNCE_AFTER`).
    pub quiet: Duration,
    /// The longest that a change waits for others. Default: 10 s (`PILOT_DEBOUNCE_MAX`).
    pub max: Duration,
}

impl Debounce {
    /// Every change is acted on at once.
    pub const NONE: Self = Self {
        quiet: Duration::ZERO,
        max: Duration::ZERO,
    };
}

impl Default for Debounce {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(100),
            max: Duration::from_secs(10),
        }
    }
}

/// Changes that wait for others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    first_and_last: Option<(Instant, Instant)>,
}

impl Waiting {
    /// There is a change.
    pub(super) fn handle_change(&mut self, now: Instant) {
        let first = self.first_and_last.map_or(now, |(first, _)| first);
        self.first_and_last = Some((first, now));
    }

    /// When the changes are to be acted on; `None` if there are none.
    pub(super) fn deadline(&self, debounce: &Debounce) -> Option<Instant> {
        let (first, last) = self.first_and_last?;
        Some((last + debounce.quiet).min(first + debounce.max))
    }

    /// Whether the changes are to be acted on now; if so, they no longer wait.
    pub(super) fn take_due(&mut self, debounce: &Debounce, now: Instant) -> bool {
        let due = self
            .deadline(debounce)
            .is_some_and(|deadline| deadline <= now);
        if due {
            self.first_and_last = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(60);

    #[test]
    fn changes_are_acted_on_after_a_quiet_time() {
        let start = tokio::time::Instant::now().into_std();
        let debounce = Debounce::default();
        let mut waiting = Waiting::default();
        assert_eq!(waiting.deadline(&debounce), None);
        waiting.handle_change(start);
        waiting.handle_change(start + STEP);
        assert!(!waiting.take_due(&debounce, start + debounce.quiet));
        assert!(waiting.take_due(&debounce, start + STEP + debounce.quiet));
        assert!(!waiting.take_due(&debounce, start + 2 * debounce.quiet + STEP));
    }

    #[test]
    fn changes_that_never_stop_are_acted_on_after_the_longest_time() {
        let start = tokio::time::Instant::now().into_std();
        let debounce = Debounce::default();
        let mut waiting = Waiting::default();
        let mut now = start;
        while !waiting.take_due(&debounce, now) {
            waiting.handle_change(now);
            now += STEP;
        }
        let waited = now - start;
        assert!(waited >= debounce.max && waited < debounce.max + STEP);
    }
}
