use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

#[track_caller]
fn assert_all<T: serde::de::DeserializeOwned>(
    validate: fn(&T, At<'_>),
    cases: &[(serde_json::Value, usize)],
) {
    for (value, errors) in cases {
        assert_errors(&value.to_string(), *errors, |at| {
            validate(&read(value.clone()), at)
        });
    }
}

#[test]
fn a_class_names_its_controller() {
    assert_all(
        gateway::validate_class,
        &[
            (json!({"controllerName": "istio.io/gateway-controller"}), 0),
            (json!({}), 1),
            (json!({"controllerName": "istio"}), 1),
            (
                json!({"controllerName": "a.b/c", "description": "a".repeat(65)}),
                1,
            ),
        ],
    );
}

#[test]
fn a_gateway_has_a_class_and_listeners() {
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let gateway = |field: &str, value: serde_json::Value| {
        let mut gateway = json!({"gatewayClassName": "istio", "listeners": listeners});
        gateway[field] = value;
        gateway
    };
    assert_all(
        gateway::validate,
        &[
            (
                json!({"gatewayClassName": "istio", "listeners": listeners}),
                0,
            ),
            (json!({}), 2),
            (gateway("addresses", json!([{"value": "10.0.0.1"}])), 0),
            (gateway("addresses", json!([{"value": "10.0.0.1:80"}])), 1),
            (
                gateway(
                    "addresses",
                    json!([{"type": "NamedAddresses", "value": "a"}]),
                ),
                0,
            ),
            (
                gateway("addresses", json!([{"type": "Addresses", "value": "a"}])),
                1,
            ),
            (
                gateway("addresses", json!([{"type": "Hostname", "value": "*.a.b"}])),
                0,
            ),
            (
                gateway("addresses", json!([{"type": "Hostname", "value": "a_b"}])),
                1,
            ),
            (
                gateway(
                    "addresses",
                    json!([{"value": "10.0.0.1"}, {"value": "10.0.0.1"}]),
                ),
                1,
            ),
            (
                gateway("infrastructure", json!({"labels": {"a/b": "c"}})),
                0,
            ),
            (
                gateway(
                    "infrastructure",
                    json!({"labels": {"a b": "c", "d": "e f"}}),
                ),
                2,
            ),
            (
                gateway("tls", json!({"frontend": {"default": {"validation": {}}}})),
                1,
            ),
        ],
    );
}

#[test]
fn a_tls_mode_that_istio_does_not_know_is_told() {
    for (mode, warnings) in [("MUTUAL", 0), ("ISTIO_SIMPLE", 0), ("mutual", 1)] {
        let options = json!({"gateway.istio.io/tls-terminate-mode": mode});
        let tls = json!({"certificateRefs": [{"name": "secret"}], "options": options});
        let listener = json!([{"name": "a", "port": 443, "protocol": "HTTPS", "tls": tls}]);
        assert_warnings(mode, warnings, |at| {
            let listeners: Vec<_> = read(listener);
            listener::validate_all(&listeners, at);
        });
    }
}

#[test]
fn listeners_are_distinct_and_have_tls_where_it_belongs() {
    let listener =
        |protocol: &str, tls| json!([{"name": "a", "port": 80, "protocol": protocol, "tls": tls}]);
    let refs = json!([{"name": "secret"}]);
    assert_all(
        |listeners: &Vec<_>, at| listener::validate_all(listeners, at),
        &[
            (listener("HTTPS", json!({"certificateRefs": refs})), 0),
            (listener("HTTPS", json!(null)), 0),
            (listener("HTTPS", json!({})), 1),
            (listener("HTTPS", json!({"mode": "Passthrough"})), 1),
            (listener("TLS", json!({"mode": "Passthrough"})), 0),
            (listener("TLS", json!(null)), 1),
            (listener("HTTP", json!({"certificateRefs": refs})), 1),
            (listener("a.b/own", json!(null)), 0),
            (listener("a.b/my-own", json!(null)), 1),
            (listener("a b", json!(null)), 1),
            (
                json!([{
                    "name": "a", "port": 80, "protocol": "HTTP",
                    "allowedRoutes": {"kinds": [{"group": "A b", "kind": "HTTPRoute"}]},
                }]),
                1,
            ),
            (
                json!([{"name": "a", "port": 80, "protocol": "TCP", "hostname": "a.b"}]),
                1,
            ),
            (
                json!([{"name": "A", "port": 0, "protocol": "HTTP", "hostname": "A"}]),
                3,
            ),
            (
                json!([
                    {"name": "a", "port": 80, "protocol": "HTTP"},
                    {"name": "a", "port": 80, "protocol": "HTTP"},
                ]),
                2,
            ),
            (
                json!([
                    {"name": "a", "port": 80, "protocol": "HTTP", "hostname": "a.b"},
                    {"name": "b", "port": 80, "protocol": "HTTP"},
                ]),
                0,
            ),
        ],
    );
}

/// The errors in a document, whose fields are known to be written or not.
#[cfg(feature = "yaml")]
#[track_caller]
fn document_errors(text: &str) -> Vec<String> {
    let parsed = crate::parse::parse("a.yaml", text, &crate::parse::Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let violations = parsed.objects.iter().flat_map(crate::validate::validate);
    let violations = violations.filter(crate::validate::Violation::is_error);
    violations
        .map(|violation| format!("{}: {}", violation.origin.path(), violation.message))
        .collect()
}

#[cfg(feature = "yaml")]
#[test]
fn fields_without_default_have_to_be_written() {
    let grant = |from: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: \
             {{name: a, namespace: b}}\nspec:\n  from: [{from}]\n  to: [{{group: \"\", kind: \
             Secret}}]\n"
        )
    };
    let written = grant("{group: \"\", kind: Service, namespace: c}");
    assert_eq!(document_errors(&written), [""; 0]);
    let absent = grant("{kind: Service, namespace: c}");
    assert_eq!(
        document_errors(&absent),
        ["spec.from[0]: `group` is required"]
    );
}

#[cfg(feature = "yaml")]
#[test]
fn a_rule_with_no_match_at_all_replaces_no_prefix() {
    let route = |matches: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: \
             {{name: a, namespace: b}}\nspec:\n  rules:\n  - {matches}\n    filters: [{{type: \
             URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: \
             /b}}}}}}]\n"
        )
    };
    assert_eq!(document_errors(&route("name: a")), [""; 0]);
    let errors = document_errors(&route("matches: []"));
    assert_eq!(
        errors,
        ["spec.rules[0]: a prefix is replaced only in a rule with one match, of a prefix"]
    );
}

