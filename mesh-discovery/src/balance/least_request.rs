//! The less busy of some hosts drawn at random.
//!
//! Of hosts with equal weights, two (or more) are drawn and the one with fewer active requests is
//! picked; the first drawn, if they are equal. Otherwise, and while any host is warmed up, turns are
//! given by an [`Edf`](crate::balance::edf::Edf) schedule whose weights shrink with activity:
//! `weight / (active requests + 1)`. (Envoy's [`least request`] with `active_request_bias` 1.)
//!
//! [`least request`]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers#weighted-least-request
//!
//! # Example
//!
//! ```
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Endpoint, EndpointAddress};
//! use mesh_discovery::balance::host::{Host, Weighing};
//! use mesh_discovery::balance::host_list::HostList;
//! use mesh_discovery::balance::least_request::LeastRequest;
//!
//! let now = Instant::now();
//! let host = |port| Host::new(Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], port).into())), now);
//! let hosts: HostList = [host(80), host(81)].into_iter().collect();
//! let weighing = Weighing { warmup: None, now };
//! let balancer = LeastRequest::new(&hosts, weighing, 2, 0);
//!
//! let _busy = hosts.get(0).unwrap().begin();
//! let mut numbers = 0_u64..;
//! let random = || numbers.next().unwrap_or_default();
//! assert_eq!(balancer.pick(&hosts, weighing, random), Some(1), "of 0 and 1");
//! ```

use crate::balance::host::{Host, Weighing};
use crate::balance::host_list::HostList;
use crate::balance::schedule::Schedule;

/// How many hosts are drawn by default (Envoy's `choice_count`).
pub const DEFAULT_CHOICES: u32 = 2;

/// Picks the less busy host.
#[derive(Clone, Debug)]
pub struct LeastRequest {
    choices: u32,
    schedule: Option<Schedule>,
}

impl LeastRequest {
    /// Draws `choices` hosts, at least 2. `seed` decides where a schedule by weight begins.
    pub fn new(hosts: &HostList, weighing: Weighing<'_>, choices: u32, seed: u64) -> Self {
        Self {
            choices: choices.max(2),
            schedule: Schedule::new(hosts, weighing, seed, |host| weight(host, weighing)),
        }
    }

    /// How many hosts are drawn.
    pub(crate) fn choices(&self) -> u32 {
        self.choices
    }

    /// The same for `hosts`, where this was for `before`. `seed` decides where a schedule by weight
    /// begins, if there was none.
    pub(crate) fn follow(
        &self,
        before: &HostList,
        hosts: &HostList,
        weighing: Weighing<'_>,
        seed: u64,
    ) -> Self {
        let weight = |host: &_| weight(host, weighing);
        Self {
            choices: self.choices,
            schedule: match &self.schedule {
                Some(schedule) => schedule.follow((before, hosts), weighing, seed, weight),
                None => Schedule::new(hosts, weighing, seed, weight),
            },
        }
    }

    /// The index of the picked host. `hosts` are those it was made for; `random` gives numbers
    /// uniform over all values. `None` if there are no hosts.
    pub fn pick(
        &self,
        hosts: &HostList,
        weighing: Weighing<'_>,
        mut random: impl FnMut() -> u64,
    ) -> Option<usize> {
        if let Some(schedule) = &self.schedule {
            return schedule.pick(hosts, |host| weight(host, weighing));
        }
        let mut draw = || {
            let index = random().checked_rem(hosts.len() as u64)? as usize;
            Some((index, hosts.get(index)?.state().active()))
        };
        let mut best = draw()?;
        for _ in 1..self.choices {
            let other = draw()?;
            if other.1 < best.1 {
                best = other;
            }
        }
        Some(best.0)
    }
}

fn weight(host: &Host, weighing: Weighing<'_>) -> f64 {
    weighing.weight(host) / (f64::from(host.state().active()) + 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::slow_start::SlowStart;
    use crate::balance::testing::{endpoint, hosts, now};

    #[test]
    fn the_first_drawn_is_picked_among_equals() {
        let hosts = hosts(&[1; 4]);
        assert_eq!(pick(&hosts, 2, &[3, 1]), Some(3));
        let _busy = hosts.get(3).unwrap().begin();
        assert_eq!(pick(&hosts, 2, &[3, 1]), Some(1));
        assert_eq!(pick(&hosts, 2, &[3, 3]), Some(3), "it may be drawn twice");
        assert_eq!(pick(&hosts, 3, &[3, 3, 2]), Some(2));
    }

    #[test]
    fn weight_and_activity_count_together() {
        let hosts = hosts(&[1, 3]);
        let weighing = Weighing {
            warmup: None,
            now: now(),
        };
        let balancer = LeastRequest::new(&hosts, weighing, 2, 0);
        let _busy: Vec<_> = (0..2).map(|_| hosts.get(1).unwrap().begin()).collect();
        let picks = (0..100).filter_map(|_| balancer.pick(&hosts, weighing, || 0));
        let share = picks.filter(|pick| *pick == 1).count();
        assert!((50..=52).contains(&share), "3 / (2 + 1) is 1: {share}");
    }

    #[test]
    fn a_host_that_is_warmed_up_weighs_less_by_its_age_whatever_its_activity() {
        let start = now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let warmup = SlowStart::new(Duration::from_secs(60));
        // How many requests the old host is serving, and how many of a hundred the new one gets, which has
        // a quarter of its weight.
        for (active, expected) in [(0, 20), (1, 33), (3, 50)] {
            let old = Host::new(endpoint(1), start);
            let new = Host::new(endpoint(2), after(60));
            let _busy: Vec<_> = (0..active).map(|_| old.begin()).collect();
            let hosts: HostList = [old, new].into_iter().collect();
            let weighing = Weighing {
                warmup: Some(&warmup),
                now: after(75),
            };
            let balancer = LeastRequest::new(&hosts, weighing, 2, 0);
            let picks = (0..100).filter_map(|_| balancer.pick(&hosts, weighing, || 0));
            let share = picks.filter(|pick| *pick == 1).count();
            assert!(share.abs_diff(expected) <= 1, "{active} active: {share}");

            let weighing = Weighing {
                now: after(120),
                ..weighing
            };
            let balancer = LeastRequest::new(&hosts, weighing, 2, 0);
            let mut drawn = [0, 1].into_iter();
            let picked = balancer.pick(&hosts, weighing, || drawn.next().unwrap());
            let expected = usize::from(active > 0);
            assert_eq!(picked, Some(expected), "drawn, once all are warm");
        }
    }

    #[test]
    fn nobody_is_picked_from_nobody() {
        assert_eq!(pick(&HostList::default(), 2, &[1, 2]), None);
    }

    fn pick(hosts: &HostList, choices: u32, random: &[u64]) -> Option<usize> {
        let weighing = Weighing {
            warmup: None,
            now: now(),
        };
        let mut random = random.iter().copied();
        LeastRequest::new(hosts, weighing, choices, 0)
            .pick(hosts, weighing, || random.next().unwrap())
    }
}
