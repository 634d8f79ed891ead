//! Claims, as policies and applications get them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mesh_core::resource::Value;

/// Splits the claims that hold a list with spaces between: `{"scope": "a b"}` becomes
/// `{"scope": ["a", "b"]}` (Envoy's `normalize_payload_in_metadata`).
pub(super) fn split_lists(claims: &mut BTreeMap<String, Value>, names: &[String]) {
    for name in names {
        if let Some(claim) = claims.get_mut(name)
            && let Value::String(text) = claim
        {
            let items = text.split(' ').filter(|item| !item.is_empty());
            *claim = Value::List(items.map(|item| Value::String(item.to_owned())).collect());
        }
    }
}

/// The text of a claim for a header; dots in `path` are between the names of nested claims. A list or
/// map is base64 of its JSON, as in Envoy. Nothing if it is not there, empty, or null.
pub(super) fn header_text(claims: &BTreeMap<String, Value>, path: &str) -> Option<String> {
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    let claim = names.try_fold(first, |claim, name| claim.field(name))?;
    let text = match claim {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) if *value >= 0 => value.to_string(),
        // Envoy writes other numbers by `std::to_string`, with six digits after the point.
        Value::Integer(value) => format!("{value}.000000"),
        Value::Float(value) if is_u64(*value) => (*value as u64).to_string(),
        Value::Float(value) => format!("{value:.6}"),
        Value::List(_) | Value::Map(_) => BASE64_STANDARD.encode(serde_json::to_vec(claim).ok()?),
        Value::Null => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn is_u64(value: f64) -> bool {
    value >= 0.0 && value < u64::MAX as f64 && value.fract() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> BTreeMap<String, Value> {
        serde_json::from_str(
            r#"{
                "scope": "read  write", "name": "a b", "empty": "",
                "n": 7, "minus": -7, "half": 0.5, "large": 1e19, "yes": true,
                "user": {"id": 3, "groups": ["a", "b"]}, "nobody": null
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn lists_with_spaces_are_split_where_it_is_said() {
        let mut claims = claims();
        let names = ["scope", "n", "missing"].map(str::to_owned);
        split_lists(&mut claims, &names);
        let items = ["read", "write"].map(|item| Value::String(item.to_owned()));
        assert_eq!(claims["scope"], Value::List(items.to_vec()));
        assert_eq!(claims["name"], Value::String("a b".to_owned()));
        assert_eq!(claims["n"], Value::Integer(7));
    }

    #[test]
    fn a_claim_is_written_to_a_header_as_envoy_writes_it() {
        let cases = [
            ("name", Some("a b")),
            ("n", Some("7")),
            ("minus", Some("-7.000000")),
            ("half", Some("0.500000")),
            ("large", Some("10000000000000000000")),
            ("yes", Some("true")),
            ("user.id", Some("3")),
            // {"groups":["a","b"],"id":3} and ["a","b"]
            ("user", Some("eyJncm91cHMiOlsiYSIsImIiXSwiaWQiOjN9")),
            ("user.groups", Some("WyJhIiwiYiJd")),
            ("nobody", None),
            ("user.id.x", None),
            ("empty", None),
            ("missing", None),
        ];
        for (path, expected) in cases {
            assert_eq!(header_text(&claims(), path).as_deref(), expected, "{path}");
        }
    }
}
