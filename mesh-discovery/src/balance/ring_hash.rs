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
//! Building costs O(n log n) in the size of the ring, a pick O(log n).
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

use crate::balance::hash::xxhash64;

/// Positions of a ring whose size is not set (Istio's default).
pub const DEFAULT_MINIMUM_RING_SIZE: u64 = 1024;

/// Most positions of a ring (Envoy's default for `maximum_ring_size`).
pub const MAX_RING_SIZE: u64 = 8 * 1024 * 1024;

/// A compiled ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RingHash {
    positions: Box<[Position]>,
}

/// A position on the ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
                key.clear();
                // Writing to a string does not fail.
                let _ = write!(key, "{}_{number}", name.as_ref());
                let hash = hash(key.as_bytes());
                positions.push(Position { hash, host });
                placed += 1.0;
                number += 1;
            }
        }
        positions.sort_unstable_by_key(|position| (position.hash, position.host));
        Self {
            positions: positions.into(),
        }
    }

    /// The index of the host for `hash`; `None` if the ring is empty.
    ///
    /// `attempt` counts the hosts that were picked before and not accepted: each moves on by one
    /// position, which may belong to the same host.
    pub fn pick(&self, hash: u64, attempt: u32) -> Option<usize> {
        let first = self
            .positions
            .partition_point(|position| position.hash < hash);
        let index = first.checked_add(attempt as usize)?;
        let index = index.checked_rem(self.positions.len())?;
        self.positions
            .get(index)
            .map(|position| position.host as usize)
    }

    /// The positions in their order.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }
}

/// How many positions there would be for a host of share 1.
fn scale(shares: impl Iterator<Item = f64>, minimum: u64) -> f64 {
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
        let first: Vec<(u64, u32)> = ring.positions()[..3]
            .iter()
            .map(|position| (position.hash, position.host))
            .collect();
        let expected = [
            (833_437_586_790_550_860, 4),
            (928_266_305_478_181_108, 2),
            (1_033_482_794_131_418_490, 0),
        ];
        assert_eq!(first, expected);
        assert_eq!(ring.positions().len(), 12);
        assert_eq!(ring.pick(u64::MAX, 0), Some(4), "the ring is closed");
        assert_eq!(ring.pick(0, 1), Some(2), "a further attempt moves on");
    }

    #[test]
    fn an_empty_ring_picks_nobody() {
        assert_eq!(RingHash::new([("a", 0.0); 0], 12).pick(0, 0), None);
        assert_eq!(RingHash::new([("a", 0.0)], 12).pick(0, 0), None);
    }

    proptest! {
        #[test]
        fn positions_are_in_proportion_to_shares(weights in prop::collection::vec(1_u32..50, 1..9)) {
            let total = f64::from(weights.iter().sum::<u32>());
            let hosts = weights.iter().enumerate();
            let hosts = hosts.map(|(index, weight)| (index.to_string(), f64::from(*weight) / total));
            let ring = RingHash::new(hosts, 1024);
            let size = ring.positions().len() as f64;
            for (index, weight) in weights.iter().enumerate() {
                let own = ring.positions().iter().filter(|position| position.host as usize == index);
                let expected = size * f64::from(*weight) / total;
                prop_assert!((own.count() as f64 - expected).abs() <= 2.0);
            }
        }

        #[test]
        fn a_pick_is_a_scan(hash: u64) {
            let ring = RingHash::new((0..7).map(|host| (host.to_string(), 1.0 / 7.0)), 70);
            let scan = ring.positions().iter().find(|position| position.hash >= hash);
            let scan = scan.unwrap_or_else(|| &ring.positions()[0]);
            prop_assert_eq!(ring.pick(hash, 0), Some(scan.host as usize));
        }
    }
}
