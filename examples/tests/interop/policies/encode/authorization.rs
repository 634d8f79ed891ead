//! AuthorizationPolicy as Envoy's RBAC filters.

use std::sync::Arc;

use mesh_core::resource::Resource;
use mesh_core::resource::istio::AuthorizationPolicy;
use serde_json::{Map, Value, json};

use super::filter;

/// The filters of the actions that there are policies of: what denies before what allows.
pub(super) fn filters(policies: &[Arc<Resource<AuthorizationPolicy>>]) -> Vec<Value> {
    let mut filters = Vec::new();
    for action in ["DENY", "ALLOW"] {
        let (mut rules, mut is_there) = (Map::new(), false);
        for policy in policies {
            let spec = serde_json::to_value(&policy.spec).expect("a policy is JSON");
            // ALLOW is the default, and not written.
            if spec
                .get("action")
                .map_or("ALLOW", |own| own.as_str().unwrap_or_default())
                != action
            {
                continue;
            }
            is_there = true;
            for (number, rule) in spec["rules"].as_array().into_iter().flatten().enumerate() {
                let (namespace, name) = (&policy.metadata.namespace, &policy.metadata.name);
                let name = format!("ns[{namespace}]-policy[{name}]-rule[{number}]");
                rules.insert(name, encode(rule));
            }
        }
        if is_there {
            let rules = json!({"action": action, "policies": rules});
            filters.push(filter("rbac", "RBAC", json!({"rules": rules})));
        }
    }
    filters
}

/// A rule: one of its operations by one of its sources, where all conditions hold.
fn encode(rule: &Value) -> Value {
    let conditions: Vec<_> = list(rule, "when").map(condition).collect();
    let with = |mut own: Vec<Value>| {
        own.extend(conditions.iter().cloned());
        own
    };
    let mut permissions: Vec<_> = list(rule, "to")
        .map(|to| all("rules", "and_rules", &operation(&to["operation"])))
        .collect();
    if permissions.is_empty() {
        permissions.push(json!({"any": true}));
    }
    let mut principals: Vec<_> = list(rule, "from")
        .map(|from| all("ids", "and_ids", &with(source(&from["source"]))))
        .collect();
    if principals.is_empty() {
        principals.push(all("ids", "and_ids", &with(Vec::new())));
    }
    json!({"permissions": permissions, "principals": principals})
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// All of some matchers; anything if there is none.
fn all(list: &str, and: &str, matchers: &[Value]) -> Value {
    match matchers.is_empty() {
        true => json!({"any": true}),
        false => json!({and: {list: matchers}}),
    }
}

/// One of some permissions, or none of them.
fn any_rule(matchers: &[Value], not: bool) -> Value {
    let any = json!({"or_rules": {"rules": matchers}});
    if not { json!({"not_rule": any}) } else { any }
}

/// One of some principals, or none of them.
fn any_id(matchers: &[Value], not: bool) -> Value {
    let any = json!({"or_ids": {"ids": matchers}});
    if not { json!({"not_id": any}) } else { any }
}

fn operation(operation: &Value) -> Vec<Value> {
    let fields = operation.as_object().into_iter().flatten();
    let fields = fields.map(|(name, values)| {
        let values = values.as_array().into_iter().flatten();
        let texts = values.filter_map(Value::as_str);
        let (name, not) = positive(name);
        let matchers = texts.map(|text| match name.as_str() {
            "hosts" => header(":authority", text, true),
            "methods" => header(":method", text, false),
            "paths" => path(text),
            other => panic!("`{other}` is not generated"),
        });
        any_rule(&matchers.collect::<Vec<_>>(), not)
    });
    fields.collect()
}

/// The name of a field without its `not`, and whether it had one.
fn positive(name: &str) -> (String, bool) {
    match name.strip_prefix("not") {
        Some(rest) => {
            let (first, rest) = rest.split_at(1);
            (first.to_lowercase() + rest, true)
        }
        None => (name.to_owned(), false),
    }
}

fn path(text: &str) -> Value {
    if text.contains('{') {
        let template = text.replace("{**}", "**").replace("{*}", "*");
        return json!({"uri_template": {
            "name": "uri-template",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": template,
            },
        }});
    }
    json!({"url_path": {"path": string(text, false)}})
}

