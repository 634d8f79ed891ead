//! Preference of endpoints by locality.

use crate::resource::istio::destination_rule::{
    Distribute, Failover, LocalityLoadBalancerSetting, OutlierDetection,
    ZoneAwareLoadBalancerSetting,
};
use crate::validate::At;

/// Labels of a locality, which `failover` treats already.
const TOPOLOGY_LABELS: [&str; 3] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
];

/// Checks a preference by locality (`ValidateLocalityLbSetting`).
pub fn validate_locality_lb_setting(
    setting: &LocalityLoadBalancerSetting,
    outlier_detection: Option<&OutlierDetection>,
    at: At<'_>,
) {
    let LocalityLoadBalancerSetting {
        distribute,
        failover,
        failover_priority,
        enabled: _,
    } = setting;
    if !distribute.is_empty() && !failover.is_empty() {
        at.error("only one of `distribute` and `failover` can be set");
        return;
    }
    if !failover.is_empty() {
        validate_priority_labels(failover_priority, at.field("failoverPriority"));
    }
    at.field("distribute")
        .each(distribute, validate_distribution);
    let origins = distribute.iter().map(|distribute| distribute.from.as_str());
    validate_localities(origins, at.field("distribute"));
    validate_failover(failover, failover_priority, outlier_detection, at);
}

/// Checks a preference for the zone of the client (`ValidateZoneAwareLbSetting`).
pub fn validate_zone_aware_lb_setting(
    setting: &ZoneAwareLoadBalancerSetting,
    outlier_detection: Option<&OutlierDetection>,
    at: At<'_>,
) {
    let ZoneAwareLoadBalancerSetting {
        enabled: _,
        failover,
        failover_priority,
        min_cluster_size,
    } = setting;
    validate_priority_labels(failover_priority, at.field("failoverPriority"));
    if *min_cluster_size == Some(0) {
        at.field("minClusterSize")
            .error("a cluster has at least 1 endpoint");
    }
    validate_failover(failover, failover_priority, outlier_detection, at);
}

fn validate_priority_labels(labels: &[String], at: At<'_>) {
    at.each(labels, |label, at| {
        if TOPOLOGY_LABELS.contains(&label.as_str()) {
            at.error(format_args!(
                "`{label}` is part of the locality, which is treated already"
            ));
        }
    });
}

fn validate_failover(
    failover: &[Failover],
    priority: &[String],
    outlier_detection: Option<&OutlierDetection>,
    at: At<'_>,
) {
    let is_configured = !failover.is_empty() || !priority.is_empty();
    if is_configured && outlier_detection.is_none() {
        at.warning("failover has no effect without outlier detection");
    }
    at.field("failover")
        .each(failover, |Failover { from, to }, at| {
            if from == to {
                at.error(format_args!("failover from `{from}` to itself"));
            }
            if from.contains(['/', '*']) || to.contains(['/', '*']) {
                at.error("failover is from a region to a region, without zones and wildcards");
            }
        });
}

fn validate_distribution(distribute: &Distribute, at: At<'_>) {
    let Distribute { from: _, to } = distribute;
    let at = at.field("to");
    at.each_entry(to, |_, weight, at| {
        if !(1..=100).contains(weight) {
            at.error(format_args!("weight `{weight}` is not from 1 to 100"));
        }
    });
    let total = to.values().map(|weight| u64::from(*weight)).sum::<u64>();
    if total != 100 {
        at.error(format_args!("the weights add up to {total} instead of 100"));
    }
    validate_localities(to.keys().map(String::as_str), at);
}

/// Checks localities `region/zone/subzone`, of which no two may overlap (`validateLocalities`). The
/// end may be left out or be `*`.
pub fn validate_localities<'l>(localities: impl IntoIterator<Item = &'l str>, at: At<'_>) {
    let mut seen: Vec<Vec<&str>> = Vec::new();
    for locality in localities {
        let parts: Vec<_> = locality.splitn(3, '/').collect();
        let stars = locality.matches('*').count();
        if stars > 1 || (stars == 1 && !locality.ends_with('*')) {
            at.error(format_args!(
                "a wildcard is at the end, unlike in `{locality}`"
            ));
        } else if parts.contains(&"") {
            at.error(format_args!("a part of locality `{locality}` is empty"));
        } else if let Some(other) = seen.iter().find(|other| overlap(other, &parts)) {
            let other = other.join("/");
            at.error(format_args!("locality `{locality}` overlaps `{other}`"));
        } else {
            seen.push(parts);
        }
    }
}

/// Whether one of two localities contains the other. As in Istio, a wildcard may follow what it
/// contains, to stand for the rest.
fn overlap(earlier: &[&str], later: &[&str]) -> bool {
    let written = earlier.iter().take_while(|part| **part != "*");
    written.zip(later).all(|(earlier, later)| earlier == later)
}
