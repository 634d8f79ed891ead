//! Wycheproof's test vectors of JSON Web Signatures.

use std::path::Path;

use mesh_policy::authn::{Jwks, Jws};
use serde_json::{Value, json};

use super::{SYMMETRIC, algorithms};
use crate::case::{Case, Cases, Outcome, id, list, text};

/// Verifies the signatures of all groups.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for group in list(document, "testGroups") {
        for test in list(group, "tests") {
            let number = test.get("tcId").map(Value::to_string).unwrap_or_default();
            let name = id(&[&number, text(group, "comment"), text(test, "comment")]);
            cases.push(name, verify(group, test));
        }
    }
    cases.into_vec()
}

fn verify(group: &Value, test: &Value) -> Outcome {
    let key = group.get("public").or_else(|| group.get("private"));
    let key = key.unwrap_or(&Value::Null);
    let jwks = if key.get("keys").is_some() {
        key.clone()
    } else {
        json!({"keys": [key]})
    };
    let is_symmetric = list(&jwks, "keys")
        .iter()
        .any(|key| text(key, "kty") == "oct");
    let jws = match test.get("jws") {
        Some(Value::String(jws)) => jws.as_str(),
        Some(_) => return Outcome::unsupported("signatures have the compact form"),
        None => "",
    };
    let verified = Jwks::parse(&jwks.to_string())
        .map_err(|error| error.to_string())
        .and_then(|jwks| {
            let jws = Jws::parse(jws).map_err(|error| error.to_string())?;
            let verified = jws.verify(&jwks, algorithms());
            verified.map_err(|error| error.to_string())
        });
    match (text(test, "result"), verified) {
        ("valid", Err(_)) if is_symmetric => Outcome::unsupported(SYMMETRIC),
        ("valid", Err(_)) if is_for_another(&jwks, jws) => {
            let why = "the key names another algorithm than the signature, and is not for it";
            Outcome::unsupported(why)
        }
        ("valid", Err(error)) => Outcome::failed(format!("refused: {error}")),
        ("valid", Ok(())) | ("invalid", Err(_)) | ("acceptable", _) => Outcome::Passed,
        ("invalid", Ok(())) => Outcome::failed("accepted, expected a refusal"),
        (other, _) => Outcome::failed(format!("`{other}` is not understood")),
    }
}

/// Whether none of the keys is for the algorithm of a signature, by the `alg` that they name.
fn is_for_another(jwks: &Value, jws: &str) -> bool {
    let algorithm = Jws::parse(jws).map(|jws| jws.algorithm().as_str());
    let mut keys = list(jwks, "keys").iter().map(|key| text(key, "alg"));
    algorithm.is_ok_and(|algorithm| keys.all(|alg| !alg.is_empty() && alg != algorithm))
}
