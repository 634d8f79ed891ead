//! A certificate chain and its private key, checked against each other.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_tls::credential::{Credential, CredentialError};
//!
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let shop = rcgen::generate_simple_self_signed(["shop.example".to_owned()])?;
//! let (chain, key) = (shop.cert.pem(), shop.signing_key.serialize_pem());
//! let credential = Credential::from_pem(chain.as_bytes(), key.as_bytes(), &provider)?;
//! assert_eq!(credential.leaf().dns_names().next(), Some("shop.example"));
//!
//! let other = rcgen::KeyPair::generate()?.serialize_pem();
//! let error = Credential::from_pem(chain.as_bytes(), other.as_bytes(), &provider).unwrap_err();
//! assert!(matches!(error, CredentialError::OtherKey));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

use crate::certificate::Certificate;
use crate::pem::{self, PemError};

/// A certificate chain, the leaf first, and the key of the leaf. Cheap to clone.
///
/// Its [`Debug`](fmt::Debug) form does not show the key.
#[derive(Clone)]
pub struct Credential(Arc<Checked>);

struct Checked {
    chain: Vec<Certificate>,
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
}

impl Credential {
    /// Takes a chain, the leaf first, and the key of the leaf.
    ///
    /// # Errors
    ///
    /// When there is no certificate, the provider does not take the key, or the key is that of
    /// another certificate.
    pub fn new(
        chain: Vec<Certificate>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, CredentialError> {
        if chain.is_empty() {
            return Err(CredentialError::NoCertificate);
        }
        let loaded = provider.key_provider.load_private_key(key.clone_key());
        let loaded = loaded.map_err(CredentialError::Key)?;
        let ders = chain.iter().map(|certificate| certificate.der().clone());
        let certified = CertifiedKey::new(ders.collect(), loaded);
        certified
            .keys_match()
            .map_err(|_| CredentialError::OtherKey)?;
        Ok(Self(Arc::new(Checked {
            chain,
            key,
            certified: Arc::new(certified),
        })))
    }

    /// Parses a chain and a key, which may be in the same text.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and when a text is not PEM of what it should hold.
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, CredentialError> {
        let chain = pem::certificates(chain).map_err(CredentialError::ChainPem)?;
        let key = pem::private_key(key).map_err(CredentialError::KeyPem)?;
        Self::new(chain, key, provider)
    }

    /// Staples a response about the leaf (RFC 6066 section 8), in DER.
    #[must_use]
    pub fn with_ocsp_response(self, response: Vec<u8>) -> Self {
        let mut certified = CertifiedKey::clone(&self.0.certified);
        certified.ocsp = Some(response);
        Self(Arc::new(Checked {
            chain: self.0.chain.clone(),
            key: self.0.key.clone_key(),
            certified: Arc::new(certified),
        }))
    }

    /// The certificates, the leaf first.
    pub fn chain(&self) -> &[Certificate] {
        &self.0.chain
    }

    /// The first certificate, whose key is held.
    pub fn leaf(&self) -> &Certificate {
        &self.0.chain[0]
    }

    /// The private key.
    pub fn private_key(&self) -> &PrivateKeyDer<'static> {
        &self.0.key
    }

    /// Chain and key as rustls takes them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0.certified
    }
}

impl PartialEq for Credential {
    /// Whether chain and key are the same.
    fn eq(&self, other: &Self) -> bool {
        self.chain() == other.chain() && self.0.key.secret_der() == other.0.key.secret_der()
    }
}

impl Eq for Credential {}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("chain", &self.0.chain)
            .finish_non_exhaustive()
    }
}

/// Why a chain and a key are not a credential.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The text of the chain cannot be read.
    #[error("the certificate chain cannot be read")]
    ChainPem(#[source] PemError),
    /// The provider does not take the key.
    #[error("the private key is not usable")]
    Key(#[source] rustls::Error),
    /// The text of the key cannot be read.
    #[error("the private key cannot be read")]
    KeyPem(#[source] PemError),
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// The key is not that of the first certificate.
    #[error("the private key is not that of the first certificate")]
    OtherKey,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Authority, provider};

    #[test]
    fn every_kind_of_key_is_taken() {
        let algorithms = [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
        ];
        for algorithm in algorithms {
            let key = testing::key_pair(algorithm);
            let params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            let key = key.serialize_pem();
            let credential = Credential::from_pem(chain.as_bytes(), key.as_bytes(), &provider());
            assert!(credential.is_ok(), "{algorithm:?}");
        }
    }

    #[test]
    fn the_key_is_that_of_the_first_certificate() {
        let authority = Authority::new("root");
        let leaf = authority.host("a.example");
        let mut chain = leaf.chain().to_vec();
        chain.push(authority.certificate());
        let key = || leaf.private_key().clone_key();
        assert!(Credential::new(chain.clone(), key(), &provider()).is_ok());
        chain.reverse();
        let error = Credential::new(chain, key(), &provider()).unwrap_err();
        assert!(matches!(error, CredentialError::OtherKey));
        let error = Credential::new(Vec::new(), key(), &provider()).unwrap_err();
        assert!(matches!(error, CredentialError::NoCertificate));
    }

    #[test]
    fn a_key_is_not_printed() {
        let credential = Authority::new("root").host("a.example");
        let printed = format!("{credential:?}");
        assert!(printed.contains("a.example"), "{printed}");
        assert!(!printed.to_lowercase().contains("key"), "{printed}");
    }
}