#[test]
fn references_to_one_parent_differ() {
    let parent = |section: Option<&str>, port: Option<u16>| {
        let mut parent = json!({"name": "gw", "sectionName": section});
        parent["port"] = json!(port);
        parent
    };
    assert_all(
        |parents: &Vec<_>, at| parent_reference::validate(parents, at),
        &[
            (json!([{"name": "gw"}, {"name": "gw", "namespace": "b"}]), 0),
            (json!([parent(Some("a"), None), parent(Some("b"), None)]), 0),
            (json!([parent(None, Some(1)), parent(None, Some(2))]), 0),
            (json!([parent(None, None), parent(None, None)]), 1),
            (json!([parent(Some("a"), None), parent(Some("a"), None)]), 1),
            (json!([parent(Some("a"), None), parent(None, None)]), 1),
            (
                json!([parent(Some("a"), None), parent(Some("b"), Some(1))]),
                1,
            ),
            (json!([{}]), 1),
        ],
    );
}

#[test]
fn an_http_route_has_valid_rules() {
    let rule = |rule: serde_json::Value| json!({"rules": [rule]});
    let backend = json!([{"name": "a", "port": 80}]);
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}});
    assert_all(
        http_route::validate,
        &[
            (json!({}), 0),
            (rule(json!({"backendRefs": backend})), 0),
            (rule(json!({"backendRefs": [{"name": "a"}]})), 1),
            (
                rule(json!({"backendRefs": [{"name": "a", "kind": "Foo"}]})),
                0,
            ),
            (
                rule(json!({"backendRefs": backend, "filters": [redirect]})),
                1,
            ),
            (
                rule(json!({"timeouts": {"request": "1s", "backendRequest": "2s"}})),
                1,
            ),
            (
                rule(json!({"timeouts": {"request": "0s", "backendRequest": "2s"}})),
                0,
            ),
            (
                rule(json!({"retry": {"attempts": 0, "codes": [399, 500]}})),
                2,
            ),
            (rule(json!({"retry": {"codes": [500, 500]}})), 1),
            (json!({"rules": [{"name": "a"}, {"name": "a"}]}), 1),
            (json!({"hostnames": ["*.a.b", "a.*"]}), 1),
            (
                json!({"rules": vec![json!({"matches": vec![json!({}); 64]}); 3]}),
                1,
            ),
        ],
    );
}

