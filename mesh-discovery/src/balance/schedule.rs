//! Turns by weight, where there are differences.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::balance::edf::Edf;
use crate::balance::host::{Host, Weighing};
use crate::balance::host_list::HostList;

/// Changes of hosts while which picks have to wait. With more of them, turns begin anew.
const MAX_CHANGES: usize = 64;

/// Turns by weight among the hosts of a list.
///
/// The versions of a list that are made from each other share their turns: a host that comes or goes
/// leaves those of the others as they are.
#[derive(Debug)]
pub(crate) struct Schedule(Arc<Mutex<Edf>>);

impl Schedule {
    /// A schedule of `hosts`, if their weights differ or one of them is warmed up.
    pub(crate) fn new(
        hosts: &HostList,
        weighing: Weighing<'_>,
        seed: u64,
        weight: impl Fn(&Host) -> f64,
    ) -> Option<Self> {
        if !is_needed(hosts, weighing) {
            return None;
        }
        // The 53 bits that a double holds exactly.
        let phase = (seed >> 11) as f64 / (1_u64 << 53) as f64;
        let schedule = Edf::at(hosts.iter().map(weight), phase);
        Some(Self(Arc::new(Mutex::new(schedule))))
    }

    /// The schedule of `hosts`, if they need one, where this was that of the version `before`. `seed`
    /// decides where it begins if too much is different.
    pub(crate) fn follow(
        &self,
        (before, hosts): (&HostList, &HostList),
        weighing: Weighing<'_>,
        seed: u64,
        weight: impl Fn(&Host) -> f64,
    ) -> Option<Self> {
        if !is_needed(hosts, weighing) {
            return None;
        }
        let changes = hosts.changes_since(before);
        if changes.len() > MAX_CHANGES {
            return Self::new(hosts, weighing, seed, weight);
        }
        let mut schedule = self.lock();
        let taken: HashMap<usize, _> = changes
            .iter()
            .filter_map(|change| {
                let host = change.old?;
                Some((host.id(), schedule.take(change.index)?))
            })
            .collect();
        for change in &changes {
            let Some(host) = change.new else { continue };
            match taken.get(&host.id()) {
                Some(turn) => schedule.put(change.index, *turn),
                None => schedule.insert(change.index, weight(host)),
            }
        }
        drop(schedule);
        Some(Self(Arc::clone(&self.0)))
    }

    /// The index of the host whose turn it is. `hosts` are those of the schedule, or those of a
    /// version before. `None` if there are none.
    pub(crate) fn pick(&self, hosts: &HostList, weight: impl Fn(&Host) -> f64) -> Option<usize> {
        // A version before may have fewer hosts.
        let weight = |index| hosts.get(index).map_or(1.0, weight);
        // Held for one step of the heap.
        let index = self.lock().pick(weight)?;
        index.checked_rem(hosts.len())
    }

    fn lock(&self) -> MutexGuard<'_, Edf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_needed(hosts: &HostList, weighing: Weighing<'_>) -> bool {
    hosts.len() > 1 && (!hosts.is_even() || weighing.is_warming(hosts))
}

impl Clone for Schedule {
    /// Turns that go on from here by themselves.
    fn clone(&self) -> Self {
        let schedule = self.lock().clone();
        Self(Arc::new(Mutex::new(schedule)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::{hosts, now};

    proptest! {
        /// Whoever comes and goes, the others get their share, and nobody else is picked.
        #[test]
        fn shares_are_by_weight_after_changes(
            changes in prop::collection::vec((any::<bool>(), 0_usize..6, 1_u32..4, 0_usize..5), 1..30),
        ) {
            let weighing = Weighing { warmup: None, now: now() };
            let weight = |host: &Host| f64::from(host.weight());
            let mut list = hosts(&[1, 2, 3]);
            let mut schedule = Schedule::new(&list, weighing, 7, weight);
            for (inserts, index, other, picks) in changes {
                let before = list.clone();
                if inserts {
                    list.push(hosts(&[other]).get(0).unwrap().clone());
                } else {
                    list.swap_remove(index);
                }
                schedule = match &schedule {
                    Some(schedule) => schedule.follow((&before, &list), weighing, 7, weight),
                    None => Schedule::new(&list, weighing, 7, weight),
                };
                for _ in 0..picks {
                    let pick = schedule.as_ref().map(|schedule| schedule.pick(&list, weight));
                    prop_assert!(pick.is_none_or(|pick| pick.unwrap() < list.len()));
                }
            }
            let Some(schedule) = schedule else { return Ok(()) };
            let total = u32::try_from(list.weight()).unwrap();
            let mut picked = vec![0_u32; list.len()];
            for _ in 0..total * 10 {
                picked[schedule.pick(&list, weight).unwrap()] += 1;
            }
            for (picked, host) in picked.iter().zip(list.iter()) {
                let expected = host.weight() * 10;
                // A turn that is under way may count on either side.
                prop_assert!(picked.abs_diff(expected) <= 2, "{picked} of {expected}");
            }
        }
    }

    #[test]
    fn hosts_that_are_all_others_begin_anew() {
        let weighing = Weighing {
            warmup: None,
            now: now(),
        };
        let weight = |host: &Host| f64::from(host.weight());
        let (old, new) = (hosts(&[1, 2].repeat(100)), hosts(&[1, 3].repeat(100)));
        let schedule = Schedule::new(&old, weighing, 0, weight).unwrap();
        let (_, _) = (schedule.pick(&old, weight), schedule.pick(&old, weight));
        let followed = schedule.follow((&old, &new), weighing, 0, weight).unwrap();
        let anew = Schedule::new(&new, weighing, 0, weight).unwrap();
        for _ in 0..400 {
            assert_eq!(followed.pick(&new, weight), anew.pick(&new, weight));
        }
        assert_eq!(schedule.pick(&old, weight), Some(5), "its turns go on");
    }
}
