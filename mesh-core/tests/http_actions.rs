//! What the HTTP rules of VirtualServices do with requests, seen from a sidecar.
#![cfg(feature = "yaml")]

#[path = "support/http.rs"]
mod http;
mod support;

use std::time::Duration;

use mesh_core::matcher::StringMatch;
use mesh_core::model::filter::{AbortStatus, AppendAction};
use mesh_core::model::retry::HashPolicy;
use mesh_core::model::route::{Forward, PathRewrite, RouteAction};
use mesh_core::percent::Percent;

use crate::http::{SERVICES, clusters, host_of, model_of, route_of, routes_of, virtual_service};
use crate::support::config;

fn forward_of(http: &str) -> Forward {
    let route = route_of(http);
    route.forward_to().expect("it forwards").clone()
}

#[test]
fn destinations_without_weight_get_nothing_unless_alone() {
    let two = forward_of(
        "
  - route:
    - { destination: { host: cart }, weight: 3 }
    - { destination: { host: cart-v2, subset: canary } }
    - { destination: { host: cart-v2, port: { number: 90 } }, weight: 1 }",
    );
    assert_eq!(
        clusters(&two),
        [
            ("outbound|80||cart.shop.svc.cluster.local".to_owned(), 3),
            ("outbound|90||cart-v2.shop.svc.cluster.local".to_owned(), 1),
        ]
    );
    let alone = forward_of("  - route: [{ destination: { host: cart }, weight: 0 }]");
    assert_eq!(
        clusters(&alone),
        [("outbound|80||cart.shop.svc.cluster.local".to_owned(), 1)]
    );
    let unknown = forward_of("  - route: [{ destination: { host: nobody.example } }]");
    assert_eq!(clusters(&unknown)[0].0, "outbound|80||nobody.example");
}

#[test]
fn header_operations_of_an_only_destination_follow_those_of_the_route() {
    let route = route_of(
        "
  - headers:
      request: { set: { z: route, a: route }, add: { b: route }, remove: [gone] }
    route:
    - destination: { host: cart }
      headers: { request: { set: { a: to }, remove: [too] }, response: { add: { c: to } } }",
    );
    let request = &route.headers.request;
    let options = request.options.iter();
    let options = options.map(|option| {
        let added = option.action == AppendAction::AppendIfExistsOrAdd;
        (option.name.as_str(), option.value.as_str(), added)
    });
    assert_eq!(
        options.collect::<Vec<_>>(),
        [
            ("a", "route", false),
            ("z", "route", false),
            ("b", "route", true),
            ("a", "to", false),
        ]
    );
    assert_eq!(request.remove.len(), 2);
    assert_eq!(route.headers.response.options.len(), 1);
    assert!(
        route.forward_to().unwrap().destinations[0]
            .headers
            .is_empty()
    );
}

#[test]
fn header_operations_of_several_destinations_stay_with_them() {
    let route = route_of(
        "
  - headers: { request: { set: { a: route } } }
    route:
    - { destination: { host: cart }, weight: 1, headers: { request: { set: { a: to } } } }
    - { destination: { host: cart-v2 }, weight: 1 }",
    );
    assert_eq!(route.headers.request.options.len(), 1);
    let destinations = &route.forward_to().unwrap().destinations;
    assert_eq!(destinations[0].headers.request.options.len(), 1);
    assert!(destinations[1].headers.is_empty());
}

#[test]
fn one_of_several_destinations_is_none_that_is_alone_though_no_other_gets_requests() {
    let to = "{ request: { set: { a: to, host: to.example } } }";
    let route = route_of(&format!(
        "
  - headers: {{ request: {{ set: {{ a: route, host: route.example }} }} }}
    route:
    - {{ destination: {{ host: cart }}, weight: 100, headers: {to} }}
    - {{ destination: {{ host: cart-v2 }}, weight: 0 }}"
    ));
    assert_eq!(route.headers.request.options.len(), 1);
    let forward = route.forward_to().unwrap();
    assert_eq!(forward.rewrite.authority.as_deref(), Some("route.example"));
    let [only] = forward.destinations.as_slice() else {
        panic!("{:?}", forward.destinations);
    };
    assert_eq!(only.headers.request.options.len(), 1);
    assert_eq!(only.authority.as_deref(), Some("to.example"));
}

