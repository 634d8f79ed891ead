//! Waits between attempts that fail, further and further apart.

use std::time::Duration;

/// Doublings that cannot matter any more.
const MOST: u32 = 31;

/// The longest wait after `doublings` doublings of `base`, which is `max` at most.
pub(crate) fn longest(base: Duration, max: Duration, doublings: u32) -> Duration {
    base.saturating_mul(1 << doublings.min(MOST)).min(max)
}

/// A part of `whole` between its half and all of it, uniform in `random`, so that not all clients come
/// back at once.
#[cfg(any(feature = "connect", feature = "kubernetes"))]
pub(crate) fn half_or_more(whole: Duration, random: u64) -> Duration {
    whole / 2 + fraction(whole / 2, random)
}

/// A part of `whole`, uniform in `random`.
pub(crate) fn fraction(whole: Duration, random: u64) -> Duration {
    let nanos = (u128::from(random) * whole.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let (base, max) = (Duration::from_millis(25), Duration::from_secs(1));
        for (doublings, millis) in [(0, 25), (1, 50), (5, 800), (6, 1000), (u32::MAX, 1000)] {
            let wait = longest(base, max, doublings);
            assert_eq!(wait, Duration::from_millis(millis), "{doublings}");
        }
    }

    #[test]
    #[cfg(any(feature = "connect", feature = "kubernetes"))]
    fn chance_takes_no_more_than_half_of_a_wait() {
        let whole = Duration::from_secs(1);
        assert_eq!(half_or_more(whole, 0), whole / 2);
        let most = half_or_more(whole, u64::MAX);
        assert!(most <= whole && most > whole - Duration::from_micros(1));
    }
}
