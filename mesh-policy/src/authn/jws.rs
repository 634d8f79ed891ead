//! JSON Web Signatures in compact form (RFC 7515 §7.1).

use mesh_core::resource::Value;
use rustls_pki_types::alg_id;

use super::algorithm::{Algorithm, Algorithms};
use super::der;
use super::encoding;
use super::error::TokenError;
use super::jwks::{Jwks, Key, Material};

/// The length of a signature of Ed25519.
const ED25519_SIGNATURE_LEN: usize = 64;

/// A signed payload, of any content, that was read and is not verified.
///
/// # Example
///
/// ```
/// use mesh_policy::authn::{Algorithm, Jws, TokenError};
///
/// // The payload is the text `foo`.
/// let jws = Jws::parse("eyJhbGciOiJFUzI1NiJ9.Zm9v.AAAA")?;
/// assert_eq!(jws.algorithm(), Algorithm::Es256);
/// # Ok::<(), TokenError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: String,
    /// Header, dot and payload, as sent.
    pub(super) signed: &'a str,
    /// The payload, as sent.
    pub(super) payload: &'a str,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Reads header and signature.
    ///
    /// # Errors
    ///
    /// When there are not three parts, header or signature is empty, the header is not a JSON object in
    /// Base64url, the algorithm is not known, or the header has the parameter `crit`.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let [header, payload, signature] = split(text)?;
        let (algorithm, kid) = parse_header(header)?;
        Ok(Self {
            algorithm,
            kid,
            signed: signed(text, signature),
            payload,
            signature: parse_signature(signature)?,
        })
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The ID of the key; empty if there is none.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks that one of the keys has made the signature.
    ///
    /// A key is tried if it has the ID and the algorithm of the signature, or has none, or the
    /// signature has no ID. Its kind has to be that of the algorithm.
    ///
    /// # Errors
    ///
    /// When there is no key to try, or none has made the signature.
    pub fn verify(&self, jwks: &Jwks, algorithms: Algorithms) -> Result<(), TokenError> {
        let mut error = TokenError::KidAlgMismatch;
        for key in jwks.keys().iter().filter(|key| self.is_for(key)) {
            match self.verify_by(key, algorithms) {
                Ok(()) => return Ok(()),
                Err(TokenError::Ed25519SignatureWrongLength) => {
                    return Err(TokenError::Ed25519SignatureWrongLength);
                }
                Err(failure) => error = failure,
            }
        }
        Err(error)
    }

    fn is_for(&self, key: &Key) -> bool {
        let has_id = self.kid.is_empty() || key.kid.is_empty() || key.kid == self.kid;
        has_id && (key.alg.is_empty() || key.alg == self.algorithm.as_str())
    }

    fn verify_by(&self, key: &Key, algorithms: Algorithms) -> Result<(), TokenError> {
        let Material::Asymmetric { kind, key } = &key.material else {
            return Err(TokenError::VerificationFail);
        };
        let is_ed25519 = *kind == alg_id::ED25519;
        if is_ed25519 && self.signature.len() != ED25519_SIGNATURE_LEN {
            return Err(TokenError::Ed25519SignatureWrongLength);
        }
        let identifiers = self.algorithm.identifiers();
        let (_, signature_kind) = identifiers
            .filter(|(needed, _)| needed == kind)
            .ok_or(TokenError::VerificationFail)?;
        let algorithm = algorithms.find(*kind, signature_kind);
        let algorithm = algorithm.ok_or(TokenError::VerificationFail)?;
        let message = self.signed.as_bytes();
        let result = match self.algorithm {
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => {
                if self.signature.len() != coordinates(key) {
                    return Err(TokenError::VerificationFail);
                }
                let signature = der::ecdsa_signature(&self.signature);
                algorithm.verify_signature(key, message, &signature)
            }
            _ => algorithm.verify_signature(key, message, &self.signature),
        };
        result.map_err(|_| TokenError::VerificationFail)
    }
}

/// The length of both coordinates of an uncompressed point, and so of a signature.
fn coordinates(point: &[u8]) -> usize {
    point.len().saturating_sub(1)
}

/// The three parts, of which the payload may be empty.
pub(super) fn split(text: &str) -> Result<[&str; 3], TokenError> {
    let mut parts = text.split('.');
    let three = [parts.next(), parts.next(), parts.next()];
    match (three, parts.next()) {
        ([Some(header), Some(payload), Some(signature)], None)
            if !header.is_empty() && !signature.is_empty() =>
        {
            Ok([header, payload, signature])
        }
        _ => Err(TokenError::BadFormat),
    }
}

/// What is signed: all before the last dot.
pub(super) fn signed<'a>(text: &'a str, signature: &str) -> &'a str {
    &text[..text.len() - signature.len() - 1]
}

pub(super) fn parse_signature(signature: &str) -> Result<Vec<u8>, TokenError> {
    encoding::base64url(signature).ok_or(TokenError::SignatureParseErrorBadBase64)
}

pub(super) fn parse_header(header: &str) -> Result<(Algorithm, String), TokenError> {
    let header = encoding::base64url(header).ok_or(TokenError::HeaderParseErrorBadBase64)?;
    let header = std::str::from_utf8(&header).ok().and_then(encoding::object);
    let header = header.ok_or(TokenError::HeaderParseErrorBadJson)?;
    // Whoever does not understand what is critical has to refuse it (RFC 7515 §4.1.11); nothing is
    // understood here, `b64` (RFC 7797) included. Envoy does not look, and may verify what was not
    // meant.
    if header.contains_key("crit") {
        return Err(TokenError::HeaderCritical);
    }
    let name = header.get("alg").and_then(Value::as_str);
    let name = name.ok_or(TokenError::HeaderBadAlg)?;
    let algorithm = Algorithm::parse(name).ok_or(TokenError::HeaderNotImplementedAlg)?;
    let kid = match header.get("kid") {
        None => String::new(),
        Some(Value::String(kid)) => kid.clone(),
        Some(_) => return Err(TokenError::HeaderBadKid),
    };
    Ok((algorithm, kid))
}
