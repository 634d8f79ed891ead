//! Tokens of Istio's tests.

use std::path::Path;
use std::time::Duration;

use mesh_policy::authn::{Jwks, Token};
use rustls_pki_types::UnixTime;
use serde_json::Value;

use super::algorithms;
use crate::case::{Case, Cases, Outcome, list, text};

/// Verifies each token by the key set beside it, at the last second that it is valid and after it.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let jwks = document
        .get("jwks")
        .map(Value::to_string)
        .unwrap_or_default();
    let jwks = Jwks::parse(&jwks);
    let mut cases = Cases::default();
    for case in list(document, "expected") {
        let outcome = match &jwks {
            Ok(jwks) => token(case, jwks),
            Err(error) => Outcome::failed(error.to_string()),
        };
        cases.push(text(case, "name"), outcome);
    }
    cases.into_vec()
}

fn token(case: &Value, jwks: &Jwks) -> Outcome {
    let verified = Token::parse(text(case, "token")).and_then(|token| {
        token.verify_time(at(token.expires().unwrap_or_default()))?;
        token.verify_signature(jwks, algorithms())?;
        Ok(token)
    });
    let is_invalid = case
        .get("invalid")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    match verified {
        Ok(_) if is_invalid => Outcome::failed("accepted, expected a refusal"),
        Err(_) if is_invalid => Outcome::Passed,
        Err(error) => Outcome::failed(error.to_string()),
        Ok(token) => {
            let late = token
                .expires()
                .map(|expires| token.verify_time(at(expires + 61)));
            if late.is_some_and(|late| late.is_ok()) {
                return Outcome::failed("accepted when its time is over");
            }
            let claims = case.get("claims").and_then(Value::as_object);
            for (name, expected) in claims.into_iter().flatten() {
                let claim = token
                    .claims()
                    .get(name)
                    .map(|claim| serde_json::json!(claim));
                if !claim.as_ref().is_some_and(|claim| is_same(claim, expected)) {
                    return Outcome::failed(format!("`{name}` is {claim:?}, not {expected}"));
                }
            }
            Outcome::Passed
        }
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Whether two claims are the same; the corpus has all numbers with a fraction.
fn is_same(claim: &Value, expected: &Value) -> bool {
    match (claim.as_f64(), expected.as_f64()) {
        (Some(claim), Some(expected)) => claim == expected,
        _ => claim == expected,
    }
}
