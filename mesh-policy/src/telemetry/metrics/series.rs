//! Series of metrics by their labels, recorded without a lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use mesh_core::watch::{self, Publisher, Watch};

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
    pub(super) is_grpc: bool,
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
    fn new(labels: Values, buckets: &Arc<[f64]>, is_grpc: bool) -> Self {
        let histogram = || Histogram::new(Arc::clone(buckets));
        Self {
            labels,
            requests: AtomicU64::new(0),
            duration: histogram(),
            request_bytes: histogram(),
            response_bytes: histogram(),
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
            is_grpc,
            tcp: TcpCounts::default(),
        }
    }

    pub(super) fn record(&self, measures: &Measures) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Envoy measures in whole milliseconds.
        self.duration.record(measures.duration.as_millis() as f64);
        self.request_bytes.record(measures.request_bytes as f64);
        self.response_bytes.record(measures.response_bytes as f64);
        if let Some((requests, responses)) = measures.messages {
            self.request_messages.fetch_add(requests, Ordering::Relaxed);
            self.response_messages
                .fetch_add(responses, Ordering::Relaxed);
        }
    }
}

/// The key of the series that takes what is too much. No other begins with a byte that no text has.
const REST: [u8; 1] = [0xfe];

type ByKey = HashMap<Box<[u8]>, Arc<Series>, RandomState>;

/// The series of a plan of labels, by the keys of the exchanges. Several keys may have one.
///
/// Series are looked up in a map that is replaced whole when one is added, which is rare. Beyond the
/// limit no series is added, and exchanges with new labels are counted together.
#[derive(Debug)]
pub(super) struct Table {
    current: Watch<ByKey>,
    next: Mutex<Publisher<ByKey>>,
    buckets: Arc<[f64]>,
    limit: usize,
}

impl Table {
    pub(super) fn new(buckets: Arc<[f64]>, limit: usize) -> Self {
        let (publisher, current) = watch::channel(ByKey::default());
        Self {
            current,
            next: Mutex::new(publisher),
            buckets,
            limit,
        }
    }

    /// Records an exchange whose key is `key`. Its series has the labels that are made first, or the
    /// second if there are too many already.
    pub(super) fn record(
        &self,
        key: &[u8],
        labels: (impl FnOnce() -> Values, impl FnOnce() -> Values),
        measures: &Measures,
    ) {
        if let Some(series) = self.current.load().get(key) {
            return series.record(measures);
        }
        if let Some(series) = self.find_or_add(key, labels, measures.messages.is_some()) {
            series.record(measures);
        }
    }

    /// The series whose key is `key`, see [`record`](Self::record). Takes a lock only if one is added.
    pub(super) fn find_or_add(
        &self,
        key: &[u8],
        (labels, rest): (impl FnOnce() -> Values, impl FnOnce() -> Values),
        is_grpc: bool,
    ) -> Option<Arc<Series>> {
        if let Some(series) = self.current.load().get(key) {
            return Some(Arc::clone(series));
        }
        // Nothing is ever taken out: once there is the rest, there is room for no other.
        if let Some(rest) = self.current.load().get(REST.as_slice()) {
            return Some(Arc::clone(rest));
        }
        let added = self.add(key, labels, is_grpc, self.limit);
        added.or_else(|| self.add(&REST, rest, is_grpc, self.limit.saturating_add(1)))
    }

    /// The series of `key`, which is added unless there are `most` already.
    fn add(
        &self,
        key: &[u8],
        labels: impl FnOnce() -> Values,
        is_grpc: bool,
        most: usize,
    ) -> Option<Arc<Series>> {
        let publisher = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load_full();
        if let Some(series) = current.get(key) {
            return Some(Arc::clone(series));
        }
        if current.len() >= most {
            return None;
        }
        let labels = labels();
        // Labels may say less than the key.
        let known = current.values().find(|series| series.labels == labels);
        let series = known.map_or_else(
            || Arc::new(Series::new(labels, &self.buckets, is_grpc)),
            Arc::clone,
        );
        let mut next = ByKey::clone(&current);
        next.insert(key.into(), Arc::clone(&series));
        publisher.publish(next);
        Some(series)
    }

    /// All series, in the order of their labels.
    pub(super) fn series(&self) -> Vec<Arc<Series>> {
        let mut series: Vec<_> = self.current.load().values().map(Arc::clone).collect();
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
        let _locked = table.next.lock().unwrap();
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
