use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::attributes::TargetScheme;
use mesh_core::identity::TrustDomains;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::AuthorizationPolicy;
use serde_json::json;

use super::*;

const PEER: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn domains() -> TrustDomains {
    TrustDomains::new("cluster.local".parse().unwrap())
}

fn policy(name: &str, spec: &serde_json::Value) -> Arc<Resource<AuthorizationPolicy>> {
    let mut policy = Resource::<AuthorizationPolicy>::default();
    policy.metadata.namespace = "shop".to_owned();
    policy.metadata.name = name.to_owned();
    policy.spec = serde_json::from_value(spec.clone()).unwrap();
    Arc::new(policy)
}

pub(super) fn compile(specs: &[serde_json::Value]) -> PolicySet {
    let policies: Vec<_> = specs.iter().map(|spec| policy("p", spec)).collect();
    PolicySet::compile(&policies, &domains())
}

pub(super) fn connection() -> Connection<'static> {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Connection {
        peer: Some(PEER),
        ..Connection::new(address("10.0.0.7:41000"), address("10.0.0.9:8080"))
    }
}

fn request(headers: &HeaderMap) -> HttpRequest<'_> {
    HttpRequest {
        connection: connection(),
        method: "GET",
        scheme: "https",
        host: Some(b"cart.shop"),
        path: "/admin?q",
        headers,
        claims: None,
    }
}

fn is_allowed(specs: &[serde_json::Value]) -> bool {
    compile(specs)
        .evaluate(&request(&HeaderMap::new()))
        .is_allowed()
}

fn allow(rule: &serde_json::Value) -> bool {
    is_allowed(&[json!({"rules": [rule]})])
}

#[test]
fn a_certificate_without_an_identity_is_any_principal_and_no_other() {
    let allows = |source: serde_json::Value| {
        let rule = json!({"from": [{"source": source}]});
        let policies = compile(&[json!({"rules": [rule]})]);
        let connection = Connection {
            peer: None,
            has_certificate: true,
            ..connection()
        };
        policies.evaluate_connection(&connection).is_allowed()
    };
    assert!(allows(json!({"principals": ["cluster.local/x", "*"]})));
    assert!(!allows(json!({"notPrincipals": ["*"]})));
    for field in ["namespaces", "trustDomains"] {
        assert!(!allows(json!({field: ["*"]})), "{field}");
    }
    for value in ["cluster.local/*", "*/ns/shop/sa/cart", "**"] {
        assert!(!allows(json!({"principals": [value]})), "{value}");
        assert!(allows(json!({"notPrincipals": [value]})), "{value}");
    }
}

#[test]
fn an_explanation_tells_a_certificate_without_an_identity_from_none() {
    let rule = json!({"from": [{"source": {"principals": ["cluster.local/x"]}}]});
    let policies = compile(&[json!({"rules": [rule]})]);
    for (has_certificate, seen) in [
        (
            true,
            "principals is `a certificate without an identity`, not one of",
        ),
        (false, "principals is nothing, not one of"),
    ] {
        let connection = Connection {
            peer: None,
            has_certificate,
            ..connection()
        };
        let decision = policies.explain_connection(&connection);
        let step = decision.steps[0].to_string();
        assert!(step.contains(seen), "{step}");
    }
}

