use mesh_core::labels::Labels;
use mesh_core::model::cluster::{Cluster, Endpoint, LocalityBalancing};
use mesh_core::resource::istio::destination_rule::{
    Distribute, Failover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting,
};

use super::{Client, Locality};

const NETWORK: &str = "topology.istio.io/network";
const REGION: &str = "topology.kubernetes.io/region";
const SUBZONE: &str = "topology.istio.io/subzone";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Distances between places, and one more for regions that a failover leaves out.
const DISTANCES: u32 = 5;

/// The client's region, that of its failover, and the others.
const REGIONS: u32 = 3;

/// Fewest endpoints of a cluster in which zones count, if the settings do not say.
const MIN_CLUSTER_SIZE: u64 = 6;

/// How the place of endpoints counts for one client and one cluster.
#[derive(Clone, Debug, Default)]
pub struct LocalityRules {
    client: Client,
    order: Order,
    /// Whether localities of the same priority share load by their weight.
    weighted: bool,
    zone_aware: Option<u64>,
}

#[derive(Clone, Debug, Default)]
enum Order {
    /// Weights of localities, as percentages.
    Distribute(Vec<(String, u32)>),
    /// Near endpoints first.
    Near {
        failover: Vec<Failover>,
        labels: Vec<LabelRule>,
        places: Places,
    },
    /// All endpoints are alike.
    #[default]
    None,
}

/// How far places count among endpoints whose labels are alike.
#[derive(Clone, Copy, Debug)]
enum Places {
    /// By region, zone and subzone.
    ByDistance,
    /// By region. Zones of the same region share the load.
    ByRegion,
    /// Not at all.
    Ignored,
}

/// A label in which a preferred endpoint agrees with the client.
#[derive(Clone, Debug, Eq, PartialEq)]
struct LabelRule {
    key: String,
    /// What it has to be; `None` if the client has no such label.
    value: Option<String>,
}

impl LocalityRules {
    /// The rules of `cluster` for `client`.
    pub fn compile(cluster: &Cluster, client: &Client) -> Self {
        let detects = cluster.policy.outlier_detection.is_some();
        match &cluster.locality {
            LocalityBalancing::Off => Self::default(),
            LocalityBalancing::Locality { setting, force } => {
                Self::by_locality(setting, client, detects || *force)
            }
            LocalityBalancing::ZoneAware(setting) => Self::zone_aware(setting, client),
        }
    }

    fn by_locality(setting: &LocalityLoadBalancerSetting, client: &Client, orders: bool) -> Self {
        let LocalityLoadBalancerSetting {
            distribute,
            failover,
            failover_priority,
            // Resolution has left disabled settings out.
            enabled: _,
        } = setting;
        let order = if !distribute.is_empty() {
            distribution(distribute, &client.locality)
        } else if orders {
            let labels = label_rules(failover_priority, client);
            let by_labels_alone = failover.is_empty() && !labels.is_empty();
            Order::Near {
                failover: failover.clone(),
                labels,
                places: match by_labels_alone {
                    true => Places::Ignored,
                    false => Places::ByDistance,
                },
            }
        } else {
            Order::None
        };
        Self {
            client: client.clone(),
            // Istio sets Envoy's `locality_weighted_lb_config` in these cases only.
            weighted: !distribute.is_empty()
                || (orders && !(failover.is_empty() && failover_priority.is_empty())),
            order,
            zone_aware: None,
        }
    }

    /// Regions are told apart even where nothing ejects endpoints: otherwise zones of other regions
    /// would share the load (`ApplyZoneAwareLoadBalancer`).
    fn zone_aware(setting: &ZoneAwareLoadBalancerSetting, client: &Client) -> Self {
        let ZoneAwareLoadBalancerSetting {
            enabled,
            failover,
            failover_priority,
            min_cluster_size,
        } = setting;
        if *enabled == Some(false) {
            return Self::default();
        }
        Self {
            client: client.clone(),
            order: Order::Near {
                failover: failover.clone(),
                labels: label_rules(failover_priority, client),
                places: Places::ByRegion,
            },
            weighted: false,
            zone_aware: Some(min_cluster_size.unwrap_or(MIN_CLUSTER_SIZE)),
        }
    }

