//! The faster of two hosts drawn at random, slow answers counting at once.
//!
//! Each host has a moving average of the time it takes to answer. An answer that is slower than the
//! average replaces it; faster ones, and time without answers, bring it down with a time constant of
//! ten seconds. Of two hosts drawn at random the one is picked whose average times its requests
//! (those active, and the one to come) is less. Weights do not count.
//!
//! Istio has no such policy: it is chosen by
//! [`Upstream::with_policy`](crate::cluster::Upstream::with_policy). The method is that of Finagle and
//! linkerd.
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

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::balance::host::Host;
use crate::balance::host_list::HostList;

/// Time in which an average loses its weight but for 1/e.
const DECAY: Duration = Duration::from_secs(10);

/// What a host that has not answered yet is taken to need, in seconds. Little, so that it is tried.
const UNKNOWN: f64 = 0.001;

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
        let mut average = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = time.as_secs_f64();
        let old = average.seconds;
        average.seconds = if time > old {
            time
        } else {
            time + (old - time) * kept(average.at, now)
        };
        average.at = now;
    }

    /// The average at `now`.
    pub fn average(&self, now: Instant) -> Duration {
        Duration::from_secs_f64(self.seconds(now))
    }

    fn seconds(&self, now: Instant) -> f64 {
        let average = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        average.seconds * kept(average.at, now)
    }
}

/// The weight that an average of time `at` still has.
fn kept(at: Instant, now: Instant) -> f64 {
    let age = now.saturating_duration_since(at);
    (-age.as_secs_f64() / DECAY.as_secs_f64()).exp()
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
