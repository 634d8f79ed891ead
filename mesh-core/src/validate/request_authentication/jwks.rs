//! Sets of keys that are written in the resource (RFC 7517).

use super::json;
use crate::base64;
use crate::resource::Value;
use crate::validate::At;

/// Members of every type of key that need not be there.
const TEXTS: [&str; 6] = ["alg", "kid", "use", "x5t", "x5t#S256", "x5u"];

/// Checks a set of keys, or a single one, and that none is private.
pub(super) fn validate(text: &str, at: At<'_>) {
    let Some(document) = json::parse(text) else {
        at.error("the keys are not valid JSON");
        return;
    };
    match (document.as_map(), document.field("keys")) {
        (Some(_), Some(Value::List(keys))) => {
            for (index, key) in keys.iter().enumerate() {
                validate_key(key, index, at);
            }
        }
        (Some(_), None) => validate_key(&document, 0, at),
        _ => {
            at.error("the keys are not a JSON Web Key Set");
        }
    }
}

fn validate_key(key: &Value, index: usize, at: At<'_>) {
    let required: &[&str] = match key.field("kty").and_then(Value::as_str) {
        Some("RSA") => &["n", "e"],
        Some("EC") => &["crv", "x", "y"],
        Some("OKP") => &["crv", "x"],
        Some("oct") => &["k"],
        _ => {
            at.error(format_args!(
                "key {index} has none of the types RSA, EC, OKP and oct"
            ));
            return;
        }
    };
    for member in required {
        match key.field(member).and_then(Value::as_str) {
            None => {
                at.error(format_args!("key {index} has no `{member}`"));
            }
            Some(text) if *member != "crv" && base64::decode(text).is_none() => {
                at.error(format_args!("`{member}` of key {index} is not base64"));
            }
            Some(_) => {}
        }
    }
    for member in TEXTS {
        let value = key.field(member).unwrap_or(&Value::Null);
        if !matches!(value, Value::Null | Value::String(_)) {
            at.error(format_args!("`{member}` of key {index} is not a text"));
        }
    }
    // `d` is the private part of a pair (RFC 7518 sections 6.2.2 and 6.3.2); a symmetric key is all
    // private.
    if key.field("d").is_some() || key.field("k").is_some() {
        at.warning(format_args!("key {index} is private"))
            .help("tokens are verified by public keys; remove the private parts");
    }
}
