//! Private keys that this program makes and signs with.
//!
//! A workload makes a key, asks an authority for a certificate of it with a
//! [signing request](SigningKey::signing_request), and hands both to
//! [`X509Svid`](crate::svid::X509Svid). An authority signs certificates with one.
//!
//! # Example
//!
//! ```
//! use mesh_tls::csr::KeyKind;
//! use mesh_tls::key::SigningKey;
//!
//! let key = SigningKey::generate(KeyKind::EcdsaP384)?;
//! let restored = SigningKey::from_pem(key.to_pem().as_bytes())?;
//! assert_eq!(restored.kind(), KeyKind::EcdsaP384);
//! assert_eq!(restored.public_key(), key.public_key());
//! # Ok::<(), mesh_tls::key::KeyError>(())
//! ```

use std::fmt;

use mesh_core::identity::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, PublicKeyData, SanType,
};
#[cfg(feature = "aws-lc-rs")]
use rcgen::{PKCS_RSA_SHA256, RsaKeySize};
use rustls_pki_types::PrivateKeyDer;

use crate::csr::{KeyKind, SigningRequestError};
use crate::pem::{self, PemError};

/// A private key that can sign.
///
/// Its [`Debug`] form does not show the key.
pub struct SigningKey {
    pair: KeyPair,
    der: PrivateKeyDer<'static>,
    public_key: Vec<u8>,
    kind: KeyKind,
}

impl SigningKey {
    /// Makes a key, with the random numbers of the cryptographic library.
    ///
    /// # Errors
    ///
    /// When the library cannot make such a key: of RSA 2048, 3072 and 4096 bits are made, and ring
    /// makes none.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let pair = match kind {
            KeyKind::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).ok(),
            KeyKind::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).ok(),
            KeyKind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519).ok(),
            KeyKind::Rsa { bits } => generate_rsa(bits),
        };
        let pair = pair.ok_or(KeyError::Generate { kind })?;
        let der = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        Self::new(pair, der)
    }

    /// Takes a key in PKCS#8, PKCS#1 (RSA) or SEC1 (EC). ring takes PKCS#8 only.
    ///
    /// # Errors
    ///
    /// When the key is malformed, or of a kind that certificates are not issued for.
    pub fn from_der(der: PrivateKeyDer<'static>) -> Result<Self, KeyError> {
        let pair = KeyPair::try_from(&der).map_err(|_| KeyError::Malformed)?;
        Self::new(pair, der)
    }

    /// Takes the first private key of a PEM text.
    ///
    /// # Errors
    ///
    /// When the text is not PEM or has no key, and those of [`from_der`](Self::from_der).
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(pem::private_key(text)?)
    }

    fn new(pair: KeyPair, der: PrivateKeyDer<'static>) -> Result<Self, KeyError> {
        let public_key = pair.subject_public_key_info();
        let kind = KeyKind::of_public_key(&public_key)?;
        Ok(Self {
            pair,
            der,
            public_key,
            kind,
        })
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The private key, in the form it was made or taken in.
    pub fn private_key(&self) -> &PrivateKeyDer<'static> {
        &self.der
    }

    /// Writes the private key as PEM, to be kept secret.
    pub fn to_pem(&self) -> String {
        let label = match self.der {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::encode(label, self.der.secret_der())
    }

    /// Writes a request for a certificate of this key, as PEM.
    ///
    /// As those of Istio's agent, it has no subject and names `id`, which the authority does not
    /// look at.
    ///
    /// # Errors
    ///
    /// When the cryptographic library refuses to sign.
    pub fn signing_request(&self, id: &SpiffeId) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = id.as_str().try_into().map_err(|_| KeyError::Sign)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        let request = params.serialize_request(&self.pair);
        let request = request.map_err(|_| KeyError::Sign)?;
        Ok(pem::encode("CERTIFICATE REQUEST", request.der()))
    }

    /// The key as the certificate writer takes it.
    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

#[cfg(feature = "aws-lc-rs")]
fn generate_rsa(bits: usize) -> Option<KeyPair> {
    let size = match bits {
        2048 => RsaKeySize::_2048,
        3072 => RsaKeySize::_3072,
        4096 => RsaKeySize::_4096,
        _ => return None,
    };
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).ok()
}

/// ring makes none.
#[cfg(not(feature = "aws-lc-rs"))]
fn generate_rsa(_: usize) -> Option<KeyPair> {
    None
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Why a key could not be made, taken or used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The cryptographic library cannot make such a key.
    #[error("the cryptographic library makes no {kind} keys")]
    Generate {
        /// What was asked for.
        kind: KeyKind,
    },
    /// The bytes are no private key that is understood.
    #[error("malformed private key, or one of a kind that is not supported")]
    Malformed,
    /// The text is no PEM, or has no key.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The cryptographic library refused to sign.
    #[error("the cryptographic library refused to sign")]
    Sign,
    /// Certificates are not issued for keys of this kind.
    #[error(transparent)]
    Unsupported(#[from] SigningRequestError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::SigningRequest;
    use crate::testing;

    const ID: &str = "spiffe://cluster.local/ns/a/sa/b";

    #[test]
    fn keys_of_each_kind_ask_for_certificates() {
        let made = [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519];
        let made = made.map(|kind| SigningKey::generate(kind).unwrap());
        let rsa = SigningKey::from_pem(testing::RSA.as_bytes()).unwrap();
        for key in made.into_iter().chain([rsa]) {
            let kind = key.kind();
            let restored = SigningKey::from_pem(key.to_pem().as_bytes()).unwrap();
            let text = restored.signing_request(&ID.parse().unwrap()).unwrap();
            let request = SigningRequest::from_pem(text.as_bytes(), &testing::provider());
            let request = request.unwrap();
            assert_eq!(request.public_key(), key.public_key(), "{kind}");
            assert!(!request.has_common_name(), "{kind}");
        }
    }

    #[test]
    fn keys_of_rsa_are_made_in_three_sizes_and_by_ring_in_none() {
        let mut made = Vec::new();
        for bits in [1024, 2048, 3000, 3072, 4096, 8192] {
            let kind = KeyKind::Rsa { bits };
            match SigningKey::generate(kind) {
                Ok(key) => {
                    assert_eq!(key.kind(), kind);
                    made.push(bits);
                }
                Err(error) => assert_eq!(error, KeyError::Generate { kind }),
            }
        }
        let expected: &[usize] = match cfg!(feature = "aws-lc-rs") {
            true => &[2048, 3072, 4096],
            false => &[],
        };
        assert_eq!(made, expected);
    }

    /// ring does not make such a key.
    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn keys_of_other_kinds_are_refused() {
        let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let error = SigningKey::from_pem(p521.serialize_pem().as_bytes()).unwrap_err();
        assert_eq!(
            error,
            KeyError::Unsupported(SigningRequestError::UnsupportedKey)
        );
    }

    #[test]
    fn a_key_cut_anywhere_is_refused() {
        let text = SigningKey::generate(KeyKind::EcdsaP256).unwrap().to_pem();
        for end in 0..text.len() - 1 {
            assert!(
                SigningKey::from_pem(&text.as_bytes()[..end]).is_err(),
                "{end}"
            );
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { kind: Ed25519, .. }");
    }
}
