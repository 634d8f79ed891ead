//! One host after the other.
//!
//! Hosts of equal weight take turns by a counter. Otherwise, and while any of them is warmed up,
//! turns are given by an [`Edf`] schedule, as in Envoy. (Its [`round robin`].)
//!
//! [`round robin`]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers#weighted-round-robin
//!
//! # Example
//!
//! ```
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Endpoint, EndpointAddress};
//! use mesh_discovery::balance::host::{Host, Weighing};
//! use mesh_discovery::balance::host_list::HostList;
//! use mesh_discovery::balance::round_robin::RoundRobin;
//!
//! let now = Instant::now();
//! let host = |port| Host::new(Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], port).into())), now);
//! let hosts: HostList = [host(80), host(81)].into_iter().collect();
//! let weighing = Weighing { warmup: None, now };
//!
//! let turns = RoundRobin::new(&hosts, weighing, 0);
//! let picks: Vec<_> = (0..3).filter_map(|_| turns.pick(&hosts, weighing)).collect();
//! assert_eq!(picks, [0, 1, 0]);
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::balance::edf::Edf;
use crate::balance::host::{Host, Weighing};
use crate::balance::host_list::HostList;

/// Whose turn it is.
#[derive(Debug)]
pub struct RoundRobin {
    next: AtomicUsize,
    schedule: Option<Schedule>,
}

impl RoundRobin {
    /// Turns among `hosts`, which begin at a place that `seed` decides.
    pub fn new(hosts: &HostList, weighing: Weighing<'_>, seed: u64) -> Self {
        Self {
            next: AtomicUsize::new(seed as usize),
            schedule: Schedule::new(hosts, weighing, seed, |host| weighing.weight(host)),
        }
    }

    /// The index of the host whose turn it is. `hosts` are those it was made for. `None` if there
    /// are none.
    pub fn pick(&self, hosts: &HostList, weighing: Weighing<'_>) -> Option<usize> {
        match &self.schedule {
            Some(schedule) => schedule.pick(hosts, |host| weighing.weight(host)),
            None => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                turn.checked_rem(hosts.len())
            }
        }
    }

    /// The seed with which other turns continue these.
    pub(crate) fn turn(&self) -> u64 {
        self.next.load(Ordering::Relaxed) as u64
    }
}

impl Clone for RoundRobin {
    /// Turns that go on from here by themselves.
    fn clone(&self) -> Self {
        Self {
            next: AtomicUsize::new(self.next.load(Ordering::Relaxed)),
            schedule: self.schedule.clone(),
        }
    }
}

/// Turns by weight, where there are differences.
#[derive(Debug)]
pub(crate) struct Schedule(Mutex<Edf>);

impl Schedule {
    /// A schedule of `hosts`, if their weights differ or one of them is warmed up.
    pub(crate) fn new(
        hosts: &HostList,
        weighing: Weighing<'_>,
        seed: u64,
        weight: impl Fn(&Host) -> f64,
    ) -> Option<Self> {
        let is_warming = || hosts.iter().any(|host| weighing.is_warming(host));
        if hosts.len() < 2 || (hosts.is_even() && !is_warming()) {
            return None;
        }
        // The 53 bits that a double holds exactly.
        let phase = (seed >> 11) as f64 / (1_u64 << 53) as f64;
        let schedule = Edf::at(hosts.iter().map(weight), phase);
        Some(Self(Mutex::new(schedule)))
    }

    pub(crate) fn pick(&self, hosts: &HostList, weight: impl Fn(&Host) -> f64) -> Option<usize> {
        // Held for one step of the heap.
        let mut schedule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        schedule.pick(|index| hosts.get(index).map_or(0.0, weight))
    }
}

impl Clone for Schedule {
    fn clone(&self) -> Self {
        let schedule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self(Mutex::new(schedule.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::slow_start::SlowStart;
    use crate::balance::testing::{hosts, now};

    #[test]
    fn weights_are_spread_as_by_envoys_schedule() {
        let hosts = hosts(&[1, 2, 1]);
        let weighing = Weighing {
            warmup: None,
            now: now(),
        };
        let turns = RoundRobin::new(&hosts, weighing, 0);
        let picks: Vec<_> = (0..8)
            .filter_map(|_| turns.pick(&hosts, weighing))
            .collect();
        assert_eq!(picks, [1, 0, 2, 1, 1, 0, 2, 1]);
    }

    #[test]
    fn a_new_host_is_warmed_up() {
        let warmup = SlowStart::new(Duration::from_secs(100));
        let start = now();
        let old = hosts(&[1, 1]);
        let mut all = old.clone();
        let added = start + Duration::from_secs(1000);
        all.push(Host::new(old.get(0).unwrap().endpoint().clone(), added));
        let weighing = Weighing {
            warmup: Some(&warmup),
            now: added + Duration::from_secs(20),
        };
        let turns = RoundRobin::new(&all, weighing, 0);
        let picks = (0..220).filter_map(|_| turns.pick(&all, weighing));
        assert_eq!(
            picks.filter(|pick| *pick == 2).count(),
            20,
            "20 % of its share"
        );
    }

    #[test]
    fn nobody_has_a_turn_among_nobody() {
        let hosts = HostList::default();
        let weighing = Weighing {
            warmup: None,
            now: now(),
        };
        assert_eq!(
            RoundRobin::new(&hosts, weighing, 7).pick(&hosts, weighing),
            None
        );
    }
}