#[test]
fn denials_come_before_permissions_and_no_permission_is_a_denial() {
    let here = json!({"rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]});
    let elsewhere = json!({"rules": [{"to": [{"operation": {"paths": ["/"]}}]}]});
    let deny = json!({"action": "DENY", "rules": [{}]});
    let audit = json!({"action": "AUDIT", "rules": [{}]});
    let cases = [
        ("no policy", vec![], true),
        ("a rule allows", vec![here.clone()], true),
        ("no rule allows", vec![elsewhere.clone()], false),
        ("one of two allows", vec![elsewhere, here.clone()], true),
        ("a rule denies", vec![here, deny], false),
        ("nothing is allowed", vec![json!({})], false),
        (
            "an empty rule allows all",
            vec![json!({"rules": [{}]})],
            true,
        ),
        ("an audit decides nothing", vec![audit], true),
    ];
    for (case, specs, expected) in cases {
        assert_eq!(is_allowed(&specs), expected, "{case}");
    }
}

#[test]
fn what_is_not_there_matches_negative_fields_only() {
    let headers = HeaderMap::new();
    let request = HttpRequest {
        connection: Connection {
            peer: None,
            ..connection()
        },
        host: None,
        ..request(&headers)
    };
    for (field, value) in [
        ("principals", "*"),
        ("namespaces", "*"),
        ("requestPrincipals", "*"),
        ("serviceAccounts", "shop/cart"),
        ("trustDomains", "*"),
    ] {
        let not = format!("not{}{}", field[..1].to_uppercase(), &field[1..]);
        for (field, expected) in [(field, false), (not.as_str(), true)] {
            let rule = json!({"from": [{"source": {field: [value]}}]});
            let set = compile(&[json!({"rules": [rule]})]);
            assert_eq!(set.evaluate(&request).is_allowed(), expected, "{field}");
        }
    }
    for (field, expected) in [("values", false), ("notValues", true)] {
        for key in [
            "request.headers[x-a]",
            "request.auth.claims[a]",
            "connection.sni",
        ] {
            let rule = json!({"when": [{"key": key, field: ["*"]}]});
            let set = compile(&[json!({"rules": [rule]})]);
            assert_eq!(
                set.evaluate(&request).is_allowed(),
                expected,
                "{key} {field}"
            );
        }
    }
}

#[test]
fn each_attribute_is_looked_at() {
    let source = |field: &str, value: &str| json!({"from": [{"source": {field: [value]}}]});
    let operation = |field: &str, value: &str| json!({"to": [{"operation": {field: [value]}}]});
    let when = |key: &str, value: &str| json!({"when": [{"key": key, "values": [value]}]});
    let cases = [
        (source("principals", "cluster.local/ns/shop/sa/cart"), true),
        (source("principals", "cluster.local/ns/shop/*"), true),
        (source("principals", "*/sa/other"), false),
        (source("namespaces", "shop"), true),
        (source("namespaces", "sho"), false),
        (source("serviceAccounts", "cart"), true),
        (source("serviceAccounts", "shop/car"), false),
        (source("trustDomains", "cluster.local"), true),
        (source("trustDomains", "cluster"), false),
        (source("ipBlocks", "10.0.0.0/24"), true),
        (source("remoteIpBlocks", "10.0.1.0/24"), false),
        (operation("hosts", "CART.*"), true),
        (operation("methods", "get"), false),
        (operation("paths", "/admin"), true),
        (operation("paths", "/{*}"), true),
        (operation("paths", "/{*}/{*}"), false),
        (operation("ports", "8080"), true),
        (operation("notPorts", "8080"), false),
        (when("destination.ip", "10.0.0.9"), true),
        (when("destination.port", "80"), false),
        (when("source.principal", "*"), true),
    ];
    for (rule, expected) in cases {
        assert_eq!(allow(&rule), expected, "{rule}");
    }
}

#[test]
fn conditions_look_at_the_peer_the_client_and_the_token() {
    let claims = json!({"iss": "i", "sub": "me", "azp": "app", "aud": ["cart", "other"]});
    let claims = serde_json::from_value(claims).unwrap();
    let headers = HeaderMap::new();
    let request = HttpRequest {
        connection: Connection {
            remote: [203, 0, 113, 9].into(),
            ..connection()
        },
        claims: Some(&claims),
        ..request(&headers)
    };
    for (key, value, other) in [
        ("source.serviceAccount", "shop/cart", "shop/car"),
        ("source.serviceAccount", "cart", "other"),
        ("source.trustDomain", "cluster.local", "cluster"),
        ("source.namespace", "shop", "sho"),
        ("source.ip", "10.0.0.0/24", "203.0.113.0/24"),
        ("remote.ip", "203.0.113.0/24", "10.0.0.0/24"),
        ("request.auth.principal", "i/me", "i/you"),
        ("request.auth.presenter", "app", "ap"),
        ("request.auth.audiences", "other", "others"),
    ] {
        for (value, expected) in [(value, true), (other, false)] {
            let rule = json!({"when": [{"key": key, "values": [value]}]});
            let set = compile(&[json!({"rules": [rule]})]);
            assert_eq!(set.notices(), [], "{key} {value}");
            let verdict = set.evaluate(&request);
            assert_eq!(verdict.is_allowed(), expected, "{key} {value}");
        }
    }
    for (block, expected) in [("203.0.113.0/24", true), ("10.0.0.0/24", false)] {
        let rule = json!({"from": [{"source": {"remoteIpBlocks": [block]}}]});
        let set = compile(&[json!({"rules": [rule]})]);
        assert_eq!(set.evaluate(&request).is_allowed(), expected, "{block}");
    }
}

/// HTTP/2 has the host in `:authority` and no header of that name, so that a denial that looked at
/// headers alone could be evaded.
#[test]
fn parts_of_the_request_are_headers_of_the_names_that_envoy_gives_them() {
    let of = |request: http::request::Builder, key: &str, value: &str| {
        let rule = json!({"when": [{"key": format!("request.headers[{key}]"), "values": [value]}]});
        let set = compile(&[json!({"action": "DENY", "rules": [rule]})]);
        assert_eq!(set.notices(), [], "{key}");
        let request = request.body(()).unwrap();
        !set.evaluate(&HttpRequest::of(&request, connection()))
            .is_allowed()
    };
    let second = || http::Request::get("http://Admin.shop/a?b=c");
    let first = || http::Request::get("/a?b=c").header("host", "Admin.shop");
    for (key, value, expected) in [
        ("host", "Admin.shop", true),
        ("Host", "Admin.*", true),
        (":authority", "Admin.shop", true),
        (":authority", "*", true),
        // A header is compared as it is, and so is this.
        ("host", "admin.shop", false),
        (":method", "GET", true),
        (":method", "POST", false),
        (":path", "/a?b=c", true),
        (":path", "/a", false),
        (":path", "*b=c", true),
    ] {
        assert_eq!(of(second(), key, value), expected, "HTTP/2: {key} {value}");
        assert_eq!(of(first(), key, value), expected, "HTTP/1.1: {key} {value}");
    }
    let kept = || first().extension(TargetScheme(http::uri::Scheme::HTTPS));
    let loud = || http::Request::get("HTTPS://shop/");
    for (value, expected) in [("https", true), ("http", false), ("*", true)] {
        assert_eq!(of(kept(), ":scheme", value), expected, "{value}");
        assert_eq!(of(loud(), ":scheme", value), expected, "{value}");
    }
    for (value, expected) in [("https", false), ("http", true)] {
        assert_eq!(of(first(), ":scheme", value), expected, "{value}");
    }
    // Of what is not known, a denial is of all, and it is told.
    let unknown = json!({"key": "request.headers[:protocol]", "values": ["websocket"]});
    let set = compile(&[json!({"action": "DENY", "rules": [{"when": [unknown]}]})]);
    assert_eq!(set.notices().len(), 1);
    assert!(!set.evaluate(&request(&HeaderMap::new())).is_allowed());
}

#[test]
fn the_root_that_is_asked_without_a_path_is_the_root() {
    let deny = json!({"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/"]}}]}]});
    let set = compile(&[deny]);
    for uri in ["http://shop", "http://shop/", "http://shop?q", "/?q"] {
        let request = http::Request::get(uri).body(()).unwrap();
        let request = HttpRequest::of(&request, connection());
        assert!(!set.evaluate(&request).is_allowed(), "{uri}");
    }
}

