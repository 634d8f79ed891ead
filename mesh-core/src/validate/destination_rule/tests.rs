use serde_json::json;

use super::*;
use crate::resource::istio::destination_rule::OutlierDetection;
use crate::validate::testing::{assert_errors, assert_warnings, read};

fn rule(spec: serde_json::Value) -> Resource<DestinationRule> {
    let mut resource = Resource::<DestinationRule>::default();
    resource.metadata.namespace = "prod".into();
    resource.spec = read(spec);
    resource
}

#[test]
fn a_rule_has_a_host_and_distinct_subsets() {
    let cases = [
        (json!({"host": "reviews"}), 0),
        (json!({"host": "*.example.com"}), 0),
        (json!({}), 1),
        (
            json!({"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]}),
            1,
        ),
        (json!({"host": "a", "subsets": [{"name": "v 1"}, {}]}), 2),
        (
            json!({"host": "a", "subsets": [{"name": "v1", "labels": {"a b": "c"}}]}),
            1,
        ),
        (
            json!({"host": "a", "subsets": [{"name": "v1", "trafficPolicy": {}}]}),
            1,
        ),
        (
            json!({
                "host": "a", "exportTo": ["*"], "workloadSelector": {"matchLabels": {"a": "b"}},
            }),
            1,
        ),
    ];
    for (spec, errors) in cases {
        assert_errors(&spec.to_string(), errors, |at| {
            validate(&rule(spec.clone()), at)
        });
    }
}

#[test]
fn a_traffic_policy_sets_something() {
    let pool = json!({"tcp": {"maxConnections": 1}});
    let cases = [
        (json!({}), 1),
        (json!({"connectionPool": pool}), 0),
        (json!({"connectionPool": {}}), 1),
        (json!({"proxyProtocol": {"version": "V2"}}), 0),
        (
            json!({"proxyProtocol": {}, "tunnel": {"targetHost": "a", "targetPort": 1}}),
            1,
        ),
        (
            json!({"tunnel": {"protocol": "GET", "targetHost": "a b", "targetPort": 0}}),
            3,
        ),
        (
            json!({"tunnel": {"targetHost": "10.0.0.1", "targetPort": 443}}),
            0,
        ),
        (
            json!({"portLevelSettings": [{"port": {"number": 80}, "connectionPool": pool}]}),
            0,
        ),
        (json!({"portLevelSettings": [{"connectionPool": pool}]}), 1),
        (json!({"portLevelSettings": [{"port": {"number": 80}}]}), 1),
        (json!({"retryBudget": {"percent": 101}}), 1),
    ];
    for (policy, errors) in cases {
        assert_errors(&policy.to_string(), errors, |at| {
            validate_traffic_policy(&read(policy.clone()), "prod", at);
        });
    }
}

#[test]
fn limits_are_not_negative_and_durations_in_milliseconds() {
    let cases = [
        (
            json!({"http": {"http1MaxPendingRequests": -1, "maxRetries": -1}}),
            2,
        ),
        (
            json!({"http": {"useClientProtocol": true, "h2UpgradePolicy": "UPGRADE"}}),
            1,
        ),
        (json!({"http": {"idleTimeout": "0s"}}), 1),
        (json!({"http": {"http2KeepAlive": {"interval": "1s"}}}), 1),
        (json!({"tcp": {"idleTimeout": "0s"}}), 0),
        (
            json!({"tcp": {"connectTimeout": "1us", "maxConnections": -2}}),
            2,
        ),
        (
            json!({"tcp": {"tcpKeepalive": {"time": "0s", "interval": "1s", "probes": 0}}}),
            1,
        ),
    ];
    for (pool, errors) in cases {
        assert_errors(&pool.to_string(), errors, |at| {
            validate_connection_pool(&read(pool.clone()), at);
        });
    }
}

#[test]
fn outliers_are_detected_by_valid_numbers() {
    let cases = [
        (json!({}), 0),
        (json!({"interval": "0s", "baseEjectionTime": "1ns"}), 2),
        (
            json!({"maxEjectionPercent": 101, "minHealthPercent": -1}),
            2,
        ),
        (json!({"consecutiveLocalOriginFailures": 5}), 1),
        (json!({"consecutiveLocalOriginFailures": 0}), 0),
        (
            json!({"consecutiveLocalOriginFailures": 5, "splitExternalLocalOriginErrors": true}),
            0,
        ),
        (json!({"outlierDetectionHttpErrorCodes": [99, 503, 600]}), 2),
    ];
    for (detection, errors) in cases {
        assert_errors(&detection.to_string(), errors, |at| {
            validate_outlier_detection(&read(detection.clone()), at);
        });
    }
    assert_warnings("deprecated", 1, |at| {
        validate_outlier_detection(&read(json!({"consecutiveErrors": 1})), at);
    });
}

#[test]
fn balancing_is_done_in_one_way() {
    let maglev =
        |size: u64| json!({"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": size}}});
    let cookie = |cookie| json!({"consistentHash": {"httpCookie": cookie}});
    let cases = [
        (json!({"simple": "RANDOM"}), 0),
        (
            json!({"simple": "RANDOM", "consistentHash": {"useSourceIp": true}}),
            1,
        ),
        (
            json!({"consistentHash": {"useSourceIp": true, "httpHeaderName": "a"}}),
            1,
        ),
        (
            json!({"consistentHash": {"minimumRingSize": 1, "ringHash": {}}}),
            1,
        ),
        (maglev(65537), 0),
        (maglev(0), 1),
        (maglev(9), 1),
        (maglev(5_000_011), 1),
        (
            cookie(json!({"name": "a", "attributes": [{"name": "b"}, {"name": "c"}]})),
            0,
        ),
        (cookie(json!({})), 1),
        (
            cookie(json!({"name": "a", "attributes": [{}, {"name": "b"}, {"name": "b"}]})),
            2,
        ),
        (
            json!({"warmup": {"duration": "10s", "minimumPercent": 10, "aggression": 1}}),
            0,
        ),
        (
            json!({"warmup": {"minimumPercent": 101, "aggression": 0}}),
            3,
        ),
        (
            json!({"localityLbSetting": {}, "zoneAwareLbSetting": {}}),
            1,
        ),
    ];
    for (balancer, errors) in cases {
        assert_errors(&balancer.to_string(), errors, |at| {
            validate_load_balancer(&read(balancer.clone()), None, at);
        });
    }
}

