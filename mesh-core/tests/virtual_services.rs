//! Which requests the HTTP rules of VirtualServices take, seen from a sidecar.
#![cfg(feature = "yaml")]

#[path = "support/http.rs"]
mod http;
mod support;

use std::time::Duration;

use mesh_core::matcher::StringMatch;
use mesh_core::model::route::{PathMatch, Route, RouteAction};

use crate::http::{SERVICES, clusters, host_of, model_of, route_of, routes_of, virtual_service};
use crate::support::config;

#[test]
fn each_match_block_is_a_route_that_knows_where_it_was_written() {
    let (routes, _) = routes_of(
        "
  - name: api
    match:
    - { name: old, uri: { exact: /old } }
    - uri: { prefix: /new }
    route: [{ destination: { host: cart } }]
  - route: [{ destination: { host: cart-v2 } }]",
    );
    let described = routes.iter().map(|route| {
        let place = (route.origin.path(), route.origin.position().is_known());
        (&*route.name, place.0, place.1)
    });
    assert_eq!(
        described.collect::<Vec<_>>(),
        [
            ("api.old", "spec.http[0].match[0]", true),
            ("api", "spec.http[0].match[1]", true),
            ("", "spec.http[1]", true),
        ]
    );
}

#[test]
fn nothing_follows_a_route_that_takes_every_request() {
    for (first, count) in [
        ("match: [{ uri: { prefix: / } }]", 1),
        ("match: [{ uri: { regex: '.*' } }]", 1),
        ("match: [{}]", 1),
        ("name: all", 1),
        ("match: [{ uri: { prefix: '' } }]", 2),
        ("match: [{ uri: { regex: '/.*' } }]", 2),
        ("match: [{ uri: { prefix: / }, method: { exact: GET } }]", 2),
        ("match: [{ uri: { prefix: / }, queryParams: { a: {} } }]", 2),
        ("match: [{ uri: { exact: / } }]", 2),
    ] {
        let (routes, _) = routes_of(&format!(
            "
  - {first}
    route: [{{ destination: {{ host: cart }} }}]
  - route: [{{ destination: {{ host: cart-v2 }} }}]"
        ));
        assert_eq!(routes.len(), count, "{first}");
    }
}

#[test]
fn conditions_on_the_caller_are_decided_beforehand() {
    for (block, applies) in [
        ("{ sourceLabels: { app: web } }", true),
        ("{ sourceLabels: { app: other } }", false),
        ("{ sourceNamespace: shop }", true),
        ("{ sourceNamespace: bank }", false),
        ("{ gateways: [mesh] }", true),
        ("{ gateways: [shop/gateway] }", false),
        // Gateways take the place of the other two.
        ("{ gateways: [mesh], sourceLabels: { app: other } }", true),
        ("{ gateways: [mesh], sourceNamespace: bank }", true),
        ("{ port: 80 }", true),
        ("{ port: 8080 }", false),
    ] {
        let (routes, _) = routes_of(&format!(
            "
  - name: written
    match: [{block}]
    route: [{{ destination: {{ host: cart-v2 }} }}]"
        ));
        assert_eq!(routes[0].name == "written", applies, "{block}");
    }
}

