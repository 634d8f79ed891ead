use std::time::Duration;

use crate::config::MeshConfig;
use crate::matcher::StringMatch;
use crate::model::Model;
use crate::model::cluster::UpstreamTls;
use crate::model::listener::{NetworkFilter, ServerTls};
use crate::model::route::{
    ClusterSpecifier, Forward, PathMatch, PathRewrite, Route, RouteAction, RouteConfiguration,
};
use crate::parse::{Limits, parse};
use crate::resolve::resolve;
use crate::resource::istio::gateway::ServerTlsMode;
use crate::service::ClusterName;
use crate::workload::Workload;

const NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }, { name: other, port: 81 }] }
---
apiVersion: v1
kind: Service
metadata: { name: books, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: vault, namespace: bank }
spec: { ports: [{ name: http, port: 80 }] }
";

/// Resolves `text`, beside three Services, for the gateway `shop/edge`.
fn model(text: &str) -> Model {
    model_of(
        text,
        &Workload::gateway("shop").with_label(NAME_LABEL, "edge"),
    )
}

fn model_of(text: &str, workload: &Workload) -> Model {
    let text = format!("{SERVICES}{text}");
    let parsed = parse("test.yaml", &text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder().extend(parsed.objects);
    let config = config.build(1).expect("no object is there twice");
    resolve(&config, workload)
}

/// The Gateway `shop/edge` with listeners as YAML flow.
fn gateway(listeners: &[&str]) -> String {
    let listeners = listeners.join("\n  - ");
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: shop }}\n\
         spec:\n  gatewayClassName: istio\n  listeners:\n  - {listeners}\n"
    )
}

/// A route of `kind` in `shop`, attached to `shop/edge`, with the rest of its spec.
fn route(kind: &str, name: &str, spec: &str) -> String {
    route_of(
        kind,
        ("shop", name),
        "{ name: edge, namespace: shop }",
        spec,
    )
}

fn route_of(kind: &str, (namespace, name): (&str, &str), parent: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\n\
         metadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec:\n  parentRefs: [{parent}]\n  {spec}\n"
    )
}

const HTTP: &str = "{ name: http, port: 80, protocol: HTTP }";

/// A rule that takes `prefix` to the Service `cart`.
fn rule(prefix: &str, rest: &str) -> String {
    format!(
        "rules: [{{ matches: [{{ path: {{ value: {prefix} }} }}], \
         backendRefs: [{{ name: cart, port: 80 }}], {rest} }}]"
    )
}

fn routes<'m>(model: &'m Model, name: &str) -> &'m RouteConfiguration {
    model.route_configurations.get(name).unwrap_or_else(|| {
        let names: Vec<_> = model.route_configurations.keys().collect();
        panic!("no routes `{name}` among {names:?}: {:?}", model.notices)
    })
}

/// The routes of the virtual host with `domain`, of the plaintext listener of port 80.
fn routes_of<'m>(model: &'m Model, domain: &str) -> Vec<&'m Route> {
    let hosts = &routes(model, "http.80").virtual_hosts;
    let found = hosts
        .iter()
        .find(|host| host.domains.iter().any(|own| own == domain));
    let found = found.unwrap_or_else(|| panic!("no host `{domain}` in {hosts:?}"));
    found.routes.iter().map(|route| &**route).collect()
}

/// The only route of a model with one rule.
fn only_route(model: &Model) -> &Route {
    let routes = routes_of(model, "*");
    assert_eq!(routes.len(), 1, "{routes:?}");
    routes[0]
}

fn forward(route: &Route) -> &Forward {
    route.forward_to().unwrap_or_else(|| panic!("{route:?}"))
}

fn paths(routes: &[&Route]) -> Vec<String> {
    let path = |route: &&Route| match &route.matches.path {
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::PathSeparatedPrefix(path) => format!("{path}/"),
        PathMatch::Prefix(path) => path.clone(),
        PathMatch::Regex(regex) => format!("~{}", regex.as_str()),
        PathMatch::Template(template) => panic!("no route has the template {template}"),
    };
    routes.iter().map(path).collect()
}

fn status(route: &Route) -> Option<u16> {
    match &route.action {
        RouteAction::DirectResponse(response) => Some(response.status),
        RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
    }
}

#[track_caller]
fn assert_noticed(model: &Model, text: &str) {
    let notices = &model.notices;
    let found = notices.iter().any(|notice| notice.message.contains(text));
    assert!(found, "no `{text}` in {notices:#?}");
}

#[test]
fn a_route_of_a_listener_forwards_to_its_backend() {
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/cart/", ""))));
    assert_eq!(model.notices, []);
    assert_eq!(model.listeners[0].bind.port(), Some(80));
    let route = only_route(&model);
    assert_eq!(
        route.matches.path,
        PathMatch::PathSeparatedPrefix("/cart".into())
    );
    assert_eq!(route.name, "shop.cart.0");
    let origin = route.origin.to_string();
    assert!(
        origin.contains("HTTPRoute shop/cart spec.rules[0].matches[0]"),
        "{origin}"
    );
    let ClusterSpecifier::Name(cluster) = &forward(route).destinations[0].cluster else {
        panic!("{route:?}")
    };
    assert_eq!(cluster.as_str(), "outbound|80||cart.shop.svc.cluster.local");
    assert!(model.clusters.contains_key(cluster));
}

