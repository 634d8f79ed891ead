//! Certificate signing requests ([RFC 2986]), of which an authority takes the public key and
//! nothing else.
//!
//! A held [`SigningRequest`] has proven that its sender has the private key. The names, key usages
//! and constraints that it asks for are not even read: who it is for is what the caller has proven
//! otherwise, as in Istio's `GenCertFromCSR`. A request is free to ask for `CA:TRUE` or for
//! another's identity; it gets neither.
//!
//! Keys are ECDSA on P-256 or P-384, Ed25519, and RSA of 2048 to 8192 bits. RSA is verified with
//! PKCS #1 and SHA-2, never with SHA-1.
//!
//! [RFC 2986]: https://www.rfc-editor.org/rfc/rfc2986
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "aws-lc-rs", feature = "ca"))] {
//! use mesh_tls::csr::{KeyKind, SigningRequest};
//! use mesh_tls::key::SigningKey;
//!
//! let id = "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap();
//! let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
//! let pem = key.signing_request(&id).unwrap();
//!
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let request = SigningRequest::from_pem(pem.as_bytes(), &provider).unwrap();
//! assert_eq!(request.key_kind(), KeyKind::EcdsaP256);
//! assert_eq!(request.public_key(), key.public_key());
//! # }
//! ```

use std::fmt;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::pem::{self, PemError};

/// The longest request that is parsed, in bytes of DER. One with an RSA key of 8192 bits has 2.5 KiB.
pub const MAX_LEN: usize = 64 * 1024;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;

/// A request whose sender has proven to have the private key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SigningRequest {
    public_key: Vec<u8>,
    key_kind: KeyKind,
    has_common_name: bool,
}

impl SigningRequest {
    /// Parses the first request of a PEM text.
    ///
    /// # Errors
    ///
    /// When the text has no request or is broken, and those of [`from_der`](Self::from_der).
    pub fn from_pem(text: &[u8], provider: &CryptoProvider) -> Result<Self, SigningRequestError> {
        let der = pem::signing_request(text)?;
        Self::from_der(&der, provider)
    }

    /// Parses a request and verifies its signature.
    ///
    /// # Errors
    ///
    /// When the request is longer than [`MAX_LEN`], malformed or followed by other bytes, its key
    /// is of a kind that is not supported, or the signature is not by that key.
    pub fn from_der(der: &[u8], provider: &CryptoProvider) -> Result<Self, SigningRequestError> {
        if der.len() > MAX_LEN {
            return Err(SigningRequestError::TooLong { len: der.len() });
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| SigningRequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(SigningRequestError::TrailingBytes { len: rest.len() });
        }
        let info = &request.certification_request_info;
        let key_kind = KeyKind::of_public_key(info.subject_pki.raw)?;
        verify_possession(der, info.subject_pki.raw, provider)?;
        Ok(Self {
            public_key: info.subject_pki.raw.to_vec(),
            key_kind,
            has_common_name: info.subject.iter_common_name().next().is_some(),
        })
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// What kind of key it is.
    pub fn key_kind(&self) -> KeyKind {
        self.key_kind
    }

    /// Whether the request names a common name, which asks for a certificate that has one too
    /// (Istio's "dual use"). What it names is not looked at.
    pub fn has_common_name(&self) -> bool {
        self.has_common_name
    }
}

/// A kind of key that certificates are issued for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyKind {
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa {
        /// How long the modulus is, in bits: 2048 to 8192.
        bits: usize,
    },
}

impl KeyKind {
    /// Istio's default for workloads and for its own root.
    pub const RSA_2048: Self = Self::Rsa { bits: MIN_RSA_BITS };

    /// The kind of a `SubjectPublicKeyInfo` in DER.
    pub(crate) fn of_public_key(der: &[u8]) -> Result<Self, SigningRequestError> {
        let (algorithm, _) = split_public_key(der).ok_or(SigningRequestError::Malformed)?;
        let is = |id: AlgorithmIdentifier| id.as_ref() == algorithm;
        if is(alg_id::ECDSA_P256) {
            Ok(Self::EcdsaP256)
        } else if is(alg_id::ECDSA_P384) {
            Ok(Self::EcdsaP384)
        } else if is(alg_id::ED25519) {
            Ok(Self::Ed25519)
        } else if is(alg_id::RSA_ENCRYPTION) {
            Self::of_rsa(der)
        } else {
            Err(SigningRequestError::UnsupportedKey)
        }
    }

