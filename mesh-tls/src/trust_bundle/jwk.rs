//! Public keys of certificates as JSON Web Keys (RFC 7518 section 6, RFC 8037 section 2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::certificate::Certificate;

/// The key of a certificate. Without parameters if it is of a kind that has none in JSON.
pub(super) fn of_certificate(certificate: &Certificate) -> Map<String, Value> {
    let parsed = SubjectPublicKeyInfo::from_der(certificate.public_key());
    let key = parsed.ok().and_then(|(_, info)| of_public_key(&info));
    match key {
        Some(Value::Object(parameters)) => parameters,
        _ => Map::new(),
    }
}

fn of_public_key(info: &SubjectPublicKeyInfo<'_>) -> Option<Value> {
    match info.parsed().ok()? {
        PublicKey::RSA(key) => {
            let (n, e) = (unsigned(key.modulus), unsigned(key.exponent));
            Some(json!({"kty": "RSA", "n": encode(n), "e": encode(e)}))
        }
        PublicKey::EC(point) => {
            // An uncompressed point (SEC 1 section 2.3.3): 4, x, y.
            let coordinates = point.data().strip_prefix(&[4])?;
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            let curve = match x.len() {
                32 => "P-256",
                48 => "P-384",
                66 => "P-521",
                _ => return None,
            };
            Some(json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)}))
        }
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            let x = encode(&info.subject_public_key.data);
            Some(json!({"kty": "OKP", "crv": "Ed25519", "x": x}))
        }
        _ => None,
    }
}

/// A DER integer without the zero that keeps it positive.
fn unsigned(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => integer,
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, PublicKeyData};

    use super::*;
    use crate::testing;

    #[test]
    fn each_kind_of_key_has_its_parameters() {
        let cases = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "EC", &["crv", "x", "y"][..]),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "EC", &["crv", "x", "y"]),
            (&rcgen::PKCS_ED25519, "OKP", &["crv", "x"]),
            (&rcgen::PKCS_RSA_SHA256, "RSA", &["n", "e"]),
        ];
        for (algorithm, kind, parameters) in cases {
            let key = testing::key_pair(algorithm);
            let certificate = CertificateParams::default().self_signed(&key).unwrap();
            let jwk = of_certificate(&Certificate::from_der(certificate.der()).unwrap());
            assert_eq!(jwk["kty"], kind);
            assert_eq!(jwk.len(), parameters.len() + 1, "{jwk:?}");
            let raw = key.der_bytes();
            // The parameters are found in the key as it was made.
            for name in parameters.iter().filter(|name| **name != "crv") {
                let value = URL_SAFE_NO_PAD
                    .decode(jwk[*name].as_str().unwrap())
                    .unwrap();
                assert!(
                    raw.windows(value.len()).any(|window| window == value),
                    "{name}"
                );
            }
        }
    }
}
