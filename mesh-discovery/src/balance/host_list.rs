//! A list of hosts that is cheap to change while others read it.
//!
//! The list is cut into chunks that its versions share, so that a version with one host more or
//! less costs a copy of one or two chunks, not of the list.
//!
//! # Example
//!
//! ```
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Endpoint, EndpointAddress};
//! use mesh_discovery::balance::host::Host;
//! use mesh_discovery::balance::host_list::HostList;
//!
//! let now = Instant::now();
//! let host = |port| Host::new(Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], port).into())), now);
//! let first: HostList = [host(80), host(81)].into_iter().collect();
//!
//! let mut second = first.clone();
//! second.swap_remove(0);
//! assert_eq!((first.len(), second.len()), (2, 1));
//! assert_eq!(second.get(0).unwrap().endpoint().address.port(), Some(81));
//! ```

use std::sync::Arc;
use std::time::Instant;

use crate::balance::host::Host;

/// Hosts of a chunk; all chunks but the last are full.
const CHUNK: usize = 128;

/// Hosts in an order that changes only where one is removed.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    chunks: Vec<Arc<Vec<Host>>>,
    len: usize,
    /// The sum of all weights, and that of their squares.
    weight: u64,
    squares: u128,
    latest: Option<Instant>,
}

/// A place in a list that has another host than in the version before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostChange<'a> {
    pub(crate) index: usize,
    pub(crate) old: Option<&'a Host>,
    pub(crate) new: Option<&'a Host>,
}

impl HostList {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The host at `index`.
    pub fn get(&self, index: usize) -> Option<&Host> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// The hosts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Adds all hosts of another list at the end.
    pub fn extend(&mut self, other: &Self) {
        for host in other.iter() {
            self.push(host.clone());
        }
    }

    /// Adds a host at the end.
    pub fn push(&mut self, host: Host) {
        self.count(&host);
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(host),
            None => self.chunks.push(Arc::new(vec![host])),
        }
        self.len += 1;
    }

    /// Puts another host in the place of the one at `index`, if there is one.
    pub fn replace(&mut self, index: usize, host: Host) {
        let chunk = self.chunks.get_mut(index / CHUNK);
        let place = chunk.and_then(|chunk| Arc::make_mut(chunk).get_mut(index % CHUNK));
        if let Some(place) = place {
            let added = host.clone();
            let before = std::mem::replace(place, host);
            self.discount(&before);
            self.count(&added);
        }
    }

    /// Removes the host at `index`, and puts the last one in its place.
    pub fn swap_remove(&mut self, index: usize) -> Option<Host> {
        let removed = self.get(index)?.clone();
        let last = Arc::make_mut(self.chunks.last_mut()?).pop()?;
        self.discount(&last);
        self.len -= 1;
        if self.chunks.last().is_some_and(|chunk| chunk.is_empty()) {
            self.chunks.pop();
        }
        if index < self.len {
            self.replace(index, last);
        }
        Some(removed)
    }

    /// Whether all weigh the same.
    pub fn is_even(&self) -> bool {
        // By the inequality of Cauchy and Schwarz, whose sides are equal only then.
        let weight = u128::from(self.weight);
        self.squares.checked_mul(self.len as u128) == weight.checked_mul(weight)
    }

    /// The sum of all weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// When the host became known that is known for the shortest time of all that ever were in the
    /// list, or in the versions that it was made from.
    pub fn latest(&self) -> Option<Instant> {
        self.latest
    }

    /// The places that have other hosts than in `before`, or hosts with other endpoints. Costs
    /// little more than there are changes if one was made from the other.
    pub(crate) fn changes_since<'a>(&'a self, before: &'a Self) -> Vec<HostChange<'a>> {
        let mut changes = Vec::new();
        for number in 0..self.chunks.len().max(before.chunks.len()) {
            let (old, new) = (before.chunks.get(number), self.chunks.get(number));
            if old.zip(new).is_some_and(|(old, new)| Arc::ptr_eq(old, new)) {
                continue;
            }
            let (old, new) = (
                old.map_or(&[][..], |old| old),
                new.map_or(&[][..], |new| new),
            );
            for index in 0..old.len().max(new.len()) {
                let (old, new) = (old.get(index), new.get(index));
                if !old.zip(new).is_some_and(|(old, new)| old.is_same(new)) {
                    let index = number * CHUNK + index;
                    changes.push(HostChange { index, old, new });
                }
            }
        }
        changes
    }

    fn count(&mut self, host: &Host) {
        let weight = u64::from(host.weight());
        self.weight += weight;
        self.squares += u128::from(weight * weight);
        self.latest = self.latest.max(Some(host.state().since()));
    }

    fn discount(&mut self, host: &Host) {
        let weight = u64::from(host.weight());
        self.weight -= weight;
        self.squares -= u128::from(weight * weight);
    }
}

