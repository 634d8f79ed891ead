use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::{Cause, OutlierSettings};

/// Who is ejected from a cluster, and until when. `K` names endpoints.
#[derive(Clone, Debug)]
pub struct Detector<K> {
    settings: OutlierSettings,
    next: Instant,
    records: HashMap<K, Record>,
    ejected: usize,
}

/// An ejection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ejection {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Instant,
    /// When its time is over. The endpoint returns at the first interval from then on.
    pub until: Instant,
}

/// Why an endpoint is not ejected although it failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotEjected {
    /// It is ejected already.
    #[error("it is ejected already")]
    Already,
    /// More endpoints would be ejected than may be.
    #[error("more than {max_ejection_percent} % of the endpoints would be ejected")]
    TooMany {
        /// The limit.
        max_ejection_percent: u32,
    },
}

/// What is known of an endpoint that was ejected before.
#[derive(Clone, Copy, Debug)]
struct Record {
    ejection: Option<Ejection>,
    returned: Option<Instant>,
    /// How long the next ejection takes, in units of the first. Envoy's `eject_time_backoff`.
    backoff: u32,
}

impl<K: Clone + Eq + Hash> Detector<K> {
    /// A detector that has ejected nobody. Its first interval begins `now`.
    pub fn new(settings: OutlierSettings, now: Instant) -> Self {
        let next = now + settings.interval;
        Self {
            settings,
            next,
            records: HashMap::new(),
            ejected: 0,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &OutlierSettings {
        &self.settings
    }

    /// Takes other settings. Ejections keep the time that they were given.
    pub fn set_settings(&mut self, settings: OutlierSettings, now: Instant) {
        self.next = self.next.min(now + settings.interval);
        self.settings = settings;
    }

    /// Ejects an endpoint that failed too often, one of `count` in its cluster.
    ///
    /// # Errors
    ///
    /// It is ejected already, or too many are.
    pub fn handle_trip(
        &mut self,
        key: K,
        cause: Cause,
        count: usize,
        now: Instant,
    ) -> Result<Ejection, NotEjected> {
        self.skip_intervals(now);
        if self.ejection(&key).is_some() {
            return Err(NotEjected::Already);
        }
        let percent = 100.0 * (self.ejected as f64 + 1.0) / count.max(1) as f64;
        if percent > f64::from(self.settings.max_ejection_percent) {
            return Err(NotEjected::TooMany {
                max_ejection_percent: self.settings.max_ejection_percent,
            });
        }
        let record = self.records.entry(key).or_insert(Record {
            ejection: None,
            returned: None,
            backoff: 0,
        });
        let base = self.settings.base_ejection_time;
        let longest = self.settings.max_ejection_time() + base;
        if base.saturating_mul(record.backoff) < longest {
            record.backoff += 1;
        }
        let ejection = Ejection {
            cause,
            since: now,
            until: now + self.settings.ejection_time(record.backoff),
        };
        record.ejection = Some(ejection);
        self.ejected += 1;
        Ok(ejection)
    }

    /// Decides for all intervals that ended up to `now`: who returns. Forget their errors then, see
    /// [`Monitor::reset`](super::Monitor::reset).
    pub fn handle_time(&mut self, now: Instant) -> Vec<K> {
        let mut returned = Vec::new();
        while self.next <= now && !self.records.is_empty() {
            self.end_interval(self.next, &mut returned);
            self.next += self.settings.interval;
        }
        self.skip_intervals(now);
        returned
    }

    /// Skips the intervals up to `now` at once if there is nobody to decide about.
    fn skip_intervals(&mut self, now: Instant) {
        if self.records.is_empty() && self.next <= now {
            let late = now.duration_since(self.next).as_nanos();
            let interval = self.settings.interval.as_nanos().max(1);
            let over = u64::try_from(late % interval).unwrap_or_default();
            self.next = now - Duration::from_nanos(over) + self.settings.interval;
        }
    }

    fn end_interval(&mut self, now: Instant, returned: &mut Vec<K>) {
        let interval = self.settings.interval;
        for (key, record) in &mut self.records {
            if record
                .ejection
                .is_some_and(|ejection| ejection.until <= now)
            {
                record.ejection = None;
                record.returned = Some(now);
                self.ejected -= 1;
                returned.push(key.clone());
            }
            let is_well = |returned| now.duration_since(returned) >= interval;
            if record.ejection.is_none() && record.returned.is_some_and(is_well) {
                record.backoff = record.backoff.saturating_sub(1);
            }
        }
        self.records
            .retain(|_, record| record.ejection.is_some() || record.backoff > 0);
    }

    /// Lets an endpoint return before its time, because a probe found it well. Says whether it was
    /// ejected.
    pub fn handle_recovery(&mut self, key: &K, now: Instant) -> bool {
        let Some(record) = self.records.get_mut(key) else {
            return false;
        };
        let was_ejected = record.ejection.take().is_some();
        if was_ejected {
            record.returned = Some(now);
            self.ejected -= 1;
        }
        was_ejected
    }

    /// Forgets an endpoint that is gone.
    pub fn remove(&mut self, key: &K) {
        let record = self.records.remove(key);
        if record.is_some_and(|record| record.ejection.is_some()) {
            self.ejected -= 1;
        }
    }

    /// The ejection of an endpoint, if it is ejected.
    pub fn ejection(&self, key: &K) -> Option<Ejection> {
        self.records.get(key)?.ejection
    }

    /// How many are ejected.
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// When [`handle_time`](Self::handle_time) has something to do next; `None` if nobody has been
    /// ejected.
    pub fn next_deadline(&self) -> Option<Instant> {
        (!self.records.is_empty()).then_some(self.next)
    }

    /// When an endpoint returns whose ejection ends at `until`: at the interval then or after.
    pub fn return_time(&self, until: Instant) -> Instant {
        let wait = until.saturating_duration_since(self.next);
        let interval = self.settings.interval.as_nanos().max(1);
        let intervals = wait.as_nanos().div_ceil(interval);
        let wait = u64::try_from(intervals * interval).unwrap_or(u64::MAX);
        self.next + Duration::from_nanos(wait)
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::istio::destination_rule::OutlierDetection;
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::now;

    const ANY: Cause = Cause::Consecutive5xx;

    #[test]
    fn each_ejection_takes_longer_and_each_good_interval_takes_one_off() {
        let start = now();
        let mut detector = detector(100, start);
        let after = |seconds| start + Duration::from_secs(seconds);
        // When it is ejected, and when it returns: multiples of 30 s, at intervals of 10 s.
        let cases = [
            (1, 40, "once, 30 s"),
            (41, 110, "twice, 60 s"),
            (111, 210, "three times, 90 s"),
        ];
        for (ejected, returns, name) in cases {
            detector.handle_trip(1, ANY, 2, after(ejected)).unwrap();
            assert!(
                detector.handle_time(after(returns - 1)).is_empty(),
                "{name}"
            );
            assert_eq!(detector.handle_time(after(returns)), [1], "{name}");
        }
        // Two good intervals, at 220 s and 230 s, leave one ejection of three.
        assert!(detector.handle_time(after(235)).is_empty());
        let ejection = detector.handle_trip(1, ANY, 2, after(235)).unwrap();
        assert_eq!(ejection.until, after(235 + 60));
        assert_eq!(detector.return_time(ejection.until), after(300));
    }

    #[test]
    fn an_endpoint_that_stays_well_is_forgotten() {
        let start = now();
        let mut detector = detector(100, start);
        detector.handle_trip(1, ANY, 2, start).unwrap();
        assert!(detector.next_deadline().is_some());
        assert_eq!(detector.handle_time(start + Duration::from_secs(1000)), [1]);
        assert_eq!(detector.next_deadline(), None);
        assert_eq!(detector.ejected(), 0);
    }

    #[test]
    fn no_more_than_the_percentage_are_ejected() {
        // Percentage, endpoints, how many can be ejected.
        let cases = [
            (10, 9, 0),
            (10, 10, 1),
            (10, 19, 1),
            (10, 20, 2),
            (50, 3, 1),
            (100, 3, 3),
        ];
        for (percent, count, expected) in cases {
            let start = now();
            let mut detector = detector(percent, start);
            for key in 0..count {
                let _ = detector.handle_trip(key, ANY, count as usize, start);
            }
            assert_eq!(detector.ejected(), expected, "{percent} % of {count}");
        }
    }

    #[test]
    fn who_is_gone_is_not_counted_and_who_is_ejected_is_not_ejected_again() {
        let start = now();
        let mut detector = detector(50, start);
        detector.handle_trip(1, ANY, 2, start).unwrap();
        assert_eq!(
            detector.handle_trip(1, ANY, 2, start),
            Err(NotEjected::Already)
        );
        let too_many = NotEjected::TooMany {
            max_ejection_percent: 50,
        };
        assert_eq!(detector.handle_trip(2, ANY, 2, start), Err(too_many));
        detector.remove(&1);
        assert!(detector.handle_trip(2, ANY, 2, start).is_ok());
        assert!(detector.handle_recovery(&2, start));
        assert_eq!(detector.ejected(), 0);
    }

    proptest! {
        /// Many intervals at once are the same as one after the other.
        #[test]
        fn it_does_not_matter_how_often_time_is_handled(
            trips in prop::collection::vec((0_u8..4, 0_u64..40), 1..30),
        ) {
            let start = now();
            let (mut often, mut seldom) = (detector(100, start), detector(100, start));
            let mut time = start;
            for (key, wait) in trips {
                for _ in 0..wait {
                    time += Duration::from_secs(1);
                    often.handle_time(time);
                }
                seldom.handle_time(time);
                let other = seldom.handle_trip(key, ANY, 4, time);
                prop_assert_eq!(often.handle_trip(key, ANY, 4, time), other);
                prop_assert_eq!(often.ejected(), seldom.ejected());
            }
        }
    }

    fn detector(max_ejection_percent: u32, now: Instant) -> Detector<u8> {
        let settings = OutlierSettings {
            max_ejection_percent,
            ..OutlierSettings::compile(&OutlierDetection::default())
        };
        Detector::new(settings, now)
    }
}
