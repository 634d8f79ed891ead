//! The ring of the hosts of a list, and of the versions after it.

use std::collections::BTreeMap;

use crate::balance::hash::xxhash64;
use crate::balance::host::Host;
use crate::balance::host_list::HostList;
use crate::balance::ring_hash::{Position, RingHash, position_key, scale};
use crate::endpoint::AddressText;

/// A ring whose positions name hosts by their index in a list.
#[derive(Clone, Debug)]
pub(crate) struct HostRing {
    ring: RingHash,
    minimum: u64,
    /// How many positions a host of each weight has; `None` if that is not all that counts.
    counts: Option<Counts>,
}

/// How many hosts have a weight, and how many positions each of them has.
type Counts = BTreeMap<u32, Count>;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    hosts: u32,
    positions: u64,
}

impl Count {
    /// The positions of all hosts of the weight.
    fn all(&self) -> u64 {
        u64::from(self.hosts) * self.positions
    }
}

impl HostRing {
    /// The ring of `hosts`, which divide their keys by weight.
    pub(crate) fn new(hosts: &HostList, minimum: u64) -> Self {
        let total = hosts.weight() as f64;
        let shares = hosts.iter().map(|host| f64::from(host.weight()) / total);
        let mut counts = Counts::new();
        for host in hosts.iter() {
            counts.entry(host.weight()).or_default().hosts += 1;
        }
        Self {
            counts: counted(counts, hosts, minimum),
            ..Self::by_share(hosts, shares, minimum)
        }
    }

    /// The ring of `hosts`, with the share of the keys that each has.
    pub(crate) fn by_share(
        hosts: &HostList,
        shares: impl IntoIterator<Item = f64>,
        minimum: u64,
    ) -> Self {
        let keys = hosts.iter().map(key);
        Self {
            ring: RingHash::new(keys.zip(shares), minimum),
            minimum,
            counts: None,
        }
    }

    /// The ring of `hosts`, made from this, which is that of the version `before`: the same as if it
    /// were made anew, at the cost of what is different.
    ///
    /// `None` if too much is different, or if hosts that stay do not keep the number of their
    /// positions. Usually they do: the lightest host has as many as the size of the ring demands,
    /// and a host twice as heavy twice as many.
    pub(crate) fn follow(&self, before: &HostList, hosts: &HostList, minimum: u64) -> Option<Self> {
        let old_counts = self.counts.as_ref()?;
        let changes = hosts.changes_since(before);
        if minimum != self.minimum || changes.len() > hosts.len() / 4 {
            return None;
        }
        let mut counts = old_counts.clone();
        for change in &changes {
            if let Some(host) = change.new {
                counts.entry(host.weight()).or_default().hosts += 1;
            }
            if let Some(host) = change.old {
                counts.get_mut(&host.weight())?.hosts -= 1;
            }
        }
        counts.retain(|_, count| count.hosts > 0);
        let counts = counted(counts, hosts, minimum)?;
        let is_same = |(weight, count): (&u32, &Count)| {
            let before = old_counts.get(weight);
            before.is_none_or(|before| before.positions == count.positions)
        };
        if !counts.iter().all(is_same) {
            return None;
        }
        let mut ring = self.ring.clone();
        for change in &changes {
            for position in positions(change.old, change.index, old_counts) {
                ring.remove(position);
            }
        }
        for change in &changes {
            for position in positions(change.new, change.index, &counts) {
                ring.insert(position);
            }
        }
        Some(Self {
            ring,
            minimum,
            counts: Some(counts),
        })
    }

    /// The index of the host for `hash`, see [`RingHash::pick`].
    pub(crate) fn pick(&self, hash: u64, attempt: u32) -> Option<usize> {
        self.ring.pick(hash, attempt)
    }
}

fn key(host: &Host) -> String {
    AddressText(&host.endpoint().address).to_string()
}

/// The positions of the host at `index`.
fn positions(host: Option<&Host>, index: usize, counts: &Counts) -> Vec<Position> {
    let Some(host) = host else {
        return Vec::new();
    };
    let count = counts
        .get(&host.weight())
        .map_or(0, |count| count.positions);
    let (name, mut text) = (key(host), String::new());
    let host = u32::try_from(index).unwrap_or(u32::MAX);
    let position = |number| {
        let hash = xxhash64(position_key(&mut text, &name, number));
        Position { hash, host }
    };
    (0..count).map(position).collect()
}

