//! A ring of hashes, as ketama builds it and Envoy does.
//!
//! Each host has positions on a ring, in proportion to its weight. A request goes to the host at
//! the first position that is not before the hash of its key. When a host comes or goes, only the
//! keys next to its positions move.
//!
//! A position is the xxHash64 of `address_n`, n counting the positions of the host. The lightest
//! host gets a whole number of them, so that the ring has at least `minimum_ring_size` positions
//! and at most [`MAX_RING_SIZE`]. (Envoy's [`RingHashLbConfig`].)
//!
//! Building costs O(n log n) in the size of the ring, a pick O(log n). The versions of a ring that
//! are made from each other share most of their positions, so that one with some more or less costs
//! little.
//!
//! [`RingHashLbConfig`]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers#ring-hash
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::ring_hash::RingHash;
//!
//! let hosts = [("127.0.0.1:90", 0.5), ("127.0.0.1:91", 0.5)];
//! let ring = RingHash::new(hosts, 12);
//! let host = ring.pick(7, 0).unwrap();
//! assert!(host < 2);
//! assert_eq!(ring.pick(7, 0), Some(host), "the same hash finds the same host");
//! ```

use std::fmt::Write;
use std::sync::Arc;

use crate::balance::hash::xxhash64;

/// Positions of a ring whose size is not set (Istio's default).
pub const DEFAULT_MINIMUM_RING_SIZE: u64 = 1024;

/// Most positions of a ring (Envoy's default for `maximum_ring_size`).
pub const MAX_RING_SIZE: u64 = 8 * 1024 * 1024;

/// Fewest positions that are copied when one comes or goes.
const LEAST_CHUNK: usize = 256;

/// A compiled ring.
#[derive(Clone, Debug)]
pub struct RingHash {
    /// All positions in their order. No chunk is empty.
    chunks: Vec<Chunk>,
    len: usize,
    /// Positions from which on a chunk is divided.
    longest: usize,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// The hash of its last position.
    last: u64,
    positions: Arc<Vec<Position>>,
}

impl Chunk {
    fn new(positions: &[Position]) -> Self {
        Self {
            last: positions.last().map_or(0, |last| last.hash),
            positions: Arc::new(positions.to_vec()),
        }
    }
}

/// A position on the ring.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// Where it is.
    pub hash: u64,
    /// Index of its host.
    pub host: u32,
}

impl RingHash {
    /// A ring of hosts with xxHash64: the key of each, which is its address, and its share of the
    /// weight of all. Shares sum up to 1; hosts whose share is not above 0 have no position.
    pub fn new<K: AsRef<str>>(
        hosts: impl IntoIterator<Item = (K, f64)>,
        minimum_ring_size: u64,
    ) -> Self {
        Self::with_hash(hosts, minimum_ring_size, xxhash64)
    }

    /// [`new`](Self::new) with another hash function.
    pub fn with_hash<K: AsRef<str>>(
        hosts: impl IntoIterator<Item = (K, f64)>,
        minimum_ring_size: u64,
        hash: impl Fn(&[u8]) -> u64,
    ) -> Self {
        let hosts: Vec<(K, f64)> = hosts.into_iter().collect();
        let scale = scale(hosts.iter().map(|(_, share)| *share), minimum_ring_size);
        let mut positions = Vec::with_capacity(scale.ceil() as usize);
        let (mut placed, mut target) = (0.0, 0.0);
        let mut key = String::new();
        for (index, (name, share)) in hosts.iter().enumerate() {
            let host = u32::try_from(index).unwrap_or(u32::MAX);
            target += scale * share;
            let mut number = 0_u64;
            while placed < target {
                let hash = hash(position_key(&mut key, name.as_ref(), number));
                positions.push(Position { hash, host });
                placed += 1.0;
                number += 1;
            }
        }
        Self::of_positions(positions)
    }

    fn of_positions(mut positions: Vec<Position>) -> Self {
        positions.sort_unstable();
        // As many chunks as positions in each, so that neither costs more than the other.
        let chunk = positions.len().isqrt().max(LEAST_CHUNK);
        Self {
            chunks: positions.chunks(chunk).map(Chunk::new).collect(),
            len: positions.len(),
            longest: 2 * chunk,
        }
    }

    /// The index of the host for `hash`; `None` if the ring is empty.
    ///
    /// `attempt` counts the hosts that were picked before and not accepted: each moves on by one
    /// position, which may belong to the same host.
    pub fn pick(&self, hash: u64, attempt: u32) -> Option<usize> {
        let mut left = (attempt as usize).checked_rem(self.len)?;
        let mut number = self.chunks.partition_point(|chunk| chunk.last < hash);
        match self.chunks.get(number) {
            Some(chunk) => left += chunk.positions.partition_point(|one| one.hash < hash),
            None => number = 0,
        }
        loop {
            let positions = &self.chunks.get(number)?.positions;
            if let Some(position) = positions.get(left) {
                return Some(position.host as usize);
            }
            left -= positions.len();
            number = (number + 1) % self.chunks.len();
        }
    }

