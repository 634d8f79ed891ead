//! When to fetch a new identity, and until when the old one is presented.
//!
//! [`Rotation`] is told what happened and when, and says what to do: it reads no clock, draws no
//! random numbers and performs no IO. `source::Keeper` (feature `tokio`) runs it.
//!
//! - A certificate is renewed when half of the life that it had left when it was fetched is over,
//!   give or take a hundredth, so that workloads that started together do not ask together (Istio's
//!   `SECRET_GRACE_PERIOD_RATIO` and its jitter).
//! - When a fetch fails, the next is tried after a second, then two, and so on up to a minute. The
//!   old certificate is presented meanwhile.
//! - A certificate is withdrawn the second after it expires. From then on handshakes fail, as they
//!   would at the peer.
//! - A certificate that does not count when it arrives is a failed fetch.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_tls::rotation::{Event, Rotation, RotationPolicy};
//! use mesh_tls::validity::Validity;
//! use rustls_pki_types::UnixTime;
//!
//! let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
//! let mut rotation = Rotation::new(RotationPolicy::default());
//!
//! let step = rotation.handle(at(0), Event::Woken, 0.5);
//! assert!(step.fetch);
//!
//! let day = Validity::new(at(0), at(86_400));
//! let step = rotation.handle(at(0), Event::Fetched(day), 0.5);
//! assert!(step.publish);
//! assert_eq!(step.wake_at, Some(at(43_200)));
//! ```

use std::time::Duration;

use rustls_pki_types::UnixTime;

use crate::clock::{earlier, later, part, unit};
use crate::validity::Validity;

const SECOND: Duration = Duration::from_secs(1);

/// When a certificate is renewed, and how soon a failed fetch is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotationPolicy {
    /// The part of the remaining life that is left when the certificate is renewed. Default: 0.5.
    pub grace: f64,
    /// By how much `grace` varies to either side. Default: 0.01.
    pub grace_jitter: f64,
    /// The wait after the first failure, which doubles with each further one. Default: 1 s.
    pub backoff: Duration,
    /// The longest wait after a failure. Default: 60 s.
    pub max_backoff: Duration,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            grace: 0.5,
            grace_jitter: 0.01,
            backoff: SECOND,
            max_backoff: Duration::from_secs(60),
        }
    }
}

/// Something that happened to an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The time of [`Step::wake_at`] has come, or the identity is started.
    Woken,
    /// A certificate arrived that counts for this time.
    Fetched(Validity),
    /// The fetch failed.
    Failed,
    /// The source has another certificate, or the current one must not be used for long.
    Changed,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Step {
    /// Begin to fetch a certificate. No fetch is under way.
    pub fetch: bool,
    /// Present the certificate that was fetched.
    pub publish: bool,
    /// Present no certificate any more: the current one has expired.
    pub withdraw: bool,
    /// When to send [`Event::Woken`] if nothing else happens before.
    pub wake_at: Option<UnixTime>,
}

/// Decides when an identity is renewed. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Rotation {
    policy: RotationPolicy,
    /// The certificate that is presented.
    current: Option<Validity>,
    fetching: Fetching,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
enum Fetching {
    /// At this time, or at the first event.
    Due(Option<UnixTime>),
    /// Under way; and whether another is due after it.
    UnderWay { again: bool },
}

impl Rotation {
    /// An identity that has no certificate yet.
    pub fn new(policy: RotationPolicy) -> Self {
        Self {
            policy,
            current: None,
            fetching: Fetching::Due(None),
            failures: 0,
        }
    }

    /// The certificate that is presented at `now`, if there is one.
    pub fn current(&self, now: UnixTime) -> Option<Validity> {
        self.current.filter(|validity| validity.contains(now))
    }

