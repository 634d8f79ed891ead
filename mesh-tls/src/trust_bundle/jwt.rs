//! Keys that sign JWT-SVIDs. They are kept and passed on; this crate verifies no tokens.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{MAX_JWT_KEYS, TrustBundleError, parse_json};

/// Public keys as JSON Web Keys (RFC 7517), by their `kid`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JwtAuthorities {
    keys: BTreeMap<String, Map<String, Value>>,
}

impl JwtAuthorities {
    /// Parses a JWK Set, all of whose keys sign JWT-SVIDs.
    ///
    /// # Errors
    ///
    /// When the text is longer than [`MAX_JSON_LEN`](super::MAX_JSON_LEN), is no such JSON, has no `keys` or
    /// more than [`MAX_JWT_KEYS`], or a key has no `kid` or is malformed.
    pub fn from_jwks(text: &[u8]) -> Result<Self, TrustBundleError> {
        let set: Map<String, Value> = parse_json(text)?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(TrustBundleError::NoKeys);
        };
        let mut authorities = Self::default();
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_object().ok_or(TrustBundleError::JwtKey { index })?;
            authorities.add(key.clone(), index)?;
        }
        Ok(authorities)
    }

    /// The key with this `kid`.
    pub fn get(&self, key_id: &str) -> Option<&Map<String, Value>> {
        self.keys.get(key_id)
    }

    /// All keys, with their `kid`, in its order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Map<String, Value>)> {
        self.keys.iter().map(|(key_id, key)| (key_id.as_str(), key))
    }

    /// Adds the key at `index` of a set. It takes the place of one with the same `kid`.
    pub(super) fn add(
        &mut self,
        key: Map<String, Value>,
        index: usize,
    ) -> Result<(), TrustBundleError> {
        let key_id = key.get("kid").and_then(Value::as_str).unwrap_or_default();
        if key_id.is_empty() {
            return Err(TrustBundleError::NoKeyId { index });
        }
        if !is_public_key(&key) {
            return Err(TrustBundleError::JwtKey { index });
        }
        self.keys.insert(key_id.to_owned(), key);
        self.within_limit()
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<(), TrustBundleError> {
        for (key_id, key) in &other.keys {
            let own = self.keys.entry(key_id.clone());
            own.or_insert_with(|| key.clone());
        }
        self.within_limit()
    }

    fn within_limit(&self) -> Result<(), TrustBundleError> {
        match self.keys.len() {
            ..=MAX_JWT_KEYS => Ok(()),
            _ => Err(TrustBundleError::TooManyJwtKeys),
        }
    }
}

/// Whether the key has the parameters of its kind (RFC 7518 section 6, RFC 8037 section 2), and none
/// of a private or symmetric key.
fn is_public_key(key: &Map<String, Value>) -> bool {
    let has_bytes = |name: &str| {
        let value = key.get(name).and_then(Value::as_str);
        value.is_some_and(|text| {
            URL_SAFE_NO_PAD
                .decode(text)
                .is_ok_and(|bytes| !bytes.is_empty())
        })
    };
    let curve = key.get("crv").and_then(Value::as_str);
    let is_public = match key.get("kty").and_then(Value::as_str) {
        Some("EC") => curve.is_some() && has_bytes("x") && has_bytes("y"),
        Some("OKP") => curve.is_some() && has_bytes("x"),
        Some("RSA") => has_bytes("n") && has_bytes("e"),
        _ => false,
    };
    is_public && !key.contains_key("d")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_public_and_have_a_name() {
        let cases = [
            (
                "good",
                json!({"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}),
                true,
            ),
            (
                "no kid",
                json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
                false,
            ),
            (
                "no modulus",
                json!({"kty": "RSA", "kid": "a", "e": "AQAB"}),
                false,
            ),
            (
                "symmetric",
                json!({"kty": "oct", "kid": "a", "k": "AQAB"}),
                false,
            ),
            (
                "private",
                json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "AQ", "d": "AQ"}),
                false,
            ),
            (
                "EC without y",
                json!({"kty": "EC", "kid": "a", "crv": "P-256", "x": "AQ"}),
                false,
            ),
        ];
        for (name, key, is_valid) in cases {
            let set = json!({"keys": [key]}).to_string();
            assert_eq!(
                JwtAuthorities::from_jwks(set.as_bytes()).is_ok(),
                is_valid,
                "{name}"
            );
        }
        assert!(JwtAuthorities::from_jwks(b"{}").is_err());
        assert!(JwtAuthorities::from_jwks(b"[").is_err());
    }
}
