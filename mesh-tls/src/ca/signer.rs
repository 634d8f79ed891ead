//! The certificate and key that sign.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, SubjectPublicKeyInfo};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::writer::{CaKey, date};
use crate::certificate::Certificate;
use crate::key::SigningKey;
use crate::validity::Validity;
use crate::verify::Span;

/// What a [`Signer`] is made of.
#[derive(Clone, Debug)]
pub struct SignerMaterial {
    /// The certificate that signs.
    pub certificate: Certificate,
    /// Its key.
    pub key: Arc<SigningKey>,
    /// Certificates between the signing one and the root, in any order. It does not matter whether
    /// the signing certificate and the root are among them.
    pub intermediates: Vec<Certificate>,
    /// The roots that peers are told to trust. The signing certificate leads to one of them or is
    /// one.
    pub roots: Vec<Certificate>,
}

/// An authority's certificate and key, with the certificates that lead to its root.
///
/// A signer that exists has signed a certificate for practice, and that certificate leads to one of
/// its roots. So key and certificate belong together, the certificate is an authority's and in date,
/// and so are all above it.
pub struct Signer {
    certificate: Certificate,
    key: Arc<SigningKey>,
    intermediates: Vec<Certificate>,
    roots: Vec<Certificate>,
    issuer: rcgen::Issuer<'static, CaKey>,
    algorithms: WebPkiSupportedAlgorithms,
    /// The certificate signed for practice.
    probe: CertificateDer<'static>,
}

impl Signer {
    /// Checks that the material is that of an authority that can sign at `now`.
    ///
    /// # Errors
    ///
    /// When there is no root, the certificate may not sign or is out of date, the key is that of another
    /// certificate, the only roots that it leads to are out of date, or a certificate signed by it does not lead to one of the roots, by whatever fault of the
    /// certificates in between.
    pub fn new(
        material: SignerMaterial,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<Self, SignerError> {
        let SignerMaterial {
            certificate,
            key,
            intermediates,
            roots,
        } = material;
        let may_sign = certificate
            .key_usage()
            .is_none_or(|usage| usage.key_cert_sign());
        if !certificate.is_ca() || !may_sign {
            return Err(SignerError::NotAnAuthority);
        }
        if key.public_key() != certificate.public_key() {
            return Err(SignerError::OtherKey);
        }
        let issuer = rcgen::Issuer::from_ca_cert_der(certificate.der(), CaKey(Arc::clone(&key)));
        let issuer = issuer.map_err(|_| SignerError::Name)?;
        let signer = Self {
            probe: probe(&issuer)?,
            intermediates: between(&certificate, intermediates, &roots),
            certificate,
            key,
            roots,
            issuer,
            algorithms: provider.signature_verification_algorithms,
        };
        signer.verify(&signer.roots, now)?;
        signer.is_in_date(now)?;
        Ok(signer)
    }

    /// The certificate that signs.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its key.
    pub fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }

    /// The certificates that holders of issued ones present after their own: the signing one,
    /// unless it is a root, and those above it, without the root.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The roots that peers are told to trust.
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    /// When the signing certificate and those above it, save the root, all count.
    pub fn validity(&self) -> Validity {
        let above = self.intermediates.iter().map(Certificate::validity);
        above.fold(self.certificate.validity(), |all, one| {
            all.intersection(&one)
        })
    }

    /// Whether certificates of this signer lead to one of `roots` at `now`.
    pub fn leads_to(&self, roots: &[Certificate], now: UnixTime) -> bool {
        self.verify(roots, now).is_ok()
    }

