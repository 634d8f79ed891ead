use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

fn service(spec: serde_json::Value) -> Resource<VirtualService> {
    Resource {
        spec: read(spec),
        ..Resource::default()
    }
}

fn http() -> serde_json::Value {
    json!([{"route": [{"destination": {"host": "reviews"}}]}])
}

#[test]
fn hosts_are_distinct_and_valid_where_they_are_routed() {
    let cases = [
        (json!(["reviews"]), json!([]), 0),
        (json!(["*.example.com", "10.0.0.1"]), json!([]), 0),
        (json!(["*"]), json!([]), 1),
        (json!(["*"]), json!(["mesh", "gw"]), 1),
        (json!(["*"]), json!(["gw"]), 0),
        (json!(["a.b", "A.b"]), json!([]), 1),
        (json!(["*.b", "a.b"]), json!([]), 1),
        (json!(["a..b"]), json!([]), 1),
    ];
    for (hosts, gateways, errors) in cases {
        let service = service(json!({"hosts": hosts, "gateways": gateways, "http": http()}));
        assert_errors(&format!("{hosts} {gateways}"), errors, |at| {
            validate(&service, at)
        });
    }
}

#[test]
fn a_delegate_has_http_routes_only() {
    let tcp = json!([{"route": [{"destination": {"host": "a"}}]}]);
    let cases = [
        (json!({"http": http()}), 0),
        (json!({"http": http(), "gateways": ["gw"]}), 1),
        (json!({"http": http(), "tcp": tcp}), 1),
        (
            json!({"http": [{"delegate": {"name": "a"}, "route": http()[0]["route"]}]}),
            1,
        ),
        (json!({}), 1),
    ];
    for (spec, errors) in cases {
        assert_errors(&spec.to_string(), errors, |at| {
            validate(&service(spec.clone()), at)
        });
    }
}

#[test]
fn a_root_leaves_the_action_to_its_delegate() {
    let cases = [
        (json!({"delegate": {"name": "a"}}), 0),
        (
            json!({"delegate": {"name": "a"}, "redirect": {"uri": "/"}}),
            1,
        ),
        (
            json!({"delegate": {"name": "a"}, "route": [{"destination": {"host": "a"}}]}),
            1,
        ),
    ];
    for (route, errors) in cases {
        let service = service(json!({"hosts": ["a"], "http": [route]}));
        assert_errors(&route.to_string(), errors, |at| validate(&service, at));
    }
}

#[test]
fn a_route_does_one_thing() {
    let (route, redirect) = (&http()[0]["route"], json!({"uri": "/"}));
    let (response, rewrite) = (json!({"status": 503}), json!({"uri": "/"}));
    let fault = json!({"abort": {"httpStatus": 500}});
    let cases = [
        (json!({}), 1),
        (json!({"redirect": redirect}), 0),
        (json!({"directResponse": response}), 0),
        (
            json!({"route": route, "rewrite": rewrite, "fault": fault}),
            0,
        ),
        (json!({"route": route, "redirect": redirect}), 1),
        (json!({"redirect": redirect, "directResponse": response}), 1),
        (
            json!({"redirect": redirect, "rewrite": rewrite, "fault": fault}),
            2,
        ),
        (
            json!({"directResponse": response, "route": route, "fault": fault}),
            2,
        ),
    ];
    for (route, errors) in cases {
        assert_errors(&route.to_string(), errors, |at| {
            validate_http_route(&read(route.clone()), RouteContext::default(), at);
        });
    }
}

#[test]
fn conditions_of_matches_are_checked() {
    let cases = [
        (json!({"uri": {"prefix": ""}}), 0),
        (json!({"method": {"prefix": ""}}), 1),
        (json!({"headers": {"": {"exact": "a"}}}), 1),
        (json!({"headers": {":path": {}, "x-a": {"regex": "*"}}}), 1),
        (json!({"withoutHeaders": {"x-a": {"regex": "*"}}}), 0),
        (json!({"queryParams": {"a": {"regex": "("}}}), 1),
        (json!({"port": 65536}), 1),
        (json!({"sourceLabels": {"a b": "c"}}), 1),
        (json!({"sourceNamespace": "@"}), 1),
        (json!({"gateways": ["a/b/c"]}), 1),
    ];
    for (matcher, errors) in cases {
        let route = read(json!({"match": [matcher], "route": http()[0]["route"]}));
        assert_errors(&matcher.to_string(), errors, |at| {
            validate_http_route(&route, RouteContext::default(), at);
        });
    }
}

