//! How many events there were lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Into how many parts the interval is cut. Events are forgotten part by part.
const PARTS: u64 = 16;

/// Counts the events of an interval that slides, without a lock.
///
/// An event counts for the interval, or a sixteenth of it less.
#[derive(Debug)]
pub(super) struct Recent {
    part: Duration,
    /// The number of a part in the upper half, and its events in the lower. A part has the place of
    /// the one that was an interval before it.
    parts: [AtomicU64; PARTS as usize],
}

impl Recent {
    /// No events yet. `None` if the interval has no length.
    pub(super) fn new(interval: Duration) -> Option<Self> {
        let part = interval / u32::try_from(PARTS).unwrap_or(u32::MAX);
        (!part.is_zero()).then_some(Self {
            part,
            parts: [const { AtomicU64::new(0) }; PARTS as usize],
        })
    }

    /// Counts an event at `now`, since a beginning that is always the same.
    pub(super) fn add(&self, now: Duration) {
        let number = self.number(now);
        let place = &self.parts[usize::try_from(number % PARTS).unwrap_or(0)];
        let counted = |old: u64| match old >> 32 == number {
            true => Some(old + 1),
            false => Some(number << 32 | 1),
        };
        // It always has a next value.
        let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// The events of the interval before `now`.
    pub(super) fn count(&self, now: Duration) -> u32 {
        let number = self.number(now);
        let parts = self.parts.iter().map(|part| part.load(Ordering::Relaxed));
        let recent = parts.filter(|part| number.saturating_sub(part >> 32) < PARTS);
        let count = recent.map(|part| part & u64::from(u32::MAX)).sum::<u64>();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The number of the part that `now` is in; not 0, which no part has.
    fn number(&self, now: Duration) -> u64 {
        let number = now.as_nanos() / self.part.as_nanos() + 1;
        u64::try_from(number).unwrap_or(u64::MAX) & u64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interval_of_no_length_counts_nothing() {
        assert!(Recent::new(Duration::ZERO).is_none());
        assert!(Recent::new(Duration::from_nanos(15)).is_none());
    }

    proptest! {
        #[test]
        fn events_count_for_the_interval(pauses in prop::collection::vec(0_u64..40, 1..200)) {
            let interval = Duration::from_millis(160);
            let recent = Recent::new(interval).unwrap();
            let (mut now, mut events) = (Duration::ZERO, VecDeque::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                recent.add(now);
                events.push_back(now);
                let within = |length: Duration| {
                    let young = events.iter().filter(|at| now - **at < length);
                    u32::try_from(young.count()).unwrap()
                };
                let (least, most) = (within(interval - interval / 16), within(interval));
                let count = recent.count(now);
                prop_assert!((least..=most).contains(&count), "{least} {count} {most}");
            }
        }
    }
}
