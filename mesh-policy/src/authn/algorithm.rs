//! Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1).

use std::fmt;

use rustls_pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};

/// The algorithms that a cryptographic provider offers.
///
/// Pass those of the provider that the program uses for TLS, such as
/// `provider.signature_verification_algorithms.all` of rustls. A token whose algorithm is not among
/// them is not accepted. The providers refuse RSA keys of less than 2048 bits.
#[derive(Clone, Copy)]
pub struct Algorithms {
    provided: &'static [&'static dyn SignatureVerificationAlgorithm],
}

impl Algorithms {
    /// Verifies by `provided`.
    pub const fn new(provided: &'static [&'static dyn SignatureVerificationAlgorithm]) -> Self {
        Self { provided }
    }

    /// The first that is for this kind of key and makes this kind of signature.
    pub(super) fn find(
        self,
        key: AlgorithmIdentifier,
        signature: AlgorithmIdentifier,
    ) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        let mut provided = self.provided.iter().copied();
        provided.find(|one| one.public_key_alg_id() == key && one.signature_alg_id() == signature)
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.provided.len();
        f.debug_struct("Algorithms").field("count", &count).finish()
    }
}

/// The `alg` of a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// EdDSA on Ed25519.
    EdDsa,
    /// HMAC with SHA-256. Known, and never verified: whoever can verify can sign.
    Hs256,
    /// HMAC with SHA-384. Known, and never verified.
    Hs384,
    /// HMAC with SHA-512. Known, and never verified.
    Hs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    const ALL: [Self; 13] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The algorithm of this name, in exactly this case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// What kind of key it needs, and what kind of signature it makes; nothing for HMAC.
    pub(super) const fn identifiers(self) -> Option<(AlgorithmIdentifier, AlgorithmIdentifier)> {
        Some(match self {
            Self::Es256 => (alg_id::ECDSA_P256, alg_id::ECDSA_SHA256),
            Self::Es384 => (alg_id::ECDSA_P384, alg_id::ECDSA_SHA384),
            Self::Es512 => (alg_id::ECDSA_P521, alg_id::ECDSA_SHA512),
            Self::EdDsa => (alg_id::ED25519, alg_id::ED25519),
            Self::Hs256 | Self::Hs384 | Self::Hs512 => return None,
            Self::Ps256 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256),
            Self::Ps384 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384),
            Self::Ps512 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512),
            Self::Rs256 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256),
            Self::Rs384 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384),
            Self::Rs512 => (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512),
        })
    }
}