#[test]
fn values_of_a_header_are_joined() {
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_static("x-a");
    headers.append(&name, HeaderValue::from_static("1"));
    headers.append(&name, HeaderValue::from_static("2"));
    for (value, expected) in [("1,2", true), ("1", false), ("2", false), ("1*", true)] {
        let rule = json!({"when": [{"key": "request.headers[X-A]", "values": [value]}]});
        let set = compile(&[json!({"rules": [rule]})]);
        assert_eq!(
            set.evaluate(&request(&headers)).is_allowed(),
            expected,
            "{value}"
        );
    }
}

#[test]
fn what_is_invalid_never_makes_a_policy_more_lenient() {
    let rules = [
        json!({"from": [{"source": {"ipBlocks": ["nowhere"]}}]}),
        json!({"from": [{"source": {"notIpBlocks": ["nowhere"]}}]}),
        json!({"to": [{"operation": {"ports": ["http"]}}]}),
        json!({"to": [{"operation": {"ports": ["+8080"]}}]}),
        json!({"to": [{"operation": {"paths": ["/{a}/{*}"]}}]}),
        json!({"when": [{"key": "source.color", "values": ["red"]}]}),
        json!({"when": [{"key": "request.headers", "values": ["red"]}]}),
        json!({"when": [{"key": "experimental.envoy.filters.a[b]", "notValues": ["red"]}]}),
    ];
    for rule in rules {
        let allow = compile(&[json!({"rules": [rule]})]);
        let deny = compile(&[json!({"action": "DENY", "rules": [rule]})]);
        let headers = HeaderMap::new();
        assert!(
            !allow.evaluate(&request(&headers)).is_allowed(),
            "ALLOW {rule}"
        );
        assert!(
            !deny.evaluate(&request(&headers)).is_allowed(),
            "DENY {rule}"
        );
        assert_eq!(allow.notices().len(), 1, "{rule}");
        assert_eq!(allow.notices()[0].origin.path(), "spec.rules[0]", "{rule}");
    }
}

