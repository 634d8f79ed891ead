//! How endpoints are chosen.

use std::collections::BTreeSet;

use super::{validate_locality_lb_setting, validate_zone_aware_lb_setting};
use crate::resource::istio::destination_rule::{
    ConsistentHashLb, HttpCookie, LoadBalancerSettings, OutlierDetection, WarmupConfiguration,
};
use crate::validate::{At, duration};

/// Envoy's bound on the size of a Maglev table.
const MAGLEV_TABLE_LIMIT: u64 = 5_000_011;

/// Checks how endpoints are chosen, which depends on outlier detection (`validateLoadBalancer`).
pub fn validate_load_balancer(
    balancer: &LoadBalancerSettings,
    outlier_detection: Option<&OutlierDetection>,
    at: At<'_>,
) {
    let LoadBalancerSettings {
        simple,
        consistent_hash,
        backend_utilization,
        locality_lb_setting,
        zone_aware_lb_setting,
        warmup_duration_secs,
        warmup,
    } = balancer;
    at.at_most_one(&[
        ("simple", simple.is_some()),
        ("consistentHash", consistent_hash.is_some()),
        ("backendUtilization", backend_utilization.is_some()),
    ]);
    if let Some(hash) = consistent_hash {
        validate_consistent_hash(hash, at.field("consistentHash"));
    }
    at.at_most_one(&[
        ("localityLbSetting", locality_lb_setting.is_some()),
        ("zoneAwareLbSetting", zone_aware_lb_setting.is_some()),
    ]);
    if let Some(setting) = locality_lb_setting {
        let at = at.field("localityLbSetting");
        validate_locality_lb_setting(setting, outlier_detection, at);
    }
    if let Some(setting) = zone_aware_lb_setting {
        let at = at.field("zoneAwareLbSetting");
        validate_zone_aware_lb_setting(setting, outlier_detection, at);
    }
    duration::validate_minimum(*warmup_duration_secs, at.field("warmupDurationSecs"));
    if let Some(warmup) = warmup {
        validate_warmup(warmup, at.field("warmup"));
    }
}

fn validate_consistent_hash(hash: &ConsistentHashLb, at: At<'_>) {
    let ConsistentHashLb {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash,
        maglev,
        minimum_ring_size,
    } = hash;
    at.at_most_one(&[
        ("httpHeaderName", http_header_name.is_some()),
        ("httpCookie", http_cookie.is_some()),
        ("useSourceIp", use_source_ip.is_some()),
        (
            "httpQueryParameterName",
            http_query_parameter_name.is_some(),
        ),
    ]);
    if let Some(cookie) = http_cookie {
        validate_cookie(cookie, at.field("httpCookie"));
    }
    if *minimum_ring_size != 0 {
        let at = at.field("minimumRingSize");
        at.warning("`minimumRingSize` is deprecated")
            .help("use `ringHash.minimumRingSize`");
        at.require(
            ring_hash.is_none() && maglev.is_none(),
            "only one of `minimumRingSize`, `ringHash` and `maglev` can be set",
        );
    }
    at.at_most_one(&[
        ("ringHash", ring_hash.is_some()),
        ("maglev", maglev.is_some()),
    ]);
    if let Some(maglev) = maglev {
        validate_table_size(maglev.table_size, at.field("maglev").field("tableSize"));
    }
}

fn validate_cookie(cookie: &HttpCookie, at: At<'_>) {
    at.field("name")
        .require(!cookie.name.is_empty(), "a cookie has a name");
    let mut names = BTreeSet::new();
    at.field("attributes")
        .each(&cookie.attributes, |attribute, at| {
            let (name, at) = (&attribute.name, at.field("name"));
            if name.is_empty() {
                at.error("an attribute has a name");
            } else if !names.insert(name.as_str()) {
                at.error(format_args!("attribute `{name}` is there twice"));
            }
        });
}

fn validate_table_size(size: u64, at: At<'_>) {
    if size == 0 {
        at.error("the size of a Maglev table is required");
    } else if size >= MAGLEV_TABLE_LIMIT {
        at.error(format_args!(
            "size `{size}` is not below {MAGLEV_TABLE_LIMIT}"
        ));
    } else if !is_prime(size) {
        at.error(format_args!("size `{size}` is not a prime number"));
    }
}

/// Whether Envoy takes `number` for a prime, which includes 1.
fn is_prime(number: u64) -> bool {
    let mut divisors = (2..number).take_while(|divisor| divisor * divisor <= number);
    !divisors.any(|divisor| number.is_multiple_of(divisor))
}

fn validate_warmup(warmup: &WarmupConfiguration, at: At<'_>) {
    let WarmupConfiguration {
        duration,
        minimum_percent,
        aggression,
    } = warmup;
    let at_duration = at.field("duration");
    at_duration.require(duration.is_some(), "a duration is required");
    duration::validate_optional(*duration, at_duration);
    if let Some(percent) = minimum_percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
        at.field("minimumPercent")
            .error(format_args!("percentage `{percent}` is not from 0 to 100"));
    }
    if let Some(aggression) = aggression.filter(|aggression| *aggression <= 0.0) {
        at.field("aggression")
            .error(format_args!("`{aggression}` is not above 0"));
    }
}