#[test]
fn routes_of_all_resources_are_ordered_by_how_specific_they_are() {
    let first = "rules: [{ backendRefs: [{ name: cart, port: 80 }], matches: [
        { path: { value: / } },
        { path: { type: RegularExpression, value: '/[a-z]+/very/long' } },
        { path: { value: /a } },
        { path: { value: /a }, headers: [{ name: v, value: '1' }, { name: w, value: '1' }] },
        { path: { value: /a }, queryParams: [{ name: v, value: '1' }] } ] }]";
    let second = "rules: [{ backendRefs: [{ name: books, port: 80 }], matches: [
        { path: { value: /a/b } },
        { path: { value: /a }, method: GET },
        { path: { type: Exact, value: /a } } ] }]";
    let text = gateway(&[HTTP])
        + &route("HTTPRoute", "first", first)
        + &route("HTTPRoute", "second", second);
    let model = model(&text);
    let routes = routes_of(&model, "*");
    // Nothing is behind the prefix `/`, which takes all that is left.
    assert_eq!(
        paths(&routes),
        ["=/a", "/a/b/", "/a/", "/a/", "/a/", "/a/", "/"]
    );
    assert_eq!(routes[2].matches.method, Some(StringMatch::exact("GET")));
    assert_eq!(routes[3].matches.headers.len(), 2);
    assert_eq!(routes[4].matches.query_params.len(), 1);
}

#[test]
fn a_host_belongs_to_the_most_specific_listener() {
    let listener = |name: &str, hostname: &str| {
        format!("{{ name: {name}, port: 80, protocol: HTTP, hostname: '{hostname}' }}")
    };
    let wide = listener("wide", "*.example");
    let narrow = listener("narrow", "*.shop.example");
    let hosts = "hostnames: ['*.example', a.shop.example, b.example]\n  ";
    let text = gateway(&[HTTP, &wide, &narrow])
        + &route_of(
            "HTTPRoute",
            ("shop", "wide"),
            "{ name: edge, sectionName: wide }",
            &(hosts.to_owned() + &rule("/wide", "")),
        );
    let model = model(&text);
    assert_eq!(paths(&routes_of(&model, "*.example")), ["/wide/"]);
    assert_eq!(paths(&routes_of(&model, "b.example")), ["/wide/"]);
    // The narrow listener owns it and has no route.
    assert!(routes_of(&model, "*.shop.example").is_empty());
    let hosts = &routes(&model, "http.80").virtual_hosts;
    let domains: Vec<_> = hosts.iter().flat_map(|host| &host.domains).collect();
    assert!(
        !domains.iter().any(|domain| *domain == "a.shop.example"),
        "{domains:?}"
    );
}

#[test]
fn a_route_is_attached_only_where_it_is_allowed() {
    let all =
        "{ name: all, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }";
    let some = "{ name: some, port: 80, protocol: HTTP, allowedRoutes: { namespaces: \
                { from: Selector, selector: { matchLabels: { tier: gold } } } } }";
    let grpc = "{ name: grpc, port: 80, protocol: HTTP, allowedRoutes: { kinds: [{ kind: GRPCRoute }], \
                namespaces: { from: All } } }";
    let host = "{ name: host, port: 80, protocol: HTTP, hostname: shop.example, allowedRoutes: \
                { namespaces: { from: All } } }";
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: { name: bank, labels: { tier: gold } }\n";
    let parent = "{ name: edge, namespace: shop }";
    let port = "{ name: edge, namespace: shop, port: 81 }";
    let section = "{ name: edge, namespace: shop, sectionName: none }";
    for (listener, parent, hostname, reason) in [
        (all, parent, "a.example", ""),
        (some, parent, "a.example", ""),
        (HTTP, parent, "a.example", "NotAllowedByListeners"),
        (grpc, parent, "a.example", "NotAllowedByListeners"),
        (host, parent, "a.example", "NoMatchingListenerHostname"),
        (host, parent, "'*.example'", ""),
        (all, port, "a.example", "NoMatchingParent"),
        (all, section, "a.example", "NoMatchingParent"),
    ] {
        let rules = "rules: [{ backendRefs: [{ name: vault, port: 80 }] }]";
        let spec = format!("hostnames: [{hostname}]\n  {rules}");
        let text = gateway(&[listener])
            + namespace
            + &route_of("HTTPRoute", ("bank", "vault"), parent, &spec);
        let model = model(&text);
        let hosts = &routes(&model, "http.80").virtual_hosts;
        let attached = hosts.iter().any(|host| !host.routes.is_empty());
        assert_eq!(
            attached,
            reason.is_empty(),
            "{listener} {parent} {hostname}"
        );
        if !reason.is_empty() {
            assert_noticed(&model, reason);
        }
    }
}

