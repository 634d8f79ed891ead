use std::time::Duration;

use http::Extensions;
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::{Route, RouteConfiguration, RouteMatch, VirtualHost};
use mesh_core::origin::Source;
use mesh_core::parse::{Limits, parse_as};
use mesh_core::percent::Percent;
use mesh_core::resource::Metadata;
use mesh_core::resource::istio::envoy_filter::PatchContext;
use mesh_core::resource::timestamp::Timestamp;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
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
    let limit = compiled.limits.limits(&Extensions::new()).next().unwrap();
    assert_eq!(limit.settings().enforced, Percent::HUNDRED);
    let header = &limit.settings().response_headers[0];
    assert_eq!(header.name, "x-local-rate-limit");
    let allowed = (0..9)
        .filter(|_| limit.check(&[], now()).is_allowed)
        .count();
    assert_eq!(allowed, 4);
}

/// The mesh's limit holds beside that of a namespace, as both are filters of Envoy's.
#[test]
fn limits_of_several_filters_all_hold() {
    let of_tokens = |namespace, tokens: u32| {
        let mut config = local();
        config["token_bucket"]["max_tokens"] = tokens.into();
        config["token_bucket"]["tokens_per_fill"] = tokens.into();
        filter(namespace, insert(typed_struct(config)))
    };
    let mut unlimited = local();
    unlimited.as_object_mut().unwrap().remove("token_bucket");
    let filters = [
        of_tokens("istio-system", 10),
        of_tokens("shop", 4),
        filter("shop", insert(typed_struct(unlimited))),
    ];
    let workload = workload();
    let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system").with_port(8080);
    let compiled = compile(&filters, &scope, now());
    let limits = compiled.limits.limits(&Extensions::new());
    let limits: Vec<u32> = limits.map(|limit| limit.check(&[], now()).limit).collect();
    assert_eq!(limits, [10, 4]);
}

