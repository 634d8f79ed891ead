use serde_json::json;

use super::*;
use crate::validate::testing::{assert_errors, assert_warnings, read};

#[track_caller]
fn assert_rule(rule: &serde_json::Value, errors: usize) {
    assert_errors(&rule.to_string(), errors, |at| {
        validate_rule(&read(rule.clone()), at)
    });
}

#[test]
fn a_rule_names_issuer_or_keys() {
    for (rule, errors) in [
        (json!({"issuer": "a"}), 0),
        (json!({"jwksUri": "https://a.b/keys"}), 0),
        (json!({}), 1),
        (json!({"issuer": ""}), 1),
        (json!({"issuer": "", "jwksUri": "https://a.b"}), 1),
        (json!({"issuer": "a", "jwksUri": "file:///keys"}), 1),
        (json!({"issuer": "a", "jwksUri": "https://a.b:port"}), 1),
        (
            json!({"issuer": "a", "jwksUri": "https://a.b", "jwks": "{\"keys\": []}"}),
            1,
        ),
        (
            json!({"issuer": "a", "jwksUri": "https://a.b", "jwks": ""}),
            1,
        ),
    ] {
        assert_rule(&rule, errors);
    }
}

#[test]
fn tokens_are_in_named_places() {
    let rule = |field: &str, value: serde_json::Value| json!({"issuer": "a", field: value});
    let claim = |claim: &str, header: &str| json!([{"claim": claim, "header": header}]);
    for (rule, errors) in [
        (rule("audiences", json!(["a", ""])), 1),
        (
            rule("fromHeaders", json!([{"name": "x-a", "prefix": "b "}])),
            0,
        ),
        (rule("fromHeaders", json!([{"prefix": "b "}])), 1),
        (rule("fromHeaders", json!([{"name": "x token"}])), 0),
        (rule("fromHeaders", json!([{"name": "X_Token.1"}])), 0),
        (rule("fromParams", json!([""])), 1),
        (rule("fromCookies", json!([""])), 1),
        (rule("outputClaimToHeaders", claim("a", "x-a")), 0),
        (rule("outputClaimToHeaders", claim("", "x-a")), 1),
        (rule("outputClaimToHeaders", claim("a", ":path")), 1),
        (rule("spaceDelimitedClaims", json!(["scope", ""])), 1),
        (rule("timeout", json!("1ns")), 1),
    ] {
        assert_rule(&rule, errors);
    }
    for (name, warnings) in [("x-token", 0), ("x token", 1), (":path", 1)] {
        let rule = rule("fromHeaders", json!([{"name": name}]));
        assert_warnings(name, warnings, |at| validate_rule(&read(rule), at));
    }
}

#[test]
fn keys_are_complete_and_public() {
    let keys = |keys: serde_json::Value| json!({"issuer": "a", "jwks": keys.to_string()});
    let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    for (rule, errors) in [
        (keys(json!({"keys": [rsa]})), 0),
        (keys(rsa.clone()), 0),
        (
            keys(json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AQAB"}]})),
            1,
        ),
        (
            keys(json!({"keys": [rsa, {"kty": "RSA", "n": "A.AB", "e": "AQABA"}]})),
            2,
        ),
        (
            keys(json!({"kty": "EC", "crv": "P-256", "x": "+/+/", "y": "-_8"})),
            0,
        ),
        (
            keys(json!({"kty": "oct", "k": "AQ AB", "kid": 1, "alg": null, "use": "sig"})),
            2,
        ),
        (keys(json!({"keys": [{"kty": "DSA"}]})), 1),
        (keys(json!({})), 1),
        (json!({"issuer": "a", "jwks": "{"}), 1),
    ] {
        assert_rule(&rule, errors);
    }
    let mut private = rsa;
    private["d"] = json!("AQAB");
    assert_warnings("private", 1, |at| validate_rule(&read(keys(private)), at));
}