#[test]
fn requests_to_a_backend_that_may_not_be_had_are_answered_with_500() {
    for (backend, reason) in [
        ("{ name: none, port: 80 }", "BackendNotFound"),
        ("{ name: cart, port: 82 }", "BackendNotFound"),
        ("{ name: cart }", "InvalidDestination"),
        ("{ name: cart.shop.svc, port: 80 }", "InvalidDestination"),
        (
            "{ name: vault, namespace: bank, port: 80 }",
            "RefNotPermitted",
        ),
        (
            "{ kind: Bucket, group: a.example, name: cart, port: 80 }",
            "InvalidKind",
        ),
    ] {
        let rules = format!("rules: [{{ backendRefs: [{backend}] }}]");
        let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rules)));
        let destination = &forward(only_route(&model)).destinations[0];
        assert_eq!(
            destination.cluster,
            ClusterSpecifier::Refused(500),
            "{backend}"
        );
        assert_noticed(&model, reason);
    }
}

#[test]
fn a_grant_lets_a_route_refer_to_another_namespace() {
    let grant = "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\n\
                 metadata: { name: shop, namespace: bank }\nspec:\n  \
                 from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }]\n  \
                 to: [{ group: '', kind: Service, name: vault }]\n";
    let rules = "rules: [{ backendRefs: [{ name: vault, namespace: bank, port: 80 }] }]";
    let model = model(&(gateway(&[HTTP]) + grant + &route("HTTPRoute", "vault", rules)));
    assert_eq!(model.notices, []);
    let destination = &forward(only_route(&model)).destinations[0];
    assert!(matches!(destination.cluster, ClusterSpecifier::Name(_)));
}

#[test]
fn a_grant_without_a_name_is_for_all_and_one_of_another_name_for_none() {
    let rules = "rules: [{ backendRefs: [{ name: vault, namespace: bank, port: 80 }] }]";
    for (name, is_granted) in [("", true), (", name: safe", false), (", name: ''", false)] {
        let grant = format!(
            "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\n\
             metadata: {{ name: shop, namespace: bank }}\nspec:\n  from: \
             [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }}]\n  \
             to: [{{ group: '', kind: Service{name} }}]\n"
        );
        let model = model(&(gateway(&[HTTP]) + &grant + &route("HTTPRoute", "vault", rules)));
        let cluster = &forward(only_route(&model)).destinations[0].cluster;
        let is_named = matches!(cluster, ClusterSpecifier::Name(_));
        assert_eq!(is_named, is_granted, "{name}");
    }
}

#[test]
fn of_routes_that_are_equal_the_first_by_namespace_and_name_comes_first() {
    let listener =
        "{ name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }";
    let parent = "{ name: edge, namespace: shop }";
    let rules = |name: &str| {
        format!(
            "rules: [{{ matches: [{{ headers: [{{ name: x, value: {name} }}] }}], \
             backendRefs: [{{ name: vault, port: 80 }}] }}]"
        )
    };
    let route = |kind: &str, namespace: &str, name: &str| {
        route_of(kind, (namespace, name), parent, &rules(name))
    };
    let text = route("HTTPRoute", "shop", "a")
        + &route("HTTPRoute", "bank", "z")
        + &route("HTTPRoute", "bank", "c");
    let model = model(&(gateway(&[listener]) + &text));
    let names = routes_of(&model, "*").into_iter();
    let names: Vec<_> = names.map(|route| &*route.name).collect();
    assert_eq!(names, ["bank.c.0", "bank.z.0", "shop.a.0"]);
}

#[test]
fn a_call_of_a_service_is_more_specific_than_a_path_of_its_name() {
    let grpc = "rules: [{ matches: [{ method: { service: a.B } }], \
                backendRefs: [{ name: books, port: 80 }] }]";
    let http = "rules: [{ matches: [{ path: { value: /a.B }, headers: [{ name: x, value: one }] }], \
                backendRefs: [{ name: cart, port: 80 }] }]";
    let text = gateway(&[HTTP]) + &route("HTTPRoute", "http", http);
    let model = model(&(text + &route("GRPCRoute", "grpc", grpc)));
    let names = routes_of(&model, "*").into_iter();
    let names: Vec<_> = names.map(|route| &*route.name).collect();
    assert_eq!(names, ["shop.grpc.0", "shop.http.0"]);
}

#[test]
fn a_rule_without_a_backend_or_with_a_foreign_filter_answers_500() {
    for rules in [
        "rules: [{ matches: [{ path: { value: / } }] }]",
        "rules: [{ backendRefs: [{ name: cart, port: 80, weight: 0 }] }]",
        "rules: [{ backendRefs: [{ name: cart, port: 80 }], filters: [{ type: ExtensionRef, \
         extensionRef: { group: a.example, kind: Bucket, name: b } }] }]",
        "hostnames: []",
    ] {
        let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", rules)));
        assert_eq!(status(only_route(&model)), Some(500), "{rules}");
    }
}

