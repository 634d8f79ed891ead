//! Series of metrics by their labels, recorded without a lock.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::keys::Keys;
use super::labels::Values;

/// Envoy's default buckets, for milliseconds and bytes alike.
pub(super) const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Values counted by their size.
pub(super) struct Histogram {
    buckets: Arc<[f64]>,
    /// A count for each bucket, and one for what is larger.
    counts: Box<[AtomicU64]>,
    /// Bits of a float.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(buckets: Arc<[f64]>) -> Self {
        let counts = (0..=buckets.len()).map(|_| AtomicU64::new(0)).collect();
        let sum = AtomicU64::new(0.0_f64.to_bits());
        Self {
            buckets,
            counts,
            sum,
        }
    }

    pub(super) fn record(&self, value: f64) {
        let bucket = self.buckets.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // The closure never declines, so the update never fails.
        let _ = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(super) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }

    /// The bound of each bucket, infinity at last, and what was counted in it.
    pub(super) fn counts(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.buckets.iter().copied().chain([f64::INFINITY]);
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        bounds.zip(counts)
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("sum", &self.sum())
            .finish_non_exhaustive()
    }
}

/// What is known of an exchange when it is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Measures {
    pub(super) duration: Duration,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// gRPC messages each way; `None` if it is not gRPC.
    pub(super) messages: Option<(u64, u64)>,
}

/// What is recorded of the exchanges with the same labels.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Values,
    pub(super) requests: AtomicU64,
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
    pub(super) request_messages: AtomicU64,
    pub(super) response_messages: AtomicU64,
    has_messages: AtomicBool,
    pub(super) tcp: TcpCounts,
}

/// What is recorded of TCP connections with the same labels.
#[derive(Debug, Default)]
pub(super) struct TcpCounts {
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Series {
    fn new(labels: Values, buckets: &Arc<[f64]>) -> Self {
        let histogram = || Histogram::new(Arc::clone(buckets));
        Self {
            labels,
            requests: AtomicU64::new(0),
            duration: histogram(),
            request_bytes: histogram(),
            response_bytes: histogram(),
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
            has_messages: AtomicBool::new(false),
            tcp: TcpCounts::default(),
        }
    }

    /// Whether any of the exchanges was gRPC. Labels need not say which are.
    pub(super) fn has_messages(&self) -> bool {
        self.has_messages.load(Ordering::Relaxed)
    }

    pub(super) fn record(&self, measures: &Measures) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Envoy measures in whole milliseconds.
        self.duration.record(measures.duration.as_millis() as f64);
        self.request_bytes.record(measures.request_bytes as f64);
        self.response_bytes.record(measures.response_bytes as f64);
        if let Some((requests, responses)) = measures.messages {
            if !self.has_messages() {
                self.has_messages.store(true, Ordering::Relaxed);
            }
            self.request_messages.fetch_add(requests, Ordering::Relaxed);
            self.response_messages
                .fetch_add(responses, Ordering::Relaxed);
        }
    }
}

/// The series of a plan of labels, by the keys of the exchanges. Several keys may have one.
///
/// A series is looked up without a lock, and added with one, which is rare. Beyond the limit no series is
/// added, and exchanges with new labels are counted together.
#[derive(Debug)]
pub(super) struct Table {
    series: Keys<Arc<Series>>,
    /// What takes what is too much.
    rest: OnceLock<Arc<Series>>,
    added: Mutex<Added>,
    buckets: Arc<[f64]>,
    limit: usize,
}

/// What is looked at when something is added.
#[derive(Debug, Default)]
struct Added {
    keys: usize,
    labels: HashSet<ByLabels, RandomState>,
}

/// A series, told by its labels.
#[derive(Debug)]
struct ByLabels(Arc<Series>);

impl Borrow<[Box<str>]> for ByLabels {
    fn borrow(&self) -> &[Box<str>] {
        &self.0.labels
    }
}

impl Hash for ByLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.hash(state);
    }
}

impl PartialEq for ByLabels {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels == other.0.labels
    }
}

impl Eq for ByLabels {}

impl Table {
    pub(super) fn new(buckets: Arc<[f64]>, limit: usize) -> Self {
        Self {
            series: Keys::new(),
            rest: OnceLock::new(),
            added: Mutex::default(),
            buckets,
            limit,
        }
    }

    /// The same without what has been recorded, with other buckets or another limit.
    pub(super) fn anew(&self, buckets: Option<&Arc<[f64]>>, limit: Option<usize>) -> Self {
        let buckets = buckets.unwrap_or(&self.buckets);
        Self::new(Arc::clone(buckets), limit.unwrap_or(self.limit))
    }

    /// Records an exchange whose key is `key`. Its series has the labels that are made first, or the
    /// second if there are too many already.
    pub(super) fn record(
        &self,
        key: &[u8],
        labels: (impl FnOnce() -> Values, impl FnOnce() -> Values),
        measures: &Measures,
    ) {
        match self.series.get(key) {
            Some(series) => series.record(measures),
            None => self.find_or_add(key, labels).record(measures),
        }
    }