    fn of_rsa(der: &[u8]) -> Result<Self, SigningRequestError> {
        let parsed = SubjectPublicKeyInfo::from_der(der);
        let Ok(Ok(PublicKey::RSA(rsa))) = parsed.as_ref().map(|(_, key)| key.parsed()) else {
            return Err(SigningRequestError::Malformed);
        };
        let bits = modulus_bits(rsa.modulus);
        if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            Ok(Self::Rsa { bits })
        } else {
            Err(SigningRequestError::RsaKeySize { bits })
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
        }
    }
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let start = modulus.iter().position(|byte| *byte != 0);
    let modulus = &modulus[start.unwrap_or(modulus.len())..];
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    modulus.len() * 8 - leading as usize
}

/// Verifies that the request, or a certificate that signs itself, was signed by the key in it.
///
/// The parts are taken out of the DER as they are, because an algorithm is compared with the
/// provider's byte by byte.
pub(crate) fn verify_possession(
    der: &[u8],
    public_key: &[u8],
    provider: &CryptoProvider,
) -> Result<(), SigningRequestError> {
    let parts = split_request(der).ok_or(SigningRequestError::Malformed)?;
    let (key_algorithm, key) =
        split_public_key(public_key).ok_or(SigningRequestError::Malformed)?;
    let is_ours = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.signature_alg_id().as_ref() == parts.algorithm
            && algorithm.public_key_alg_id().as_ref() == key_algorithm
    };
    let mut algorithms = provider.signature_verification_algorithms.all.iter();
    let algorithm = algorithms
        .find(is_ours)
        .ok_or(SigningRequestError::UnsupportedSignature)?;
    algorithm
        .verify_signature(key, parts.message, parts.signature)
        .map_err(|_| SigningRequestError::NotPossessed)
}

struct Parts<'a> {
    message: &'a [u8],
    /// The content of the `AlgorithmIdentifier`.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// `CertificationRequest ::= SEQUENCE { certificationRequestInfo, signatureAlgorithm, signature }`, and a
/// `Certificate` has the same parts.
fn split_request(der: &[u8]) -> Option<Parts<'_>> {
    let (request, _) = element(der, SEQUENCE)?;
    let (_, rest) = element(request, SEQUENCE)?;
    let message = &request[..request.len() - rest.len()];
    let (algorithm, rest) = element(rest, SEQUENCE)?;
    let (signature, _) = element(rest, BIT_STRING)?;
    Some(Parts {
        message,
        algorithm,
        signature: bits(signature)?,
    })
}

/// `SubjectPublicKeyInfo ::= SEQUENCE { algorithm, subjectPublicKey }`, as the content of the first
/// and the second.
fn split_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, _) = element(der, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (key, _) = element(rest, BIT_STRING)?;
    Some((algorithm, bits(key)?))
}

/// The content of the first element, which has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (rest, element) = Any::from_der(der).ok()?;
    (der.first() == Some(&tag)).then_some((element.data, rest))
}

/// The bytes of a bit string that has whole bytes.
fn bits(content: &[u8]) -> Option<&[u8]> {
    let (unused, bytes) = content.split_first()?;
    (*unused == 0).then_some(bytes)
}

/// Why a request was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningRequestError {
    /// It is not a certificate signing request in DER.
    #[error("malformed certificate signing request")]
    Malformed,
    /// The signature is not by the key of the request.
    #[error("the signature is not by the key of the request")]
    NotPossessed,
    /// The text is no PEM, or has no request.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// An RSA key is too short or too long.
    #[error("RSA key of {bits} bits; 2048 to 8192 are accepted")]
    RsaKeySize {
        /// How long the modulus is.
        bits: usize,
    },
    /// The request is longer than [`MAX_LEN`].
    #[error("certificate signing request of {len} bytes is longer than {MAX_LEN} bytes")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// Bytes follow the request.
    #[error("{len} bytes follow the certificate signing request")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// The key is of a kind that certificates are not issued for.
    #[error("key is neither ECDSA P-256 or P-384, Ed25519 nor RSA")]
    UnsupportedKey,
    /// The cryptographic provider does not know the signature's algorithm, or it does not fit the
    /// key.
    #[error("signature algorithm is not supported for this key")]
    UnsupportedSignature,
}

#[cfg(test)]
mod tests;
