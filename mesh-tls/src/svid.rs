//! X509-SVIDs: certificates that prove a SPIFFE ID ([X509-SVID]).
//!
//! The leaf has exactly one URI among its names, which is a SPIFFE ID with a path (sections 2 and
//! 4.1); it is no authority's, and its key signs handshakes but neither certificates nor
//! revocation lists (sections 4.1 and 4.3). The certificates above it are authorities' that may
//! sign certificates, and name no workload (section 3.2). An [`X509Svid`] that exists fulfils all of this, and holds the key of its
//! leaf.
//!
//! [X509-SVID]: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_tls::svid::X509Svid;
//! use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, SanType};
//!
//! let id = "spiffe://cluster.local/ns/shop/sa/cart";
//! let mut params = CertificateParams::default();
//! params.subject_alt_names.push(SanType::URI(id.try_into()?));
//! params.key_usages.push(KeyUsagePurpose::DigitalSignature);
//! let key = KeyPair::generate()?;
//! let chain = params.self_signed(&key)?.pem();
//!
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let svid = X509Svid::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes(), &provider)?;
//! assert_eq!(svid.id().as_str(), id);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use mesh_core::identity::{ParseSpiffeIdError, SpiffeId};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

use crate::certificate::Certificate;
use crate::credential::{Credential, CredentialError};
use crate::foreign::Foreign;
use crate::validity::Validity;

/// A SPIFFE ID, the certificates that prove it, and the key. Cheap to clone.
///
/// Its [`Debug`](std::fmt::Debug) form does not show the key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct X509Svid {
    id: SpiffeId,
    credential: Credential,
}

impl X509Svid {
    /// Takes a chain, the leaf first, and the key of the leaf.
    ///
    /// # Errors
    ///
    /// Those of [`validate_chain`], and those of [`Credential::new`].
    pub fn new(
        chain: Vec<Certificate>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        Credential::new(chain, key, provider)?.try_into()
    }

    /// Parses a chain and a key, which may be in the same text.
    ///
    /// # Errors
    ///
    /// Those of [`validate_chain`], and those of [`Credential::from_pem`].
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        Credential::from_pem(chain, key, provider)?.try_into()
    }

    /// The identity.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificates, the leaf first.
    pub fn chain(&self) -> &[Certificate] {
        self.credential.chain()
    }

    /// The certificate that names the identity.
    pub fn leaf(&self) -> &Certificate {
        self.credential.leaf()
    }

    /// The private key.
    pub fn private_key(&self) -> &PrivateKeyDer<'static> {
        self.credential.private_key()
    }

    /// When the identity can be proven: while all certificates of the chain count.
    pub fn validity(&self) -> Validity {
        let all = self.chain().iter().map(Certificate::validity);
        let all = all.reduce(|all, one| all.intersection(&one));
        all.unwrap_or_else(|| self.leaf().validity())
    }

    /// Chain and key as rustls takes them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        self.credential.certified_key()
    }

    /// Chain and key without the identity.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}

impl TryFrom<Credential> for X509Svid {
    type Error = SvidError;

    /// Takes a credential whose chain is that of an SVID.
    ///
    /// # Errors
    ///
    /// Those of [`validate_chain`].
    fn try_from(credential: Credential) -> Result<Self, SvidError> {
        let id = validate_chain(credential.chain())?;
        Ok(Self { id, credential })
    }
}

/// Checks the rules of X509-SVID for a chain, the leaf first, and gives the identity.
///
/// Whether the chain leads to a trusted authority is the question of
/// [`verify`](crate::verify).
///
/// # Errors
///
/// When there is no certificate, the leaf has not exactly one URI, the URI is no SPIFFE ID with a
/// path, the leaf is an authority's or its key usage is wrong, or a certificate above it is not an
/// authority's that may sign certificates, or names a workload.
pub fn validate_chain(chain: &[Certificate]) -> Result<SpiffeId, SvidError> {
    let Some((leaf, signers)) = chain.split_first() else {
        return Err(SvidError::Credential(CredentialError::NoCertificate));
    };
    let id = validate_leaf(leaf)?;
    for (index, signer) in signers.iter().enumerate() {
        let index = index + 1;
        if !signer.is_ca() {
            return Err(SvidError::SignerNotCa { index });
        }
        if !signer
            .key_usage()
            .is_some_and(|usage| usage.key_cert_sign())
        {
            return Err(SvidError::SignerCannotSign { index });
        }
        if let Some(id) = workload_of(signer) {
            return Err(SvidError::SignerHasPath { index, id });
        }
    }
    Ok(id)
}