    pub(super) fn issuer(&self) -> &rcgen::Issuer<'static, CaKey> {
        &self.issuer
    }

    /// Checks what webpki does not look at: the dates of roots, which the signing certificate may be.
    fn is_in_date(&self, now: UnixTime) -> Result<(), SignerError> {
        let own = self.certificate.validity();
        let mut roots = self.roots.iter();
        let last = roots.rfind(|root| self.leads_to(std::slice::from_ref(root), now));
        let root = last.map_or(own, Certificate::validity);
        let counts = |root: &Certificate| root.validity().contains(now);
        let counting: Vec<Certificate> = self.roots.iter().filter(|r| counts(r)).cloned().collect();
        if own.contains(now) && self.leads_to(&counting, now) {
            return Ok(());
        }
        let seconds = |later: UnixTime, time: UnixTime| {
            Duration::from_secs(later.as_secs().saturating_sub(time.as_secs()))
        };
        let all = own.intersection(&root);
        Err(if all.is_expired(now) {
            let by = seconds(now, all.not_after());
            SignerError::Expired { by }
        } else {
            let by = seconds(all.not_before(), now);
            SignerError::NotYetValid { by }
        })
    }

    fn verify(&self, roots: &[Certificate], now: UnixTime) -> Result<(), SignerError> {
        let anchors: Vec<TrustAnchor<'_>> = roots
            .iter()
            .map(|root| anchor_from_trusted_cert(root.der()))
            .collect::<Result<_, _>>()
            .map_err(SignerError::Chain)?;
        if anchors.is_empty() {
            return Err(SignerError::NoRoot);
        }
        let intermediates = self.intermediates.iter().map(|one| one.der().clone());
        let intermediates: Vec<CertificateDer<'_>> = intermediates.collect();
        let leaf = EndEntityCert::try_from(&self.probe).map_err(SignerError::Chain)?;
        let path = leaf.verify_for_usage(
            self.algorithms.all,
            &anchors,
            &intermediates,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        );
        path.map(drop).map_err(SignerError::Chain)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", &self.certificate)
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

/// Puts what stands between the leaf and the root in order: the signing certificate first, unless
/// it is a root, then those of the material that are neither.
fn between(
    certificate: &Certificate,
    intermediates: Vec<Certificate>,
    roots: &[Certificate],
) -> Vec<Certificate> {
    let mut chain: Vec<Certificate> = Vec::with_capacity(intermediates.len() + 1);
    for one in std::iter::once(certificate.clone()).chain(intermediates) {
        if !roots.contains(&one) && !chain.contains(&one) {
            chain.push(one);
        }
    }
    chain
}

/// Signs a certificate without names that counts at any time, to be verified and never given away.
fn probe(issuer: &rcgen::Issuer<'static, CaKey>) -> Result<CertificateDer<'static>, SignerError> {
    let mut params = CertificateParams::default();
    params.not_before = date(UnixTime::since_unix_epoch(Duration::ZERO));
    params.not_after = date(UnixTime::since_unix_epoch(Duration::MAX));
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = SubjectPublicKeyInfo::from_der(issuer.key().0.public_key());
    let key = key.map_err(|_| SignerError::Sign)?;
    let probe = params.signed_by(&key, issuer);
    probe.map(Into::into).map_err(|_| SignerError::Sign)
}

/// Why certificates and a key are not those of an authority that can sign.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// A certificate signed by it does not lead to a root.
    #[error("certificates of this authority do not lead to its root")]
    Chain(#[source] webpki::Error),
    /// The certificate, or the root that it leads to, has expired.
    #[error("the authority's certificate, or its root, expired {} ago", Span(*.by))]
    Expired {
        /// How long ago.
        by: Duration,
    },
    /// The subject cannot be copied into certificates as their issuer.
    #[error("the authority's name has parts that are not supported")]
    Name,
    /// There is no root to trust.
    #[error("the authority has no root certificate")]
    NoRoot,
    /// The certificate may not sign others.
    #[error("the certificate is not an authority's")]
    NotAnAuthority,
    /// The certificate, or the root that it leads to, does not count yet.
    #[error(
        "the authority's certificate, or its root, is not valid for another {}; is a clock wrong?",
        Span(*.by)
    )]
    NotYetValid {
        /// How long it is until then.
        by: Duration,
    },
    /// The key is that of another certificate.
    #[error("the key is not that of the authority's certificate")]
    OtherKey,
    /// The cryptographic library refused to sign.
    #[error("the cryptographic library refused to sign")]
    Sign,
}
