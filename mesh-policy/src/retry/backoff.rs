//! How long to wait before a request is tried again.
//!
//! [`Backoff`] is Envoy's fully jittered exponential back-off: the n-th wait is drawn from zero to
//! `base · 2ⁿ⁻¹`, and never longer than ten times the base. An upstream may ask for more in one of
//! the [`ResetHeader`]s: then the wait is what it asks for and up to half of it again, so that not
//! all clients come back at once.
//!
//! Source: Envoy's `JitteredExponentialBackOffStrategy` and `JitteredLowerBoundBackOffStrategy`
//! (`source/common/common/backoff_strategy.cc`), and `rate_limited_retry_back_off` of its route
//! API.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_policy::retry::backoff::Backoff;
//!
//! let mut backoff = Backoff::new(Duration::from_millis(25));
//! // A random number stands for itself, modulo the interval in milliseconds.
//! let waits = [24, 49, 99, 199, 249, 250].map(|random| backoff.next(random).as_millis());
//! assert_eq!(waits, [24, 49, 99, 199, 249, 0]);
//! ```

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The longest wait is this many times the first.
const LONGEST: u32 = 10;

/// The waits between the attempts of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    interval: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits that begin with up to `base` and end with up to ten times that. A base below a
    /// nanosecond counts as one.
    pub fn new(base: Duration) -> Self {
        let interval = base.max(Duration::from_nanos(1));
        Self {
            interval,
            longest: interval.saturating_mul(LONGEST),
        }
    }

    /// The next wait, a share that `random` decides. It should be uniform over all values.
    pub fn next(&mut self, random: u64) -> Duration {
        let wait = share(self.interval, random);
        self.interval = if self.interval < self.longest / 2 {
            self.interval * 2
        } else {
            self.longest
        };
        wait
    }
}

/// A share of `whole`, in the resolution of milliseconds that Envoy draws with; finer where `whole`
/// is shorter than that.
fn share(whole: Duration, random: u64) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    if let Some(millis) = random.checked_rem(millis) {
        return Duration::from_millis(millis);
    }
    let nanos = u64::from(whole.subsec_nanos());
    Duration::from_nanos(random.checked_rem(nanos).unwrap_or(0))
}

/// A response header by which an upstream says when to come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResetHeader {
    /// The header.
    pub name: HeaderName,
    /// How its value is read.
    pub format: ResetFormat,
}

/// How the value of a [`ResetHeader`] is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResetFormat {
    /// Seconds from now, as in `retry-after`.
    Seconds,
    /// Seconds since 1970, as in `x-ratelimit-reset`.
    UnixTimestamp,
}

/// When upstreams that limit rates are asked again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RateLimitedBackoff {
    /// The headers, of which the first that is there and well-formed counts.
    pub headers: Vec<ResetHeader>,
    /// A longer wait than this is not waited; the exponential back-off is used instead.
    pub longest: Duration,
}

impl RateLimitedBackoff {
    /// Reads `headers`, up to five minutes, which is Envoy's default.
    pub fn new(headers: impl IntoIterator<Item = ResetHeader>) -> Self {
        Self {
            headers: headers.into_iter().collect(),
            longest: Duration::from_secs(300),
        }
    }

    /// What the upstream asks for, and up to half of it again. `now` is the time since 1970.
    ///
    /// `None` if no header asks for a time from a second to the longest wait.
    pub fn wait(&self, headers: &HeaderMap, now: Duration, random: u64) -> Option<Duration> {
        let asked = |header: &ResetHeader| {
            let seconds = headers.get(&header.name)?.to_str().ok()?.parse().ok()?;
            let wait = match header.format {
                ResetFormat::Seconds => Duration::from_secs(seconds),
                ResetFormat::UnixTimestamp => Duration::from_secs(seconds).checked_sub(now)?,
            };
            let accepted = Duration::from_secs(1)..=self.longest;
            accepted.contains(&wait).then_some(wait)
        };
        let wait = self.headers.iter().find_map(asked)?;
        Some(wait.saturating_add(share(wait / 2, random)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_wait_is_longer_than_ten_times_the_base(
            base in 0_u64..100_000,
            randoms in proptest::collection::vec(any::<u64>(), 1..20),
        ) {
            let base = Duration::from_micros(base);
            let mut backoff = Backoff::new(base);
            for random in randoms {
                prop_assert!(backoff.next(random) <= base.max(Duration::from_nanos(1)) * LONGEST);
            }
        }
    }

    #[test]
    fn a_base_that_does_not_double_to_the_longest_ends_there() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        let waits = [99, 199, 399, 799, 999, 1000].map(|random| backoff.next(random).as_millis());
        assert_eq!(waits, [99, 199, 399, 799, 999, 0]);
    }

    #[test]
    fn the_upstream_says_when_to_come_back() {
        let seconds = ResetHeader {
            name: HeaderName::from_static("retry-after"),
            format: ResetFormat::Seconds,
        };
        let timestamp = ResetHeader {
            name: HeaderName::from_static("x-ratelimit-reset"),
            format: ResetFormat::UnixTimestamp,
        };
        let backoff = RateLimitedBackoff::new([seconds, timestamp]);
        let now = Duration::from_secs(1_000);
        for (name, value, expected) in [
            ("retry-after", "2", Some(2)),
            ("retry-after", "0", None),
            ("retry-after", "301", None),
            ("retry-after", "soon", None),
            ("x-ratelimit-reset", "1007", Some(7)),
            ("x-ratelimit-reset", "999", None),
            ("x-other", "5", None),
        ] {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            let wait = backoff.wait(&headers, now, 0);
            assert_eq!(wait, expected.map(Duration::from_secs), "{headers:?}");
        }
        let headers =
            HeaderMap::from_iter([("retry-after".parse().unwrap(), "4".parse().unwrap())]);
        let wait = backoff.wait(&headers, now, 1_999).unwrap();
        assert_eq!(wait, Duration::from_millis(5_999), "up to half of it again");
    }
}
