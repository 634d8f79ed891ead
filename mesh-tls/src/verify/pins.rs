//! Certificates and keys that are accepted by their digests.

use std::collections::HashSet;

use crate::certificate::Certificate;
use crate::digest::{Digest, ParseDigestError, Sha256};

/// Digests, one of which the peer's certificate or its public key has to have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pins {
    certificates: HashSet<Digest>,
    public_keys: HashSet<Digest>,
}

impl Pins {
    /// Parses `verifyCertificateHash` (hexadecimal, of certificates) and `verifyCertificateSpki`
    /// (base64, of public keys). Either is enough, as in Envoy.
    ///
    /// # Errors
    ///
    /// When a text is not a SHA-256 digest.
    pub fn parse<'a>(
        certificates: impl IntoIterator<Item = &'a str>,
        public_keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ParseDigestError> {
        let certificates = certificates.into_iter().map(Digest::from_hex);
        let public_keys = public_keys.into_iter().map(Digest::from_base64);
        Ok(Self {
            certificates: certificates.collect::<Result<_, _>>()?,
            public_keys: public_keys.collect::<Result<_, _>>()?,
        })
    }

    /// Whether nothing is pinned, so that every certificate is accepted.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.public_keys.is_empty()
    }

    pub(super) fn contains(&self, leaf: &Certificate, sha256: &Sha256) -> bool {
        self.certificates.contains(&leaf.fingerprint(sha256))
            || self
                .public_keys
                .contains(&leaf.public_key_fingerprint(sha256))
    }
}