    /// The series whose key is `key`, see [`record`](Self::record). Takes a lock only if one is added.
    pub(super) fn find_or_add(
        &self,
        key: &[u8],
        (labels, rest): (impl FnOnce() -> Values, impl FnOnce() -> Values),
    ) -> Arc<Series> {
        if let Some(series) = self.series.get(key) {
            return Arc::clone(series);
        }
        // Nothing is ever taken out: once there is the rest, there is room for no other.
        let known = self.rest.get().map(Arc::clone);
        let found = known.or_else(|| self.add(key, labels));
        found.unwrap_or_else(|| {
            let rest = || Arc::new(Series::new(rest(), &self.buckets));
            Arc::clone(self.rest.get_or_init(rest))
        })
    }

    /// The series of `key`, which is added if there is room.
    fn add(&self, key: &[u8], labels: impl FnOnce() -> Values) -> Option<Arc<Series>> {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = self.series.get(key) {
            return Some(Arc::clone(series));
        }
        if added.keys >= self.limit {
            return None;
        }
        let labels = labels();
        // Labels may say less than the key.
        let known = added.labels.get(&*labels).map(|known| Arc::clone(&known.0));
        let series = known.unwrap_or_else(|| {
            let series = Arc::new(Series::new(labels, &self.buckets));
            added.labels.insert(ByLabels(Arc::clone(&series)));
            series
        });
        self.series.add(key, Arc::clone(&series), added.keys);
        added.keys += 1;
        Some(series)
    }

    /// All series, in the order of their labels.
    pub(super) fn series(&self) -> Vec<Arc<Series>> {
        let all = self.series.values().chain(self.rest.get());
        let mut series: Vec<_> = all.map(Arc::clone).collect();
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        series.dedup_by(|one, other| Arc::ptr_eq(one, other));
        series
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn table(limit: usize) -> Table {
        Table::new(BUCKETS.into(), limit)
    }

    /// Records exchanges of one label, whose value is also the key.
    fn record(table: &Table, value: &str) {
        let labels = (
            || Values::from([value.into()]),
            || Values::from(["rest".into()]),
        );
        table.record(value.as_bytes(), labels, &Measures::default());
    }

    /// The labels of the series, and how many exchanges each has.
    pub(in super::super) fn counted(table: &Table) -> Vec<(String, u64)> {
        let series = table.series().into_iter().map(|series| {
            let count = series.requests.load(Ordering::Relaxed);
            (series.labels.join("/"), count)
        });
        series.collect()
    }

    #[test]
    fn exchanges_with_the_same_labels_are_counted_together() {
        let table = table(10);
        for value in ["a", "a", "b"] {
            record(&table, value);
        }
        assert_eq!(counted(&table), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    }

    #[test]
    fn beyond_the_limit_new_labels_share_a_series() {
        let table = table(2);
        for value in ["a", "b", "c", "d", "a"] {
            record(&table, value);
        }
        let expected = [("a", 2), ("b", 1), ("rest", 2)];
        let expected = expected.map(|(label, count)| (label.to_owned(), count));
        assert_eq!(counted(&table), expected);
    }

    #[test]
    fn beyond_the_limit_nothing_is_locked() {
        let table = Arc::new(table(1));
        for value in ["a", "b"] {
            record(&table, value);
        }
        let _locked = table.added.lock().unwrap();
        let (tell, done) = std::sync::mpsc::channel();
        let full = Arc::clone(&table);
        std::thread::spawn(move || {
            record(&full, "c");
            tell.send(()).unwrap();
        });
        done.recv_timeout(Duration::from_secs(60)).unwrap();
        let rest = ("rest".to_owned(), 2);
        assert_eq!(counted(&table), [("a".to_owned(), 1), rest]);
    }

    #[test]
    fn keys_with_the_same_labels_share_a_series() {
        let table = table(10);
        for key in ["a", "b", "c"] {
            let labels = (|| Values::from(["one".into()]), || unreachable!());
            table.record(key.as_bytes(), labels, &Measures::default());
        }
        assert_eq!(counted(&table), [("one".to_owned(), 3)]);
    }

    #[test]
    fn messages_are_counted_whichever_exchange_of_a_series_comes_first() {
        let table = table(10);
        for messages in [None, Some((2, 3)), None] {
            let labels = (|| Values::from(["one".into()]), || unreachable!());
            let measures = Measures {
                messages,
                ..Measures::default()
            };
            table.record(b"one", labels, &measures);
        }
        let [series] = &table.series()[..] else {
            panic!("{table:?}");
        };
        assert!(series.has_messages());
        assert_eq!(series.response_messages.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn values_are_counted_in_the_first_bucket_that_holds_them() {
        let histogram = Histogram::new([1.0, 10.0].into());
        for value in [0.0, 1.0, 1.5, 10.0, 11.0] {
            histogram.record(value);
        }
        let counts: Vec<_> = histogram.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert_eq!(histogram.sum(), 23.5);
    }

    #[test]
    fn threads_lose_no_count() {
        let table = table(100);
        let record_all = || {
            for number in 0..1000_u32 {
                record(&table, &(number % 7).to_string());
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(record_all);
            }
        });
        let counts = table
            .series()
            .into_iter()
            .map(|series| series.requests.load(Ordering::Relaxed));
        assert_eq!(counts.sum::<u64>(), 4000);
    }
}
