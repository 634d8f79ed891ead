//! How load is divided among priorities, and when health no longer counts.
//!
//! All load goes to the first priority as long as it has enough healthy endpoints: 72 % of them,
//! which with an overprovisioning factor of 1.4 is enough for all of it. What is missing goes to the
//! next priority. If all priorities together have not enough, what there is is scaled up.
//!
//! When fewer endpoints of a priority are healthy than the *panic threshold* says, its load goes to
//! all of its endpoints, healthy or not. Envoy's default is 50 %; Istio sets it to 0, which is never,
//! unless `outlierDetection` has a `minHealthPercent`
//! ([`Cluster::panic_threshold`](mesh_core::model::cluster::Cluster::panic_threshold)), because it
//! lists endpoints that are not ready. They are part of the total, so that load moves on where many
//! of a zone are not.
//!
//! Source: Envoy's [priority levels] and [panic threshold].
//!
//! [priority levels]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
//! [panic threshold]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::priority::{Health, loads};
//!
//! let half = Health { healthy: 1, total: 2 };
//! let whole = Health { healthy: 2, total: 2 };
//! let levels = [half, whole];
//! let loads = loads(&levels, 0);
//! assert_eq!(loads.map(|load| load.percent).collect::<Vec<_>>(), [70, 30]);
//! ```

/// Envoy's `overprovisioning_factor`, in percent.
const OVERPROVISIONING: u64 = 140;

/// How many endpoints of a priority, or a locality, are healthy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Health {
    /// Those that are.
    pub healthy: usize,
    /// All of them.
    pub total: usize,
}

impl Health {
    /// The part of a priority's load that its healthy endpoints can take, in percent.
    fn capacity(self) -> u64 {
        let capacity = OVERPROVISIONING * self.healthy as u64;
        capacity
            .checked_div(self.total as u64)
            .unwrap_or(0)
            .min(100)
    }

    fn is_below(self, percent: u32) -> bool {
        let healthy = match self.total {
            0 => 0.0,
            total => 100.0 * self.healthy as f64 / total as f64,
        };
        healthy < f64::from(percent)
    }

    /// The part of a locality's weight that its healthy endpoints can take, from 0 to 1.
    pub(crate) fn locality_capacity(self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let ratio = self.healthy as f64 / self.total as f64;
        (OVERPROVISIONING as f64 / 100.0 * ratio).min(1.0)
    }
}

/// What a priority gets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Its share of the requests, in percent. The sum of all is 100.
    pub percent: u32,
    /// Whether its endpoints are picked regardless of their health.
    pub panic: bool,
}

/// Divides load among priorities, first to last.
pub fn loads(priorities: &[Health], panic_threshold: u32) -> impl Iterator<Item = Load> {
    let capacity: u64 = priorities.iter().map(|health| health.capacity()).sum();
    let capacity = capacity.min(100);
    let panics = |health: &Health| capacity < 100 && health.is_below(panic_threshold);
    let all_panic = capacity < 100 && priorities.iter().all(panics);
    let total: usize = priorities.iter().map(|health| health.total).sum();

    let mut left = 100;
    let mut percents: Vec<u64> = Vec::with_capacity(priorities.len());
    for health in priorities {
        let share = if all_panic {
            100 * health.total as u64 / total.max(1) as u64
        } else {
            (health.capacity() * 100).checked_div(capacity).unwrap_or(0)
        };
        let share = share.min(left);
        left -= share;
        percents.push(share);
    }
    // What rounding has left over.
    let first = percents.iter().position(|share| *share > 0).unwrap_or(0);
    if let Some(share) = percents.get_mut(first) {
        *share += left;
    }
    let panics: Vec<bool> = priorities.iter().map(panics).collect();
    percents
        .into_iter()
        .zip(panics)
        .map(|(percent, panic)| Load {
            percent: u32::try_from(percent).unwrap_or(100),
            panic,
        })
}

/// The index of the priority that a number, uniform over all values, or a hash falls to. `None` if
/// there are no priorities.
pub fn choose(loads: impl IntoIterator<Item = Load>, number: u64) -> Option<usize> {
    let place = number % 100 + 1;
    let mut sum = 0;
    let mut loads = loads.into_iter();
    loads.position(|load| {
        sum += u64::from(load.percent);
        place <= sum
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tables of Envoy's documentation of priority levels.
    #[test]
    fn load_moves_on_when_health_is_missing() {
        let cases: [(&[usize], &[u32]); 11] = [
            (&[100, 100], &[100, 0]),
            (&[72, 72], &[100, 0]),
            (&[71, 71], &[99, 1]),
            (&[50, 50], &[70, 30]),
            (&[25, 100], &[35, 65]),
            (&[25, 25], &[50, 50]),
            (&[0, 100], &[0, 100]),
            (&[25, 25, 25], &[35, 35, 30]),
            (&[25, 0, 20], &[56, 0, 44]),
            (&[0, 0], &[100, 0]),
            (&[5, 0, 0], &[100, 0, 0]),
        ];
        for (healthy, expected) in cases {
            let percents: Vec<u32> = loads(&percents(healthy), 0)
                .map(|load| load.percent)
                .collect();
            assert_eq!(percents, expected, "{healthy:?}");
        }
    }

    #[test]
    fn panic_needs_too_little_health_overall() {
        let cases: [(&str, &[usize], u32, &[bool]); 5] = [
            ("disabled", &[0, 0], 0, &[false, false]),
            ("one is enough", &[10, 100], 50, &[false, false]),
            ("one of two", &[10, 55], 50, &[true, false]),
            ("both", &[10, 10], 50, &[true, true]),
            ("at the threshold", &[50], 50, &[false]),
        ];
        for (name, healthy, threshold, expected) in cases {
            let panics: Vec<bool> = loads(&percents(healthy), threshold)
                .map(|load| load.panic)
                .collect();
            assert_eq!(panics, expected, "{name}");
        }
    }

    #[test]
    fn in_total_panic_load_goes_by_the_number_of_endpoints() {
        let priorities = [
            Health {
                healthy: 0,
                total: 1,
            },
            Health {
                healthy: 1,
                total: 3,
            },
        ];
        let percents: Vec<u32> = loads(&priorities, 50).map(|load| load.percent).collect();
        assert_eq!(percents, [25, 75]);
    }

    proptest! {
        #[test]
        fn all_load_is_divided(
            priorities in prop::collection::vec((0_usize..40, 0_usize..40), 1..6),
            threshold in 0_u32..=100,
            number: u64,
        ) {
            let priorities: Vec<Health> = priorities
                .into_iter()
                .map(|(healthy, others)| Health { healthy, total: healthy + others })
                .collect();
            let loads: Vec<Load> = loads(&priorities, threshold).collect();
            prop_assert_eq!(loads.iter().map(|load| load.percent).sum::<u32>(), 100);
            prop_assert!(choose(loads.iter().copied(), number).is_some());
            for (load, health) in loads.iter().zip(&priorities) {
                let gets_nothing = health.healthy == 0 && !load.panic;
                let all_dead = priorities.iter().all(|health| health.healthy == 0);
                prop_assert!(!gets_nothing || load.percent == 0 || all_dead);
            }
        }
    }

    /// Priorities of a hundred endpoints, so many of which are healthy.
    fn percents(healthy: &[usize]) -> Vec<Health> {
        let healthy = healthy.iter();
        healthy
            .map(|healthy| Health {
                healthy: *healthy,
                total: 100,
            })
            .collect()
    }
}