    /// The positions in their order.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        let chunks = self.chunks.iter();
        chunks.flat_map(|chunk| chunk.positions.iter())
    }

    /// How many positions there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, position: Position) {
        self.len += 1;
        let Some(last) = self.chunks.len().checked_sub(1) else {
            self.chunks.push(Chunk::new(&[position]));
            return;
        };
        let number = self.find(position).min(last);
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let positions = Arc::make_mut(&mut chunk.positions);
        let index = positions.partition_point(|one| *one < position);
        positions.insert(index, position);
        chunk.last = chunk.last.max(position.hash);
        if positions.len() > self.longest {
            let (first, second) = positions.split_at(positions.len() / 2);
            let halves = [Chunk::new(first), Chunk::new(second)];
            self.chunks.splice(number..=number, halves);
        }
    }

    /// Removes a position, if it is there.
    pub(crate) fn remove(&mut self, position: Position) {
        let number = self.find(position);
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let Ok(index) = chunk.positions.binary_search(&position) else {
            return;
        };
        let positions = Arc::make_mut(&mut chunk.positions);
        positions.remove(index);
        self.len -= 1;
        match positions.last() {
            Some(last) => chunk.last = last.hash,
            None => drop(self.chunks.remove(number)),
        }
    }

    /// The chunk that has the position, or would have it: the first that does not end before.
    fn find(&self, position: Position) -> usize {
        let ends_before = |chunk: &Chunk| {
            let last = chunk.positions.last();
            last.is_some_and(|last| *last < position)
        };
        self.chunks.partition_point(ends_before)
    }
}

impl PartialEq for RingHash {
    fn eq(&self, other: &Self) -> bool {
        self.positions().eq(other.positions())
    }
}

impl Eq for RingHash {}

/// What is hashed for the position `number` of the host `name`, written to `key`.
pub(crate) fn position_key<'a>(key: &'a mut String, name: &str, number: u64) -> &'a [u8] {
    key.clear();
    // Writing to a string does not fail.
    let _ = write!(key, "{name}_{number}");
    key.as_bytes()
}

/// How many positions there would be for a host of share 1.
pub(crate) fn scale(shares: impl Iterator<Item = f64>, minimum: u64) -> f64 {
    let positive = shares.filter(|share| *share > 0.0);
    let lightest = positive.fold(f64::INFINITY, f64::min);
    if lightest.is_infinite() {
        return 0.0;
    }
    let minimum = minimum.clamp(1, MAX_RING_SIZE) as f64;
    ((lightest * minimum).ceil() / lightest).min(MAX_RING_SIZE as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn positions_are_those_of_ketama_in_envoy() {
        let hosts = (90..96).map(|port| (format!("127.0.0.1:{port}"), 1.0 / 6.0));
        let ring = RingHash::new(hosts, 12);
        let first: Vec<(u64, u32)> = ring
            .positions()
            .take(3)
            .map(|position| (position.hash, position.host))
            .collect();
        let expected = [
            (833_437_586_790_550_860, 4),
            (928_266_305_478_181_108, 2),
            (1_033_482_794_131_418_490, 0),
        ];
        assert_eq!(first, expected);
        assert_eq!(ring.len(), 12);
        assert_eq!(ring.pick(u64::MAX, 0), Some(4), "the ring is closed");
        assert_eq!(ring.pick(0, 1), Some(2), "a further attempt moves on");
    }

    #[test]
    fn an_empty_ring_picks_nobody() {
        assert_eq!(RingHash::new([("a", 0.0); 0], 12).pick(0, 0), None);
        assert_eq!(RingHash::new([("a", 0.0)], 12).pick(0, 0), None);
        assert!(RingHash::new([("a", 0.0)], 12).is_empty());
    }

    proptest! {
        #[test]
        fn positions_are_in_proportion_to_shares(weights in prop::collection::vec(1_u32..50, 1..9)) {
            let total = f64::from(weights.iter().sum::<u32>());
            let hosts = weights.iter().enumerate();
            let hosts = hosts.map(|(index, weight)| (index.to_string(), f64::from(*weight) / total));
            let ring = RingHash::new(hosts, 1024);
            let size = ring.len() as f64;
            for (index, weight) in weights.iter().enumerate() {
                let own = ring.positions().filter(|position| position.host as usize == index);
                let expected = size * f64::from(*weight) / total;
                prop_assert!((own.count() as f64 - expected).abs() <= 2.0);
            }
        }

        #[test]
        fn a_pick_is_a_scan(hash: u64, hosts in 1_u32..2000, attempt in 0_u32..4000) {
            let share = 1.0 / f64::from(hosts);
            let ring = RingHash::new((0..hosts).map(|host| (host.to_string(), share)), 70);
            let all: Vec<&Position> = ring.positions().collect();
            let first = all.iter().position(|position| position.hash >= hash).unwrap_or(0);
            let found = all[(first + attempt as usize) % all.len()].host as usize;
            prop_assert_eq!(ring.pick(hash, attempt), Some(found));
        }

        #[test]
        fn positions_come_and_go_as_in_a_sorted_list(
            initial in prop::collection::btree_set((0_u64..2000, 0_u32..2), 0..1200),
            changes in prop::collection::vec((any::<bool>(), 0_u64..2000, 0_u32..2), 0..600),
        ) {
            let position = |(hash, host)| Position { hash, host };
            let mut expected = initial;
            let mut ring = RingHash::of_positions(expected.iter().copied().map(position).collect());
            let (before, untouched) = (expected.clone(), ring.clone());
            for (inserts, hash, host) in changes {
                if !inserts {
                    expected.remove(&(hash, host));
                    ring.remove(Position { hash, host });
                } else if expected.insert((hash, host)) {
                    ring.insert(Position { hash, host });
                }
                prop_assert_eq!(ring.len(), expected.len());
            }
            let of = |ring: &RingHash| -> Vec<Position> { ring.positions().copied().collect() };
            prop_assert_eq!(of(&ring), expected.iter().copied().map(position).collect::<Vec<_>>());
            prop_assert_eq!(of(&untouched), before.iter().copied().map(position).collect::<Vec<_>>());
            for hash in [0, 1000, 1999, 5000] {
                let after = expected.range((hash, 0)..).next().or_else(|| expected.first());
                let found = after.map(|(_, host)| *host as usize);
                prop_assert_eq!(ring.pick(hash, 0), found);
            }
        }
    }
}
