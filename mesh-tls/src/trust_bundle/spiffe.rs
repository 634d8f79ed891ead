//! SPIFFE's bundle format: a JWK Set (RFC 7517) with two parameters of its own.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_core::identity::TrustDomain;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::jwk;
use super::{JwtAuthorities, TrustBundle, TrustBundleError, parse_json};
use crate::certificate::Certificate;

const X509: &str = "x509-svid";
const JWT: &str = "jwt-svid";

#[derive(Deserialize, Serialize)]
struct Document {
    #[serde(default)]
    keys: Option<Vec<Map<String, Value>>>,
    #[serde(rename = "spiffe_sequence", default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// Seconds.
    #[serde(rename = "spiffe_refresh_hint", default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_hint: Option<u64>,
}

pub(super) fn parse(
    trust_domain: TrustDomain,
    text: &[u8],
) -> Result<TrustBundle, TrustBundleError> {
    let document: Document = parse_json(text)?;
    // Section 4.1.3: the parameter has to be there, although it may be empty.
    let keys = document.keys.ok_or(TrustBundleError::NoKeys)?;
    let mut authorities = Vec::new();
    let mut jwt_authorities = JwtAuthorities::default();
    for (index, key) in keys.into_iter().enumerate() {
        match key.get("use").and_then(Value::as_str) {
            Some(X509) => authorities.push(certificate(&key, index)?),
            Some(JWT) => jwt_authorities.add(key, index)?,
            _ => {}
        }
    }
    let bundle = TrustBundle::new(trust_domain, authorities)?;
    Ok(TrustBundle {
        jwt_authorities,
        sequence: document.sequence,
        refresh_hint: document.refresh_hint.map(Duration::from_secs),
        ..bundle
    })
}

/// The certificate of an X.509 key: the only one of `x5c` (section 4.2.3).
fn certificate(key: &Map<String, Value>, index: usize) -> Result<Certificate, TrustBundleError> {
    let chain = key.get("x5c").and_then(Value::as_array);
    let chain = chain.map(Vec::as_slice).unwrap_or_default();
    let [certificate] = chain else {
        let count = chain.len();
        return Err(TrustBundleError::CertificateCount { index, count });
    };
    let der = certificate
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    let certificate = der.and_then(|der| Certificate::from_der(&der).ok());
    certificate.ok_or(TrustBundleError::Certificate { index })
}

pub(super) fn write(bundle: &TrustBundle) -> String {
    let x509 = bundle.authorities().iter().map(|authority| {
        let mut key = jwk::of_certificate(authority);
        key.insert("use".to_owned(), json!(X509));
        key.insert("x5c".to_owned(), json!([STANDARD.encode(authority.der())]));
        key
    });
    let jwt = bundle.jwt_authorities.iter().map(|(_, key)| {
        let mut key = key.clone();
        key.insert("use".to_owned(), json!(JWT));
        key
    });
    let document = Document {
        keys: Some(x509.chain(jwt).collect()),
        sequence: bundle.sequence,
        // Rounded up, so that a hint of less than a second does not become none.
        refresh_hint: bundle
            .refresh_hint
            .map(|hint| hint.as_millis().div_ceil(1_000) as u64),
    };
    serde_json::to_string_pretty(&document).expect("the keys of the maps are texts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    fn parse_value(document: &Value) -> Result<TrustBundle, TrustBundleError> {
        parse("td".parse().unwrap(), document.to_string().as_bytes())
    }

    fn jwt_key(kid: &str) -> Value {
        json!({"use": JWT, "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "AAAA"})
    }

    #[test]
    fn a_bundle_is_what_was_written() {
        let bundle = Authority::new("td").bundle();
        let bundle = bundle
            .with_sequence(7)
            .with_refresh_hint(Duration::from_millis(1_500));
        let mut document: Value = serde_json::from_str(&write(&bundle)).unwrap();
        assert_eq!(document["spiffe_refresh_hint"], 2);
        assert_eq!(document["spiffe_sequence"], 7);
        document["keys"].as_array_mut().unwrap().push(jwt_key("k"));
        let read = parse_value(&document).unwrap();
        assert_eq!(read.authorities(), bundle.authorities());
        assert!(read.jwt_authorities().get("k").is_some());
        assert_eq!(
            parse("td".parse().unwrap(), write(&read).as_bytes()).unwrap(),
            read
        );
    }

    #[test]
    fn keys_of_an_unknown_use_are_ignored() {
        let document = json!({"keys": [{"use": "sig", "kty": "EC"}, {"kty": "EC"}]});
        assert!(parse_value(&document).unwrap().authorities().is_empty());
    }

    #[test]
    fn each_fault_of_a_document_is_refused() {
        let x509 = |x5c: Value| json!({"keys": [{"use": X509, "kty": "EC", "x5c": x5c}]});
        type Check = fn(&TrustBundleError) -> bool;
        let cases: [(Value, Check); 8] = [
            (json!("keys"), |e| matches!(e, TrustBundleError::Json(_))),
            (json!({}), |e| matches!(e, TrustBundleError::NoKeys)),
            (json!({"keys": null}), |e| {
                matches!(e, TrustBundleError::NoKeys)
            }),
            (json!({"keys": [], "spiffe_refresh_hint": -1}), |e| {
                matches!(e, TrustBundleError::Json(_))
            }),
            (x509(json!([])), |e| {
                matches!(e, TrustBundleError::CertificateCount { count: 0, .. })
            }),
            (x509(json!(["AA==", "AA=="])), |e| {
                matches!(e, TrustBundleError::CertificateCount { count: 2, .. })
            }),
            (x509(json!(["AA=="])), |e| {
                matches!(e, TrustBundleError::Certificate { index: 0 })
            }),
            (json!({"keys": [jwt_key("")]}), |e| {
                matches!(e, TrustBundleError::NoKeyId { index: 0 })
            }),
        ];
        for (document, is_expected) in cases {
            let error = parse_value(&document).unwrap_err();
            assert!(is_expected(&error), "{document}: {error:?}");
        }
    }
}
