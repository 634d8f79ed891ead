use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

#[track_caller]
fn assert_patch(patch: &serde_json::Value, errors: usize) {
    let filter = read(json!({"configPatches": [patch]}));
    assert_errors(&patch.to_string(), errors, |at| {
        validate_patches(&filter, at)
    });
}

#[test]
fn a_patch_says_what_is_done_to_what() {
    let remove = json!({"operation": "REMOVE"});
    for (patch, errors) in [
        (json!({"applyTo": "CLUSTER", "patch": remove}), 0),
        (json!({"patch": remove}), 1),
        (json!({"applyTo": "CLUSTER"}), 1),
        (json!({"applyTo": "CLUSTER", "patch": {}}), 1),
        (
            json!({"applyTo": "CLUSTER", "patch": {"operation": "ADD"}}),
            1,
        ),
        (
            json!({"applyTo": "CLUSTER", "patch": {"operation": "ADD", "value": {}}}),
            0,
        ),
    ] {
        assert_patch(&patch, errors);
    }
}

#[test]
fn a_match_is_of_the_objects_that_are_patched() {
    let remove = json!({"operation": "REMOVE"});
    let http = "envoy.filters.network.http_connection_manager";
    let filter =
        |filter: serde_json::Value| json!({"listener": {"filterChain": {"filter": filter}}});
    for (apply_to, matcher, errors) in [
        ("LISTENER", json!({"listener": {}}), 0),
        ("LISTENER", json!({"cluster": {}}), 1),
        ("VIRTUAL_HOST", json!({"listener": {}}), 1),
        ("CLUSTER", json!({"cluster": {}, "listener": {}}), 2),
        ("NETWORK_FILTER", filter(json!({})), 1),
        (
            "NETWORK_FILTER",
            filter(json!({"name": http, "subFilter": {"name": "a"}})),
            1,
        ),
        (
            "HTTP_FILTER",
            filter(json!({"name": http, "subFilter": {"name": "a"}})),
            0,
        ),
        (
            "HTTP_FILTER",
            filter(json!({"name": http, "subFilter": {}})),
            1,
        ),
        (
            "HTTP_FILTER",
            filter(json!({"name": "a", "subFilter": {"name": "a"}})),
            1,
        ),
        ("LISTENER", json!({"proxy": {"proxyVersion": "1\\.2.*"}}), 0),
        (
            "LISTENER",
            json!({"proxy": {"proxyVersion": "%#@~++==`24c234`"}}),
            1,
        ),
        (
            "HTTP_FILTER",
            json!({"context": "WAYPOINT", "waypoint": {}}),
            0,
        ),
        (
            "HTTP_FILTER",
            json!({"context": "WAYPOINT", "listener": {}}),
            1,
        ),
        ("HTTP_FILTER", json!({"waypoint": {}}), 1),
    ] {
        assert_patch(
            &json!({"applyTo": apply_to, "match": matcher, "patch": remove}),
            errors,
        );
    }
}

#[test]
fn a_value_has_types_that_envoy_knows() {
    let config = |name: &str| {
        let value = json!({"name": "a", "typed_config": {"@type": name}});
        json!({"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_FIRST", "value": value}})
    };
    let cluster =
        |value| json!({"applyTo": "CLUSTER", "patch": {"operation": "ADD", "value": value}});
    for (patch, errors) in [
        (
            config("type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"),
            0,
        ),
        (config("type.googleapis.com/udpa.type.v1.TypedStruct"), 0),
        (
            config("type.googleapis.com/envoy.config.filter.network.ext_authz.v2.ExtAuthz"),
            1,
        ),
        (config("envoy.extensions.filters.http.lua.v3.Lua"), 1),
        (cluster(json!({"lb_policy": "RING_HASH"})), 0),
        (cluster(json!({"lb_policy": true})), 1),
    ] {
        assert_patch(&patch, errors);
    }
}

#[test]
fn what_is_deprecated_is_a_warning() {
    let old = json!({"listener": {"filterChain": {"filter": {"name": "envoy.tcp_proxy"}}}});
    let long = json!({"proxy": {"proxyVersion": "1".repeat(1025)}});
    for (apply_to, matcher, value, warnings) in [
        (
            "NETWORK_FILTER",
            json!({}),
            json!({"name": "a", "typed_config": {}}),
            0,
        ),
        ("NETWORK_FILTER", json!({}), json!({"name": "a"}), 1),
        (
            "NETWORK_FILTER",
            old.clone(),
            json!({"typed_config": {}}),
            1,
        ),
        ("LISTENER", old, json!({}), 2),
        ("LISTENER", long, json!({}), 1),
    ] {
        let patch = json!({"operation": "MERGE", "value": value});
        let patch = json!({"applyTo": apply_to, "match": matcher, "patch": patch});
        let filter = read(json!({"configPatches": [patch]}));
        assert_warnings(&patch.to_string(), warnings, |at| {
            validate_patches(&filter, at)
        });
    }
}
