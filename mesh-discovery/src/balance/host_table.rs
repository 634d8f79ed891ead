//! The Maglev table of the hosts of a list, while others come and go.

use std::sync::Arc;

use crate::balance::host::Host;
use crate::balance::host_list::{HostChange, HostList};
use crate::balance::maglev::Maglev;
use crate::endpoint::AddressText;

/// Hosts of a table that may have moved, or gone, before it is made anew at once.
const MAX_MOVED: usize = 1024;

/// Entries of gone hosts that are passed over before the hash alone decides.
const MAX_SKIPPED: u32 = 8;

/// A table of hosts, and where they are in a later version of their list.
#[derive(Clone, Debug)]
pub(crate) struct HostTable {
    table: Arc<Maglev>,
    size: u64,
    /// The hosts of the table.
    hosts: HostList,
    /// Those of them that are elsewhere in the later version, or nowhere, by their identity.
    moved: Vec<(usize, Option<usize>)>,
    /// Whether the later version is another.
    is_stale: bool,
    /// Whether hosts have their share by weight alone.
    by_weight: bool,
}

impl HostTable {
    /// The table of `hosts`, which divide their keys by weight. `None` if it cannot have this size.
    pub(crate) fn new(hosts: &HostList, size: u64) -> Option<Self> {
        let total = hosts.weight() as f64;
        let shares = hosts.iter().map(|host| f64::from(host.weight()) / total);
        let table = Self::by_share(hosts, shares, size)?;
        Some(Self {
            by_weight: true,
            ..table
        })
    }

    /// The table of `hosts`, with the share of the keys that each has.
    pub(crate) fn by_share(
        hosts: &HostList,
        shares: impl IntoIterator<Item = f64>,
        size: u64,
    ) -> Option<Self> {
        let key = |host: &Host| AddressText(&host.endpoint().address).to_string();
        let keys = hosts.iter().map(key);
        Some(Self {
            table: Arc::new(Maglev::new(keys.zip(shares), size).ok()?),
            size,
            hosts: hosts.clone(),
            moved: Vec::new(),
            is_stale: false,
            by_weight: false,
        })
    }

    /// The same table for `hosts`, where it was for the version `before` of their list. Hosts that
    /// are not in the table are not picked by it, and those that are gone passed over, until it is
    /// [made anew](Self::renew). `None` if too many are gone, or another table is asked for.
    pub(crate) fn follow(&self, before: &HostList, hosts: &HostList, size: u64) -> Option<Self> {
        let changes = hosts.changes_since(before);
        let too_many = self.moved.len() + changes.len() > MAX_MOVED;
        if size != self.size || !self.by_weight || too_many {
            return None;
        }
        let mut followed = self.clone();
        for change in &changes {
            followed.leave(change);
        }
        for HostChange { index, new, .. } in &changes {
            let known = new.and_then(|host| followed.find(host.id()).ok());
            if let Some((_, place)) = known.and_then(|known| followed.moved.get_mut(known)) {
                *place = Some(*index);
            }
        }
        followed.is_stale |= !changes.is_empty();
        Some(followed)
    }

    /// Notes that a host of the table is no longer where it was.
    fn leave(&mut self, change: &HostChange<'_>) {
        let Some(host) = change.old else { return };
        match self.find(host.id()) {
            Ok(known) => self.moved[known].1 = None,
            Err(place) => {
                let in_table = self.hosts.get(change.index);
                if in_table.is_some_and(|other| other.id() == host.id()) {
                    self.moved.insert(place, (host.id(), None));
                }
            }
        }
    }

    fn find(&self, id: usize) -> Result<usize, usize> {
        self.moved.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// Whether the table is not that of the hosts that it picks from.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Whether this is the table that `other` is, for whatever versions of the list.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
    }

    /// The table of `hosts`, if this is not it. Costs what a whole table costs.
    pub(crate) fn renew(&self, hosts: &HostList) -> Option<Self> {
        self.is_stale.then(|| Self::new(hosts, self.size)).flatten()
    }

    /// The index in `hosts` of the host for `hash`, see [`Maglev::pick`].
    pub(crate) fn pick(&self, hosts: &HostList, hash: u64, attempt: u32) -> Option<usize> {
        if !self.is_stale {
            return self.table.pick(hash, attempt);
        }
        let skipped = (0..MAX_SKIPPED).map(|skipped| attempt.wrapping_add(skipped));
        let mut found = skipped.filter_map(|attempt| self.place(self.table.pick(hash, attempt)?));
        found.next().or_else(|| {
            let index = hash.checked_rem(hosts.len() as u64)?;
            usize::try_from(index).ok()
        })
    }

    /// Where the host of the table is now, if it is not gone.
    fn place(&self, index: usize) -> Option<usize> {
        match self.find(self.hosts.get(index)?.id()) {
            Ok(known) => self.moved.get(known)?.1,
            Err(_) => Some(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::{Endpoint, EndpointAddress};
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::now;

    const SIZE: u64 = 251;

    proptest! {
        /// A table that is not yet made anew picks hosts that are there: those that were picked
        /// before, if they are.
        #[test]
        fn keys_stay_at_hosts_that_stay_until_the_table_is_made_anew(
            initial in 1_usize..40,
            changes in prop::collection::vec((0_u8..4, 0_usize..40), 1..30),
            hashes in prop::collection::vec(any::<u64>(), 20),
        ) {
            let mut next = 0;
            let mut host = || {
                next += 1;
                Host::new(Endpoint::new(EndpointAddress::Unix(next.to_string())), now())
            };
            let mut list: HostList = (0..initial).map(|_| host()).collect();
            let first = HostTable::new(&list, SIZE).unwrap();
            let initial_list = list.clone();
            let mut gone = Vec::new();
            let mut table = first.clone();
            for (change, index) in changes {
                let before = list.clone();
                match change {
                    0 => list.push(host()),
                    // One that was ejected returns.
                    1 => gone.pop().into_iter().for_each(|host| list.push(host)),
                    _ => gone.extend(list.swap_remove(index)),
                }
                table = table.follow(&before, &list, SIZE).unwrap();
            }
            let whole = HostTable::new(&list, SIZE).unwrap();
            let renewed = table.renew(&list).unwrap_or_else(|| table.clone());
            for hash in hashes {
                let picked = table.pick(&list, hash, 0);
                prop_assert_eq!(picked.is_none(), list.is_empty());
                prop_assert!(picked.is_none_or(|index| index < list.len()));
                let id = |list: &HostList, index| list.get(index).map(Host::id);
                let before = id(&initial_list, first.pick(&initial_list, hash, 0).unwrap());
                if list.iter().any(|host| Some(host.id()) == before) {
                    prop_assert_eq!(id(&list, picked.unwrap()), before);
                }
                if table.is_stale() {
                    prop_assert_eq!(renewed.pick(&list, hash, 0), whole.pick(&list, hash, 0));
                }
            }
        }
    }

    #[test]
    fn a_table_that_lags_too_far_behind_is_not_followed() {
        let host = |number: usize| {
            Host::new(
                Endpoint::new(EndpointAddress::Unix(number.to_string())),
                now(),
            )
        };
        let list: HostList = (0..3 * MAX_MOVED).map(host).collect();
        let table = HostTable::new(&list, 65_537).unwrap();
        let mut less = list.clone();
        less.swap_remove(7);
        assert!(table.follow(&list, &less, 65_537).is_some());
        assert!(table.follow(&list, &less, 251).is_none(), "another size");
        assert!(table.follow(&list, &HostList::default(), 65_537).is_none());
        assert!(HostTable::new(&list, 10).is_none(), "not a prime number");
    }
}