#[test]
fn weights_are_kept_and_zero_gets_nothing() {
    let rules = "rules: [{ backendRefs: [{ name: cart, port: 80, weight: 3 }, { name: none, port: 80 }, \
                 { name: books, port: 80, weight: 0 }] }]";
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", rules)));
    let destinations = &forward(only_route(&model)).destinations;
    let weights: Vec<_> = destinations.iter().map(|found| found.weight).collect();
    assert_eq!(weights, [3, 1]);
    assert_eq!(destinations[1].cluster, ClusterSpecifier::Refused(500));
    let unresolved = destinations.iter().map(|found| found.unresolved.as_ref());
    let none = ClusterName::outbound(80, "", "none.shop.svc.cluster.local");
    assert_eq!(unresolved.collect::<Vec<_>>(), [None, Some(&none)]);
}

#[test]
fn a_prefix_is_replaced_without_doubling_or_losing_slashes() {
    for (prefix, replacement, expected) in [("/one", "/two/", "/two"), ("/", "/two", "/two/")] {
        let filter = format!(
            "filters: [{{ type: URLRewrite, urlRewrite: {{ hostname: b.example, path: \
             {{ type: ReplacePrefixMatch, replacePrefixMatch: {replacement} }} }} }}]"
        );
        let text = gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule(prefix, &filter));
        let model = model(&text);
        let rewrite = &forward(only_route(&model)).rewrite;
        assert_eq!(
            rewrite.path,
            Some(PathRewrite::Prefix(expected.into())),
            "{prefix}"
        );
        assert_eq!(rewrite.authority.as_deref(), Some("b.example"));
    }
}

#[test]
fn a_prefix_that_is_removed_leaves_one_slash() {
    let filter = "filters: [{ type: URLRewrite, urlRewrite: { path: \
                  { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]";
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/a.b", filter))));
    let Some(PathRewrite::Regex(rewrite)) = &forward(only_route(&model)).rewrite.path else {
        panic!("{model:?}")
    };
    for (path, expected) in [("/a.b/c", "/c"), ("/a.b", "/"), ("/a.b/", "/")] {
        assert_eq!(rewrite.replace_all(path), expected, "{path}");
    }
}

#[test]
fn a_redirect_is_found_at_the_port_of_scheme_or_listener() {
    let listener = "{ name: http, port: 8080, protocol: HTTP }";
    for (filter, status, port) in [
        ("hostname: b.example", 302, Some(8080)),
        ("hostname: b.example, scheme: https", 302, None),
        ("scheme: https, statusCode: 301", 301, Some(443)),
        ("scheme: https, port: 443", 302, None),
        ("scheme: http, port: 443, statusCode: 308", 308, Some(443)),
    ] {
        let rules = format!(
            "rules: [{{ filters: [{{ type: RequestRedirect, requestRedirect: {{ {filter} }} }}] }}]"
        );
        let model = model(&(gateway(&[listener]) + &route("HTTPRoute", "cart", &rules)));
        let host = &routes(&model, "http.8080").virtual_hosts[0];
        let RouteAction::Redirect(redirect) = &host.routes[0].action else {
            panic!("{host:?}")
        };
        assert_eq!((redirect.status, redirect.port), (status, port), "{filter}");
    }
}

#[test]
fn a_star_for_an_expression_asks_only_that_the_value_is_there() {
    let http = "rules: [{ matches: [{ \
                headers: [{ type: RegularExpression, name: x-a, value: '*' }], \
                queryParams: [{ type: RegularExpression, name: b, value: '*' }] }], \
                backendRefs: [{ name: cart, port: 80 }] }]";
    let grpc = "rules: [{ matches: [{ \
                headers: [{ type: RegularExpression, name: x-a, value: '*' }] }], \
                backendRefs: [{ name: cart, port: 80 }] }]";
    for (kind, rules, params) in [("HTTPRoute", http, 1), ("GRPCRoute", grpc, 0)] {
        let model = model(&(gateway(&[HTTP]) + &route(kind, "cart", rules)));
        let matches = &only_route(&model).matches;
        assert_eq!(matches.headers[0].value, StringMatch::Present, "{kind}");
        let of_params = matches.query_params.iter();
        let values: Vec<_> = of_params.map(|param| param.value.clone()).collect();
        assert_eq!(values, vec![StringMatch::Present; params], "{kind}");
        let exact = rules.replace("RegularExpression", "Exact");
        let model = self::model(&(gateway(&[HTTP]) + &route(kind, "cart", &exact)));
        let matches = &only_route(&model).matches;
        assert_eq!(matches.headers[0].value, StringMatch::exact("*"), "{kind}");
    }
}

#[test]
fn the_first_entry_for_a_header_counts() {
    let filter = "filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { \
                  set: [{ name: X-A, value: '1' }, { name: x-a, value: '2' }, \
                  { name: Host, value: b.example }], add: [{ name: x-b, value: '3' }], \
                  remove: [x-c] } }]";
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/", filter))));
    let route = only_route(&model);
    let names: Vec<_> = route
        .headers
        .request
        .options
        .iter()
        .map(|option| option.name.as_str())
        .collect();
    assert_eq!(names, ["x-a", "x-b"]);
    assert_eq!(route.headers.request.remove, ["x-c"]);
    assert_eq!(
        forward(route).rewrite.authority.as_deref(),
        Some("b.example")
    );
}