#[test]
fn a_patch_for_a_port_that_nobody_listens_on_is_told() {
    let of_port = |context: &str, port: u16| {
        let mut spec = insert(typed_struct(local()));
        spec["configPatches"][0]["match"]["context"] = context.into();
        spec["configPatches"][0]["match"]["listener"] = json!({"portNumber": port});
        filter("shop", spec)
    };
    let filters = [
        of_port("GATEWAY", 8080),
        of_port("GATEWAY", 9999),
        // Other proxies may have it.
        of_port("SIDECAR_INBOUND", 7777),
    ];
    let workload = workload();
    let scope = Scope::new(PatchContext::Gateway, &workload, "istio-system");
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
    let limit = compiled.limits.limits(&Extensions::new()).next().unwrap();
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
        let limited = compiled.limits.limits(&Extensions::new()).next().is_some();
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
        let limited = compiled.limits.limits(&Extensions::new()).next().is_some();
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
                limits.limits(&extensions).next().is_some(),
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

/// A rule for the routes of a virtual host whose `header_value_match` has `condition`.
const BY_HEADER: &str = "
configPatches:
- applyTo: VIRTUAL_HOST
  match:
    context: SIDECAR_INBOUND
    routeConfiguration: { vhost: { name: shop, route: { action: ANY } } }
  patch:
    operation: MERGE
    value:
      rate_limits:
      - actions:
        - header_value_match:
            descriptor_key: client
            descriptor_value: crawler
            expect_match: true
            headers:
            - name: user-agent
              CONDITION
";

#[test]
fn rules_look_at_headers_in_all_the_ways_that_envoy_has() {
    for (condition, matching) in [
        (
            "safe_regex_match: { google_re2: {}, regex: '.*[Bb]ot.*' }",
            [true, false, false],
        ),
        (
            "string_match: { safe_regex: { regex: 'a?bot' } }",
            [true, false, false],
        ),
        (
            "string_match: { exact: ABOT, ignore_case: true }",
            [true, false, false],
        ),
        ("string_match: { exact: ABOT }", [false, false, false]),
        ("string_match: { suffix: t }", [true, false, false]),
        ("string_match: { contains: bo }", [true, false, false]),
        ("string_match: { prefix: bo }", [false, false, false]),
        ("suffix_match: '7'", [false, true, false]),
        ("contains_match: o", [true, false, false]),
        ("prefix_match: a", [true, false, false]),
        ("range_match: { start: 7, end: '8' }", [false, true, false]),
        (
            "exact_match: abot\n              invert_match: true",
            [false, true, false],
        ),
        ("present_match: true", [true, true, false]),
        ("present_match: false", [false, false, true]),
        ("invert_match: true", [false, false, true]),
        (
            "exact_match: ''\n              treat_missing_header_as_empty: true",
            [false, false, true],
        ),
    ] {
        let spec = BY_HEADER.replace("CONDITION", condition);
        let (spec, _) = parse_as("filter.yaml", &spec, &Limits::default()).unwrap();
        let (mut filter, host) = (filter("shop", json!({})), shop());
        filter.spec = spec;
        let workload = workload();
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        let compiled = compile([&filter], &scope.with_routes(&host), now());
        assert_eq!(compiled.notices, [], "{condition}");
        let route = Arc::clone(&host.virtual_hosts[0].routes[0]);
        for (agent, is_counted) in [Some("abot"), Some("7"), None].into_iter().zip(matching) {
            let head = request_of(agent, &route);
            let [rule] = compiled.limits.rules(&head.extensions) else {
                panic!("no rule for {condition}");
            };
            let is_made = rule.descriptor(&head).is_some();
            assert_eq!(is_made, is_counted, "{condition}: {agent:?}");
        }
    }
}

/// The head of a request that `agent` sends by `route`.
fn request_of(agent: Option<&'static str>, route: &Arc<Route>) -> http::request::Parts {
    let mut request = http::Request::new(());
    let matched = MatchedRoute::new(Arc::clone(route), 0);
    request.extensions_mut().insert(matched);
    let agent = agent.map(http::HeaderValue::from_static);
    let field = agent.map(|agent| (http::header::USER_AGENT, agent));
    request.headers_mut().extend(field);
    request.into_parts().0
}

/// A configuration with one route.
fn shop() -> RouteConfiguration {
    let route = Route::forward("all", RouteMatch::prefix("/"), ClusterName::from("cart"));
    RouteConfiguration {
        virtual_hosts: [VirtualHost::new("shop", ["*"], [route])].into(),
        ..RouteConfiguration::default()
    }
}

#[test]
fn a_limit_that_stays_as_it_was_goes_on_with_the_tokens_that_are_left() {
    let mut other = local();
    other["token_bucket"]["max_tokens"] = json!(3);
    let mut host = shop();
    let patched = |config: Json| {
        let per_filter = json!({"envoy.filters.http.local_ratelimit": typed_struct(config)});
        let value = json!({"typed_per_filter_config": per_filter});
        patch("VIRTUAL_HOST", json!({}), "MERGE", value)
    };
    let limits = |spec: Json, host: &RouteConfiguration| {
        let (filter, workload) = (filter("shop", spec), workload());
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        compile([&filter], &scope.with_routes(host), now()).limits
    };
    let take = |limits: &RateLimits, host: &RouteConfiguration| {
        let mut extensions = Extensions::new();
        let route = Arc::clone(&host.virtual_hosts[0].routes[0]);
        extensions.insert(MatchedRoute::new(route, 0));
        let limit = limits.limits(&extensions).next().unwrap();
        (0..9)
            .filter(|_| limit.check(&[], now()).is_allowed)
            .count()
    };
    for make in [&patched as &dyn Fn(Json) -> Json, &|config| {
        insert(typed_struct(config))
    }] {
        let first = limits(make(local()), &host);
        assert_eq!(take(&first, &host), 4);
        // Another configuration has other routes, however alike they are.
        host = shop();
        let same = limits(make(local()), &host).carried_on(&first);
        assert_eq!(take(&same, &host), 0, "what is left");
        let changed = limits(make(other.clone()), &host).carried_on(&same);
        assert_eq!(take(&changed, &host), 3, "it is another limit");
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
        assert!(compiled.limits.limits(&Extensions::new()).next().is_none());
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
        .limits(&Extensions::new())
        .next()
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

/// What cannot be told here is not taken for nothing that is asked.
#[test]
fn a_patch_for_what_only_a_proxy_of_istios_has_is_reported_and_left_out() {
    for (field, value) in [
        ("proxy.proxyVersion", json!("^1")),
        ("proxy.metadata", json!({"a": "b"})),
        ("listener.name", json!("virtualInbound")),
        ("listener.filterChain.name", json!("a")),
        ("listener.filterChain.sni", json!("a.example")),
        ("listener.filterChain.transportProtocol", json!("tls")),
        ("listener.filterChain.applicationProtocols", json!("h2")),
        ("listener.filterChain.destinationPort", json!(8080)),
        ("listener.filterChain.filter.name", json!("other")),
        ("cluster", json!({"service": "a"})),
        ("waypoint", json!({"portNumber": 80})),
    ] {
        let names = field.rsplit('.');
        let object = names.fold(value, |value, name| json!({name: value}));
        let mut spec = insert(typed_struct(local()));
        spec["configPatches"][0]["match"] = object;
        let compiled = compile_one(&filter("shop", spec.clone()));
        assert!(compiled.limits.is_empty(), "{field}");
        let [notice] = &compiled.notices[..] else {
            panic!("{field}: {:?}", compiled.notices);
        };
        let named = format!("the field `match.{field}` is not supported");
        assert!(notice.message.contains(&named), "{notice}");
        // It is none of our business in another direction.
        spec["configPatches"][0]["match"]["context"] = json!("GATEWAY");
        let elsewhere = compile_one(&filter("shop", spec));
        assert_eq!(elsewhere.notices, [], "{field}");
    }
}

#[test]
fn a_patch_may_name_what_istio_does_not_look_at() {
    let hcm = "envoy.filters.network.http_connection_manager";
    let chain = json!({"filter": {"name": hcm, "subFilter": {"name": "router"}}});
    let mut spec = insert(typed_struct(local()));
    spec["configPatches"][0]["match"]["listener"] = json!({"portName": "x", "filterChain": chain});
    let compiled = compile_one(&filter("shop", spec));
    assert_eq!(compiled.notices, []);
    assert!(!compiled.limits.is_empty());
}

#[test]
fn what_is_for_ports_or_routes_is_reported_where_none_are_known() {
    let of_port = |object: Json| {
        let mut spec = insert(typed_struct(local()));
        spec["configPatches"][0]["match"] = object;
        spec
    };
    let rules = json!({"rate_limits": [{"actions": [{"remote_address": {}}]}]});
    for (spec, expected) in [
        (
            of_port(json!({"listener": {"portNumber": 8080}})),
            "it is for the port 8080, and ports are not told from each other here",
        ),
        (
            of_port(json!({"routeConfiguration": {"portNumber": 8080}})),
            "it is for the port 8080, and ports are not told from each other here",
        ),
        (
            patch("VIRTUAL_HOST", json!({}), "MERGE", rules.clone()),
            "it is for routes, and none are told from each other here",
        ),
        (
            patch("HTTP_ROUTE", json!({}), "MERGE", json!({"route": rules})),
            "it is for routes, and none are told from each other here",
        ),
    ] {
        let (filter, workload) = (filter("shop", spec), workload());
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        let compiled = compile([&filter], &scope, now());
        let messages = compiled
            .notices
            .iter()
            .map(|notice| notice.message.as_str());
        let expected = format!("configPatches[0] is not enforced: {expected}");
        assert_eq!(messages.collect::<Vec<_>>(), [expected]);
        assert!(compiled.limits.is_empty());
    }
}

#[test]
fn a_filter_with_references_is_for_the_gateway_that_it_refers_to() {
    let label = "gateway.networking.k8s.io/gateway-name";
    let web = Workload::gateway("shop").with_label(label, "web");
    let other = Workload::gateway("shop").with_label(label, "other");
    let mut spec = insert(typed_struct(local()));
    spec["configPatches"][0]["match"]["context"] = json!("GATEWAY");
    spec["targetRefs"] =
        json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}]);
    for (workload, is_limited) in [
        (web, true),
        (other, false),
        (Workload::gateway("shop"), false),
    ] {
        let filter = filter("shop", spec.clone());
        let scope = Scope::new(PatchContext::Gateway, &workload, "istio-system");
        let compiled = compile([&filter], &scope, now());
        assert_eq!(!compiled.limits.is_empty(), is_limited, "{workload:?}");
    }
}

