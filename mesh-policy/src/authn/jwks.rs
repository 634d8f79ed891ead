//! Key sets (RFC 7517), as Envoy reads them.
//!
//! Keys that cannot be used are skipped, unless none can. `key_ops` and `x5c` are not looked at.
//! Symmetric keys are read, and verify nothing. Stricter than Envoy, a key whose `use` is another
//! than `sig` is not used (RFC 7517 §4.2).
//!
//! Beyond the key sets of the RFC, a map from key IDs to certificates is one, as Google publishes
//! them; and a single key may be given as PEM.
//!
//! # Example
//!
//! ```
//! use mesh_policy::authn::{Jwks, JwksError};
//!
//! let jwks = Jwks::parse(
//!     r#"{"keys": [{
//!         "kty": "OKP", "crv": "Ed25519", "kid": "one",
//!         "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
//!     }]}"#,
//! )?;
//! assert_eq!(jwks.len(), 1);
//! assert_eq!(Jwks::parse(r#"{"keys": []}"#), Err(JwksError::NoValidKeys));
//! # Ok::<(), JwksError>(())
//! ```

use std::collections::BTreeMap;

use mesh_core::resource::Value;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, SubjectPublicKeyInfoDer, alg_id};

use super::curve::{self, Curve};
use super::der::{self, PublicKeyInfo};
use super::encoding;
use super::error::JwksError;

type Fields = BTreeMap<String, Value>;

const CERTIFICATE_START: &str = "-----BEGIN CERTIFICATE-----\n";
const CERTIFICATE_END: &str = "\n-----END CERTIFICATE-----\n";
/// The length of a key of Ed25519.
const ED25519_LEN: usize = 32;
/// The longest modulus that BoringSSL takes, in bytes.
const MAX_MODULUS: usize = 16384 / 8;
/// The shortest one.
const MIN_MODULUS: usize = 512 / 8;

/// The public keys of an issuer; at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jwks {
    keys: Vec<Key>,
}

/// A public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key {
    /// Empty is any.
    pub(super) kid: String,
    /// The only algorithm that it is for; empty is any.
    pub(super) alg: String,
    pub(super) material: Material,
}

/// What a key is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Material {
    Asymmetric {
        kind: AlgorithmIdentifier,
        /// As the subject public key of a certificate.
        key: Vec<u8>,
    },
    /// Not kept.
    Symmetric,
}

impl Jwks {
    /// Reads a key set.
    ///
    /// # Errors
    ///
    /// When the text is not a JSON object with a list `keys`, or has no key that can be used: then
    /// the first key says why.
    pub fn parse(json: &str) -> Result<Self, JwksError> {
        let fields = encoding::object(json).ok_or(JwksError::ParseError)?;
        let Some(keys) = fields.get("keys") else {
            return Self::of_certificates(&fields);
        };
        let Value::List(keys) = keys else {
            return Err(JwksError::BadKeys);
        };
        let keys = keys.iter().filter_map(Value::as_map).map(key);
        let (keys, errors): (Vec<_>, Vec<_>) = keys.partition(Result::is_ok);
        let keys: Vec<Key> = keys.into_iter().flatten().collect();
        if keys.is_empty() {
            let first = errors.into_iter().find_map(Result::err);
            return Err(first.unwrap_or(JwksError::NoValidKeys));
        }
        Ok(Self { keys })
    }

    /// Reads a single key in PEM, `-----BEGIN PUBLIC KEY-----`, which is for any algorithm of its
    /// kind and has no ID.
    ///
    /// # Errors
    ///
    /// When the text is no such block, or the key is of another kind than RSA, P-256, P-384, P-521
    /// and Ed25519.
    pub fn parse_pem(pem: &str) -> Result<Self, JwksError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|_| JwksError::PemBadBase64)?;
        let info = PublicKeyInfo::parse(&der).ok_or(JwksError::PemBadBase64)?;
        let kinds = [
            alg_id::RSA_ENCRYPTION,
            alg_id::ECDSA_P256,
            alg_id::ECDSA_P384,
            alg_id::ECDSA_P521,
            alg_id::ED25519,
        ];
        let kind = kinds
            .into_iter()
            .find(|kind| kind.as_ref() == info.algorithm);
        let kind = kind.ok_or(JwksError::PemNotImplementedKty)?;
        Ok(Self {
            keys: vec![Key {
                kid: String::new(),
                alg: String::new(),
                material: Material::Asymmetric {
                    kind,
                    key: info.key.to_owned(),
                },
            }],
        })
    }

    /// How many keys there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn of_certificates(fields: &Fields) -> Result<Self, JwksError> {
        let certificate = |(kid, value): (&String, &Value)| {
            let pem = value.as_str()?;
            let is_certificate = !kid.is_empty()
                && pem.starts_with(CERTIFICATE_START)
                && pem.ends_with(CERTIFICATE_END);
            is_certificate.then(|| (kid.clone(), pem.to_owned()))
        };
        let certificates: Option<Vec<_>> = fields.iter().map(certificate).collect();
        let certificates = certificates.filter(|certificates| !certificates.is_empty());
        let certificates = certificates.ok_or(JwksError::NoKeys)?;
        let keys = certificates.into_iter().map(|(kid, pem)| {
            let der = CertificateDer::from_pem_slice(pem.as_bytes());
            let der = der.map_err(|_| JwksError::X509ParseError)?;
            let info = PublicKeyInfo::of_certificate(&der).ok_or(JwksError::X509ParseError)?;
            if info.algorithm != alg_id::RSA_ENCRYPTION.as_ref() {
                return Err(JwksError::X509GetPubkeyError);
            }
            let material = Material::Asymmetric {
                kind: alg_id::RSA_ENCRYPTION,
                key: info.key.to_owned(),
            };
            let alg = String::new();
            Ok(Key { kid, alg, material })
        });
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }
}

