use std::time::Duration;

use http::Extensions;
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::RouteMatch;
use mesh_core::origin::Source;
use mesh_core::percent::Percent;
use mesh_core::resource::Metadata;
use mesh_core::service::ClusterName;
use serde_json::{Value as Json, json};

use super::*;

const LOCAL_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

fn filter(namespace: &str, spec: Json) -> Resource<EnvoyFilter> {
    Resource {
        metadata: Metadata {
            name: "limits".into(),
            namespace: namespace.into(),
            ..Metadata::default()
        },
        spec: serde_json::from_value(spec).unwrap(),
        status: None,
        source: Source::unknown(),
    }
}

fn patch(apply_to: &str, object: Json, operation: &str, value: Json) -> Json {
    let mut patch = json!({"applyTo": apply_to, "patch": {"operation": operation}});
    patch["match"] = object;
    patch["patch"]["value"] = value;
    let mut spec = json!({"configPatches": [null]});
    spec["configPatches"][0] = patch;
    spec
}

/// The `LocalRateLimit` of Istio's task.
fn local() -> Json {
    let everything = json!({
        "runtime_key": "local_rate_limit_enabled",
        "default_value": {"numerator": 100, "denominator": "HUNDRED"},
    });
    json!({
        "stat_prefix": "http_local_rate_limiter",
        "token_bucket": {"max_tokens": 4, "tokens_per_fill": 4, "fill_interval": "60s"},
        "filter_enabled": everything,
        "filter_enforced": everything,
        "response_headers_to_add": [
            {"append": false, "header": {"key": "x-local-rate-limit", "value": "true"}},
        ],
    })
}

fn typed_struct(value: Json) -> Json {
    let mut typed = json!({
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": LOCAL_TYPE,
    });
    typed["value"] = value;
    typed
}

fn insert(config: Json) -> Json {
    let mut value = json!({"name": "envoy.filters.http.local_ratelimit"});
    value["typed_config"] = config;
    patch(
        "HTTP_FILTER",
        json!({"context": "SIDECAR_INBOUND"}),
        "INSERT_BEFORE",
        value,
    )
}

