use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

fn policy(spec: &serde_json::Value) -> Resource<AuthorizationPolicy> {
    Resource {
        spec: read(spec.clone()),
        ..Resource::default()
    }
}

#[track_caller]
fn assert_all(cases: &[(serde_json::Value, usize)]) {
    for (spec, errors) in cases {
        assert_errors(&spec.to_string(), *errors, |at| validate(&policy(spec), at));
    }
}

#[test]
fn the_action_says_whether_rules_and_a_provider_are_needed() {
    let provider = json!({"name": "opa"});
    assert_all(&[
        (json!({}), 0),
        (json!({"action": "AUDIT"}), 0),
        (json!({"rules": []}), 0),
        (json!({"action": "DENY"}), 1),
        (json!({"action": "DENY", "rules": []}), 1),
        (json!({"action": "DENY", "rules": [{}]}), 0),
        (json!({"action": "CUSTOM"}), 1),
        (json!({"action": "CUSTOM", "rules": []}), 1),
        (
            json!({"action": "CUSTOM", "rules": [], "provider": provider}),
            1,
        ),
        (json!({"action": "CUSTOM", "rules": [{}]}), 1),
        (
            json!({"action": "CUSTOM", "rules": [{}], "provider": {}}),
            1,
        ),
        (
            json!({"action": "CUSTOM", "rules": [{}], "provider": provider}),
            0,
        ),
        (json!({"rules": [{}], "provider": provider}), 1),
        (json!({"rules": vec![json!({}); 513]}), 1),
    ]);
}

#[test]
fn sources_and_operations_are_not_empty() {
    let rule = |rule: serde_json::Value| json!({"rules": [rule]});
    assert_all(&[
        (rule(json!({"from": []})), 1),
        (rule(json!({"from": [{}]})), 1),
        (rule(json!({"from": [{"source": {}}]})), 1),
        (
            rule(json!({"from": [{"source": {"principals": ["a", ""]}}]})),
            1,
        ),
        (rule(json!({"to": [{}]})), 1),
        (rule(json!({"to": [{"operation": {}}]})), 1),
        (rule(json!({"to": [{"operation": {"methods": [""]}}]})), 1),
    ]);
}

#[test]
fn each_field_of_a_source_has_its_values() {
    let cases = [
        (
            json!({"ipBlocks": ["10.0.0.1", "10.0.0.0/8", "fd00::1"]}),
            0,
        ),
        (json!({"notRemoteIpBlocks": ["10.0.0", "10.0.0.0/33"]}), 2),
        (json!({"serviceAccounts": ["a", "ns/a"]}), 0),
        (
            json!({"serviceAccounts": ["a*", "a/b/c", "/a", "a/", ""]}),
            5,
        ),
        (json!({"serviceAccounts": ["a"], "namespaces": ["b"]}), 1),
        (json!({"serviceAccounts": vec!["a"; 17]}), 1),
        (json!({"trustDomains": ["td", "td*", "*td", "*"]}), 0),
        (json!({"trustDomains": ["t*d", "**", "a/b"]}), 3),
    ];
    for (source, errors) in cases {
        assert_errors(&source.to_string(), errors, |at| {
            source::validate(&read(source.clone()), at);
        });
    }
}

#[test]
fn each_field_of_an_operation_has_its_values() {
    let cases = [
        (json!({"ports": ["0", "65535"]}), 0),
        (json!({"notPorts": ["65536", "-1", "+1", "http"]}), 4),
        (
            json!({"paths": ["/a", "*/b", "/c/*", "/a/{*}/b", "/a/{**}", "{*}/a"]}),
            0,
        ),
        (
            json!({"paths": ["/{a}", "/{**}/{*}", "/a{*}", "/{*}/a*"]}),
            4,
        ),
    ];
    for (operation, errors) in cases {
        assert_errors(&operation.to_string(), errors, |at| {
            operation::validate(&read(operation.clone()), at);
        });
    }
}

#[test]
fn a_condition_has_a_known_attribute_and_its_values() {
    let cases = [
        ("request.headers[x-a]", "1", 0),
        ("request.headers", "1", 1),
        ("request.headers[]", "1", 1),
        ("request.auth.claims[a][b]", "1", 0),
        ("experimental.envoy.filters.a[b]", "1", 0),
        ("source.ip", "10.0.0.0/8", 0),
        ("source.ip", "a", 1),
        ("destination.port", "80", 0),
        ("destination.port", "http", 1),
        ("source.serviceAccount", "a/b/c", 1),
        ("source.trustDomain", "a*b", 1),
        ("source.namespace", "", 1),
        ("destination.labels[a]", "1", 1),
        ("destination.user", "a", 1),
        ("source.name", "a", 1),
    ];
    for (key, value, errors) in cases {
        let condition = read(json!({"key": key, "values": [value]}));
        assert_errors(&format!("{key} {value}"), errors, |at| {
            condition::validate(&condition, at)
        });
    }
    assert_errors("no key", 1, |at| {
        condition::validate(&read(json!({"values": ["a"]})), at)
    });
    assert_errors("no values", 1, |at| {
        condition::validate(&read(json!({"key": "source.ip"})), at)
    });
}

#[test]
fn a_provider_is_not_asked_about_identities() {
    let cases = [
        (json!({"from": [{"source": {"ipBlocks": ["10.0.0.1"]}}]}), 0),
        (
            json!({"from": [{"source": {"namespaces": ["a"], "principals": ["b"]}}]}),
            2,
        ),
        (
            json!({"when": [{"key": "source.namespace"}, {"key": "request.auth.principal"}]}),
            2,
        ),
        (json!({"when": [{"key": "request.headers[a]"}]}), 0),
    ];
    for (rule, errors) in cases {
        assert_errors(&rule.to_string(), errors, |at| {
            custom::validate(&read(rule.clone()), at)
        });
    }
}

#[test]
fn denying_all_tcp_is_a_warning() {
    let cases = [
        (json!({}), 0),
        (json!({"to": [{"operation": {"methods": ["GET"]}}]}), 1),
        (
            json!({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}),
            0,
        ),
        (
            json!({"from": [{"source": {"requestPrincipals": ["*"]}}]}),
            1,
        ),
        (json!({"from": [{"source": {"namespaces": ["a"]}}]}), 0),
        (
            json!({
                "from": [{"source": {"namespaces": ["a"]}}],
                "to": [{"operation": {"methods": ["GET"]}}],
            }),
            1,
        ),
    ];
    for (rule, warnings) in cases {
        let spec = json!({"action": "DENY", "rules": [rule]});
        assert_warnings(&rule.to_string(), warnings, |at| {
            validate(&policy(&spec), at)
        });
    }
}

#[test]
fn a_policy_that_allows_or_denies_is_tried_out() {
    let cases = [
        ("ALLOW", "true", 0),
        ("ALLOW", "0", 0),
        ("ALLOW", "yes", 1),
        ("AUDIT", "true", 1),
    ];
    for (action, value, errors) in cases {
        let mut policy = policy(&json!({"action": action}));
        policy
            .metadata
            .annotations
            .insert(DRY_RUN.into(), value.into());
        assert_errors(&format!("{action} {value}"), errors, |at| {
            validate(&policy, at)
        });
    }
}