#[test]
fn a_header_whose_operator_has_no_value_here_is_not_written() {
    let rule = |value: &str| {
        format!(
            "
  - headers: {{ request: {{ set: {{ a: '{value}', b: kept }} }} }}
    route: [{{ destination: {{ host: cart }} }}]"
        )
    };
    let (routes, notices) = routes_of(&rule("%DYNAMIC_METADATA(a:b)%"));
    let told = "the header is not written: operator `DYNAMIC_METADATA` is not supported";
    assert_eq!(
        notices,
        [format!("spec.http[0].headers.request.set[a]: {told}")]
    );
    let options = routes[0].headers.request.options.iter();
    let names: Vec<_> = options.map(|option| option.name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn an_authority_header_is_a_rewrite() {
    let set = "{ request: { set: { ':authority': set.example }, add: { Host: add.example } } }";
    let add = "{ request: { add: { Host: add.example } } }";
    let to = "{ request: { set: { host: to.example } } }";
    for (rule, destination, expected) in [
        (format!("headers: {set}"), String::new(), "set.example"),
        (format!("headers: {add}"), String::new(), "add.example"),
        (
            "name: a".to_owned(),
            format!(", headers: {to}"),
            "to.example",
        ),
        (
            format!("headers: {add}"),
            format!(", headers: {to}"),
            "add.example",
        ),
        (
            "rewrite: { authority: rule.example }".to_owned(),
            format!(", headers: {to}"),
            "rule.example",
        ),
        (
            format!("rewrite: {{ authority: rule.example }}\n    headers: {add}"),
            String::new(),
            "rule.example",
        ),
    ] {
        let route = route_of(&format!(
            "
  - {rule}
    route: [{{ destination: {{ host: cart }}{destination} }}]"
        ));
        let forward = route.forward_to().unwrap();
        assert_eq!(
            forward.rewrite.authority.as_deref(),
            Some(expected),
            "{rule}"
        );
        assert_eq!(forward.destinations[0].authority, None, "{rule}");
        assert!(route.headers.is_empty(), "{rule}");
    }
}

#[test]
fn an_authority_of_several_destinations_is_each_one_s_own() {
    let forward = forward_of(
        "
  - route:
    - destination: { host: cart }
      weight: 1
      headers: { request: { set: { host: a.example } } }
    - { destination: { host: cart-v2 }, weight: 1 }",
    );
    assert_eq!(forward.rewrite.authority, None);
    assert_eq!(
        forward.destinations[0].authority.as_deref(),
        Some("a.example")
    );
}

#[test]
fn a_path_is_rewritten_by_prefix_or_expression() {
    let rewritten = |rewrite: &str| {
        let forward = forward_of(&format!(
            "
  - rewrite: {rewrite}
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        forward.rewrite.path
    };
    assert_eq!(
        rewritten("{ uri: /b }"),
        Some(PathRewrite::Prefix("/b".into()))
    );
    let regex = rewritten("{ uriRegexRewrite: { match: '^/a/(.*)', rewrite: '/\\1' } }");
    assert!(matches!(regex, Some(PathRewrite::Regex(regex)) if regex.substitution() == "/\\1"));
    assert_eq!(rewritten("{ authority: a.example }"), None);
}

#[test]
fn a_redirect_names_no_port_that_is_the_scheme_s() {
    for (redirect, status, port) in [
        ("{ uri: /b }", 301, None),
        ("{ uri: /b, redirectCode: 308 }", 308, None),
        ("{ port: 80 }", 301, None),
        ("{ port: 8080 }", 301, Some(8080)),
        ("{ port: 443, scheme: https }", 301, None),
        ("{ port: 80, scheme: https }", 301, Some(80)),
        ("{ derivePort: FROM_REQUEST_PORT }", 301, None),
        (
            "{ derivePort: FROM_REQUEST_PORT, scheme: https }",
            301,
            Some(80),
        ),
        ("{ derivePort: FROM_PROTOCOL_DEFAULT }", 301, None),
    ] {
        let route = route_of(&format!("  - redirect: {redirect}"));
        let RouteAction::Redirect(found) = &route.action else {
            panic!("{redirect}");
        };
        assert_eq!((found.status, found.port), (status, port), "{redirect}");
    }
}

#[test]
fn a_redirect_replaces_the_path_or_its_prefix() {
    let path = |redirect: &str| match route_of(&format!("  - redirect: {redirect}")).action {
        RouteAction::Redirect(redirect) => redirect.path,
        other => panic!("{other:?}"),
    };
    assert_eq!(path("{ uri: /b }"), Some(PathRewrite::Full("/b".into())));
    assert_eq!(
        path("{ prefixRewrite: /b }"),
        Some(PathRewrite::Prefix("/b".into()))
    );
    assert_eq!(path("{ authority: b.example }"), None);
}

#[test]
fn a_direct_response_has_a_status_and_perhaps_a_body() {
    for (response, body) in [
        ("{ status: 503 }", None),
        ("{ status: 503, body: { string: gone } }", Some("gone")),
        ("{ status: 503, body: { bytes: Z29uZQ== } }", Some("gone")),
    ] {
        let route = route_of(&format!("  - directResponse: {response}"));
        let RouteAction::DirectResponse(found) = &route.action else {
            panic!("{response}");
        };
        assert_eq!(found.status, 503, "{response}");
        assert_eq!(found.body.as_deref(), body.map(str::as_bytes), "{response}");
    }
}

#[test]
fn a_fault_without_percentage_never_strikes() {
    let route = route_of(
        "
  - fault:
      delay: { fixedDelay: 2s }
      abort: { grpcStatus: UNAVAILABLE, percentage: { value: 0.5 } }
    route: [{ destination: { host: cart } }]",
    );
    let fault = route.fault.expect("there is a fault");
    let delay = fault.delay.unwrap();
    assert_eq!(
        (delay.duration, delay.percent),
        (Duration::from_secs(2), Percent::ZERO)
    );
    let abort = fault.abort.unwrap();
    assert_eq!(abort.status, AbortStatus::Grpc(14));
    assert_eq!(abort.percent.parts_per_million(), 5_000);
    assert_eq!(fault.origin.path(), "spec.http[0].fault");
}

#[test]
fn a_fault_that_does_not_say_what_happens_is_left_out_of_its_rule() {
    for (fault, delays, path) in [
        (
            "{ delay: { percent: 50 } }",
            false,
            "spec.http[0].fault.delay",
        ),
        (
            "{ delay: { exponentialDelay: 1s, percent: 50 } }",
            false,
            "spec.http[0].fault.delay",
        ),
        (
            "{ delay: { fixedDelay: 1s }, abort: { percentage: { value: 1 } } }",
            true,
            "spec.http[0].fault.abort",
        ),
        (
            "{ delay: { fixedDelay: 1s }, abort: { http2Error: NO_ERROR } }",
            true,
            "spec.http[0].fault.abort",
        ),
    ] {
        let (routes, notices) = routes_of(&format!(
            "
  - fault: {fault}
    name: kept
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        assert_eq!(routes[0].name, "kept", "{fault}");
        let delay = routes[0]
            .fault
            .as_ref()
            .and_then(|fault| fault.delay.as_ref());
        assert_eq!(delay.is_some(), delays, "{fault}");
        let abort = routes[0]
            .fault
            .as_ref()
            .and_then(|fault| fault.abort.as_ref());
        assert!(abort.is_none(), "{fault}");
        assert_eq!(notices.len(), 1, "{fault}: {notices:?}");
        assert!(
            notices[0].starts_with(&format!("{path}: nothing is ")),
            "{notices:?}"
        );
    }
}

#[test]
fn a_mirror_without_percentage_gets_everything() {
    let forward = forward_of(
        "
  - mirrors:
    - { destination: { host: cart-v2 } }
    - { destination: { host: cart-v2 }, percentage: { value: 0 } }
    - { destination: { host: cart-v2 }, percentage: { value: 10 } }
    route: [{ destination: { host: cart } }]",
    );
    let shares = forward.mirrors.iter();
    let shares = shares.map(|mirror| (mirror.percent.value(), mirror.origin.path()));
    assert_eq!(
        shares.collect::<Vec<_>>(),
        [
            (100.0, "spec.http[0].mirrors[0]"),
            (10.0, "spec.http[0].mirrors[2]")
        ]
    );
    for (share, mirrored) in [
        ("mirrorPercentage: {}", false),
        ("mirrorPercent: 0", false),
        ("mirrorPercent: 5", true),
        ("name: all", true),
    ] {
        let forward = forward_of(&format!(
            "
  - {share}
    mirror: {{ host: cart-v2 }}
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        assert_eq!(!forward.mirrors.is_empty(), mirrored, "{share}");
    }
}

#[test]
fn the_older_list_of_origins_counts_only_alone() {
    for (policy, origins) in [
        ("{ allowOrigin: [a] }", &["a"][..]),
        ("{ allowOrigin: [a], allowOrigins: [{ exact: b }] }", &["b"]),
        ("{ allowOrigins: [{}] }", &[]),
    ] {
        let route = route_of(&format!(
            "
  - corsPolicy: {policy}
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        let expected: Vec<_> = origins
            .iter()
            .map(|origin| StringMatch::exact(*origin))
            .collect();
        assert_eq!(route.cors.unwrap().allow_origins, expected, "{policy}");
    }
}

#[test]
fn cors_settings_are_joined() {
    let route = route_of(
        "
  - corsPolicy:
      allowOrigins: [{ prefix: 'https://' }]
      allowMethods: [GET, POST]
      allowHeaders: [a, b]
      exposeHeaders: [c]
      maxAge: 90s
      allowCredentials: true
      unmatchedPreflights: IGNORE
    route: [{ destination: { host: cart } }]",
    );
    let cors = route.cors.expect("there is a policy");
    assert_eq!(cors.allow_methods, "GET,POST");
    assert_eq!(cors.allow_headers, "a,b");
    assert_eq!(cors.expose_headers, "c");
    assert_eq!(cors.max_age, Some(90));
    assert!(cors.allow_credentials);
    assert!(!cors.forward_unmatched_preflights);
}

#[test]
fn retries_start_from_the_defaults() {
    let retry_of = |retries: &str| {
        let forward = forward_of(&format!(
            "
  - {retries}
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        forward.retry
    };
    let default = retry_of("name: default").expect("retries are on");
    assert_eq!(default.attempts, 2);
    assert!(default.avoid_previous_hosts);
    assert!(retry_of("retries: { attempts: 0 }").is_none());

    let written = "{ attempts: 3, retryOn: '5xx, 503', perTryTimeout: 1s, backoff: 5ms, \
                   retryRemoteLocalities: true, retryIgnorePreviousHosts: false }";
    let written = retry_of(&format!("retries: {written}")).expect("retries are on");
    assert_eq!(written.attempts, 3);
    assert_eq!(written.retry_on, ["5xx", "retriable-status-codes"]);
    assert_eq!(written.retriable_status_codes, [503]);
    assert_eq!(written.per_try_timeout, Some(Duration::from_secs(1)));
    assert_eq!(written.backoff_base, Duration::from_millis(5));
    assert!(written.avoid_previous_priorities);
    assert!(!written.avoid_previous_hosts);
}

#[test]
fn a_hash_of_a_port_is_for_destinations_that_name_it() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  trafficPolicy:
    loadBalancer: { consistentHash: { httpHeaderName: x-all } }
    portLevelSettings:
    - port: { number: 80 }
      loadBalancer: { consistentHash: { httpHeaderName: x-port } }
---
";
    let hashed = |http: &str| {
        let model = model_of(&config(&format!("{SERVICES}{rule}{http}")));
        let host = host_of(&model, "80", "cart").unwrap();
        host.routes[0].forward_to().unwrap().hash_policies.clone()
    };
    let by = |name: &str| [HashPolicy::Header(name.to_owned())];
    let to = |port: &str| {
        virtual_service(&format!(
            "  - route: [{{ destination: {{ host: cart{port} }} }}]"
        ))
    };
    assert_eq!(hashed(&to(", port: { number: 80 }")), by("x-port"));
    assert_eq!(hashed(&to("")), by("x-all"));
    assert_eq!(hashed(""), by("x-port"), "a default route knows its port");

    let model = model_of(&config(&format!("{SERVICES}{rule}")));
    let host = host_of(&model, "80", "cart").unwrap();
    let retry = host.routes[0].forward_to().unwrap().retry.as_ref();
    assert!(
        retry.unwrap().avoid_previous_hosts,
        "retries of a default route go elsewhere"
    );
}

#[test]
fn a_consistent_hash_comes_with_the_destination() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: X-User } } }
  subsets:
  - name: v2
    trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } }
---
";
    let header = HashPolicy::Header("x-user".into());
    for (http, expected) in [
        ("  - route: [{ destination: { host: cart } }]", &header),
        (
            "  - route: [{ destination: { host: cart, subset: v2 } }]",
            &HashPolicy::SourceIp,
        ),
    ] {
        let model = model_of(&config(&format!(
            "{SERVICES}{rule}{}",
            virtual_service(http)
        )));
        let host = host_of(&model, "80", "cart").unwrap();
        let forward = host.routes[0].forward_to().unwrap();
        assert_eq!(
            forward.hash_policies,
            std::slice::from_ref(expected),
            "{http}"
        );
        let retry = forward.retry.as_ref().unwrap();
        assert!(!retry.avoid_previous_hosts, "{http}");
    }
}