#[test]
fn claims_are_matched_at_gateways_only() {
    let matcher = json!({"headers": {"@request.auth.claims.group": {"exact": "admin"}}});
    let http = json!([{"match": [matcher], "route": http()[0]["route"]}]);
    for (gateways, errors) in [
        (json!([]), 1),
        (json!(["mesh", "gw"]), 1),
        (json!(["gw"]), 0),
    ] {
        let service = service(json!({"hosts": ["a.b"], "gateways": gateways, "http": http}));
        assert_errors(&gateways.to_string(), errors, |at| validate(&service, at));
    }
}

#[test]
fn references_to_gateways_have_a_namespace() {
    for (name, errors) in [
        ("prod/gw", 0),
        ("gw", 0),
        ("/gw", 1),
        ("prod/", 1),
        ("a/b.c", 1),
    ] {
        assert_errors(name, errors, |at| {
            validate_gateway_names(&[name.to_owned()], false, at)
        });
    }
    for (names, errors) in [(["a/b.c", "mesh"], 1), (["mesh", "a/b.c"], 0)] {
        assert_errors(&names.join(" "), errors, |at| {
            validate_gateway_names(&names.map(str::to_owned), false, at);
        });
    }
    assert_warnings("old form", 1, |at| {
        validate_gateway_names(&["gw.prod.svc".to_owned()], false, at);
    });
    assert_errors("of the Gateway API", 0, |at| {
        validate_gateway_names(&["prod/gw~istio.kube".to_owned()], true, at);
    });
}

#[test]
fn tls_routes_match_hosts_of_the_service() {
    let route = json!([{"destination": {"host": "a"}}]);
    let cases = [
        (json!({"match": [{"sniHosts": ["a.b"]}], "route": route}), 0),
        (json!({"match": [{"sniHosts": ["x.b"]}], "route": route}), 1),
        (json!({"match": [{}], "route": route}), 1),
        (json!({"route": route}), 1),
        (json!({"match": [{"sniHosts": ["a.b"]}]}), 1),
        (
            json!({"match": [{"sniHosts": ["a.b"], "destinationSubnets": ["a"]}], "route": route}),
            1,
        ),
    ];
    for (tls, errors) in cases {
        let service = service(json!({"hosts": ["a.b"], "tls": [tls]}));
        assert_errors(&tls.to_string(), errors, |at| validate(&service, at));
    }
    let service = service(json!({
        "hosts": ["10.0.0.1"], "tls": [{"match": [{"sniHosts": ["10.0.0.1"]}], "route": route}],
    }));
    assert_warnings("an address", 1, |at| validate(&service, at));
}

#[test]
fn the_names_that_gateways_pass_through_need_no_gateway() {
    let route = json!([{"destination": {"host": "a"}}]);
    let tls = json!([{"match": [{"sniHosts": ["outbound_.80_._.a.b"]}], "route": route}]);
    for (gateways, errors) in [
        (json!([]), 0),
        (json!(["prod/gw"]), 0),
        (json!(["mesh"]), 1),
    ] {
        let service = service(json!({"hosts": ["*.b"], "gateways": gateways, "tls": tls}));
        assert_errors(&gateways.to_string(), errors, |at| validate(&service, at));
    }
}

#[test]
fn rules_after_the_one_for_every_request_are_told_once() {
    let rule =
        |prefix: &str| json!({"match": [{"uri": {"prefix": prefix}}], "route": http()[0]["route"]});
    let service = service(json!({
        "hosts": ["a"], "http": [rule("/a"), {"route": http()[0]["route"]}, rule("/a/b")],
    }));
    assert_warnings("covered twice", 1, |at| validate(&service, at));
}
