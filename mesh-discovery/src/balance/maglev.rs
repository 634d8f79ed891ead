//! A Maglev table, as Envoy builds it.
//!
//! Each host fills its preferred entries of a table in turns, as often as its weight says, so that
//! shares are even and few keys move when a host comes or goes. A request goes to the host in the
//! entry of its hash.
//!
//! Source: Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer* (2016),
//! section 3.4, with Envoy's weights and hashes.
//!
//! Building costs about two steps an entry, a pick O(1).
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::maglev::Maglev;
//!
//! let hosts = (90..96).map(|port| (format!("127.0.0.1:{port}"), 1.0 / 6.0));
//! let table = Maglev::new(hosts, 7)?;
//! assert_eq!(table.entries(), [2, 4, 0, 1, 5, 0, 3]);
//! assert_eq!(table.pick(8, 0), Some(4));
//! # Ok::<(), mesh_discovery::balance::maglev::TableSizeError>(())
//! ```

use crate::balance::hash::{xxhash64, xxhash64_seeded};

/// Entries of a table whose size is not set.
pub const DEFAULT_TABLE_SIZE: u64 = 65_537;

/// Most entries of a table (Envoy's limit).
pub const MAX_TABLE_SIZE: u64 = 5_000_011;

/// A compiled table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Maglev {
    entries: Box<[u32]>,
}

/// A host while the table is filled.
struct Candidate {
    host: u32,
    offset: u64,
    skip: u64,
    share: f64,
    /// The share of turns that it has had.
    taken: f64,
    next: u64,
}

impl Candidate {
    /// Its next preferred entry. Products stay below 2⁶⁴: each factor is below the table's size.
    fn preferred(&mut self, size: u64) -> usize {
        let entry = (self.offset + self.skip * self.next) % size;
        self.next += 1;
        entry as usize
    }
}

impl Maglev {
    /// A table of hosts: the key of each, which is its address, and its share of the weight of
    /// all. Hosts whose share is not above 0 have no entry.
    ///
    /// # Errors
    ///
    /// The size is not prime, or above [`MAX_TABLE_SIZE`].
    pub fn new<K: AsRef<str>>(
        hosts: impl IntoIterator<Item = (K, f64)>,
        table_size: u64,
    ) -> Result<Self, TableSizeError> {
        validate_table_size(table_size)?;
        let mut hosts: Vec<(K, u32, f64)> = (0..)
            .zip(hosts)
            .filter(|(_, (_, share))| *share > 0.0)
            .map(|(index, (key, share))| (key, index, share))
            .collect();
        // The order must not depend on that of the hosts, or keys would move with it.
        hosts.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let candidates = hosts.iter().map(|(key, host, share)| {
            let key = key.as_ref().as_bytes();
            Candidate {
                host: *host,
                offset: xxhash64(key) % table_size,
                skip: xxhash64_seeded(1, key) % (table_size - 1) + 1,
                share: *share,
                taken: 0.0,
                next: 0,
            }
        });
        Ok(Self {
            entries: fill(candidates.collect(), table_size),
        })
    }

    /// The index of the host for `hash`; `None` if there are no hosts.
    ///
    /// `attempt` counts the hosts that were picked before and not accepted: each changes the hash.
    pub fn pick(&self, hash: u64, attempt: u32) -> Option<usize> {
        let hash = match attempt {
            0 => hash,
            // Envoy flips the high bits, so that attempts spread over the table.
            attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
        };
        let entry = hash.checked_rem(self.entries.len() as u64)?;
        self.entries.get(entry as usize).map(|host| *host as usize)
    }

    /// The index of the host in each entry.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }
}

/// Lets the candidates take entries in turns until all are taken.
fn fill(mut candidates: Vec<Candidate>, size: u64) -> Box<[u32]> {
    let heaviest = candidates.iter().map(|host| host.share).fold(0.0, f64::max);
    if candidates.is_empty() {
        return Box::default();
    }
    let mut entries = vec![None; size as usize];
    let mut free = entries.len();
    let mut turn = 0.0;
    while free > 0 {
        turn += 1.0;
        for candidate in &mut candidates {
            if free == 0 {
                break;
            }
            if turn * candidate.share < candidate.taken {
                continue;
            }
            candidate.taken += heaviest;
            let mut entry = candidate.preferred(size);
            while entries[entry].is_some() {
                entry = candidate.preferred(size);
            }
            entries[entry] = Some(candidate.host);
            free -= 1;
        }
    }
    entries.into_iter().flatten().collect()
}

/// Checks that a table may have this size.
///
/// # Errors
///
/// The size is not prime, or above [`MAX_TABLE_SIZE`].
pub fn validate_table_size(size: u64) -> Result<(), TableSizeError> {
    let is_prime = size > 1
        && (2..)
            .take_while(|n| n * n <= size)
            .all(|n| !size.is_multiple_of(n));
    if is_prime && size <= MAX_TABLE_SIZE {
        Ok(())
    } else {
        Err(TableSizeError { size })
    }
}

/// The size is not that of a Maglev table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("table size `{size}` is not a prime number up to {MAX_TABLE_SIZE}")]
#[non_exhaustive]
pub struct TableSizeError {
    /// The size as given.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_are_envoys_with_weights() {
        let hosts = [("127.0.0.1:90", 1.0 / 3.0), ("127.0.0.1:91", 2.0 / 3.0)];
        let table = Maglev::new(hosts, 17).unwrap();
        let expected = [1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1];
        assert_eq!(table.entries(), expected);
    }

    #[test]
    fn a_size_that_is_not_prime_is_refused() {
        for size in [0, 1, 4, 65_536, 5_000_013, 5_000_081] {
            let error = Maglev::new([("a", 1.0)], size).unwrap_err();
            assert_eq!(error.size, size);
        }
        for size in [2, 3, 65_537, 5_000_011] {
            assert_eq!(validate_table_size(size), Ok(()), "{size}");
        }
    }

    #[test]
    fn nobody_is_picked_from_no_hosts() {
        assert_eq!(Maglev::new([("a", 1.0); 0], 7).unwrap().pick(3, 0), None);
        assert_eq!(Maglev::new([("a", 0.0)], 7).unwrap().pick(3, 1), None);
    }

    proptest! {
        #[test]
        fn the_order_of_the_hosts_does_not_matter(count in 2_usize..20, by in 1_usize..20) {
            let keys: Vec<String> = (0..count).map(|host| format!("10.0.0.{host}:80")).collect();
            let share = 1.0 / count as f64;
            let table = Maglev::new(keys.iter().map(|key| (key, share)), 251).unwrap();
            let mut turned = keys.clone();
            turned.rotate_left(by % count);
            let other = Maglev::new(turned.iter().map(|key| (key, share)), 251).unwrap();
            for (entry, host) in table.entries().iter().enumerate() {
                prop_assert_eq!(&keys[*host as usize], &turned[other.entries()[entry] as usize]);
            }
        }

        #[test]
        fn shares_are_even(count in 1_usize..30) {
            let hosts = (0..count).map(|host| (host.to_string(), 1.0 / count as f64));
            let table = Maglev::new(hosts, 1009).unwrap();
            let mut own = vec![0_usize; count];
            for host in table.entries() {
                own[*host as usize] += 1;
            }
            let (least, most) = (own.iter().min().unwrap(), own.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