#[test]
fn a_condition_on_what_filters_of_envoy_leave_is_always_held_against_the_request() {
    let rule = |method: &str, when: &str| {
        json!({
            "to": [{"operation": {"methods": [method]}}],
            "when": [{"key": "experimental.envoy.filters.a[b]", when: ["red"]}],
        })
    };
    let headers = HeaderMap::new();
    let request = request(&headers);
    for when in ["values", "notValues"] {
        for (method, applies) in [("GET", true), ("POST", false)] {
            let rule = rule(method, when);
            assert!(!allow(&rule), "ALLOW {rule}");
            let deny = json!({"action": "DENY", "rules": [rule]});
            assert_eq!(!is_allowed(&[deny]), applies, "DENY {rule}");
            let custom = json!({"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [rule]});
            let set = compile(&[custom]);
            let asked = set.custom().evaluate(&request);
            assert_eq!(
                matches!(asked, Custom::Ask { .. }),
                applies,
                "CUSTOM {rule}"
            );
        }
    }
}

#[test]
fn a_notice_says_what_becomes_of_a_rule_that_is_invalid_in_part() {
    let blocks = |action: &str, blocks: &[&str]| {
        let rule = json!({"from": [{"source": {"ipBlocks": blocks}}]});
        json!({"action": action, "rules": [rule]})
    };
    let key = json!({"action": "DENY", "rules": [{"when": [{"key": "no.key", "values": ["a"]}]}]});
    let (good, bad) = ("10.0.0.0/8", "192.168.0.0/164");
    for (spec, effect) in [
        (blocks("ALLOW", &[good, bad]), "the rule allows nothing"),
        (
            blocks("DENY", &[good, bad]),
            "the rule goes by the other values of the field alone",
        ),
        (
            blocks("DENY", &[bad]),
            "the rule applies whatever the field is",
        ),
        (key, "the rule applies as if the condition were not there"),
    ] {
        let set = compile(std::slice::from_ref(&spec));
        let [notice] = set.notices() else {
            panic!("{spec}: {:?}", set.notices());
        };
        let message = &notice.message;
        assert!(message.ends_with(&format!("; {effect}")), "{message}");
    }
}

#[test]
fn a_rule_for_http_never_allows_tcp_and_denies_all_of_it() {
    let rule = |ports: &str| json!({"to": [{"operation": {"paths": ["/x"], "ports": [ports]}}]});
    let cases = [
        (json!({"rules": [rule("8080")]}), false),
        (json!({"rules": [rule("8080"), {}]}), true),
        (json!({"action": "DENY", "rules": [rule("8080")]}), false),
        (json!({"action": "DENY", "rules": [rule("80")]}), true),
        (
            json!({"rules": [{"from": [{"source": {"namespaces": ["shop"]}}]}]}),
            true,
        ),
    ];
    for (spec, expected) in cases {
        let set = compile(std::slice::from_ref(&spec));
        let verdict = set.evaluate_connection(&connection());
        assert_eq!(verdict.is_allowed(), expected, "{spec}");
        assert!(set.notices().is_empty(), "{spec}");
    }
}

#[test]
fn a_policy_on_trial_is_recorded_and_decides_nothing() {
    let mut on_trial = Resource::clone(&policy("trial", &json!({"action": "DENY", "rules": [{}]})));
    let annotations = &mut on_trial.metadata.annotations;
    annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
    let mut allow = on_trial.clone();
    allow.spec = serde_json::from_value(json!({})).unwrap();
    let set = PolicySet::compile(&[Arc::new(on_trial), Arc::new(allow)], &domains());

    let headers = HeaderMap::new();
    let verdict = set.evaluate(&request(&headers));
    assert_eq!(verdict.reason(), Reason::NoAllowPolicy);
    let denied = verdict.dry_run().deny.unwrap().unwrap();
    assert_eq!(denied.to_string(), "ns[shop]-policy[trial]-rule[0]");
    assert_eq!(verdict.dry_run().allow, Some(None));
}

#[test]
fn a_provider_is_asked_about_what_its_rules_match() {
    let custom = |provider: &str, path: &str| {
        json!({
            "action": "CUSTOM",
            "provider": {"name": provider},
            "rules": [{"to": [{"operation": {"paths": [path]}}]}],
        })
    };
    let headers = HeaderMap::new();
    let request = request(&headers);
    let set = compile(&[custom("opa", "/admin")]);
    let asked = set.custom().evaluate(&request);
    assert!(matches!(asked, Custom::Ask { provider, .. } if &**provider == "opa"));
    assert!(set.evaluate(&request).is_allowed());
    let decision = set.explain(&request);
    let step = decision.steps[0].to_string();
    assert!(step.contains("asks `opa`"), "{step}");
    assert_eq!(decision.outcome, Outcome::Ask("opa".into()));
    let deny = json!({"action": "DENY", "rules": [{}]});
    let denied = compile(&[custom("opa", "/admin"), deny]).explain(&request);
    assert_eq!(denied.outcome, Outcome::Deny);

    let set = compile(&[custom("opa", "/other")]);
    assert_eq!(set.custom().evaluate(&request), Custom::Pass);

    let set = compile(&[custom("opa", "/admin"), custom("other", "/none")]);
    assert!(matches!(set.custom().evaluate(&request), Custom::Deny(_)));
    assert_eq!(set.explain(&request).outcome, Outcome::Deny);
    let connection = set.explain_connection(&request.connection);
    assert_eq!(connection.outcome, Outcome::Deny);
}

#[test]
fn an_explanation_names_the_first_condition_that_fails() {
    let set = compile(&[
        json!({"action": "DENY", "rules": [{
            "from": [{"source": {"namespaces": ["shop"]}}],
            "to": [{"operation": {"methods": ["POST"]}}],
        }]}),
        json!({"rules": [{"to": [{"operation": {"hosts": ["cart.shop"]}}]}]}),
    ]);
    let headers = HeaderMap::new();
    let decision = set.explain(&request(&headers));
    assert_eq!(decision.outcome, Outcome::Allow);
    let steps: Vec<_> = decision.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "DENY ns[shop]-policy[p]-rule[0]: no, methods is `GET`, not one of POST  \
             [AuthorizationPolicy shop/p spec.rules[0]]",
            "ALLOW ns[shop]-policy[p]-rule[0]: matched  \
             [AuthorizationPolicy shop/p spec.rules[0]]",
        ]
    );
}