#[test]
fn mirrors_copy_a_share() {
    let mirror = |rest: &str| {
        format!(
            "{{ type: RequestMirror, requestMirror: {{ backendRef: {{ name: books, port: 80 }}{rest} }} }}"
        )
    };
    let filters = [
        mirror(""),
        mirror(", percent: 20"),
        mirror(", fraction: { numerator: 1, denominator: 4 }"),
        mirror(", percent: 0"),
    ];
    let filters = format!("filters: [{}]", filters.join(", "));
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/", &filters))));
    let mirrors = &forward(only_route(&model)).mirrors;
    let shares: Vec<_> = mirrors
        .iter()
        .map(|mirror| mirror.percent.value())
        .collect();
    assert_eq!(shares, [100.0, 20.0, 25.0]);
}

#[test]
fn the_limit_of_an_attempt_is_that_of_the_whole_without_retries() {
    for (rest, timeout, attempt) in [
        (
            "timeouts: { request: 3s, backendRequest: 1s }",
            Some(1),
            None,
        ),
        (
            "timeouts: { request: 3s, backendRequest: 1s }, retry: { attempts: 1 }",
            Some(3),
            Some(1),
        ),
        ("timeouts: { request: 0s }", None, None),
    ] {
        let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/", rest))));
        let forward = forward(only_route(&model));
        assert_eq!(forward.timeout, timeout.map(Duration::from_secs), "{rest}");
        let retry = forward.retry.as_ref().unwrap();
        assert_eq!(
            retry.per_try_timeout,
            attempt.map(Duration::from_secs),
            "{rest}"
        );
    }
}

#[test]
fn retries_count_the_codes_and_are_two_by_default() {
    let retry = "retry: { codes: [503], backoff: 100ms }";
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/", retry))));
    let policy = forward(only_route(&model)).retry.as_ref().unwrap();
    assert_eq!(policy.attempts, 2);
    assert_eq!(policy.retriable_status_codes, [503]);
    assert_eq!(policy.backoff_base, Duration::from_millis(100));
}

#[test]
fn a_cors_filter_allows_origins_with_wildcards() {
    let filter = "filters: [{ type: CORS, cors: { allowOrigins: ['https://a.example', \
                  'https://*.b.example'], allowMethods: [GET, PUT] } }]";
    let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rule("/", filter))));
    let cors = only_route(&model).cors.as_ref().unwrap();
    for (origin, allowed) in [
        ("https://a.example", true),
        ("https://x.y.b.example", true),
        ("https://xb.example", false),
        ("http://a.example", false),
    ] {
        let found = cors.allow_origins.iter().any(|own| own.is_match(origin));
        assert_eq!(found, allowed, "{origin}");
    }
    assert_eq!(cors.allow_methods, "GET,PUT");
    assert_eq!(cors.max_age, Some(5));
}

#[test]
fn grpc_methods_are_paths() {
    let spec = "rules: [{ backendRefs: [{ name: cart, port: 80 }], matches: [
        { method: { service: shop.Cart, method: Add } },
        { method: { service: shop.Cart } },
        { method: { method: Add } },
        { headers: [{ name: v, value: '1' }] } ] }]";
    let model = model(&(gateway(&[HTTP]) + &route("GRPCRoute", "cart", spec)));
    let expected = ["=/shop.Cart/Add", "/shop.Cart/", "~/[^/]+/Add", "/"];
    assert_eq!(paths(&routes_of(&model, "*")), expected);
}

#[test]
fn a_gateway_of_another_controller_or_workload_is_left_alone() {
    let foreign = gateway(&[HTTP]).replace("gatewayClassName: istio", "gatewayClassName: other");
    let text = foreign + &route("HTTPRoute", "cart", &rule("/", ""));
    let found = model(&text);
    assert!(found.listeners.is_empty());
    assert_noticed(&found, "istio.io/gateway-controller");
    let other = Workload::gateway("shop").with_label(NAME_LABEL, "other");
    assert!(model_of(&gateway(&[HTTP]), &other).listeners.is_empty());
}

#[test]
fn a_gateway_can_name_the_service_in_front_of_it() {
    let text = gateway(&[HTTP]).replace(
        "  listeners:",
        "  addresses: [{ type: Hostname, value: front }]\n  listeners:",
    ) + "---\napiVersion: v1\nkind: Service\nmetadata: { name: front, namespace: shop }\n\
         spec: { selector: { app: front }, ports: [{ port: 80, targetPort: 8080 }] }\n";
    let front = Workload::gateway("shop").with_label("app", "front");
    let model = model_of(&text, &front);
    assert_eq!(model.listeners[0].bind.port(), Some(8080));
}