#[test]
fn localities_do_not_overlap() {
    let cases: [(&[&str], usize); 11] = [
        (&["a", "b"], 0),
        (&["a/b", "a/c", "b/b"], 0),
        (&["a/b/c", "a/b/d"], 0),
        (&["a/b/c", "a/c/*"], 0),
        (&["a", "a/b"], 1),
        (&["a/*", "a/b/c"], 1),
        (&["*", "a"], 1),
        (&["a", "*"], 0),
        (&["a/", "a//b"], 2),
        (&["*/a"], 1),
        (&["a/*/*"], 1),
    ];
    for (localities, errors) in cases {
        assert_errors(&format!("{localities:?}"), errors, |at| {
            validate_localities(localities.iter().copied(), at);
        });
    }
}

#[test]
fn load_is_distributed_or_fails_over() {
    let failover = json!([{"from": "a", "to": "b"}]);
    let detection = OutlierDetection::default();
    let cases = [
        (
            json!({"distribute": [{"from": "a", "to": {"a": 80, "b": 20}}]}),
            0,
        ),
        (
            json!({"distribute": [{"from": "a", "to": {"a": 80, "b": 30}}]}),
            1,
        ),
        (
            json!({"distribute": [{"from": "a", "to": {"a": 0, "b": 100}}]}),
            1,
        ),
        (
            json!({"failover": failover, "distribute": [{"from": "a", "to": {"b": 100}}]}),
            1,
        ),
        (json!({"failover": failover}), 0),
        (
            json!({"failover": [{"from": "a", "to": "a"}, {"from": "a/b", "to": "*"}]}),
            2,
        ),
        (
            json!({"failover": failover, "failoverPriority": ["topology.istio.io/subzone"]}),
            1,
        ),
        (
            json!({"failoverPriority": ["topology.istio.io/subzone"]}),
            0,
        ),
    ];
    for (setting, errors) in cases {
        assert_errors(&setting.to_string(), errors, |at| {
            validate_locality_lb_setting(&read(setting.clone()), Some(&detection), at);
        });
    }
    assert_warnings("without detection", 1, |at| {
        validate_locality_lb_setting(&read(json!({"failover": failover})), None, at);
    });
    let zone = json!({"failoverPriority": ["topology.kubernetes.io/zone"], "minClusterSize": 0});
    assert_errors("zone", 2, |at| {
        validate_zone_aware_lb_setting(&read(zone), Some(&detection), at);
    });
}

#[test]
fn client_certificates_come_from_one_place() {
    let cases = [
        (
            json!({"mode": "MUTUAL", "clientCertificate": "c", "privateKey": "k"}),
            0,
        ),
        (json!({"mode": "MUTUAL"}), 2),
        (json!({"mode": "MUTUAL", "credentialName": "c"}), 0),
        (
            json!({"mode": "SIMPLE", "credentialName": "c", "caCertificates": "a"}),
            1,
        ),
        (json!({"mode": "SIMPLE", "insecureSkipVerify": true}), 0),
        (
            json!({"mode": "SIMPLE", "insecureSkipVerify": true, "subjectAltNames": ["a"]}),
            1,
        ),
        (
            json!({"mode": "MUTUAL", "insecureSkipVerify": true, "credentialName": "c"}),
            0,
        ),
        (
            json!({"mode": "SIMPLE", "credentialName": "configmap://prod/ca"}),
            0,
        ),
        (
            json!({"mode": "SIMPLE", "credentialName": "configmap://test/ca"}),
            1,
        ),
        (
            json!({"mode": "SIMPLE", "credentialName": "configmap://ca"}),
            1,
        ),
    ];
    for (tls, errors) in cases {
        assert_errors(&tls.to_string(), errors, |at| {
            validate_client_tls(&read(tls.clone()), "prod", at);
        });
    }
}
