//! Envoy's token bucket, without a lock.
//!
//! A bucket holds `max_tokens` at most and begins full. Envoy fills it evenly, `tokens_per_fill` in
//! each `fill_interval`, and no longer in steps: since 1.32 it has no fill timer, and a bucket of
//! 60 tokens a minute yields one each second. A request takes a whole token or none.
//!
//! All state is one number, the time at which the bucket was last empty, which requests move forward
//! by an atomic exchange.
//!
//! Source: `AtomicTokenBucketImpl` in Envoy's `source/common/common/token_bucket_impl.h`.
//!
//! # Example
//!
//! ```
//! # use tokio::time::Instant as Clock;
//! use std::time::Duration;
//!
//! use mesh_policy::rate_limit::token_bucket::{TokenBucket, TokenBucketSettings};
//!
//! # fn main() -> Result<(), mesh_policy::rate_limit::token_bucket::TokenBucketError> {
//! let now = Clock::now().into_std();
//! let minute = Duration::from_secs(60);
//! let bucket = TokenBucket::new(TokenBucketSettings::new(2, 2, minute)?, now);
//!
//! assert!(bucket.take(now) && bucket.take(now));
//! assert!(!bucket.take(now + minute / 3));
//! assert!(bucket.take(now + minute / 2));
//! # Ok(())
//! # }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Envoy fills no bucket more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

/// What the arithmetic of floats may lose of a token.
const TOLERANCE: f64 = 1e-6;

/// How large a bucket is, and how fast it fills.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenBucketSettings {
    max_tokens: u32,
    tokens_per_fill: u32,
    fill_interval: Duration,
}

impl TokenBucketSettings {
    /// A bucket of `max_tokens` that gets `tokens_per_fill` in each `fill_interval`.
    ///
    /// # Errors
    ///
    /// As Envoy: a number of tokens is zero, or the interval is shorter than 50 ms.
    pub fn new(
        max_tokens: u32,
        tokens_per_fill: u32,
        fill_interval: Duration,
    ) -> Result<Self, TokenBucketError> {
        if max_tokens == 0 || tokens_per_fill == 0 {
            return Err(TokenBucketError::NoTokens);
        }
        if fill_interval < SHORTEST_INTERVAL {
            return Err(TokenBucketError::IntervalTooShort { fill_interval });
        }
        Ok(Self {
            max_tokens,
            tokens_per_fill,
            fill_interval,
        })
    }

    /// The size of the bucket.
    pub fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    /// Tokens that come in a second.
    pub fn fill_rate(&self) -> f64 {
        f64::from(self.tokens_per_fill) / self.fill_interval.as_secs_f64()
    }
}

/// Tokens that requests take. Shared by reference.
///
/// See the [module docs](self) for an example.
#[derive(Debug)]
pub struct TokenBucket {
    settings: TokenBucketSettings,
    rate: f64,
    start: Instant,
    /// Bits of the seconds after `start` at which the bucket was last empty, or would have been.
    empty_at: AtomicU64,
}

impl TokenBucket {
    /// A bucket that is full at `now`.
    pub fn new(settings: TokenBucketSettings, now: Instant) -> Self {
        let rate = settings.fill_rate();
        let empty_at = -f64::from(settings.max_tokens) / rate;
        Self {
            settings,
            rate,
            start: now,
            empty_at: AtomicU64::new(empty_at.to_bits()),
        }
    }

    /// How large it is, and how fast it fills.
    pub fn settings(&self) -> &TokenBucketSettings {
        &self.settings
    }

    /// Takes a token at `now`. Returns whether there was one.
    pub fn take(&self, now: Instant) -> bool {
        let now = self.seconds(now);
        let taken = self
            .empty_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
                let left = self.tokens(now, f64::from_bits(empty_at)) - 1.0;
                let empty_at = now - left.max(0.0) / self.rate;
                (left > -TOLERANCE).then_some(empty_at.to_bits())
            });
        taken.is_ok()
    }

    /// Whole tokens that are there at `now`.
    pub fn remaining(&self, now: Instant) -> u32 {
        let empty_at = f64::from_bits(self.empty_at.load(Ordering::Relaxed));
        // Casts of floats saturate and drop the fraction.
        (self.tokens(self.seconds(now), empty_at) + TOLERANCE) as u32
    }

    /// How long from `now` until there is a token.
    pub fn next_token(&self, now: Instant) -> Duration {
        let empty_at = f64::from_bits(self.empty_at.load(Ordering::Relaxed));
        let missing = 1.0 - self.tokens(self.seconds(now), empty_at);
        if missing < TOLERANCE {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.rate).unwrap_or(Duration::MAX)
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.start).as_secs_f64()
    }

    fn tokens(&self, now: f64, empty_at: f64) -> f64 {
        ((now - empty_at) * self.rate).clamp(0.0, f64::from(self.settings.max_tokens))
    }
}