#[test]
fn a_listener_set_adds_listeners_where_the_gateway_allows_it() {
    let set = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n\
               metadata: { name: more, namespace: shop }\nspec:\n  parentRef: { name: edge }\n  \
               listeners: [{ name: more, port: 80, protocol: HTTP, hostname: more.example }]\n";
    let parent = "{ kind: ListenerSet, name: more }";
    let attached = route_of("HTTPRoute", ("shop", "cart"), parent, &rule("/", ""));
    let text = gateway(&[HTTP]) + set + &attached;
    assert_noticed(&model(&text), "NotAllowed");
    let text = text.replace(
        "  gatewayClassName",
        "  allowedListeners: { namespaces: { from: Same } }\n  gatewayClassName",
    );
    let model = model(&text);
    assert_eq!(model.notices, []);
    assert_eq!(paths(&routes_of(&model, "more.example")), ["/"]);
}

#[test]
fn of_listeners_with_the_same_host_the_first_stays() {
    let second = "{ name: second, port: 80, protocol: HTTP }";
    let tcp = "{ name: tcp, port: 80, protocol: TCP }";
    let model = model(&gateway(&[HTTP, second, tcp]));
    assert_noticed(&model, "HostnameConflict");
    assert_noticed(&model, "ProtocolConflict");
}

#[test]
fn https_listeners_take_their_certificate_from_a_secret() {
    let listener = "{ name: https, port: 443, protocol: HTTPS, hostname: shop.example, \
                    tls: { certificateRefs: [{ name: credential }] } }";
    let text = gateway(&[listener]) + &route("HTTPRoute", "cart", &rule("/", ""));
    assert_noticed(&model(&text), "InvalidCertificateRef");
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: { name: credential, namespace: shop }\n";
    // One without a certificate is as good as none.
    assert_noticed(&model(&(text.clone() + secret)), "InvalidCertificateRef");
    let pair = "stringData:\n  \
        tls.crt: \"-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----\"\n  \
        tls.key: \"-----BEGIN PRIVATE KEY-----\\nMAA=\\n-----END PRIVATE KEY-----\"\n";
    let model = model(&(text + secret + pair));
    let chain = &model.listeners[0].filter_chains[0];
    assert_eq!(chain.matches.server_names, ["shop.example"]);
    let Some(ServerTls::Gateway(tls)) = &chain.tls else {
        panic!("{chain:?}")
    };
    assert_eq!(tls.mode, ServerTlsMode::Simple);
    assert_eq!(tls.credential_name, "kubernetes-gateway://shop/credential");
    let name = "https.443.default.edge~istio-autogenerated-k8s-gateway~https.shop";
    assert_eq!(
        routes(&model, name).virtual_hosts[0].domains,
        ["shop.example"]
    );
}

#[test]
fn connections_are_told_by_server_name_or_by_port_alone() {
    let tls = "{ name: tls, port: 443, protocol: TLS, hostname: '*.example', \
               tls: { mode: Passthrough } }";
    let tcp = "{ name: tcp, port: 5432, protocol: TCP }";
    let backends = "rules: [{ backendRefs: [{ name: cart, port: 80 }] }]";
    let text = gateway(&[tls, tcp])
        + &route(
            "TLSRoute",
            "tls",
            &format!("hostnames: [a.example, '*']\n  {backends}"),
        )
        + &route("TCPRoute", "tcp", backends)
        + "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec: { host: cart, trafficPolicy: { connectionPool: { tcp: { idleTimeout: 5s } } } }
";
    let model = model(&text);
    let names = |port: u16| {
        let mut listeners = model.listeners.iter();
        let listener = listeners.find(|found| found.declared_port == port);
        &listener.unwrap().filter_chains[0].matches.server_names
    };
    assert_eq!(*names(443), ["*.example", "a.example"]);
    assert!(names(5432).is_empty());
    for listener in &model.listeners {
        let NetworkFilter::Tcp(proxy) = &listener.filter_chains[0].filter else {
            panic!("{listener:?}")
        };
        assert_eq!(proxy.destinations.len(), 1);
        assert_eq!(proxy.idle_timeout, Some(Duration::from_secs(5)));
    }
}

#[test]
fn connections_last_as_long_as_the_rule_of_their_service_says() {
    let tcp = "{ name: tcp, port: 5432, protocol: TCP }";
    let backends = "rules: [{ backendRefs: [{ name: cart, port: 80 }] }]";
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  trafficPolicy: { connectionPool: { tcp: { idleTimeout: 7s, maxConnectionDuration: 9s } } }
";
    let model = model(&(gateway(&[tcp]) + &route("TCPRoute", "tcp", backends) + rule));
    let NetworkFilter::Tcp(proxy) = &model.listeners[0].filter_chains[0].filter else {
        panic!("{:?}", model.listeners)
    };
    assert_eq!(proxy.idle_timeout, Some(Duration::from_secs(7)));
    assert_eq!(proxy.max_duration, Some(Duration::from_secs(9)));
}