    /// The priority of an endpoint, 0 being the highest; there may be gaps. `None` if it gets no
    /// load at all.
    pub fn priority(&self, endpoint: &Endpoint) -> Option<u32> {
        let place = Locality::from(endpoint.locality.as_str());
        match &self.order {
            Order::None => Some(0),
            Order::Distribute(weights) => {
                let mut rules = weights.iter();
                rules
                    .any(|(rule, _)| place.is_matched_by(rule))
                    .then_some(0)
            }
            Order::Near {
                failover,
                labels,
                places,
            } => {
                let by_label = label_priority(labels, endpoint, &place);
                Some(match places {
                    Places::Ignored => by_label,
                    Places::ByDistance => by_label * DISTANCES + self.distance(&place, failover),
                    Places::ByRegion => by_label * REGIONS + self.region(&place, failover),
                })
            }
        }
    }

    fn distance(&self, place: &Locality, failover: &[Failover]) -> u32 {
        let distance = self.client.locality.distance(place);
        match self.failover_region(failover) {
            Some(region) if distance == 3 && place.region != region => 4,
            _ => distance,
        }
    }

    fn region(&self, place: &Locality, failover: &[Failover]) -> u32 {
        if place.region == self.client.locality.region {
            return 0;
        }
        match self.failover_region(failover) {
            Some(region) if place.region == region => 1,
            _ => 2,
        }
    }

    /// The region that takes over from the client's.
    fn failover_region<'a>(&self, failover: &'a [Failover]) -> Option<&'a str> {
        let mut settings = failover.iter();
        let own = settings.find(|setting| setting.from == self.client.locality.region);
        own.map(|setting| &*setting.to)
    }

    /// The weights of the localities of a priority, given the weights of their endpoints. `None` if
    /// they do not share load by weight.
    ///
    /// With `distribute`, each percentage is divided among the localities that it matches, and
    /// rounded up.
    pub fn weights(&self, localities: &[(Locality, u64)]) -> Option<Vec<u32>> {
        if !self.weighted {
            return None;
        }
        let Order::Distribute(rules) = &self.order else {
            let weight = |(_, weight): &(Locality, u64)| u32::try_from(*weight).unwrap_or(u32::MAX);
            return Some(localities.iter().map(weight).collect());
        };
        let mut weights = vec![None; localities.len()];
        for (rule, percent) in rules {
            let is_own = |index: &usize| {
                weights[*index].is_none() && localities[*index].0.is_matched_by(rule)
            };
            let own: Vec<usize> = (0..localities.len()).filter(is_own).collect();
            let total: u64 = own.iter().map(|index| localities[*index].1).sum();
            for index in own {
                let share = (localities[index].1 * u64::from(*percent)).div_ceil(total.max(1));
                weights[index] = Some(u32::try_from(share).unwrap_or(u32::MAX));
            }
        }
        Some(weights.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Whether localities of the same priority are told apart.
    pub fn counts_places(&self) -> bool {
        self.weighted || self.zone_aware.is_some()
    }

    /// The fewest endpoints for which zones count, if they count at all.
    pub fn zone_aware_minimum(&self) -> Option<u64> {
        self.zone_aware
    }

    /// Who balances.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// The first entry for the client's place. Without one, places do not count.
fn distribution(entries: &[Distribute], own: &Locality) -> Order {
    let mut entries = entries.iter();
    match entries.find(|entry| own.is_matched_by(&entry.from)) {
        Some(entry) => {
            let to = entry.to.iter();
            Order::Distribute(to.map(|(to, weight)| (to.clone(), *weight)).collect())
        }
        None => Order::None,
    }
}

fn label_rules(labels: &[String], client: &Client) -> Vec<LabelRule> {
    let rules = labels.iter().map(|written| match written.split_once('=') {
        Some((key, value)) => LabelRule {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        },
        None => LabelRule {
            key: written.clone(),
            value: value(&client.labels, written, &client.locality, &client.network),
        },
    });
    rules.collect()
}

/// How many labels, from the first that does not agree on, count against an endpoint.
///
/// A first label that names the network is left out of this, but an endpoint in another network
/// comes after all in the same one.
fn label_priority(labels: &[LabelRule], endpoint: &Endpoint, place: &Locality) -> u32 {
    let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let mut elsewhere = 0;
    for (index, rule) in (0..).zip(labels) {
        let own = value(&endpoint.labels, &rule.key, place, &endpoint.network);
        if own == rule.value {
            continue;
        }
        if index == 0 && rule.key == NETWORK {
            elsewhere = count;
            continue;
        }
        return elsewhere + count - index;
    }
    elsewhere
}

/// The value of a label; those of the topology are known without it. Empty values are none.
fn value(labels: &Labels, key: &str, place: &Locality, network: &str) -> Option<String> {
    let known = match key {
        NETWORK => network,
        REGION => &place.region,
        SUBZONE => &place.subzone,
        ZONE => &place.zone,
        _ => "",
    };
    let value = labels.value(key).unwrap_or(known);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