#[test]
fn routes_of_a_gateway_are_matched_by_it_and_by_the_name_of_its_port() {
    let value = json!({"rate_limits": [{"actions": [{"remote_address": {}}]}]});
    for (routes, asked, is_ruled) in [
        (
            "https.443.web.shop.infra",
            json!({"gateway": "infra/shop"}),
            true,
        ),
        (
            "https.443.web.shop.infra",
            json!({"gateway": "infra/other"}),
            false,
        ),
        ("https.443.web.shop.infra", json!({"portName": "web"}), true),
        (
            "https.443.web.shop.infra",
            json!({"portName": "api"}),
            false,
        ),
        ("http.80", json!({"gateway": "infra/shop"}), false),
        ("http.80", json!({}), true),
    ] {
        let mut configuration = shop();
        configuration.name = routes.to_owned();
        let object = json!({"routeConfiguration": asked});
        let filter = filter(
            "infra",
            patch("VIRTUAL_HOST", object, "MERGE", value.clone()),
        );
        let workload = Workload::gateway("infra");
        let scope = Scope::new(PatchContext::Gateway, &workload, "istio-system");
        let compiled = compile([&filter], &scope.with_routes(&configuration), now());
        assert_eq!(compiled.notices, []);
        assert_eq!(!compiled.limits.is_empty(), is_ruled, "{routes} {asked}");
    }
}