/// The workload that an authority's certificate names, which it must not: its SPIFFE ID, if there is
/// one, is that of a trust domain (section 3.2).
fn workload_of(signer: &Certificate) -> Option<SpiffeId> {
    let mut ids = signer.uris().filter_map(|uri| uri.parse::<SpiffeId>().ok());
    ids.find(|id| !id.path().is_empty())
}

fn validate_leaf(leaf: &Certificate) -> Result<SpiffeId, SvidError> {
    let id = sole_id(leaf.uris())?;
    if id.path().is_empty() {
        return Err(SvidError::NoPath { id });
    }
    if leaf.is_ca() {
        return Err(SvidError::LeafIsCa);
    }
    let usage = leaf.key_usage();
    if !usage.is_some_and(|usage| usage.digital_signature()) {
        return Err(SvidError::NoDigitalSignature);
    }
    if usage.is_some_and(|usage| usage.key_cert_sign()) {
        return Err(SvidError::LeafSignsCertificates);
    }
    if usage.is_some_and(|usage| usage.crl_sign()) {
        return Err(SvidError::LeafSignsRevocations);
    }
    Ok(id)
}

/// The SPIFFE ID among the URIs of a certificate (section 2): there is one URI, no more.
pub(crate) fn sole_id<'a>(mut uris: impl Iterator<Item = &'a str>) -> Result<SpiffeId, SvidError> {
    let Some(uri) = uris.next() else {
        return Err(SvidError::NoUri);
    };
    if uris.next().is_some() {
        return Err(SvidError::SeveralUris);
    }
    uri.parse().map_err(|source| SvidError::Id {
        uri: uri.to_owned(),
        source,
    })
}