/// Why a bucket is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenBucketError {
    /// The bucket fills more often than Envoy accepts.
    #[error("fill interval of {} ms is shorter than 50 ms", fill_interval.as_millis())]
    IntervalTooShort {
        /// The interval.
        fill_interval: Duration,
    },
    /// The bucket never has a token.
    #[error("a bucket needs tokens, and tokens to fill it with")]
    NoTokens,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn bucket(max: u32, per_fill: u32, millis: u64, now: Instant) -> TokenBucket {
        let interval = Duration::from_millis(millis);
        TokenBucket::new(
            TokenBucketSettings::new(max, per_fill, interval).unwrap(),
            now,
        )
    }

    #[test]
    fn a_bucket_begins_full_and_holds_no_more() {
        let now = start();
        for now in [now, now + Duration::from_secs(100_000)] {
            let bucket = bucket(4, 4, 60_000, start());
            let taken = (0..10).filter(|_| bucket.take(now)).count();
            assert_eq!(taken, 4);
            assert_eq!(bucket.remaining(now), 0);
        }
    }

    #[test]
    fn it_fills_evenly() {
        let now = start();
        let bucket = bucket(4, 4, 60_000, now);
        while bucket.take(now) {}
        assert_eq!(bucket.next_token(now), Duration::from_secs(15));
        let later = now + Duration::from_secs(30);
        assert_eq!(bucket.remaining(later), 2);
        assert!(bucket.take(later) && bucket.take(later) && !bucket.take(later));
    }

    #[test]
    fn a_clock_that_goes_back_yields_nothing() {
        let now = start() + Duration::from_secs(10);
        let bucket = bucket(1, 1, 1000, now);
        assert!(bucket.take(now));
        assert!(!bucket.take(now - Duration::from_secs(5)));
        assert!(bucket.take(now + Duration::from_secs(1)));
    }

    #[test]
    fn settings_that_envoy_refuses_are_refused() {
        let second = Duration::from_secs(1);
        let fill_interval = Duration::from_millis(49);
        for (max, per_fill, interval, expected) in [
            (0, 1, second, TokenBucketError::NoTokens),
            (1, 0, second, TokenBucketError::NoTokens),
            (
                1,
                1,
                fill_interval,
                TokenBucketError::IntervalTooShort { fill_interval },
            ),
        ] {
            let refused = TokenBucketSettings::new(max, per_fill, interval);
            assert_eq!(refused.unwrap_err(), expected);
        }
    }

    #[test]
    fn threads_take_no_token_twice() {
        let now = start();
        let (bucket, taken) = (bucket(1000, 1, 60_000, now), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mine = (0..400).filter(|_| bucket.take(now)).count();
                    taken.fetch_add(mine as u32, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(taken.into_inner(), 1000);
    }

    proptest! {
        #[test]
        fn no_more_is_taken_than_was_there_and_came(
            (max, per_fill, millis) in (1_u32..20, 1_u32..20, 50_u64..5000),
            steps in proptest::collection::vec(0_u64..3000, 1..200),
        ) {
            let mut now = start();
            let (bucket, begin) = (bucket(max, per_fill, millis, now), now);
            let mut taken = 0_u32;
            for step in steps {
                now += Duration::from_millis(step);
                taken += u32::from(bucket.take(now));
                let came = (now - begin).as_secs_f64() * bucket.settings().fill_rate();
                prop_assert!(f64::from(taken) <= f64::from(max) + came + 0.001);
            }
        }

        #[test]
        fn who_waits_as_long_as_told_gets_a_token(
            (max, per_fill, millis) in (1_u32..20, 1_u32..1000, 50_u64..100_000),
        ) {
            let now = start();
            let bucket = bucket(max, per_fill, millis, now);
            while bucket.take(now) {}
            let wait = bucket.next_token(now);
            prop_assert!(bucket.take(now + wait + Duration::from_nanos(1)));
        }
    }
}
