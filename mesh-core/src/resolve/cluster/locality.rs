//! Which locality settings are effective (`GetEffectiveLbSetting`).

use crate::config::options::MeshOptions;
use crate::config::services::{Service, TrafficDistribution};
use crate::model::cluster::LocalityBalancing;
use crate::resource::istio::destination_rule::{LoadBalancerSettings, LocalityLoadBalancerSetting};

/// Labels in which an endpoint of the same zone agrees with the client.
const SAME_ZONE: [&str; 3] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Labels in which an endpoint of the same node agrees with the client.
const SAME_NODE: [&str; 5] = [
    "topology.istio.io/network",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
];

/// The settings of the DestinationRule, else those of the service, else those of the mesh; in each,
/// zone-aware settings come first.
pub(super) fn effective(
    rule: Option<&LoadBalancerSettings>,
    service: &Service,
    options: &MeshOptions,
) -> LocalityBalancing {
    if let Some(setting) = rule.and_then(|rule| rule.zone_aware_lb_setting.clone()) {
        return LocalityBalancing::ZoneAware(Box::new(setting));
    }
    if let Some(setting) = rule.and_then(|rule| rule.locality_lb_setting.clone()) {
        return by_locality(setting);
    }
    match service.traffic_distribution {
        TrafficDistribution::Any => {}
        TrafficDistribution::PreferSameNode => return preferring(&SAME_NODE),
        TrafficDistribution::PreferSameZone => return preferring(&SAME_ZONE),
    }
    match options.zone_aware_lb_setting() {
        Some(setting) => LocalityBalancing::ZoneAware(Box::new(setting.clone())),
        None => by_locality(options.locality_lb_setting()),
    }
}

fn by_locality(setting: LocalityLoadBalancerSetting) -> LocalityBalancing {
    if setting.enabled == Some(false) {
        return LocalityBalancing::Off;
    }
    LocalityBalancing::Locality {
        setting: Box::new(setting),
        force: false,
    }
}

fn preferring(labels: &[&str]) -> LocalityBalancing {
    let setting = LocalityLoadBalancerSetting {
        enabled: Some(true),
        failover_priority: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..LocalityLoadBalancerSetting::default()
    };
    LocalityBalancing::Locality {
        setting: Box::new(setting),
        force: true,
    }
}