/// Why certificates are not those of an X509-SVID.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// Chain and key are no credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The URI is no SPIFFE ID.
    #[error("`{}` is not a SPIFFE ID", Foreign(.uri))]
    Id {
        /// The URI.
        uri: String,
        /// Why.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// The leaf is an authority's.
    #[error("the leaf certificate is that of an authority")]
    LeafIsCa,
    /// The key of the leaf may sign certificates.
    #[error("the leaf certificate has the key usage `keyCertSign`")]
    LeafSignsCertificates,
    /// The key of the leaf may sign revocation lists.
    #[error("the leaf certificate has the key usage `cRLSign`")]
    LeafSignsRevocations,
    /// The key of the leaf may not sign handshakes.
    #[error("the leaf certificate lacks the key usage `digitalSignature`")]
    NoDigitalSignature,
    /// The identity is that of a trust domain, not of a workload.
    #[error("`{id}` has no path")]
    NoPath {
        /// The identity.
        id: SpiffeId,
    },
    /// The leaf has no URI.
    #[error("the leaf certificate has no URI among its names")]
    NoUri,
    /// The leaf has more than one URI.
    #[error("the leaf certificate has more than one URI among its names")]
    SeveralUris,
    /// The key of a certificate above the leaf may not sign certificates.
    #[error("certificate {index} of the chain lacks the key usage `keyCertSign`")]
    SignerCannotSign {
        /// Which, counted from the leaf, which is 0.
        index: usize,
    },
    /// A certificate above the leaf names a workload.
    #[error("certificate {index} of the chain, an authority's, is for the workload `{id}`")]
    SignerHasPath {
        /// Which, counted from the leaf, which is 0.
        index: usize,
        /// The workload.
        id: SpiffeId,
    },
    /// A certificate above the leaf is not an authority's.
    #[error("certificate {index} of the chain is not that of an authority")]
    SignerNotCa {
        /// Which, counted from the leaf, which is 0.
        index: usize,
    },
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};

    use super::*;
    use crate::testing::Authority;

    fn params(uris: &[&str], usages: &[KeyUsagePurpose]) -> CertificateParams {
        let mut params = CertificateParams::default();
        let uris = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.key_usages.extend_from_slice(usages);
        params
    }

    fn sign(params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn a_leaf_follows_the_rules_of_the_standard() {
        use KeyUsagePurpose as U;
        let good = "spiffe://td/workload";
        let sign_only = &[U::DigitalSignature][..];
        let mut authority = params(&[good], sign_only);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut with_dns = params(&[good], sign_only);
        with_dns
            .subject_alt_names
            .push(SanType::DnsName("a.example".try_into().unwrap()));
        type Check = fn(&SvidError) -> bool;
        let cases: [(&str, CertificateParams, Check); 8] = [
            ("no URI", params(&[], sign_only), |e| {
                matches!(e, SvidError::NoUri)
            }),
            ("two URIs", params(&[good, good], sign_only), |e| {
                matches!(e, SvidError::SeveralUris)
            }),
            ("no SPIFFE ID", params(&["https://a"], sign_only), |e| {
                matches!(e, SvidError::Id { .. })
            }),
            ("no path", params(&["spiffe://td"], sign_only), |e| {
                matches!(e, SvidError::NoPath { .. })
            }),
            ("no usage", params(&[good], &[]), |e| {
                matches!(e, SvidError::NoDigitalSignature)
            }),
            (
                "keyCertSign",
                params(&[good], &[U::DigitalSignature, U::KeyCertSign]),
                |e| matches!(e, SvidError::LeafSignsCertificates),
            ),
            (
                "cRLSign",
                params(&[good], &[U::DigitalSignature, U::CrlSign]),
                |e| matches!(e, SvidError::LeafSignsRevocations),
            ),
            ("authority", authority, |e| matches!(e, SvidError::LeafIsCa)),
        ];
        for (name, params, is_expected) in cases {
            let error = validate_chain(&[sign(&params)]).unwrap_err();
            assert!(is_expected(&error), "{name}: {error}");
        }
        for params in [params(&[good], sign_only), with_dns] {
            assert_eq!(validate_chain(&[sign(&params)]).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_signs_is_an_authority_that_may_sign() {
        let leaf = Authority::new("td").svid("/w").leaf().clone();
        let plain = sign(&params(&[], &[KeyUsagePurpose::KeyCertSign]));
        let error = validate_chain(&[leaf.clone(), plain]).unwrap_err();
        assert!(matches!(error, SvidError::SignerNotCa { index: 1 }));

        let root = Authority::new("td").certificate();
        let mut silent = params(&[], &[KeyUsagePurpose::CrlSign]);
        silent.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let error = validate_chain(&[leaf.clone(), root.clone(), sign(&silent)]).unwrap_err();
        assert!(matches!(error, SvidError::SignerCannotSign { index: 2 }));

        let mut of_workload = params(&["spiffe://td/ca"], &[KeyUsagePurpose::KeyCertSign]);
        of_workload.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let error = validate_chain(&[leaf.clone(), sign(&of_workload)]).unwrap_err();
        assert!(matches!(error, SvidError::SignerHasPath { index: 1, .. }));
        let mut of_domain = params(&["spiffe://td"], &[KeyUsagePurpose::KeyCertSign]);
        of_domain.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert!(validate_chain(&[leaf.clone(), sign(&of_domain)]).is_ok());

        assert!(validate_chain(&[leaf, root]).is_ok());
        assert!(validate_chain(&[]).is_err());
    }

    #[test]
    fn an_identity_is_proven_while_the_whole_chain_counts() {
        let authority = Authority::new("td");
        let svid = authority.svid("/w");
        let mut chain = svid.chain().to_vec();
        chain.push(authority.certificate());
        let key = svid.private_key().clone_key();
        let longer = X509Svid::new(chain, key, &crate::testing::provider()).unwrap();
        let leaf = svid.validity();
        assert_eq!(
            longer.validity(),
            leaf.intersection(&authority.certificate().validity())
        );
    }
}