/// How many positions a host of each weight has, if it does not depend on the hosts before it. Looks
/// at few of the hosts.
///
/// A ring is filled up to the sum of the positions that the hosts so far should have, rounded up.
/// That is a whole number for each, but for errors of floating point. These do not show
///
/// - if none of them is above the whole number, and all of them together are below one;
/// - if the sum so far is exact, and so large that adding one of them is rounded to the whole number.
fn counted(mut counts: Counts, hosts: &HostList, minimum: u64) -> Option<Counts> {
    let total = hosts.weight() as f64;
    let share = |weight: u32| f64::from(weight) / total;
    let scale = scale(counts.keys().map(|weight| share(*weight)), minimum);
    let (mut missing, mut is_above, mut error) = (0.0, false, 0.0_f64);
    for (weight, count) in &mut counts {
        let due = scale * share(*weight);
        let whole = due.round();
        count.positions = whole as u64;
        is_above |= due > whole;
        missing += f64::from(count.hosts) * (whole - due);
        error = error.max((due - whole).abs());
    }
    // Each addition is off by half a unit in the last place at most.
    let size = counts.values().map(Count::all).sum::<u64>() as f64;
    let rounding = hosts.len() as f64 * size * f64::EPSILON;
    if !is_above && missing + rounding < 0.5 {
        return Some(counts);
    }
    let (mut target, mut placed) = (0.0, 0.0);
    for host in hosts.iter() {
        let count = counts.get(&host.weight())?;
        target += scale * share(host.weight());
        placed += count.positions as f64;
        if f64::ceil(target) != placed {
            return None;
        }
        // Less than half a unit in the last place.
        if target == placed && error < placed * f64::EPSILON / 4.0 {
            break;
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::{Endpoint, EndpointAddress};
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::now;

    proptest! {
        /// A ring that followed the changes is the one made of what is left.
        #[test]
        fn a_ring_that_is_kept_up_is_that_of_a_whole_rebuild(
            initial in prop::collection::vec(1_u32..4, 0..200),
            changes in prop::collection::vec((0_u8..3, 0_usize..200, 1_u32..4), 1..30),
            minimum in 1_u64..2000,
            even: bool,
        ) {
            let weigh = |weight| if even { 1 } else { weight };
            let mut next = 0;
            let mut host = |weight| {
                next += 1;
                let address = EndpointAddress::Unix(format!("host {next}"));
                let weight = weigh(weight);
                Host::new(Endpoint { weight, ..Endpoint::new(address) }, now())
            };
            let mut list: HostList = initial.into_iter().map(&mut host).collect();
            let mut ring = HostRing::new(&list, minimum);
            for (change, index, weight) in changes {
                let before = list.clone();
                match change {
                    0 => list.push(host(weight)),
                    1 => drop(list.swap_remove(index)),
                    _ if index < list.len() => list.replace(index, host(weight)),
                    _ => {}
                }
                let whole = HostRing::new(&list, minimum);
                ring = ring.follow(&before, &list, minimum).unwrap_or_else(|| whole.clone());
                prop_assert_eq!(&ring.ring, &whole.ring);
            }
        }
    }

    #[test]
    fn a_host_more_or_less_among_many_is_no_whole_rebuild() {
        for weights in [vec![1], vec![1, 2, 3]] {
            let address = |number: u32| EndpointAddress::Unix(number.to_string());
            let host = |number: u32| {
                let weight = weights[number as usize % weights.len()];
                Host::new(
                    Endpoint {
                        weight,
                        ..Endpoint::new(address(number))
                    },
                    now(),
                )
            };
            let list: HostList = (0..1000).map(host).collect();
            let ring = HostRing::new(&list, 1024);
            let mut less = list.clone();
            less.swap_remove(77);
            let followed = ring.follow(&list, &less, 1024).unwrap();
            assert!(followed.follow(&less, &list, 1024).is_some());
            assert!(ring.follow(&list, &less, 1025).is_none(), "another size");
            assert!(ring.follow(&list, &HostList::default(), 1024).is_none());
        }
    }
}