#[test]
fn a_path_is_matched_as_text() {
    for (uri, expected) in [
        ("{ exact: /a }", PathMatch::Exact("/a".into())),
        ("{ prefix: /a/ }", PathMatch::Prefix("/a/".into())),
        ("{ prefix: '' }", PathMatch::Prefix(String::new())),
        ("{}", PathMatch::Prefix("/".into())),
    ] {
        let route = route_of(&format!(
            "
  - match: [{{ uri: {uri}, ignoreUriCase: true }}]
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        assert_eq!(route.matches.path, expected, "{uri}");
        assert!(route.matches.ignore_path_case, "{uri}");
    }
}

#[test]
fn headers_are_present_or_have_a_value() {
    let route = route_of(
        "
  - match:
    - headers:
        X-Any: {}
        x-star: { regex: '*' }
        x-user: { prefix: ja }
      withoutHeaders:
        x-none: {}
        x-robot: { exact: 'yes' }
      method: { exact: GET }
    route: [{ destination: { host: cart } }]",
    );
    let headers = route.matches.headers.iter();
    let headers = headers.map(|header| {
        let value = header.value.clone();
        (&*header.name, value, header.invert, header.missing_as_empty)
    });
    assert_eq!(
        headers.collect::<Vec<_>>(),
        [
            ("x-any", StringMatch::Present, false, false),
            ("x-none", StringMatch::Present, true, false),
            ("x-robot", StringMatch::exact("yes"), true, true),
            ("x-star", StringMatch::Present, false, false),
            ("x-user", StringMatch::prefix("ja"), false, false),
        ]
    );
    assert_eq!(route.matches.method, Some(StringMatch::exact("GET")));
}

#[test]
fn a_query_parameter_may_be_empty() {
    let route = route_of(
        "
  - match: [{ queryParams: { any: {}, empty: { exact: '' } } }]
    route: [{ destination: { host: cart } }]",
    );
    let params = route.matches.query_params.iter();
    let params = params.map(|param| (&*param.name, param.value.clone()));
    assert_eq!(
        params.collect::<Vec<_>>(),
        [
            ("any", StringMatch::Present),
            ("empty", StringMatch::exact(""))
        ]
    );
}

#[test]
fn claims_are_no_headers() {
    let route = route_of(
        "
  - match:
    - headers: { '@request.auth.claims.group.id': { exact: '7' } }
      withoutHeaders: { '@request.auth.claims[admin]': { exact: 'yes' } }
    route: [{ destination: { host: cart } }]",
    );
    assert!(route.matches.headers.is_empty());
    let claims = route.matches.claims.iter();
    let claims = claims.map(|claim| (claim.path.join("/"), claim.invert));
    assert_eq!(
        claims.collect::<Vec<_>>(),
        [("group/id".to_owned(), false), ("admin".to_owned(), true)]
    );
}

#[test]
fn a_rule_with_a_value_that_is_refused_answers_500_and_is_noticed() {
    for (rule, path) in [
        (
            "match: [{ uri: { regex: '(' } }]",
            "spec.http[0].match[0].uri",
        ),
        (
            "match: [{ withoutHeaders: { a: { regex: 'a(?=b)' } } }]",
            "spec.http[0].match[0].withoutHeaders[a]",
        ),
        (
            "match: [{ headers: { a: { exact: x, prefix: p } } }]",
            "spec.http[0].match[0].headers[a]",
        ),
        (
            "match: [{ headers: { 'a b': { exact: x } } }]",
            "spec.http[0].match[0].headers[a b]",
        ),
        ("timeout: 1us", "spec.http[0].timeout"),
        (
            "headers: { request: { set: { a: '%NONSENSE%' } } }",
            "spec.http[0].headers.request.set[a]",
        ),
        (
            "fault: { abort: { httpStatus: 99 } }",
            "spec.http[0].fault.abort.httpStatus",
        ),
        (
            "mirrorPercentage: { value: 101 }\n    mirror: { host: cart }",
            "spec.http[0].mirrorPercentage",
        ),
        (
            "rewrite: { uriRegexRewrite: { match: '(', rewrite: a } }",
            "spec.http[0].rewrite.uriRegexRewrite",
        ),
        (
            "rewrite: { uriRegexRewrite: { match: '(a)', rewrite: '\\x' } }",
            "spec.http[0].rewrite.uriRegexRewrite",
        ),
        ("rewrite: { authority: a.example/x }", "spec.http[0]"),
        (
            "headers: { request: { set: { Host: '%REQ(x-host)%' } } }",
            "spec.http[0]",
        ),
    ] {
        let (routes, notices) = routes_of(&format!(
            "
  - {rule}
    name: refused
    route: [{{ destination: {{ host: cart }} }}]"
        ));
        assert_eq!(routes.len(), 1, "{rule}");
        assert_eq!(routes[0].name, "refused", "{rule}");
        assert_eq!(status_of(&routes[0]), Some(500), "{rule}");
        assert_eq!(notices.len(), 1, "{rule}: {notices:?}");
        assert!(notices[0].starts_with(&format!("{path}: ")), "{notices:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_given_is_500() {
    for answer in [
        "redirect: { authority: a.example/x }",
        "redirect: { uri: /, redirectCode: 304 }",
        "directResponse: { status: 600 }",
    ] {
        let (routes, notices) = routes_of(&format!(
            "
  - name: refused
    {answer}"
        ));
        assert_eq!(status_of(&routes[0]), Some(500), "{answer}");
        assert_eq!(notices.len(), 1, "{answer}: {notices:?}");
    }
}

#[test]
fn later_rules_get_no_requests_of_one_that_is_refused() {
    let rest = "
  - name: later
    route: [{ destination: { host: cart-v2 } }]";
    for (first, path, statuses) in [
        (
            "match: [{ uri: { prefix: /admin } }]\n    timeout: -1s",
            PathMatch::Prefix("/admin".into()),
            &[Some(500), None][..],
        ),
        // What is left of the condition is that of more requests, never of fewer.
        (
            "match: [{ uri: { prefix: /admin }, headers: { a: { regex: '(' } } }]",
            PathMatch::Prefix("/admin".into()),
            &[Some(500), None],
        ),
        (
            "match: [{ uri: { regex: '(' }, method: { exact: PUT } }]",
            PathMatch::default(),
            &[Some(500), None],
        ),
        (
            "match: [{ uri: { regex: '(' } }]",
            PathMatch::default(),
            &[Some(500)],
        ),
        ("timeout: -1s", PathMatch::default(), &[Some(500)]),
    ] {
        let (routes, notices) = routes_of(&format!(
            "
  - {first}
    route: [{{ destination: {{ host: cart }} }}]{rest}"
        ));
        let found: Vec<_> = routes.iter().map(|route| status_of(route)).collect();
        assert_eq!(found, statuses, "{first}");
        assert_eq!(routes[0].matches.path, path, "{first}");
        assert_eq!(notices.len(), 1, "{first}: {notices:?}");
    }
}

/// The status of a route that answers itself.
fn status_of(route: &Route) -> Option<u16> {
    match &route.action {
        RouteAction::DirectResponse(response) => Some(response.status),
        RouteAction::Forward(_) | RouteAction::Redirect(_) => None,
    }
}

const DELEGATE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: rules, namespace: bank }
spec:
  http:
  - name: v2
    match: [{ uri: { prefix: /cart/v2 } }, { uri: { prefix: /other } }]
    route: [{ destination: { host: teller } }]
  - name: v1
    match: [{ uri: { exact: /cart/v1 }, headers: { x-user: { exact: a } } }]
    route: [{ destination: { host: teller } }]
  - route: [{ destination: { host: teller.shop } }]
---
";

#[test]
fn a_delegate_narrows_what_the_root_matches() {
    let root = virtual_service(
        "
  - name: root
    match: [{ uri: { prefix: /cart }, port: 80 }]
    timeout: 2s
    delegate: { name: rules, namespace: bank }
  - name: rest
    route: [{ destination: { host: cart } }]",
    );
    let model = model_of(&config(&format!("{SERVICES}{DELEGATE}{root}")));
    let routes = &host_of(&model, "80", "cart").unwrap().routes;
    let described = routes.iter().map(|route| {
        let cluster = clusters(route.forward_to().unwrap())[0].0.clone();
        let origin = (route.origin.name(), route.origin.path());
        (&*route.name, cluster, origin)
    });
    let teller = "outbound|80||teller.bank.svc.cluster.local";
    assert_eq!(
        described.collect::<Vec<_>>(),
        [
            (
                "root-v1",
                teller.to_owned(),
                ("rules", "spec.http[1].match[0]")
            ),
            (
                "root",
                "outbound|80||teller.shop".to_owned(),
                ("rules", "spec.http[2]")
            ),
            (
                "rest",
                "outbound|80||cart.shop.svc.cluster.local".to_owned(),
                ("cart", "spec.http[1]")
            ),
        ]
    );
    let first = routes[0].forward_to().unwrap();
    assert_eq!(first.timeout, Some(Duration::from_secs(2)));
    let noticed = model.notices.iter();
    let noticed = noticed.filter(|notice| notice.message.contains("left out"));
    let paths: Vec<_> = noticed.map(|notice| notice.origin.path()).collect();
    assert_eq!(
        paths,
        ["spec.http[0]"],
        "one block of the rule is not in the root"
    );
}

#[test]
fn a_delegate_that_cannot_be_used_costs_only_the_rule() {
    let private = DELEGATE.replace("spec:\n", "spec:\n  exportTo: [.]\n");
    for (delegates, reason) in [
        ("", "there is no delegate `bank/rules`"),
        (&private, "is not exported to `shop`"),
    ] {
        let root = virtual_service(
            "
  - delegate: { name: rules, namespace: bank }
  - name: rest
    route: [{ destination: { host: cart } }]",
        );
        let model = model_of(&config(&format!("{SERVICES}{delegates}{root}")));
        let routes = &host_of(&model, "80", "cart").unwrap().routes;
        assert_eq!(routes.len(), 1, "{reason}");
        assert_eq!(routes[0].name, "rest", "{reason}");
        let notice = model
            .notices
            .iter()
            .find(|notice| notice.message.contains(reason));
        let notice = notice.expect(reason);
        assert_eq!(notice.origin.path(), "spec.http[0].delegate", "{reason}");
    }
}