fn workload() -> Workload {
    Workload::sidecar("shop").with_label("app", "cart")
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn compile_one(filter: &Resource<EnvoyFilter>) -> Compiled {
    let workload = workload();
    let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system").with_port(8080);
    compile([filter], &scope, now())
}

#[test]
fn the_local_limit_of_istios_task_is_enforced() {
    let compiled = compile_one(&filter("shop", insert(typed_struct(local()))));
    assert_eq!(compiled.notices, []);
    let limit = compiled.limits.limit(&Extensions::new()).unwrap();
    assert_eq!(limit.settings().enforced, Percent::HUNDRED);
    let header = &limit.settings().response_headers[0];
    assert_eq!(header.name, "x-local-rate-limit");
    let allowed = (0..9)
        .filter(|_| limit.check(&[], now()).is_allowed)
        .count();
    assert_eq!(allowed, 4);
}

#[test]
fn a_patch_for_a_port_that_nobody_listens_on_is_told() {
    let of_port = |port: u16| {
        let mut spec = insert(typed_struct(local()));
        spec["configPatches"][0]["match"]["listener"] = json!({"portNumber": port});
        filter("shop", spec)
    };
    let filters = [of_port(8080), of_port(9999)];
    let workload = workload();
    let scope = Scope::new(PatchContext::Any, &workload, "istio-system");
    let notices = unserved(&filters, &scope, &[8080, 8443]);
    let messages: Vec<_> = notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    let expected = "configPatches[0] is not enforced: no listener has the port 9999";
    assert_eq!(messages, [expected]);
    assert!(unserved(&filters, &scope, &[8080, 9999]).is_empty());
}

#[test]
fn a_filter_that_is_not_told_to_does_nothing_as_in_envoy() {
    let mut config = local();
    config.as_object_mut().unwrap().remove("filter_enabled");
    let compiled = compile_one(&filter("shop", insert(typed_struct(config))));
    let limit = compiled.limits.limit(&Extensions::new()).unwrap();
    assert_eq!(limit.settings().enabled, Percent::ZERO);
}

#[test]
fn only_workloads_that_are_selected_are_limited() {
    for (namespace, labels, context, is_limited) in [
        ("shop", json!({}), "SIDECAR_INBOUND", true),
        ("shop", json!({"app": "cart"}), "ANY", true),
        ("shop", json!({"app": "other"}), "ANY", false),
        ("istio-system", json!({"app": "cart"}), "ANY", true),
        ("other", json!({}), "ANY", false),
        ("shop", json!({}), "GATEWAY", false),
        ("shop", json!({}), "SIDECAR_OUTBOUND", false),
    ] {
        let mut spec = insert(typed_struct(local()));
        spec["workloadSelector"] = json!({"labels": labels});
        spec["configPatches"][0]["match"]["context"] = context.into();
        let compiled = compile_one(&filter(namespace, spec.clone()));
        let limited = compiled.limits.limit(&Extensions::new()).is_some();
        assert_eq!(limited, is_limited, "{namespace}: {spec}");
        assert_eq!(compiled.notices, [], "{namespace}: {spec}");
    }
}

#[test]
fn a_listener_is_matched_by_its_port() {
    for (port, is_limited) in [(8080, true), (9090, false)] {
        let mut spec = insert(typed_struct(local()));
        spec["configPatches"][0]["match"]["listener"] = json!({"portNumber": port});
        let compiled = compile_one(&filter("shop", spec));
        let limited = compiled.limits.limit(&Extensions::new()).is_some();
        assert_eq!(limited, is_limited, "{port}");
    }
}

#[test]
fn the_global_limit_of_istios_task_is_recognised() {
    let config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        "domain": "ratelimit",
        "failure_mode_deny": true,
        "timeout": "10s",
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {
                "cluster_name": "outbound|8081||ratelimit.default.svc.cluster.local",
                "authority": "ratelimit.default.svc.cluster.local",
            }},
            "transport_api_version": "V3",
        },
    });
    let compiled = compile_one(&filter("shop", insert(config)));
    assert_eq!(compiled.notices, []);
    let [global] = compiled.global.as_slice() else {
        panic!("{:?}", compiled.global);
    };
    assert_eq!(global.domain, "ratelimit");
    assert_eq!(
        global.cluster.as_str(),
        "outbound|8081||ratelimit.default.svc.cluster.local"
    );
    assert_eq!(global.timeout, Duration::from_secs(10));
    assert!(global.failure_mode_deny);
}

#[test]
fn rules_and_limits_of_routes_are_given_to_the_routes_that_match() {
    let route = |name| Route::forward(name, RouteMatch::prefix("/"), ClusterName::from("cart"));
    let hosts = [
        VirtualHost::new(
            "inbound|http|9080",
            ["*"],
            [route("default"), route("other")],
        ),
        VirtualHost::new("elsewhere", ["x"], [route("default")]),
    ];
    let routes = RouteConfiguration {
        virtual_hosts: hosts.into(),
        ..RouteConfiguration::default()
    };
    let vhost = json!({"name": "inbound|http|9080", "route": {"name": "default", "action": "ANY"}});
    let object = json!({"routeConfiguration": {"vhost": vhost}});
    let per_filter = json!({"envoy.filters.http.local_ratelimit": typed_struct(local())});
    let actions = json!([{"actions": [{"request_headers": {
        "header_name": ":path", "descriptor_key": "PATH",
    }}]}]);
    let on_route =
        json!({"typed_per_filter_config": per_filter, "route": {"rate_limits": actions}});
    let on_host = json!({"rate_limits": actions});
    for (apply_to, value, limited, ruled) in [
        (
            "HTTP_ROUTE",
            on_route,
            [true, false, false],
            [true, false, false],
        ),
        (
            "VIRTUAL_HOST",
            on_host,
            [false, false, false],
            [true, true, false],
        ),
    ] {
        let filter = filter("shop", patch(apply_to, object.clone(), "MERGE", value));
        let workload = workload();
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        let compiled = compile([&filter], &scope.with_routes(&routes), now());
        assert_eq!(compiled.notices, []);
        let all = routes.virtual_hosts.iter().flat_map(|host| &host.routes);
        for (index, route) in all.enumerate() {
            let mut extensions = Extensions::new();
            extensions.insert(MatchedRoute::new(Arc::clone(route), 0));
            let limits = &compiled.limits;
            assert_eq!(
                limits.limit(&extensions).is_some(),
                limited[index],
                "{apply_to} {index}"
            );
            assert_eq!(
                !limits.rules(&extensions).is_empty(),
                ruled[index],
                "{apply_to} {index}"
            );
        }
    }
}

