//! The time during which a certificate counts ([RFC 5280 section 4.1.2.5]).
//!
//! [RFC 5280 section 4.1.2.5]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_tls::validity::Validity;
//! use rustls_pki_types::UnixTime;
//!
//! let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
//! let day = Validity::new(at(0), at(86_400));
//! assert!(day.contains(at(86_400)) && !day.contains(at(86_401)));
//! assert_eq!(day.renew_at(0.5), at(43_200));
//! assert_eq!(day.remaining(at(86_000)), Duration::from_secs(400));
//! ```

use std::time::Duration;

use rustls_pki_types::UnixTime;

use crate::clock::part;

/// From when to when, both included, in seconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Validity {
    /// The time from `not_before` to `not_after`. If they are the wrong way round, it contains no
    /// instant.
    pub const fn new(not_before: UnixTime, not_after: UnixTime) -> Self {
        Self {
            not_before,
            not_after,
        }
    }

    /// The first second.
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last second.
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether the certificate counts at `now`.
    pub fn contains(&self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it counts no more.
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.not_after < now
    }

    /// How long it still counts, zero if it does no more.
    pub fn remaining(&self, now: UnixTime) -> Duration {
        Duration::from_secs(self.not_after.as_secs().saturating_sub(now.as_secs()))
    }

    /// How long it counts altogether.
    pub fn lifetime(&self) -> Duration {
        self.remaining(self.not_before)
    }

    /// When `fraction` of the lifetime is over: 0.5 is half of it. What is not between 0 and 1
    /// counts as the nearer of the two, and what is not a number as 0.
    pub fn renew_at(&self, fraction: f64) -> UnixTime {
        let elapsed = part(self.lifetime(), fraction);
        let elapsed = Duration::from_secs(elapsed.as_secs());
        let start = Duration::from_secs(self.not_before.as_secs());
        UnixTime::since_unix_epoch(start.saturating_add(elapsed))
    }

    /// The time that is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn a_certificate_is_renewed_while_it_counts(
            start in 0..u64::MAX / 2, length in 0..u64::from(u32::MAX), fraction in any::<f64>(),
        ) {
            let validity = Validity::new(at(start), at(start + length));
            prop_assert!(validity.contains(validity.renew_at(fraction)));
        }
    }

    #[test]
    fn the_longest_validity_ends_when_it_ends() {
        let validity = Validity::new(at(0), at(u64::MAX));
        assert_eq!(validity.renew_at(1.0), at(u64::MAX));
    }

    #[test]
    fn the_wrong_way_round_nothing_is_contained() {
        let validity = Validity::new(at(10), at(5));
        for now in 0..20 {
            assert!(!validity.contains(at(now)), "{now}");
        }
        assert_eq!(validity.lifetime(), Duration::ZERO);
        assert_eq!(validity.renew_at(0.5), at(10));
    }
}