/// A member of a key, which may have another type than a text.
enum Member<'a> {
    Missing,
    NoText,
    Text(&'a str),
}

impl<'a> Member<'a> {
    fn of(fields: &'a Fields, name: &str) -> Self {
        match fields.get(name) {
            None => Self::Missing,
            Some(Value::String(text)) => Self::Text(text),
            Some(_) => Self::NoText,
        }
    }

    fn required(self, missing: JwksError, no_text: JwksError) -> Result<&'a str, JwksError> {
        match self {
            Self::Missing => Err(missing),
            Self::NoText => Err(no_text),
            Self::Text(text) => Ok(text),
        }
    }

    /// The text, which is empty if there is none.
    fn or_empty(self) -> &'a str {
        match self {
            Self::Missing | Self::NoText => "",
            Self::Text(text) => text,
        }
    }
}

fn key(fields: &Fields) -> Result<Key, JwksError> {
    let kty = Member::of(fields, "kty").required(JwksError::MissingKty, JwksError::BadKty)?;
    let kid = Member::of(fields, "kid").or_empty();
    let alg = Member::of(fields, "alg").or_empty();
    if !matches!(Member::of(fields, "use").or_empty(), "" | "sig") {
        return Err(JwksError::NotForSignatures);
    }
    let material = match kty {
        "EC" => elliptic(fields, alg),
        "OKP" => edwards(fields, alg),
        "RSA" => rsa(fields, alg),
        "oct" => symmetric(fields, alg),
        _ => Err(JwksError::NotImplementedKty),
    }?;
    Ok(Key {
        kid: kid.to_owned(),
        alg: alg.to_owned(),
        material,
    })
}

fn rsa(fields: &Fields, alg: &str) -> Result<Material, JwksError> {
    if !alg.is_empty() && !alg.starts_with("RS") && !alg.starts_with("PS") {
        return Err(JwksError::RsaKeyBadAlg);
    }
    let n = Member::of(fields, "n").required(JwksError::RsaKeyMissingN, JwksError::RsaKeyBadN)?;
    let e = Member::of(fields, "e").required(JwksError::RsaKeyMissingE, JwksError::RsaKeyBadE)?;
    let number = |text| encoding::base64url(text).ok_or(JwksError::RsaParseError);
    let (modulus, exponent) = (number(n)?, number(e)?);
    let (modulus, exponent) = (der::trim(&modulus), der::trim(&exponent));
    let is_exponent = matches!(exponent, [3] | [1, 0, 1]);
    let is_modulus = (MIN_MODULUS..=MAX_MODULUS).contains(&modulus.len());
    let is_odd = modulus.last().is_some_and(|last| last % 2 == 1);
    if !(is_exponent && is_modulus && is_odd) {
        return Err(JwksError::RsaParseError);
    }
    Ok(Material::Asymmetric {
        kind: alg_id::RSA_ENCRYPTION,
        key: der::rsa_public_key(modulus, exponent),
    })
}

/// Algorithm, name and kind of a curve.
const CURVES: [(&str, &str, AlgorithmIdentifier, Curve); 3] = [
    ("ES256", "P-256", alg_id::ECDSA_P256, curve::P256),
    ("ES384", "P-384", alg_id::ECDSA_P384, curve::P384),
    ("ES512", "P-521", alg_id::ECDSA_P521, curve::P521),
];

fn elliptic(fields: &Fields, alg: &str) -> Result<Material, JwksError> {
    if !alg.is_empty() && !alg.starts_with("ES") {
        return Err(JwksError::EcKeyBadAlg);
    }
    let crv = match Member::of(fields, "crv") {
        Member::Missing => "",
        Member::NoText => return Err(JwksError::EcKeyBadCrv),
        Member::Text(crv) => crv,
    };
    let found = match (alg, crv) {
        ("", "") => CURVES.first(),
        ("", crv) => CURVES.iter().find(|one| one.1 == crv),
        (alg, "") => CURVES.iter().find(|one| one.0 == alg),
        both => {
            let found = CURVES.iter().find(|one| (one.0, one.1) == both);
            Some(found.ok_or(JwksError::EcKeyAlgNotCompatibleWithCrv)?)
        }
    };
    let (_, _, kind, curve) = found.ok_or(JwksError::EcKeyAlgOrCrvUnsupported)?;
    let x = Member::of(fields, "x").required(JwksError::EcKeyMissingX, JwksError::EcKeyBadX)?;
    let y = Member::of(fields, "y").required(JwksError::EcKeyMissingY, JwksError::EcKeyBadY)?;
    let number = |text| encoding::base64url(text).ok_or(JwksError::EcXorYBadBase64);
    let key = curve.point(&number(x)?, &number(y)?);
    Ok(Material::Asymmetric {
        kind: *kind,
        key: key.ok_or(JwksError::EcParseError)?,
    })
}

