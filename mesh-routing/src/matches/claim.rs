//! Conditions on the claims of the verified token.
//!
//! Istio compares a claim that is text, or any element of a claim that is a list of texts, as
//! Envoy's [metadata matcher] does; claims of other types meet no condition.
//!
//! [metadata matcher]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/matcher/v3/metadata.proto

use mesh_core::model::route::ClaimMatch;
use mesh_core::resource::Value;

use crate::matches::Mismatch;

/// Whether `claims` meet `rule`. Without a token every claim is absent.
pub(crate) fn evaluate<'a>(
    rule: &'a ClaimMatch,
    claims: Option<&'a Value>,
) -> Result<(), Mismatch<'a>> {
    let claim = claims.and_then(|claims| rule.path.iter().try_fold(claims, child));
    if claim.is_some_and(|claim| takes(rule, claim)) != rule.invert {
        return Ok(());
    }
    Err(Mismatch::Claim { rule })
}

fn child<'a>(value: &'a Value, name: &String) -> Option<&'a Value> {
    match value {
        Value::Map(fields) => fields.get(name),
        _ => None,
    }
}

fn takes(rule: &ClaimMatch, claim: &Value) -> bool {
    match claim {
        Value::String(text) => rule.value.is_match(text),
        Value::List(elements) => elements.iter().any(|element| match element {
            Value::String(text) => rule.value.is_match(text),
            _ => false,
        }),
        _ => false,
    }
}
