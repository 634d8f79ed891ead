use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

fn entry(spec: &serde_json::Value) -> Resource<ServiceEntry> {
    Resource {
        spec: read(spec.clone()),
        ..Resource::default()
    }
}

#[track_caller]
fn assert_all(cases: &[(serde_json::Value, usize)]) {
    for (spec, errors) in cases {
        assert_errors(&spec.to_string(), *errors, |at| validate(&entry(spec), at));
    }
}

#[test]
fn a_service_has_hosts_and_distinct_ports() {
    let port =
        |name: &str, number: u32| json!({"name": name, "number": number, "protocol": "HTTP"});
    assert_all(&[
        (
            json!({"hosts": ["a.b"], "ports": [port("a", 1), port("b", 2)]}),
            0,
        ),
        (json!({"ports": [port("a", 1)]}), 1),
        (json!({"hosts": ["*"]}), 1),
        (json!({"hosts": ["a b"]}), 1),
        (
            json!({"hosts": ["a.b"], "ports": [port("a", 1), port("a", 2)]}),
            1,
        ),
        (
            json!({"hosts": ["a.b"], "ports": [port("a", 1), port("b", 1)]}),
            1,
        ),
        (json!({"hosts": ["a.b"], "ports": [port("a b", 0)]}), 2),
        (json!({"hosts": ["a.b"], "addresses": ["a"]}), 1),
        (json!({"hosts": ["a.b"], "exportTo": ["~"]}), 0),
        (json!({"hosts": vec!["a.b"; 257]}), 1),
    ]);
    assert_warnings("partial wildcard", 1, |at| {
        validate(&entry(&json!({"hosts": ["*a"]})), at)
    });
}

#[test]
fn each_resolution_has_its_endpoints() {
    let address = json!([{"address": "10.0.0.1"}]);
    let name = json!([{"address": "vm.example.com"}]);
    assert_all(&[
        (json!({"hosts": ["a.b"], "endpoints": address}), 1),
        (
            json!({"hosts": ["a.b"], "resolution": "STATIC", "endpoints": address}),
            0,
        ),
        (
            json!({"hosts": ["a.b"], "resolution": "STATIC", "endpoints": name}),
            1,
        ),
        (
            json!({"hosts": ["a.b"], "resolution": "DNS", "endpoints": name}),
            0,
        ),
        (json!({"hosts": ["a.b"], "resolution": "DNS"}), 0),
        (json!({"hosts": ["*.b"], "resolution": "DNS"}), 1),
        (
            json!({"hosts": ["*.b"], "resolution": "DNS", "endpoints": name}),
            0,
        ),
        (
            json!({"hosts": ["a.b"], "resolution": "DNS", "endpoints": [{"address": "a b"}]}),
            1,
        ),
        (
            json!({
                "hosts": ["a.b"], "resolution": "DNS_ROUND_ROBIN",
                "endpoints": [{"address": "a"}, {"address": "b"}],
            }),
            1,
        ),
        (
            json!({
                "hosts": ["a.b"], "resolution": "STATIC", "endpoints": address,
                "workloadSelector": {"labels": {"a": "b"}},
            }),
            1,
        ),
    ]);
}

#[test]
fn ranges_are_addresses_of_services_that_are_not_resolved() {
    let cases = [("NONE", 0), ("STATIC", 0), ("DNS", 1)];
    for (resolution, errors) in cases {
        let spec = json!({"hosts": ["a.b"], "addresses": ["10.0.0.0/8"], "resolution": resolution});
        assert_errors(resolution, errors, |at| validate(&entry(&spec), at));
    }
}

#[test]
fn dynamic_dns_serves_wildcards_of_http_and_tls() {
    let spec = |host: &str, protocol: &str| {
        let ports = json!([{"name": "a", "number": 80, "protocol": protocol}]);
        json!({"hosts": [host], "ports": ports, "resolution": "DYNAMIC_DNS"})
    };
    assert_all(&[
        (spec("*.a.b", "TLS"), 0),
        (spec("a.b", "HTTP"), 1),
        (spec("*.a.b", "TCP"), 1),
    ]);
    let mut internal = entry(&spec("*.a.b", "HTTP"));
    internal.spec.location = crate::resource::istio::service_entry::Location::MeshInternal;
    assert_errors("internal", 0, |at| validate(&internal, at));
    internal
        .metadata
        .labels
        .insert("istio.io/use-waypoint".into(), "waypoint".into());
    assert_errors("internal by waypoint", 1, |at| validate(&internal, at));
}

#[test]
fn several_hosts_share_no_tcp_port() {
    let spec = |resolution: &str, protocol: &str| {
        let ports = json!([{"name": "a", "number": 80, "protocol": protocol}]);
        json!({"hosts": ["a.b", "b.b"], "ports": ports, "resolution": resolution})
    };
    assert_all(&[
        (spec("DNS", "HTTP"), 0),
        (spec("DNS", "TLS"), 0),
        (spec("DNS", "TCP"), 1),
        (spec("NONE", "TCP"), 0),
    ]);
}

#[test]
fn a_tcp_port_needs_an_address_where_none_is_allocated() {
    let spec = json!({
        "hosts": ["a.b"], "ports": [{"name": "a", "number": 80}], "resolution": "DNS",
    });
    let mut service = entry(&spec);
    assert_warnings("allocated", 0, |at| validate(&service, at));
    service
        .metadata
        .labels
        .insert(AUTO_ALLOCATION.into(), "false".into());
    assert_warnings("not allocated", 1, |at| validate(&service, at));
}
