//! Load stays in the client's zone, as far as the zone's capacity goes.
//!
//! If the share of the upstream's endpoints in the zone is at least the share of the client's
//! replicas there, all load of this client stays. Otherwise as much stays as keeps the zone's
//! endpoints evenly loaded, and the rest goes to zones with more endpoints than their own clients
//! need. (Envoy's [zone aware routing].)
//!
//! [zone aware routing]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware
//!
//! # Example
//!
//! ```
//! use mesh_discovery::balance::zone_aware::{Zone, ZoneAware};
//!
//! // Zones: the client's own first. Half of the replicas are here, but a quarter of the endpoints.
//! let zones = [Zone { replicas: 2, endpoints: 1 }, Zone { replicas: 2, endpoints: 3 }];
//! let routing = ZoneAware::compile(&zones, 0);
//! assert_eq!(routing.pick(|| 4_999), 0, "half of the requests stay");
//! assert_eq!(routing.pick(|| 5_000), 1);
//! ```

/// One hundred percent, with two digits more.
const WHOLE: u64 = 10_000;

/// What is in a zone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Zone {
    /// Replicas of the client.
    pub replicas: usize,
    /// Healthy endpoints of the cluster.
    pub endpoints: usize,
}

/// Where requests of a client go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ZoneAware {
    /// All stay.
    Direct,
    /// Some stay, the others go where there is capacity left.
    Residual {
        /// The part that stays, of 10,000.
        local: u64,
        /// The capacity left in each zone and those before it.
        capacity: Vec<u64>,
    },
}

impl ZoneAware {
    /// Divides the load of a client in the first of `zones`, which has replicas `elsewhere`, too, in zones
    /// without endpoints. They take part in the load of these.
    pub fn compile(zones: &[Zone], elsewhere: usize) -> Self {
        let replicas: usize = zones.iter().map(|zone| zone.replicas).sum();
        let replicas = replicas + elsewhere;
        let endpoints: usize = zones.iter().map(|zone| zone.endpoints).sum();
        let share = |part: usize, whole: usize| WHOLE * part as u64 / whole.max(1) as u64;
        let shares: Vec<(u64, u64)> = zones
            .iter()
            .map(|zone| {
                (
                    share(zone.replicas, replicas),
                    share(zone.endpoints, endpoints),
                )
            })
            .collect();
        let (needed, there) = shares.first().copied().unwrap_or_default();
        if there > 0 && there >= needed {
            return Self::Direct;
        }
        let mut left = 0;
        let capacity = shares.iter().enumerate().map(|(index, (needed, there))| {
            if index > 0 {
                left += there.saturating_sub(*needed);
            }
            left
        });
        Self::Residual {
            capacity: capacity.collect(),
            local: (there * WHOLE).checked_div(needed).unwrap_or(0),
        }
    }

    /// The index of the zone for a request. `random` gives numbers uniform over all values.
    pub fn pick(&self, mut random: impl FnMut() -> u64) -> usize {
        let Self::Residual { local, capacity } = self else {
            return 0;
        };
        if random() % WHOLE < *local {
            return 0;
        }
        let all = capacity.last().copied().unwrap_or(0);
        match random().checked_rem(all) {
            Some(place) => capacity.partition_point(|sum| *sum <= place),
            // Rounding has left nothing over.
            None => (random() % capacity.len().max(1) as u64) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_where_there_is_enough() {
        assert_eq!(
            ZoneAware::compile(&zones(&[(1, 1), (1, 1)]), 0),
            ZoneAware::Direct
        );
        assert_eq!(
            ZoneAware::compile(&zones(&[(1, 3), (3, 1)]), 0),
            ZoneAware::Direct
        );
    }

    /// The example of Envoy's documentation of residual capacity.
    #[test]
    fn the_rest_goes_where_capacity_is_left() {
        let routing = ZoneAware::compile(&zones(&[(40, 25), (40, 50), (20, 25)]), 0);
        let expected = ZoneAware::Residual {
            local: 6_250,
            capacity: vec![0, 1_000, 1_500],
        };
        assert_eq!(routing, expected);
        let pick = |place| {
            let mut numbers = [9_999, place].into_iter();
            routing.pick(|| numbers.next().unwrap())
        };
        assert_eq!([0, 999, 1_000, 1_499].map(pick), [1, 1, 2, 2]);
    }

    #[test]
    fn a_zone_without_endpoints_keeps_nothing() {
        let routing = ZoneAware::compile(&zones(&[(1, 0), (1, 4)]), 0);
        assert_eq!(routing.pick(|| 0), 1);
    }

    #[test]
    fn replicas_in_zones_without_endpoints_have_their_share_of_the_load() {
        let zones = zones(&[(1, 1), (0, 1)]);
        assert_eq!(ZoneAware::compile(&zones, 1), ZoneAware::Direct);
        assert_ne!(ZoneAware::compile(&zones, 0), ZoneAware::Direct);
    }

    fn zones(zones: &[(usize, usize)]) -> Vec<Zone> {
        let zones = zones.iter();
        let zone = |(replicas, endpoints): &(usize, usize)| Zone {
            replicas: *replicas,
            endpoints: *endpoints,
        };
        zones.map(zone).collect()
    }
}
