//! RequestAuthentication as Envoy's jwt_authn.

use std::sync::Arc;

use mesh_core::resource::Resource;
use mesh_core::resource::istio::RequestAuthentication;
use serde_json::{Map, Value, json};

/// The filter, if there are rules. Those of all policies are sorted by their issuers.
pub(super) fn filter(policies: &[Arc<Resource<RequestAuthentication>>]) -> Option<Value> {
    let mut rules: Vec<Value> = policies
        .iter()
        .flat_map(|policy| &policy.spec.jwt_rules)
        .map(|rule| serde_json::to_value(rule).expect("a rule is JSON"))
        .collect();
    rules.sort_by_key(|rule| rule["issuer"].to_string());
    if rules.is_empty() {
        return None;
    }
    let providers: Map<String, Value> = rules
        .iter()
        .enumerate()
        .map(|(number, rule)| (format!("origins-{number}"), provider(rule)))
        .collect();
    let config = json!({
        "providers": providers,
        "rules": [{"match": {"prefix": "/"}, "requires": requirement(rules.len())}],
        "bypass_cors_preflight": true,
    });
    Some(super::filter("jwt_authn", "JwtAuthentication", config))
}

/// Whoever has a token needs a valid one.
fn requirement(count: usize) -> Value {
    let named = |number: usize| json!({"provider_name": format!("origins-{number}")});
    let or_none =
        |number| json!({"requires_any": {"requirements": [named(number), {"allow_missing": {}}]}});
    if count == 1 {
        return or_none(0);
    }
    let mut any: Vec<_> = (0..count).map(named).collect();
    let all: Vec<_> = (0..count).map(or_none).collect();
    any.push(json!({"requires_all": {"requirements": all}}));
    json!({"requires_any": {"requirements": any}})
}

fn provider(rule: &Value) -> Value {
    let mut provider = json!({
        "issuer": rule["issuer"],
        "local_jwks": {"inline_string": rule["jwks"]},
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
        "forward": rule.get("forwardOriginalToken").is_some_and(|forward| forward == true),
    });
    for (name, value) in rule.as_object().into_iter().flatten() {
        match name.as_str() {
            "issuer" | "jwks" | "forwardOriginalToken" => {}
            "audiences" => provider["audiences"] = value.clone(),
            "fromHeaders" => {
                let headers = value.as_array().into_iter().flatten();
                let headers = headers.map(
                    |header| json!({"name": header["name"], "value_prefix": header["prefix"]}),
                );
                provider["from_headers"] = headers.collect::<Vec<_>>().into();
            }
            "fromParams" => provider["from_params"] = value.clone(),
            "fromCookies" => provider["from_cookies"] = value.clone(),
            "outputPayloadToHeader" => provider["forward_payload_header"] = value.clone(),
            "outputClaimToHeaders" => {
                let claims = value.as_array().into_iter().flatten();
                let claims = claims.map(
                    |claim| json!({"header_name": claim["header"], "claim_name": claim["claim"]}),
                );
                provider["claim_to_headers"] = claims.collect::<Vec<_>>().into();
            }
            other => panic!("`{other}` is not generated"),
        }
    }
    provider
}
