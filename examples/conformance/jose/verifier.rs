//! Tests of the verifier that Envoy embeds, google/jwt_verify_lib: each expects one of its
//! statuses.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use mesh_policy::authn::{Algorithm, Jwks, JwksError, Token};
use rustls_pki_types::UnixTime;
use serde_json::Value;

use super::{SYMMETRIC, algorithms};
use crate::case::{Case, Cases, Outcome, id, list, text};

/// Runs the cases.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let outcome = match text(case, "op") {
            "parse_jwks" => status(case, jwks(case).map(drop)),
            "parse_jwt" => parse(case),
            "verify" => verify(case),
            other => Outcome::failed(format!("`{other}` is not understood")),
        };
        cases.push(id(&[text(case, "op"), text(case, "test")]), outcome);
    }
    cases.into_vec()
}

fn jwks(case: &Value) -> Result<Jwks, JwksError> {
    let jwks = text(case, "jwks");
    match text(case, "format") {
        "PEM" => Jwks::parse_pem(jwks),
        _ => Jwks::parse(jwks),
    }
}

fn parse(case: &Value) -> Outcome {
    let parsed = Token::parse(text(case, "jwt"));
    let token = match parsed {
        Ok(token) => token,
        Err(error) => return status(case, Err::<(), _>(error)),
    };
    let fields = case.get("fields").and_then(Value::as_object);
    for (name, expected) in fields.into_iter().flatten() {
        let number = |time: Option<u64>| Value::from(time.unwrap_or_default());
        let actual = match name.as_str() {
            "alg" => token.algorithm().as_str().into(),
            "kid" => token.kid().into(),
            "iss" => token.issuer().into(),
            "sub" => token.subject().into(),
            "jti" => token.id().into(),
            "iat" => number(token.issued()),
            "nbf" => number(token.not_before()),
            "exp" => number(token.expires()),
            "aud" | "audiences" => token.audiences().collect::<Vec<_>>().into(),
            "signature" => String::from_utf8_lossy(token.signature()).into(),
            _ => return Outcome::failed(format!("`{name}` is not understood")),
        };
        if actual != *expected {
            return Outcome::failed(format!("`{name}` is {actual}, expected {expected}"));
        }
    }
    status(case, Ok::<_, JwksError>(()))
}

fn verify(case: &Value) -> Outcome {
    let token = match Token::parse(text(case, "jwt")) {
        Ok(token) => token,
        Err(error) => return status(case, Err::<(), _>(error)),
    };
    let jwks = match jwks(case) {
        Ok(jwks) => jwks,
        Err(error) => return status(case, Err::<(), _>(error)),
    };
    let expected = text(case, "status");
    match token.algorithm() {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 if expected == "Ok" => {
            return Outcome::unsupported(SYMMETRIC);
        }
        _ => {}
    }
    let now = case
        .get("now")
        .and_then(Value::as_u64)
        .map(Duration::from_secs);
    let now = now.map_or_else(UnixTime::now, UnixTime::since_unix_epoch);
    let verified = token
        .verify_time(now)
        .and_then(|()| token.verify_signature(&jwks, algorithms()));
    if text(case, "format") == "PEM" && expected == "JwksKidAlgMismatch" && verified.is_ok() {
        let why = "the test gives the key an ID or algorithm, which are not part of its PEM";
        return Outcome::unsupported(why);
    }
    status(case, verified)
}

/// Whether the result is the status that the case expects; our errors are called as its are,
/// without the part that tells tokens from keys.
fn status<T, E: Debug>(case: &Value, result: Result<T, E>) -> Outcome {
    let expected = text(case, "status");
    let names = match result {
        Ok(_) => vec!["Ok".to_owned()],
        Err(error) => vec![format!("Jwt{error:?}"), format!("Jwks{error:?}")],
    };
    if names.iter().any(|name| name.eq_ignore_ascii_case(expected)) {
        Outcome::Passed
    } else {
        Outcome::failed(format!("expected {expected}, got {}", names[0]))
    }
}