#[test]
fn a_route_of_a_service_replaces_the_default_route_of_a_port() {
    let parent = "{ group: '', kind: Service, name: cart, namespace: shop, port: 80 }";
    let producer = route_of(
        "HTTPRoute",
        ("shop", "producer"),
        parent,
        &rule("/producer", ""),
    );
    let rules = "rules: [{ matches: [{ path: { value: /consumer } }], \
                 backendRefs: [{ name: vault, port: 80 }] }]";
    let consumer = route_of("HTTPRoute", ("bank", "consumer"), parent, rules);
    let text = producer + &consumer;
    for (namespace, expected) in [
        ("shop", "/producer/"),
        ("bank", "/consumer/"),
        ("a", "/producer/"),
    ] {
        let model = model_of(&text, &Workload::sidecar(namespace));
        let found = |port: &str| {
            let hosts = &model.route_configurations[port].virtual_hosts;
            let name = format!("cart.shop.svc.cluster.local:{port}");
            let host = hosts.iter().find(|host| host.name == name);
            let routes = &host.unwrap_or_else(|| panic!("{hosts:?}")).routes;
            paths(&routes.iter().map(|route| &**route).collect::<Vec<_>>())
        };
        assert_eq!(found("80"), [expected], "{namespace}");
        assert_eq!(found("81"), ["/"], "{namespace}");
    }
}

/// Server names, and where connections go, of the chains at the address of a service.
fn connections(model: &Model, port: u16) -> Vec<(Vec<String>, Vec<String>)> {
    let listeners = model.listeners.iter();
    let own = listeners.filter(|found| found.declared_port == port);
    let chains = own.flat_map(|listener| &listener.filter_chains);
    let proxied = chains.filter_map(|chain| match &chain.filter {
        NetworkFilter::Tcp(proxy) => Some((&chain.matches.server_names, proxy)),
        NetworkFilter::Http(_) | NetworkFilter::SniCluster => None,
    });
    let named = proxied.map(|(names, proxy)| {
        let to = proxy.destinations.iter().map(|to| match &to.cluster {
            ClusterSpecifier::Name(name) => name.to_string(),
            other => format!("{other:?}"),
        });
        (names.clone(), to.collect())
    });
    named
        .filter(|(_, to): &(_, Vec<String>)| to.iter().all(|to| to.starts_with("outbound")))
        .collect()
}

#[test]
fn a_route_of_connections_replaces_where_those_to_a_service_go() {
    let services = "---\napiVersion: v1\nkind: Service\nmetadata: { name: db, namespace: shop }\n\
                    spec: { clusterIP: 10.0.0.9, ports: [{ name: tcp, port: 5432 }, \
                    { name: tls, port: 5433 }] }\n\
                    ---\napiVersion: v1\nkind: Service\nmetadata: { name: new, namespace: shop }\n\
                    spec: { clusterIP: 10.0.0.10, ports: [{ name: tcp, port: 7 }] }\n";
    let parent = |port: u16| format!("{{ group: '', kind: Service, name: db, port: {port} }}");
    let rules = "rules: [{ backendRefs: [{ name: new, port: 7 }] }]";
    let tcp = route_of("TCPRoute", ("shop", "tcp"), &parent(5432), rules);
    let tls = route_of(
        "TLSRoute",
        ("shop", "tls"),
        &parent(5433),
        &format!("hostnames: [db.example]\n  {rules}"),
    );
    let new = vec!["outbound|7||new.shop.svc.cluster.local".to_owned()];
    let db = |port: u16| vec![format!("outbound|{port}||db.shop.svc.cluster.local")];
    for (text, at_tcp, at_tls) in [
        (String::new(), db(5432), (vec![], db(5433))),
        (
            tcp + &tls,
            new.clone(),
            (vec!["db.example".to_owned()], new),
        ),
    ] {
        let model = model_of(&format!("{services}{text}"), &Workload::sidecar("shop"));
        assert_eq!(connections(&model, 5432), [(vec![], at_tcp)], "{text}");
        let found: Vec<_> = connections(&model, 5433);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, at_tls.1);
        if !at_tls.0.is_empty() {
            assert_eq!(found[0].0, at_tls.0);
        }
    }
}

#[test]
fn a_route_of_the_client_s_namespace_has_its_connections_and_else_the_older_of_it_and_a_rule() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: { name: db, namespace: shop }\n\
                   spec: { clusterIP: 10.0.0.9, ports: [{ name: tcp, port: 5432 }] }\n";
    let parent = "{ group: '', kind: Service, name: db }";
    let rules = "rules: [{ backendRefs: [{ name: cart, port: 80 }] }]";
    let route = route_of("TCPRoute", ("shop", "a"), parent, rules);
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                metadata: { name: b, namespace: shop }\nspec: { hosts: [db], tcp: [{ route: \
                [{ destination: { host: books, port: { number: 80 } } }] }] }\n";
    let aged = |text: &str, year: u16| {
        let created = format!("metadata: {{ creationTimestamp: {year}-01-01T00:00:00Z, name: ");
        let text = text.replacen("metadata: { name: ", &created, 1);
        text.replacen("metadata: {{ name: ", &created, 1)
    };
    for (client, of_route, of_rule, expected) in [
        ("shop", 2024, 2025, "cart"),
        ("shop", 2025, 2024, "cart"),
        ("bank", 2024, 2025, "cart"),
        ("bank", 2025, 2024, "books"),
    ] {
        let text = format!("{service}{}{}", aged(&route, of_route), aged(rule, of_rule));
        let model = model_of(&text, &Workload::sidecar(client));
        let to = format!("outbound|80||{expected}.shop.svc.cluster.local");
        assert_eq!(
            connections(&model, 5432),
            [(vec![], vec![to])],
            "{client}: {expected}"
        );
    }
}