    /// How many fetches failed since the last that succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes in what happened at `now`. `jitter` is a random number between 0 and 1.
    pub fn handle(&mut self, now: UnixTime, event: Event, jitter: f64) -> Step {
        let mut step = Step::default();
        match event {
            Event::Woken => {}
            Event::Fetched(validity) if validity.contains(now) => {
                step.publish = true;
                self.current = Some(validity);
                self.failures = 0;
                self.finish(now, self.renew_at(now, validity, jitter));
            }
            Event::Fetched(_) | Event::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.finish(now, later(now, self.backoff(jitter)));
            }
            Event::Changed => self.hasten(now),
        }
        if self.current.is_some_and(|current| current.is_expired(now)) {
            self.current = None;
            step.withdraw = true;
        }
        if let Fetching::Due(at) = self.fetching
            && at.is_none_or(|at| at <= now)
        {
            step.fetch = true;
            self.fetching = Fetching::UnderWay { again: false };
        }
        step.wake_at = self.wake_at();
        step
    }

    /// Ends a fetch. The next is at `next`, or now if it was asked for meanwhile.
    fn finish(&mut self, now: UnixTime, next: UnixTime) {
        let again = matches!(self.fetching, Fetching::UnderWay { again: true });
        self.fetching = Fetching::Due(Some(if again { now } else { next }));
    }

    fn hasten(&mut self, now: UnixTime) {
        self.fetching = match self.fetching {
            Fetching::Due(_) => Fetching::Due(Some(now)),
            Fetching::UnderWay { .. } => Fetching::UnderWay { again: true },
        };
    }

    fn renew_at(&self, now: UnixTime, validity: Validity, jitter: f64) -> UnixTime {
        let RotationPolicy {
            grace,
            grace_jitter,
            ..
        } = self.policy;
        let grace = grace + grace_jitter * (2.0 * unit(jitter) - 1.0);
        let left = part(validity.remaining(now), grace);
        // A second at least, so that a certificate about to expire does not make for a busy loop.
        earlier(validity.not_after(), left).max(later(now, SECOND))
    }

    /// Between half and the whole of a time that doubles with each failure.
    fn backoff(&self, jitter: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(31);
        let whole = self.policy.backoff.saturating_mul(1 << doublings);
        let whole = whole.min(self.policy.max_backoff);
        part(whole, 0.5 + 0.5 * unit(jitter)).max(SECOND)
    }

    fn wake_at(&self) -> Option<UnixTime> {
        let due = match self.fetching {
            Fetching::Due(at) => at,
            Fetching::UnderWay { .. } => None,
        };
        let expiry = self
            .current
            .map(|current| later(current.not_after(), SECOND));
        [due, expiry].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn fetched(from: u64, to: u64) -> Event {
        Event::Fetched(Validity::new(at(from), at(to)))
    }

    fn started() -> Rotation {
        let mut rotation = Rotation::new(RotationPolicy::default());
        assert!(rotation.handle(at(0), Event::Woken, 0.5).fetch);
        rotation
    }

    #[test]
    fn the_longest_times_are_waited_for() {
        let mut rotation = Rotation::new(RotationPolicy {
            backoff: Duration::MAX,
            max_backoff: Duration::MAX,
            grace: 1.0,
            ..RotationPolicy::default()
        });
        assert!(rotation.handle(at(0), Event::Woken, 1.0).fetch);
        assert!(rotation.handle(at(0), Event::Failed, 1.0).wake_at > Some(at(DAY)));
        let step = rotation.handle(at(0), fetched(0, u64::MAX), 1.0);
        assert!(step.publish && step.wake_at == Some(at(1)));
    }

    #[test]
    fn a_certificate_is_renewed_at_half_of_the_life_left_give_or_take_a_hundredth() {
        for (jitter, seconds) in [(0.0, 44_064), (0.5, 43_200), (1.0, 42_336)] {
            let step = started().handle(at(0), fetched(0, DAY), jitter);
            assert_eq!(step.wake_at, Some(at(seconds)), "{jitter}");
            assert!(step.publish && !step.fetch && !step.withdraw);
        }
        // It was issued long ago, and had four hours left when it was fetched.
        let step = started().handle(at(DAY - 14_400), fetched(0, DAY), 0.5);
        assert_eq!(step.wake_at, Some(at(DAY - 7_200)));
    }

    #[test]
    fn failures_are_retried_ever_more_slowly_while_the_old_certificate_is_presented() {
        let mut rotation = started();
        rotation.handle(at(0), fetched(0, DAY), 0.5);
        let mut now = 43_200;
        assert!(rotation.handle(at(now), Event::Woken, 0.5).fetch);
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            let step = rotation.handle(at(now), Event::Failed, 1.0);
            assert_eq!(step.wake_at, Some(at(now + wait)));
            assert!(rotation.current(at(now)).is_some());
            now += wait;
            assert!(rotation.handle(at(now), Event::Woken, 1.0).fetch);
        }
        assert_eq!(rotation.failures(), 8);
        let step = rotation.handle(at(now), fetched(now, now + DAY), 0.5);
        assert!(step.publish);
        assert_eq!(rotation.failures(), 0);
    }

    #[test]
    fn a_certificate_is_withdrawn_the_second_after_it_expires() {
        let mut rotation = started();
        rotation.handle(at(0), fetched(0, DAY), 0.5);
        assert!(rotation.handle(at(43_200), Event::Woken, 0.5).fetch);
        // The fetch hangs.
        let step = rotation.handle(at(DAY), Event::Woken, 0.5);
        assert!(!step.withdraw, "it counts to the last second");
        assert_eq!(step.wake_at, Some(at(DAY + 1)));
        let step = rotation.handle(at(DAY + 1), Event::Woken, 0.5);
        assert!(step.withdraw && !step.fetch);
        assert_eq!(step.wake_at, None);
        assert_eq!(rotation.current(at(DAY + 1)), None);
        let step = rotation.handle(at(DAY + 2), Event::Woken, 0.5);
        assert!(!step.withdraw, "once");
    }

    #[test]
    fn a_certificate_that_does_not_count_is_a_failed_fetch() {
        for (case, from, to) in [("expired", 0, 50), ("from the future", 200, 300)] {
            let mut rotation = started();
            let step = rotation.handle(at(100), fetched(from, to), 1.0);
            assert!(!step.publish, "{case}");
            assert_eq!(step.wake_at, Some(at(101)), "{case}");
            assert_eq!(rotation.failures(), 1, "{case}");
        }
    }

    #[test]
    fn a_change_is_fetched_at_once_or_after_the_fetch_under_way() {
        let mut rotation = started();
        rotation.handle(at(0), fetched(0, DAY), 0.5);
        assert!(rotation.handle(at(5), Event::Changed, 0.5).fetch);
        assert!(!rotation.handle(at(6), Event::Changed, 0.5).fetch);
        let step = rotation.handle(at(7), fetched(7, DAY), 0.5);
        assert!(
            step.publish && step.fetch,
            "what came may be older than the change"
        );
        let step = rotation.handle(at(8), fetched(8, DAY), 0.5);
        assert!(step.publish && !step.fetch);
    }

    proptest! {
        #[test]
        fn no_certificate_is_presented_past_its_time(
            events in proptest::collection::vec((0..40u64, 0..4usize, 0..100u64), 1..60),
            jitter in any::<f64>(),
        ) {
            let mut rotation = Rotation::new(RotationPolicy::default());
            let mut presented: Option<Validity> = None;
            let mut under_way = false;
            let mut now = 1000;
            for (pause, kind, life) in events {
                now += pause;
                let validity = Validity::new(at(now), at(now + life));
                let event = match kind {
                    0 if under_way => Event::Fetched(validity),
                    1 if under_way => Event::Failed,
                    2 => Event::Changed,
                    _ => Event::Woken,
                };
                under_way &= matches!(event, Event::Woken | Event::Changed);
                let step = rotation.handle(at(now), event, jitter);
                if step.publish {
                    presented = Some(validity);
                }
                if step.withdraw {
                    presented = None;
                }
                prop_assert!(!(step.fetch && under_way), "one fetch at a time");
                under_way |= step.fetch;
                prop_assert!(presented.is_none_or(|validity| validity.contains(at(now))));
                prop_assert!(under_way || step.wake_at.is_some(), "it never stops");
                prop_assert!(step.wake_at.is_none_or(|wake| wake > at(now)));
            }
        }
    }
}