#[test]
fn a_prefix_is_replaced_where_one_is_matched() {
    let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"});
    let filters = json!([{"type": "URLRewrite", "urlRewrite": {"path": path}}]);
    let rule = |matches| json!({"rules": [{"matches": matches, "filters": filters}]});
    assert_all(
        http_route::validate,
        &[
            (rule(json!([])), 0),
            (rule(json!([{"path": {"value": "/a"}}])), 0),
            (rule(json!([{"path": {"type": "Exact", "value": "/a"}}])), 1),
            (
                rule(json!([{"path": {"value": "/a"}}, {"path": {"value": "/b"}}])),
                1,
            ),
        ],
    );
    let backend = json!({"name": "a", "port": 80, "filters": filters});
    let exact = json!([{"path": {"type": "Exact", "value": "/a"}}]);
    let rule = |backends| json!({"rules": [{"matches": exact, "backendRefs": backends}]});
    assert_all(
        http_route::validate,
        &[
            (rule(json!([backend])), 1),
            (rule(json!([backend, backend])), 0),
        ],
    );
}

#[cfg(feature = "yaml")]
#[test]
fn routes_of_the_old_version_have_several_rules_and_no_hosts() {
    let route = |kind: &str, version: &str, rules: usize| {
        let rules = vec!["{backendRefs: [{name: a, port: 443}]}"; rules].join(", ");
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\nmetadata: \
             {{name: a, namespace: b}}\nspec: {{rules: [{rules}]}}\n"
        );
        document_errors(&text).len()
    };
    for (kind, version, rules, errors) in [
        ("TLSRoute", "v1", 1, 1),
        ("TLSRoute", "v1alpha3", 2, 2),
        ("TLSRoute", "v1alpha2", 2, 0),
        ("TLSRoute", "v1alpha2", 17, 1),
        ("TCPRoute", "v1", 2, 1),
        ("TCPRoute", "v1alpha2", 2, 0),
        ("UDPRoute", "v1alpha2", 16, 0),
        ("UDPRoute", "v1alpha2", 0, 1),
    ] {
        let found = route(kind, version, rules);
        assert_eq!(found, errors, "{kind} {version} with {rules} rules");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn an_object_has_a_spec() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n";
    assert_eq!(document_errors(text), [": `spec` is required"]);
    let empty = format!("{text}spec: {{}}\n");
    assert_eq!(document_errors(&empty), [""; 0]);
}

#[test]
fn paths_are_normalized() {
    let path = |kind: &str, value: &str| json!({"path": {"type": kind, "value": value}});
    assert_all(
        http_match::validate,
        &[
            (path("PathPrefix", "/a/%20b"), 0),
            (path("RegularExpression", "[ab]"), 0),
            (path("Exact", "a"), 1),
            (path("Exact", "/a//b"), 1),
            (path("Exact", "/a/.."), 1),
            (path("Exact", "/a%2Fb"), 1),
            (path("PathPrefix", "/[a]"), 1),
            (path("PathPrefix", "/a%zz"), 1),
            (json!({"headers": [{"name": "a", "value": "b c"}]}), 0),
            (json!({"headers": [{"name": "a b", "value": " c"}]}), 2),
            (
                json!({"queryParams": [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]}),
                1,
            ),
        ],
    );
}