/// `sortEnvoyFilters`: of several filters of a service that is asked, the first is.
#[test]
fn filters_apply_by_priority_then_the_roots_first_then_by_age_and_name() {
    let of = |(namespace, name, priority, second): (&str, &str, i32, i64)| {
        let config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            "domain": name,
            "rate_limit_service": {"grpc_service": {"envoy_grpc": {"cluster_name": "limits"}}},
        });
        let mut spec = insert(config);
        spec["priority"] = priority.into();
        let mut filter = filter(namespace, spec);
        filter.metadata.name = name.into();
        filter.metadata.creation_timestamp = Some(Timestamp::from_unix_seconds(second));
        filter
    };
    let filters = [
        ("shop", "last", 7, 0),
        ("shop", "b", 0, 2),
        ("shop", "a", 0, 2),
        ("shop", "old", 0, 1),
        ("istio-system", "root", 0, 9),
        ("shop", "first", -1, 10),
    ]
    .map(of);
    let workload = workload();
    let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
    let compiled = compile(&filters, &scope, now());
    assert_eq!(compiled.notices, []);
    let order: Vec<_> = compiled
        .global
        .iter()
        .map(|filter| &*filter.domain)
        .collect();
    assert_eq!(order, ["first", "root", "old", "a", "b", "last"]);
}

#[test]
fn what_a_virtual_host_has_counts_where_its_routes_have_nothing_of_the_kind() {
    let names = ["both", "plain"];
    let route = |name| Route::forward(name, RouteMatch::prefix("/"), ClusterName::from("cart"));
    let configuration = RouteConfiguration {
        virtual_hosts: [VirtualHost::new("shop", ["*"], names.map(route))].into(),
        ..RouteConfiguration::default()
    };
    let value = |key: &str, tokens: u32| {
        let mut config = local();
        config["token_bucket"]["max_tokens"] = tokens.into();
        let per_filter = json!({"envoy.filters.http.local_ratelimit": typed_struct(config)});
        let action = json!({"generic_key": {"descriptor_value": key}});
        (per_filter, json!([{"actions": [action]}]))
    };
    let ((own_limit, own_rules), (host_limit, host_rules)) = (value("own", 2), value("host", 3));
    let named = json!({"routeConfiguration": {"vhost": {"route": {"name": "both"}}}});
    let own = json!({"typed_per_filter_config": own_limit, "route": {"rate_limits": own_rules}});
    let host = json!({"typed_per_filter_config": host_limit, "rate_limits": host_rules});
    let own = patch("HTTP_ROUTE", named, "MERGE", own);
    let host = patch("VIRTUAL_HOST", json!({}), "MERGE", host);
    // Whichever is written first.
    for specs in [[own.clone(), host.clone()], [host, own]] {
        let filters = specs.map(|spec| filter("shop", spec));
        let workload = workload();
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        let compiled = compile(&filters, &scope.with_routes(&configuration), now());
        assert_eq!(compiled.notices, []);
        for ((route, tokens), rule) in configuration.virtual_hosts[0]
            .routes
            .iter()
            .zip([2, 3])
            .zip(["(generic_key=own)", "(generic_key=host)"])
        {
            let head = request_of(None, route);
            let limits = compiled.limits.limits(&head.extensions);
            let limits: Vec<_> = limits.map(|limit| limit.check(&[], now()).limit).collect();
            assert_eq!(limits, [tokens], "{}", route.name);
            let rules = compiled.limits.rules(&head.extensions).iter();
            let made = rules.filter_map(|rule| rule.descriptor(&head));
            let made: Vec<_> = made.map(|descriptor| descriptor.to_string()).collect();
            assert_eq!(made, [rule], "{}", route.name);
        }
    }
}

#[test]
fn the_cluster_that_a_request_comes_from_is_named_as_istio_names_its_proxies() {
    let value = json!({"rate_limits": [{"actions": [{"source_cluster": {}}]}]});
    for (workload, expected) in [
        (workload(), "(source_cluster=cart.shop)"),
        (
            Workload::sidecar("shop"),
            "(source_cluster=istio-proxy.shop)",
        ),
    ] {
        let (filter, routes) = (
            filter(
                "shop",
                patch("VIRTUAL_HOST", json!({}), "MERGE", value.clone()),
            ),
            shop(),
        );
        let scope = Scope::new(PatchContext::SidecarInbound, &workload, "istio-system");
        let compiled = compile([&filter], &scope.with_routes(&routes), now());
        assert_eq!(compiled.notices, []);
        let head = request_of(None, &routes.virtual_hosts[0].routes[0]);
        let [rule] = compiled.limits.rules(&head.extensions) else {
            panic!("one rule");
        };
        assert_eq!(rule.descriptor(&head).unwrap().to_string(), expected);
    }
}
