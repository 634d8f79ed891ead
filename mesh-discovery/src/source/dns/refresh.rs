//! When one name is looked up, and what is known of it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Answer;
use crate::backoff::{fraction, longest};

/// How often names are looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshSettings {
    /// Time after an answer that has no time to live, and after a failure. Default: 60 s, as
    /// `dnsRefreshRate` of Istio's MeshConfig.
    pub refresh: Duration,
    /// Time after failures in place of `refresh`. Default: `None`, as Istio configures Envoy.
    pub backoff: Option<Backoff>,
    /// The longest time, drawn at random, that is added to each of these so that not all names are
    /// looked up at once. Default: none. (istiod's `PILOT_DNS_JITTER_DURATION` is 100 ms.)
    pub jitter: Duration,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(60),
            backoff: None,
            jitter: Duration::ZERO,
        }
    }
}

impl RefreshSettings {
    /// The time to wait after an answer that is good for `ttl`; zero if it does not say.
    pub(super) fn after_answer(&self, ttl: Duration) -> Duration {
        if ttl.is_zero() { self.refresh } else { ttl }
    }

    /// The time to wait after `failures` failures in a row, by `random`, uniform over all values.
    pub(super) fn after_failures(&self, failures: u32, random: u64) -> Duration {
        let backoff = self.backoff;
        backoff.map_or(self.refresh, |backoff| backoff.pause(failures, random))
    }

    /// What is added to either.
    pub(super) fn jitter(&self, random: u64) -> Duration {
        // By other bits than those that pauses are drawn by.
        fraction(self.jitter, random.rotate_left(32))
    }
}

/// Time between attempts that fail, as Envoy's `dns_failure_refresh_rate`: drawn at random up to
/// `base × 2ⁿ` after `n` failures before, and below `max`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The most after the first failure.
    pub base: Duration,
    /// The most after any.
    pub max: Duration,
}

impl Backoff {
    /// The time to wait after `failures` failures in a row, by `random`, uniform over all values.
    fn pause(&self, failures: u32, random: u64) -> Duration {
        let most = longest(self.base, self.max, failures.saturating_sub(1));
        // Never at once: a server that fails fast is not to be asked in a loop.
        fraction(most, random).max(Duration::from_millis(1))
    }
}

/// What is known of a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct NameStatus {
    /// Its addresses, by the last answer.
    pub addresses: Vec<IpAddr>,
    /// When the last answer came; `None` if none has.
    pub answered: Option<Instant>,
    /// How many attempts have failed since.
    pub failures: u32,
    /// When it is looked up next; `None` while it is being looked up.
    pub next: Option<Instant>,
    // The first address of the last answer that had one.
    pub(super) logical: Option<IpAddr>,
}

impl NameStatus {
    /// Whether no attempt to look it up has ended yet.
    pub fn is_awaited(&self) -> bool {
        self.answered.is_none() && self.failures == 0
    }

    /// Takes in what a look-up found. Whether any address is another than before.
    pub(super) fn handle_answer(
        &mut self,
        answer: Answer,
        settings: &RefreshSettings,
        now: Instant,
        random: u64,
    ) -> bool {
        let before = (
            self.answered.is_some(),
            self.addresses.clone(),
            self.logical,
        );
        let pause = match answer {
            Answer::Addresses { addresses, ttl } => {
                self.logical = addresses.first().copied().or(self.logical);
                self.succeed(addresses, now);
                settings.after_answer(ttl)
            }
            Answer::NoAddress => {
                self.succeed(Vec::new(), now);
                settings.refresh
            }
            Answer::Failed => {
                self.failures = self.failures.saturating_add(1);
                settings.after_failures(self.failures, random)
            }
        };
        self.next = Some(now + pause + settings.jitter(random));
        before
            != (
                self.answered.is_some(),
                self.addresses.clone(),
                self.logical,
            )
    }

    fn succeed(&mut self, addresses: Vec<IpAddr>, now: Instant) {
        self.addresses = addresses;
        self.answered = Some(now);
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(last: u8, ttl: Duration) -> Answer {
        Answer::Addresses {
            addresses: vec![[192, 0, 2, last].into()],
            ttl,
        }
    }

    #[test]
    fn the_next_look_up_is_due_when_the_answer_expires() {
        let now = tokio::time::Instant::now().into_std();
        let settings = RefreshSettings::default();
        let cases = [
            ("a time to live", found(1, 5 * SECOND), 5 * SECOND),
            ("none", found(1, Duration::ZERO), 60 * SECOND),
            ("no address", Answer::NoAddress, 60 * SECOND),
            ("a failure", Answer::Failed, 60 * SECOND),
        ];
        for (name, answer, pause) in cases {
            let mut status = NameStatus::default();
            status.handle_answer(answer, &settings, now, 0);
            assert_eq!(status.next, Some(now + pause), "{name}");
        }
    }

    #[test]
    fn failures_are_further_and_further_apart_up_to_a_limit_and_an_answer_ends_that() {
        let now = tokio::time::Instant::now().into_std();
        let backoff = Backoff {
            base: 2 * SECOND,
            max: 10 * SECOND,
        };
        let settings = RefreshSettings {
            backoff: Some(backoff),
            ..RefreshSettings::default()
        };
        let mut status = NameStatus::default();
        // Half of the most that may be drawn.
        let half = 1 << 63;
        for seconds in [1, 2, 4, 5, 5] {
            status.handle_answer(Answer::Failed, &settings, now, half);
            assert_eq!(status.next, Some(now + seconds * SECOND));
        }
        status.handle_answer(found(1, SECOND), &settings, now, half);
        status.handle_answer(Answer::Failed, &settings, now, half);
        assert_eq!(status.next, Some(now + SECOND));
        assert_eq!(status.addresses.len(), 1, "a failure changes nothing");
    }

    #[test]
    fn jitter_is_added_and_no_more_than_asked_for() {
        let now = tokio::time::Instant::now().into_std();
        let settings = RefreshSettings {
            jitter: SECOND,
            ..RefreshSettings::default()
        };
        for random in [0, 1 << 31, u64::MAX] {
            let mut status = NameStatus::default();
            status.handle_answer(found(1, SECOND), &settings, now, random);
            let next = status.next.unwrap();
            assert!(next >= now + SECOND && next < now + 2 * SECOND, "{random}");
        }
    }

    #[test]
    fn a_change_is_one_of_addresses_or_the_first_answer_at_all() {
        let now = tokio::time::Instant::now().into_std();
        let settings = RefreshSettings::default();
        let mut status = NameStatus::default();
        let steps = [
            (Answer::Failed, false),
            (Answer::NoAddress, true),
            (Answer::NoAddress, false),
            (found(1, SECOND), true),
            (found(1, 2 * SECOND), false),
            (found(2, SECOND), true),
            (Answer::Failed, false),
        ];
        for (answer, changes) in steps {
            let changed = status.handle_answer(answer.clone(), &settings, now, 0);
            assert_eq!(changed, changes, "{answer:?}");
        }
    }
}