#[test]
fn a_filter_has_the_settings_of_its_type() {
    let mirror = |field: &str, value: serde_json::Value| {
        let settings = json!({"backendRef": {"name": "a", "port": 80}, field: value});
        json!([{"type": "RequestMirror", "requestMirror": settings}])
    };
    let path = |path| json!([{"type": "URLRewrite", "urlRewrite": {"path": path}}]);
    let cors = |cors| json!([{"type": "CORS", "cors": cors}]);
    let external_auth = |http| {
        let backend = json!({"name": "a", "port": 80});
        let auth = json!({"protocol": "HTTP", "backendRef": backend, "http": http});
        json!([{"type": "ExternalAuth", "externalAuth": auth}])
    };
    let remove = |names| {
        let settings = json!({"remove": names});
        json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": settings}])
    };
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}});
    let rewrite = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "a.b"}});
    assert_all(
        |filters: &Vec<_>, at| http_filter::validate_all(filters, at),
        &[
            (json!([{"type": "CORS"}]), 1),
            (json!([{"type": "CORS", "cors": {}, "urlRewrite": {}}]), 1),
            (json!([{"type": "ExtensionRef"}]), 1),
            (json!([redirect, redirect]), 1),
            (json!([redirect, rewrite]), 1),
            (mirror("percent", json!(100)), 0),
            (mirror("percent", json!(101)), 1),
            (mirror("fraction", json!({"numerator": 101})), 1),
            (
                mirror("fraction", json!({"numerator": 1, "denominator": 3})),
                0,
            ),
            (
                path(json!({"type": "ReplaceFullPath", "replaceFullPath": "/a"})),
                0,
            ),
            (path(json!({"type": "ReplaceFullPath"})), 1),
            (
                path(json!({"type": "ReplaceFullPath", "replacePrefixMatch": "/a"})),
                2,
            ),
            (cors(json!({"allowOrigins": ["*", "http://a"]})), 1),
            (cors(json!({"allowMethods": ["*", "GET"], "maxAge": 0})), 2),
            (cors(json!({"allowMethods": ["GET", "GET"]})), 1),
            (cors(json!({"allowHeaders": ["x-a", "x-a"]})), 1),
            (external_auth(json!({"path": "/check"})), 0),
            (external_auth(json!({"path": "/a b"})), 1),
            (external_auth(json!({"allowedHeaders": ["a", "a"]})), 1),
            (remove(json!(["x-a", "x-b"])), 0),
            (remove(json!(["x-a", "x-a"])), 1),
        ],
    );
}

#[test]
fn a_grpc_route_matches_services_and_methods() {
    let method = |method: serde_json::Value| json!({"rules": [{"matches": [{"method": method}]}]});
    assert_all(
        grpc_route::validate,
        &[
            (method(json!({"service": "a.b.C", "method": "D"})), 0),
            (method(json!({"service": ".a"})), 0),
            (method(json!({})), 1),
            (method(json!({"service": "a b"})), 1),
            (method(json!({"service": "a..b", "method": "1a"})), 2),
            (
                method(json!({"type": "RegularExpression", "service": "a|b"})),
                0,
            ),
        ],
    );
}

#[test]
fn a_tls_route_has_server_names_and_one_rule() {
    let rules = json!([{"backendRefs": [{"name": "a", "port": 443}]}]);
    assert_all(
        l4_route::validate_tls,
        &[
            (json!({"hostnames": ["*.a.b"], "rules": rules}), 0),
            (json!({"hostnames": ["10.0.0.1"], "rules": rules}), 1),
            (json!({"rules": rules}), 1),
            (json!({"hostnames": ["a"], "rules": [{}]}), 1),
        ],
    );
}

