//! The faster of two hosts drawn at random, slow answers counting at once.
//!
//! Each host has a moving average of the time it takes to answer. An answer that is slower than the
//! average replaces it; faster ones, and time without answers, bring it down with a time constant of
//! ten seconds. Of two hosts drawn at random the one is picked whose average times its requests
//! (those active, and the one to come) is less. Weights do not count.
//!
//! A failure does not count as an answer that came fast, but as one that took twice the average, from a
//! second to a minute: one endpoint that refuses all at once would get all requests otherwise. It is
//! tried again when the average is down to that of others.
//!
//! Istio has no such policy: it is chosen by
//! [`Upstream::with_policy`](crate::cluster::Upstream::with_policy). The method is that of Finagle and
//! linkerd; that failures count is linkerd's load biaser. (Tower's `PeakEwma` leaves it to others to
//! take out who fails.)
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use mesh_discovery::balance::peak_ewma::Latency;
//!
//! let now = Instant::now();
//! let latency = Latency::new(now);
//! latency.record(Duration::from_millis(80), now);
//! assert_eq!(latency.average(now), Duration::from_millis(80));
//! let later = now + Duration::from_secs(10);
//! assert!(latency.average(later) < Duration::from_millis(30));
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::balance::host::Host;
use crate::balance::host_list::HostList;

/// Time in which an average loses its weight but for 1/e.
const DECAY: Duration = Duration::from_secs(10);

/// What a host that has not answered yet is taken to need, in seconds. Little, so that it is tried.
const UNKNOWN: f64 = 0.001;

/// What a failure that took less counts as at least and at most, in seconds.
const MIN_FAILURE: f64 = 1.0;
const MAX_FAILURE: f64 = 60.0;

/// The moving average of the time that a host takes to answer.
#[derive(Debug)]
pub struct Latency(Mutex<Average>);

#[derive(Clone, Copy, Debug)]
struct Average {
    seconds: f64,
    at: Instant,
}

impl Latency {
    /// The average of no answers.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Average {
            seconds: UNKNOWN,
            at: now,
        }))
    }

    /// Counts an answer that took `time`.
    pub fn record(&self, time: Duration, now: Instant) {
        self.lock().record(time.as_secs_f64(), now);
    }

    /// Counts a failure after `time` as an answer that took twice the average, from a second to a minute,
    /// or `time` if that is more.
    pub fn record_failure(&self, time: Duration, now: Instant) {
        let mut average = self.lock();
        let counted = (2.0 * average.seconds(now)).clamp(MIN_FAILURE, MAX_FAILURE);
        average.record(counted.max(time.as_secs_f64()), now);
    }

    /// The average at `now`.
    pub fn average(&self, now: Instant) -> Duration {
        Duration::from_secs_f64(self.seconds(now))
    }

    fn seconds(&self, now: Instant) -> f64 {
        self.lock().seconds(now)
    }

    fn lock(&self) -> MutexGuard<'_, Average> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Average {
    fn record(&mut self, time: f64, now: Instant) {
        let old = self.seconds;
        self.seconds = if time > old {
            time
        } else {
            time + (old - time) * self.kept(now)
        };
        self.at = now;
    }

    fn seconds(&self, now: Instant) -> f64 {
        self.seconds * self.kept(now)
    }

    /// The weight that it still has.
    fn kept(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at);
        (-age.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

/// The index of the picked host. `random` gives numbers uniform over all values. `None` if there
/// are no hosts.
pub fn pick(hosts: &HostList, now: Instant, mut random: impl FnMut() -> u64) -> Option<usize> {
    let mut draw = || {
        let index = random().checked_rem(hosts.len() as u64)? as usize;
        Some((index, cost(hosts.get(index)?, now)))
    };
    let (first, second) = (draw()?, draw()?);
    Some(if second.1 < first.1 {
        second.0
    } else {
        first.0
    })
}

fn cost(host: &Host, now: Instant) -> f64 {
    let state = host.state();
    state.latency().seconds(now) * (f64::from(state.active()) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{hosts, now};

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_bring_it_down() {
        let now = now();
        let latency = Latency::new(now);
        latency.record(Duration::from_secs(1), now);
        assert_eq!(latency.average(now), Duration::from_secs(1));
        let later = now + DECAY;
        latency.record(Duration::from_millis(100), later);
        let average = latency.average(later).as_secs_f64();
        assert!((average - (0.1 + 0.9 / std::f64::consts::E)).abs() < 1e-6);
    }

    #[test]
    fn failures_count_as_slow_and_each_one_as_slower_up_to_a_minute() {
        let now = now();
        let latency = Latency::new(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            latency.record_failure(Duration::from_millis(1), now);
            assert_eq!(latency.average(now), Duration::from_secs(seconds));
        }
        let late = Duration::from_secs(90);
        latency.record_failure(late, now);
        assert_eq!(latency.average(now), late);
    }

    #[test]
    fn speed_and_activity_count_together() {
        let now = now();
        let hosts = hosts(&[1, 1]);
        let (slow, fast) = (hosts.get(0).unwrap(), hosts.get(1).unwrap());
        slow.state()
            .latency()
            .record(Duration::from_millis(30), now);
        fast.state()
            .latency()
            .record(Duration::from_millis(20), now);
        let pick = || {
            let mut random = 0..;
            pick(&hosts, now, || random.next().unwrap())
        };
        assert_eq!(pick(), Some(1));
        let _busy = fast.begin();
        assert_eq!(pick(), Some(0), "30 ms are less than twice 20 ms");
    }
}