/// The TLS of the cluster of a port of `cart`, for a sidecar in `shop`.
fn upstream_tls(text: &str, port: u16) -> UpstreamTls {
    let model = model_of(text, &Workload::sidecar("shop"));
    let name = ClusterName::outbound(port, "", "cart.shop.svc.cluster.local");
    model.clusters[&name].tls.clone()
}

fn policy(target: &str, validation: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n\
         metadata: {{ name: cart, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ group: '', kind: Service, name: cart{target} }}]\n  \
         validation: {{ hostname: cart.example, {validation} }}\n"
    )
}

#[test]
fn a_policy_verifies_backends_by_the_authorities_that_it_names() {
    let text = policy("", "wellKnownCACertificates: System");
    let UpstreamTls::Settings(tls) = upstream_tls(&text, 80) else {
        panic!("not encrypted")
    };
    assert_eq!((&*tls.sni, &*tls.credential_name), ("cart.example", ""));
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: ca, namespace: shop }\n\
               data: { ca.crt: '-----BEGIN CERTIFICATE-----' }\n";
    let refs = "caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }]";
    let UpstreamTls::Settings(tls) = upstream_tls(&(policy("", refs) + map), 80) else {
        panic!("not encrypted")
    };
    assert_eq!(tls.credential_name, "configmap://shop/ca");
}

#[test]
fn connections_fail_under_a_policy_that_is_not_valid() {
    for (validation, reason) in [
        (
            "caCertificateRefs: [{ group: '', kind: ConfigMap, name: none }]",
            "InvalidCACertificateRef",
        ),
        (
            "caCertificateRefs: [{ group: a.example, kind: B, name: c }]",
            "InvalidKind",
        ),
        ("wellKnownCACertificates: a.example/all", "Invalid"),
    ] {
        let text = policy("", validation);
        let UpstreamTls::Settings(tls) = upstream_tls(&text, 80) else {
            panic!("not encrypted: {validation}")
        };
        assert_eq!(tls.credential_name, "invalid://", "{validation}");
        assert_noticed(&model(&text), reason);
    }
}

#[test]
fn a_policy_fills_in_what_a_destination_rule_leaves_out() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
                metadata: { name: cart, namespace: shop }\nspec: { host: cart, trafficPolicy: { \
                loadBalancer: { simple: RANDOM }, portLevelSettings: [{ port: { number: 81 }, \
                tls: { mode: DISABLE } }] } }\n";
    let text = policy("", "wellKnownCACertificates: System") + rule;
    assert!(matches!(upstream_tls(&text, 80), UpstreamTls::Settings(_)));
    assert_eq!(upstream_tls(&text, 81), UpstreamTls::Plaintext);
    let model = model_of(&text, &Workload::sidecar("shop"));
    let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    assert!(model.clusters[&name].policy.load_balancer.is_some());
}

#[test]
fn a_policy_can_be_for_one_port() {
    let text = policy(", sectionName: other", "wellKnownCACertificates: System");
    assert!(!matches!(upstream_tls(&text, 80), UpstreamTls::Settings(_)));
    assert!(matches!(upstream_tls(&text, 81), UpstreamTls::Settings(_)));
}

#[test]
fn a_rule_that_writes_no_authority_answers_500_and_the_others_serve() {
    for filter in [
        "{ type: URLRewrite, urlRewrite: { hostname: a.example/x } }",
        "{ type: RequestRedirect, requestRedirect: { hostname: a.example/x } }",
        "{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: Host, value: 'a b' }] } }",
    ] {
        let bad = "matches: [{ path: { value: /bad } }]";
        let backend = "backendRefs: [{ name: cart, port: 80 }]";
        let backends = if filter.contains("Redirect") {
            ""
        } else {
            backend
        };
        let rules =
            format!("rules: [{{ {backend} }}, {{ {bad}, filters: [{filter}], {backends} }}]");
        let model = model(&(gateway(&[HTTP]) + &route("HTTPRoute", "cart", &rules)));
        let answers = routes_of(&model, "*")
            .into_iter()
            .map(|route| match &route.action {
                RouteAction::DirectResponse(response) => Some(response.status),
                RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
            });
        assert_eq!(answers.collect::<Vec<_>>(), [Some(500), None], "{filter}");
        assert_noticed(&model, "is no authority");
    }
}