#[test]
fn a_grant_names_both_sides() {
    let from = json!([{"group": "", "kind": "Service", "namespace": "a"}]);
    let to = json!([{"group": "", "kind": "Secret"}]);
    assert_all(
        reference_grant::validate,
        &[
            (json!({"from": from, "to": to}), 0),
            (json!({}), 2),
            (json!({"from": [{"kind": "Service"}], "to": to}), 1),
            (
                json!({"from": from, "to": [{"kind": "a b", "name": ""}]}),
                2,
            ),
        ],
    );
}

#[test]
fn tls_to_backends_is_verified() {
    let policy = |validation: serde_json::Value| {
        let targets = json!([{"group": "", "kind": "Service", "name": "a"}]);
        json!({"targetRefs": targets, "validation": validation})
    };
    let system = |names: serde_json::Value| {
        policy(json!({
            "wellKnownCACertificates": "System", "hostname": "a.b", "subjectAltNames": names,
        }))
    };
    let authority = json!([{"group": "", "kind": "ConfigMap", "name": "ca"}]);
    assert_all(
        backend_tls_policy::validate,
        &[
            (system(json!([])), 0),
            (
                policy(json!({"caCertificateRefs": authority, "hostname": "a.b"})),
                0,
            ),
            (policy(json!({"hostname": "a.b"})), 1),
            (policy(json!({"caCertificateRefs": authority})), 1),
            (
                policy(json!({"wellKnownCACertificates": "own", "hostname": "a.b"})),
                1,
            ),
            (
                policy(json!({"wellKnownCACertificates": "a.b/own", "hostname": "a.b"})),
                0,
            ),
            (system(json!([{"type": "URI", "uri": "spiffe://a/b"}])), 0),
            (
                system(json!([{"type": "Hostname", "uri": "spiffe://a/b"}])),
                2,
            ),
            (system(json!([{"type": "URI"}])), 1),
            (system(json!([{"type": "URI", "uri": ""}])), 1),
            (
                system(json!([{"type": "Hostname", "hostname": "a.b", "uri": ""}])),
                2,
            ),
        ],
    );
}

#[test]
fn a_session_has_the_settings_of_its_type() {
    assert_all(
        session_persistence::validate,
        &[
            (json!({"cookie": {}}), 0),
            (json!({"type": "Header", "header": {"name": "x-a"}}), 0),
            (json!({}), 1),
            (json!({"type": "Header", "cookie": {}}), 2),
            (json!({"cookie": {"lifetimeType": "Permanent"}}), 1),
            (
                json!({"cookie": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"}),
                0,
            ),
            (
                json!({"sessionName": "a", "cookieConfig": {"lifetimeType": "Session"}}),
                0,
            ),
        ],
    );
}

#[cfg(feature = "yaml")]
#[test]
fn an_expression_selects_by_key_and_operator() {
    let gateway = |expression: &str| {
        let selector =
            format!("{{from: Selector, selector: {{matchExpressions: [{expression}]}}}}");
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: a}}\nspec:\n  \
             gatewayClassName: istio\n  allowedListeners: {{namespaces: {selector}}}\n  listeners: \
             [{{name: a, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {selector}}}}}]\n"
        )
    };
    assert_eq!(
        document_errors(&gateway("{key: team, operator: Exists}")),
        [""; 0]
    );
    assert_eq!(document_errors(&gateway("{key: team}")).len(), 2);
    assert_eq!(document_errors(&gateway("{operator: Exists}")).len(), 2);
}

#[test]
fn an_expression_that_selects_nothing_is_told() {
    for (requirement, warnings) in [
        (json!({"key": "team", "operator": "Exists"}), 0),
        (json!({"key": "team", "operator": "In", "values": ["a"]}), 0),
        (json!({"key": "team", "operator": "NotIn"}), 1),
        (
            json!({"key": "team", "operator": "Exists", "values": ["a"]}),
            1,
        ),
    ] {
        let selector = read(json!({"matchExpressions": [requirement]}));
        assert_warnings(&requirement.to_string(), warnings, |at| {
            listener::validate_selector(&selector, at);
        });
    }
}
