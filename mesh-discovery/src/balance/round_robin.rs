//! One host after the other.
//!
//! Hosts of equal weight take turns by a counter. Otherwise, and while any of them is warmed up,
//! turns are given by a schedule of the earliest deadline first, as in Envoy. (Its [`round robin`].)
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

use crate::balance::host::Weighing;
use crate::balance::host_list::HostList;
use crate::balance::schedule::Schedule;

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

    /// The turns among `hosts` that continue these, which were among `before`. `seed` decides where
    /// turns by weight begin, if there were none.
    pub(crate) fn follow(
        &self,
        before: &HostList,
        hosts: &HostList,
        weighing: Weighing<'_>,
        seed: u64,
    ) -> Self {
        let weight = |host: &_| weighing.weight(host);
        let schedule = match &self.schedule {
            Some(schedule) => schedule.follow((before, hosts), weighing, seed, weight),
            None => Schedule::new(hosts, weighing, seed, weight),
        };
        Self {
            next: AtomicUsize::new(self.next.load(Ordering::Relaxed)),
            schedule,
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::host::Host;
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
