use serde_json::json;

use super::*;
use crate::duration::Duration;
use crate::resource::istio::round_trip;

#[test]
fn a_rule_with_subsets_and_ports_is_read_whole() {
    let spec: DestinationRule = round_trip(&json!({
        "host": "cart.shop.svc.cluster.local",
        "trafficPolicy": {
            "connectionPool": {
                "tcp": {
                    "maxConnections": 100,
                    "connectTimeout": "30ms",
                    "tcpKeepalive": {"time": "45s"},
                },
                "http": {"http2MaxRequests": 1000, "h2UpgradePolicy": "UPGRADE"},
            },
            "outlierDetection": {
                "consecutive5xxErrors": 7,
                "interval": "5s",
                "outlierDetectionHttpErrorCodes": [429, 503],
            },
            "portLevelSettings": [
                {"port": {"number": 443}, "tls": {"mode": "SIMPLE", "sni": "cart"}},
            ],
        },
        "subsets": [{
            "name": "v2",
            "labels": {"version": "v2"},
            "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}},
        }],
        "exportTo": ["*"],
        "workloadSelector": {"matchLabels": {"app": "web"}},
    }));

    let policy = spec.traffic_policy.unwrap();
    let tcp = policy.connection_pool.unwrap().tcp.unwrap();
    assert_eq!(tcp.connect_timeout, Some(Duration::from_millis(30)));
    assert_eq!(
        policy.outlier_detection.unwrap().consecutive_5xx_errors,
        Some(7)
    );
    let port = &policy.port_level_settings[0];
    assert_eq!(port.tls.as_ref().unwrap().mode, ClientTlsMode::Simple);
    assert_eq!(spec.subsets[0].name, "v2");
}

#[test]
fn consistent_hashing_by_a_cookie_is_read() {
    let settings: LoadBalancerSettings = round_trip(&json!({
        "consistentHash": {
            "httpCookie": {
                "name": "user",
                "ttl": "0s",
                "attributes": [{"name": "SameSite", "value": "Lax"}],
            },
            "maglev": {"tableSize": 65537},
        },
    }));

    let hash = settings.consistent_hash.unwrap();
    assert_eq!(hash.http_cookie.unwrap().ttl, Some(Duration::ZERO));
    assert_eq!(hash.maglev.unwrap().table_size, 65537);
    assert_eq!(settings.simple, None);
}

#[test]
fn balancing_by_reported_load_is_read() {
    let settings: LoadBalancerSettings = round_trip(&json!({
        "backendUtilization": {
            "weightUpdatePeriod": "1s",
            "errorUtilizationPenaltyPercent": 100,
            "metricNamesForComputingUtilization": ["named_metrics.queue"],
        },
    }));

    let utilization = settings.backend_utilization.unwrap();
    assert_eq!(
        utilization.weight_update_period,
        Some(Duration::from_secs(1))
    );
    assert_eq!(utilization.error_utilization_penalty_percent, Some(100));
}

#[test]
fn locality_and_warm_up_are_read() {
    let settings: LoadBalancerSettings = round_trip(&json!({
        "simple": "LEAST_REQUEST",
        "localityLbSetting": {
            "enabled": false,
            "distribute": [{"from": "eu/a/*", "to": {"eu/a/*": 80, "eu/b/*": 20}}],
        },
        "warmup": {"duration": "30s", "aggression": 2.5},
    }));

    let locality = settings.locality_lb_setting.unwrap();
    assert_eq!(locality.enabled, Some(false));
    assert_eq!(locality.distribute[0].to["eu/b/*"], 20);
    assert_eq!(settings.warmup.unwrap().aggression, Some(2.5));
}

#[test]
fn a_count_of_zero_is_not_an_absent_one() {
    let outlier: OutlierDetection = round_trip(&json!({"consecutive5xxErrors": 0}));
    assert_eq!(outlier.consecutive_5xx_errors, Some(0));
    assert_eq!(OutlierDetection::default().consecutive_5xx_errors, None);
}