fn header(name: &str, text: &str, ignore_case: bool) -> Value {
    let mut matcher = json!({"name": name});
    match text {
        "*" => matcher["present_match"] = json!(true),
        text => matcher["string_match"] = string(text, ignore_case),
    }
    json!({"header": matcher})
}

/// Istio's strings: exact, `abc*`, `*abc`, and `*` for what is not empty.
fn string(text: &str, ignore_case: bool) -> Value {
    let mut matcher = match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => return json!({"safe_regex": {"regex": ".+"}}),
        (Some(suffix), _) => json!({"suffix": suffix}),
        (None, Some(prefix)) => json!({"prefix": prefix}),
        (None, None) => json!({"exact": text}),
    };
    if ignore_case {
        matcher["ignore_case"] = json!(true);
    }
    matcher
}

fn source(source: &Value) -> Vec<Value> {
    let fields = source.as_object().into_iter().flatten();
    let fields = fields.map(|(name, values)| {
        let values = values.as_array().into_iter().flatten();
        let texts = values.filter_map(Value::as_str);
        let (name, not) = positive(name);
        let matchers = texts.map(|text| match name.as_str() {
            "ipBlocks" => json!({"direct_remote_ip": range(text)}),
            "remoteIpBlocks" => json!({"remote_ip": range(text)}),
            "requestPrincipals" => request_principal(text),
            other => panic!("`{other}` is not generated"),
        });
        any_id(&matchers.collect::<Vec<_>>(), not)
    });
    fields.collect()
}

fn range(text: &str) -> Value {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let length: u32 = length.parse().expect("a length is generated");
    json!({"address_prefix": address, "prefix_len": length})
}

/// `issuer/subject`, either of which may have a wildcard.
fn request_principal(text: &str) -> Value {
    if text == "*" {
        let both = [
            claim(&["iss"], &string("*", false)),
            claim(&["sub"], &string("*", false)),
        ];
        return json!({"and_ids": {"ids": both}});
    }
    let (issuer, subject) = text.rsplit_once('/').expect("a principal has both");
    let both = [
        claim(&["iss"], &string(issuer, false)),
        claim(&["sub"], &string(subject, false)),
    ];
    json!({"and_ids": {"ids": both}})
}

/// A claim that is a text.
fn claim(path: &[&str], matcher: &Value) -> Value {
    metadata(path, &json!({"string_match": matcher}))
}

/// A claim that is a text, or a list with it.
fn claim_or_list(path: &[&str], matcher: &Value) -> Value {
    let text = json!({"string_match": matcher});
    let either = [text.clone(), json!({"list_match": {"one_of": text}})];
    metadata(path, &json!({"or_match": {"value_matchers": either}}))
}

fn metadata(path: &[&str], value: &Value) -> Value {
    let mut keys = vec![json!({"key": "payload"})];
    keys.extend(path.iter().map(|key| json!({"key": key})));
    json!({"metadata": {
        "filter": "envoy.filters.http.jwt_authn",
        "path": keys,
        "value": value,
    }})
}

fn condition(condition: &Value) -> Value {
    let key = condition["key"].as_str().expect("a condition has a key");
    let not = condition.get("notValues").is_some();
    let name = if not { "notValues" } else { "values" };
    let texts = list(condition, name).filter_map(Value::as_str);
    let names: Vec<&str> = key
        .split(['[', ']'])
        .filter(|part| !part.is_empty())
        .collect();
    let matchers = texts.map(|text| match names.as_slice() {
        ["request.headers", name] => header(name, text, false),
        ["request.auth.claims", path @ ..] => claim_or_list(path, &string(text, false)),
        ["request.auth.audiences"] => claim_or_list(&["aud"], &string(text, false)),
        ["source.ip"] => json!({"direct_remote_ip": range(text)}),
        _ => panic!("`{key}` is not generated"),
    });
    any_id(&matchers.collect::<Vec<_>>(), not)
}