impl FromIterator<Host> for HostList {
    fn from_iter<I: IntoIterator<Item = Host>>(hosts: I) -> Self {
        let mut list = Self::default();
        for host in hosts {
            list.push(host);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use mesh_core::model::cluster::{Endpoint, EndpointAddress};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_changes_like_a_vector_and_leaves_other_versions_alone(
            changes in prop::collection::vec((0_u8..3, 0_usize..400), 0..60),
            initial in 0_usize..400,
        ) {
            let now = now();
            let mut next = 0;
            let mut host = || {
                next += 1;
                Host::new(Endpoint::new(EndpointAddress::Unix(next.to_string())), now)
            };
            let mut vector: Vec<Host> = (0..initial).map(|_| host()).collect();
            let mut list: HostList = vector.iter().cloned().collect();
            let (untouched, before) = (list.clone(), names(vector.iter()));
            for (change, index) in changes {
                match change {
                    0 => {
                        let host = host();
                        vector.push(host.clone());
                        list.push(host);
                    }
                    1 if index < vector.len() => {
                        let removed = vector.swap_remove(index);
                        let other = list.swap_remove(index).unwrap();
                        prop_assert!(removed.is_same(&other));
                    }
                    _ if index < vector.len() => {
                        vector[index] = host();
                        list.replace(index, vector[index].clone());
                    }
                    _ => prop_assert!(list.swap_remove(index).is_none()),
                }
                prop_assert_eq!(list.len(), vector.len());
            }
            prop_assert_eq!(names(list.iter()), names(vector.iter()));
            prop_assert_eq!(names(untouched.iter()), before);

            // The changes make the one of the other.
            let mut made: Vec<Option<&Host>> = untouched.iter().map(Some).collect();
            made.resize(made.len().max(list.len()), None);
            for change in list.changes_since(&untouched) {
                prop_assert!(same(made[change.index], change.old));
                prop_assert!(!same(change.old, change.new));
                made[change.index] = change.new;
            }
            let made = made.into_iter().flatten();
            prop_assert_eq!(names(made), names(vector.iter()));
        }

        #[test]
        fn sums_are_those_of_the_hosts(
            changes in prop::collection::vec((any::<bool>(), 0_usize..9, 1_u32..4), 0..40),
        ) {
            let mut list = HostList::default();
            for (number, (pushes, index, weight)) in changes.into_iter().enumerate() {
                if pushes {
                    let address = EndpointAddress::Unix(number.to_string());
                    let endpoint = Endpoint { weight, ..Endpoint::new(address) };
                    list.push(Host::new(endpoint, now()));
                } else {
                    list.swap_remove(index);
                }
                let weights: Vec<u32> = list.iter().map(Host::weight).collect();
                prop_assert_eq!(list.weight(), weights.iter().map(|weight| u64::from(*weight)).sum::<u64>());
                prop_assert_eq!(list.is_even(), weights.iter().all(|weight| *weight == weights[0]));
            }
        }
    }

    fn same(one: Option<&Host>, other: Option<&Host>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    fn names<'a>(hosts: impl Iterator<Item = &'a Host>) -> Vec<EndpointAddress> {
        hosts.map(|host| host.endpoint().address.clone()).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn now() -> Instant {
        Instant::now()
    }
}