#[test]
fn what_is_not_enforced_is_reported_and_left_out() {
    let with = |field: &str, value: Json| {
        let mut config = local();
        config[field] = value;
        insert(typed_struct(config))
    };
    let lua = json!({"name": "lua", "typed_config": {"@type": "type.googleapis.com/lua"}});
    for (spec, expected) in [
        (
            patch("CLUSTER", json!({}), "ADD", json!({"name": "x"})),
            "configPatches[0] is not enforced: only the rate limits that Istio documents are supported",
        ),
        (
            patch("HTTP_FILTER", json!({}), "INSERT_BEFORE", lua),
            "configPatches[0] is not enforced: only the rate limits that Istio documents are supported",
        ),
        (
            with("local_cluster_rate_limit", json!({})),
            "configPatches[0] is not enforced: the field `local_cluster_rate_limit` is not supported, or not with this value",
        ),
        (
            with("local_rate_limit_per_downstream_connection", json!(true)),
            "configPatches[0] is not enforced: the field `local_rate_limit_per_downstream_connection` is not supported, or not with this value",
        ),
        (
            with(
                "token_bucket",
                json!({"max_tokens": 4, "fill_interval": "0.01s"}),
            ),
            "configPatches[0] is not enforced: the field `token_bucket` is not supported, or not with this value",
        ),
        (
            with(
                "descriptors",
                json!([{"entries": [{"key": "user"}], "token_bucket": {"max_tokens": 1, "fill_interval": "1s"}}]),
            ),
            "configPatches[0] is not enforced: the field `value` is not supported, or not with this value",
        ),
    ] {
        let compiled = compile_one(&filter("shop", spec));
        let messages: Vec<_> = compiled
            .notices
            .iter()
            .map(|notice| notice.message.as_str())
            .collect();
        assert_eq!(messages, [expected]);
        assert!(compiled.limits.limit(&Extensions::new()).is_none());
    }
}

#[test]
fn names_may_be_written_in_camel_case() {
    let config = json!({
        "statPrefix": "x",
        "tokenBucket": {"maxTokens": 4, "fillInterval": "1s"},
        "filterEnabled": {"defaultValue": {"numerator": 25}},
        "filterEnforced": {"defaultValue": {"numerator": 5000, "denominator": "TEN_THOUSAND"}},
    });
    let compiled = compile_one(&filter("shop", insert(typed_struct(config))));
    assert_eq!(compiled.notices, []);
    let settings = compiled
        .limits
        .limit(&Extensions::new())
        .unwrap()
        .settings();
    assert_eq!(
        (settings.enabled.value(), settings.enforced.value()),
        (25.0, 50.0)
    );
}

#[test]
fn a_filter_stands_where_it_is_inserted() {
    let before = |name: Option<&str>| {
        let mut filter = json!({"name": "envoy.filters.network.http_connection_manager"});
        if let Some(name) = name {
            filter["subFilter"] = json!({"name": format!("envoy.filters.http.{name}")});
        }
        json!({"context": "GATEWAY", "listener": {"filterChain": {"filter": filter}}})
    };
    let mut value = json!({"name": "limits"});
    value["typed_config"] = local();
    value["typed_config"]["@type"] = json!(LOCAL_TYPE);
    for (object, operation, expected) in [
        (before(None), "INSERT_BEFORE", Place::First),
        (before(Some("jwt_authn")), "INSERT_BEFORE", Place::First),
        (before(Some("router")), "INSERT_FIRST", Place::First),
        (before(Some("router")), "INSERT_BEFORE", Place::Last),
        (before(Some("rbac")), "INSERT_AFTER", Place::Last),
    ] {
        let patch = patch("HTTP_FILTER", object, operation, value.clone());
        let filter = filter("istio-system", patch);
        let workload = Workload::gateway("istio-system");
        let scope = Scope::new(PatchContext::Gateway, &workload, "istio-system");
        let compiled = compile([&filter], &scope, now());
        assert!(compiled.notices.is_empty(), "{:?}", compiled.notices);
        assert_eq!(compiled.place, expected, "{operation} {:?}", filter.spec);
    }
}