fn edwards(fields: &Fields, alg: &str) -> Result<Material, JwksError> {
    if !alg.is_empty() && alg != "EdDSA" {
        return Err(JwksError::OkpKeyBadAlg);
    }
    let crv = Member::of(fields, "crv");
    let crv = crv.required(JwksError::OkpKeyMissingCrv, JwksError::OkpKeyBadCrv)?;
    if crv != "Ed25519" {
        return Err(JwksError::OkpKeyCrvUnsupported);
    }
    let x = Member::of(fields, "x").required(JwksError::OkpKeyMissingX, JwksError::OkpKeyBadX)?;
    let key = encoding::base64url(x).ok_or(JwksError::OkpXBadBase64)?;
    if key.len() != ED25519_LEN {
        return Err(JwksError::OkpXWrongLength);
    }
    let kind = alg_id::ED25519;
    Ok(Material::Asymmetric { kind, key })
}

fn symmetric(fields: &Fields, alg: &str) -> Result<Material, JwksError> {
    if !alg.is_empty() && !["HS256", "HS384", "HS512"].contains(&alg) {
        return Err(JwksError::HmacKeyBadAlg);
    }
    let k = Member::of(fields, "k").required(JwksError::HmacKeyMissingK, JwksError::HmacKeyBadK)?;
    match encoding::base64url(k) {
        Some(key) if !key.is_empty() => Ok(Material::Symmetric),
        _ => Err(JwksError::OctBadBase64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = r#""x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    #[test]
    fn each_key_says_what_is_wrong_with_it() {
        let cases = [
            ("{}".to_owned(), JwksError::MissingKty),
            (r#"{"kty": 1}"#.to_owned(), JwksError::BadKty),
            (r#"{"kty": "DSA"}"#.to_owned(), JwksError::NotImplementedKty),
            (
                r#"{"kty": "RSA", "alg": "ES256"}"#.to_owned(),
                JwksError::RsaKeyBadAlg,
            ),
            (
                r#"{"kty": "RSA", "n": "_"}"#.to_owned(),
                JwksError::RsaKeyMissingE,
            ),
            (
                r#"{"kty": "RSA", "n": "_w", "e": "AQAB"}"#.to_owned(),
                JwksError::RsaParseError,
            ),
            (
                format!(r#"{{"kty": "EC", "alg": "RS256", {P256}}}"#),
                JwksError::EcKeyBadAlg,
            ),
            (
                format!(r#"{{"kty": "EC", "alg": "ES384", "crv": "P-256", {P256}}}"#),
                JwksError::EcKeyAlgNotCompatibleWithCrv,
            ),
            (
                format!(r#"{{"kty": "EC", "crv": "P-1", {P256}}}"#),
                JwksError::EcKeyAlgOrCrvUnsupported,
            ),
            (
                format!(r#"{{"kty": "EC", "crv": "P-384", {P256}}}"#),
                JwksError::EcParseError,
            ),
            (
                r#"{"kty": "OKP", "crv": "Ed25519", "x": "_w"}"#.to_owned(),
                JwksError::OkpXWrongLength,
            ),
            (
                r#"{"kty": "oct", "k": ""}"#.to_owned(),
                JwksError::OctBadBase64,
            ),
        ];
        for (key, error) in cases {
            let jwks = format!(r#"{{"keys": [{key}]}}"#);
            assert_eq!(Jwks::parse(&jwks), Err(error), "{key}");
            // A key that can be used makes up for it.
            let jwks = format!(r#"{{"keys": [{key}, {{"kty": "EC", {P256}}},]}}"#);
            assert_eq!(Jwks::parse(&jwks).map(|jwks| jwks.len()), Ok(1), "{key}");
        }
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        let cases = [
            ("", JwksError::ParseError),
            ("[]", JwksError::ParseError),
            ("{}", JwksError::NoKeys),
            (r#"{"keys": {}}"#, JwksError::BadKeys),
            (r#"{"keys": [1]}"#, JwksError::NoValidKeys),
            (r#"{"a": "b"}"#, JwksError::NoKeys),
            (
                r#"{"a": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}"#,
                JwksError::X509ParseError,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(Jwks::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_key_in_pem_is_that_of_its_algorithm() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
            -----END PUBLIC KEY-----\n";
        let jwks = Jwks::parse_pem(pem).unwrap();
        let Material::Asymmetric { kind, key } = &jwks.keys()[0].material else {
            panic!("{jwks:?}");
        };
        assert_eq!((kind, key.len()), (&alg_id::ED25519, ED25519_LEN));
        let bad = pem.replace("MCow", "MCoo");
        assert!(Jwks::parse_pem(&bad).is_err());
    }
}
