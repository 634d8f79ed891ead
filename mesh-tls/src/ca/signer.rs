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
use crate::clock::later;
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
    /// The ways to a root: the one of when the signer was made, and each that goes on where the one before
    /// ends.
    paths: Vec<Path>,
}

/// A way to a root.
struct Path {
    /// When it can be gone.
    validity: Validity,
    /// The certificates on it, without the root.
    certificates: Vec<Certificate>,
}

impl Signer {
    /// Checks that the material is that of an authority that can sign at `now`.
    ///
    /// # Errors
    ///
    /// When there is no root, the certificate may not sign, the key is that of another certificate, the
    /// certificate, those above it or the only roots that it leads to are out of date, or a certificate
    /// signed by it does not lead to one of the roots, by whatever fault of the certificates in between.
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
        let mut signer = Self {
            probe: probe(&issuer)?,
            intermediates: in_order(&certificate, intermediates, &roots),
            certificate,
            key,
            roots,
            issuer,
            algorithms: provider.signature_verification_algorithms,
            paths: Vec::new(),
        };
        signer.paths = signer.paths(now)?;
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
    /// unless it is a root, and those above it, without the root. Those that no way to a root needs are
    /// left out of what is [issued](super::Issued::chain) if they expire before it.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The roots that peers are told to trust.
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    /// When the signing certificate and those above it, save the root, all count. Only those on the way to
    /// a root do so here; where one way ends and there is another, that goes on.
    pub fn validity(&self) -> Validity {
        let paths = self.paths.iter().map(|path| path.validity);
        let all = paths.reduce(|all, next| Validity::new(all.not_before(), next.not_after()));
        all.unwrap_or_else(|| self.certificate.validity())
    }

    /// Whether certificates of this signer lead to one of `roots` at `now`.
    pub fn leads_to(&self, roots: &[Certificate], now: UnixTime) -> bool {
        self.verify(roots, now).is_ok()
    }

    pub(super) fn issuer(&self) -> &rcgen::Issuer<'static, CaKey> {
        &self.issuer
    }

    /// What the holder of a certificate of this validity presents above it: the longest way to a root that
    /// there is at `now`, and what else outlasts it.
    pub(super) fn above(
        &self,
        leaf: Validity,
        now: UnixTime,
    ) -> impl Iterator<Item = &Certificate> {
        let paths = self.paths.iter().filter(|path| path.validity.contains(now));
        let path = paths.max_by_key(|path| path.validity.not_after());
        self.intermediates.iter().filter(move |one| {
            let validity = one.validity();
            path.is_none_or(|path| path.certificates.contains(one))
                || validity.contains(now) && leaf.not_after() <= validity.not_after()
        })
    }

    /// The last second in which certificates of this signer lead to a root that counts, as far as can be
    /// said at `now`.
    pub(super) fn not_after(&self, now: UnixTime) -> UnixTime {
        let leads = |root: &&Certificate| self.leads_to(std::slice::from_ref(*root), now);
        let roots = self.roots.iter().filter(leads);
        let root = roots.map(|root| root.validity().not_after()).max();
        let own = self.validity().not_after();
        root.map_or(own, |root| own.min(root))
    }

    fn paths(&self, now: UnixTime) -> Result<Vec<Path>, SignerError> {
        let mut paths = vec![self.path(now)?];
        while let Some(last) = paths.last().map(|path| path.validity.not_after())
            && let Ok(path) = self.path(later(last, Duration::from_secs(1)))
            && last < path.validity.not_after()
        {
            paths.push(path);
        }
        Ok(paths)
    }

    fn path(&self, now: UnixTime) -> Result<Path, SignerError> {
        let certificates = self.verify(&self.roots, now)?;
        let above = certificates.iter().map(Certificate::validity);
        let validity = above.fold(self.certificate.validity(), |all, one| {
            all.intersection(&one)
        });
        Ok(Path {
            validity,
            certificates,
        })
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
        let all = own.intersection(&root);
        Err(if all.is_expired(now) {
            let by = between(all.not_after(), now);
            SignerError::Expired { by }
        } else {
            let by = between(now, all.not_before());
            SignerError::NotYetValid { by }
        })
    }

    /// The certificates on the way to one of `roots`, without it.
    fn verify(
        &self,
        roots: &[Certificate],
        now: UnixTime,
    ) -> Result<Vec<Certificate>, SignerError> {
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
        let path = path.map_err(SignerError::of_chain)?;
        let is_on_path = |one: &&Certificate| {
            let mut path = path.intermediate_certificates();
            path.any(|cert| cert.der() == *one.der())
        };
        Ok(self
            .intermediates
            .iter()
            .filter(is_on_path)
            .cloned()
            .collect())
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
fn in_order(
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

fn between(time: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(time.as_secs()))
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
    /// The certificate, one above it, or the root that it leads to has expired.
    #[error("the authority's certificate, or one above it, expired {} ago", Span(*.by))]
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
    /// The certificate, one above it, or the root that it leads to does not count yet.
    #[error(
        "the authority's certificate, or one above it, is not valid for another {}; is a clock wrong?",
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

impl SignerError {
    /// webpki compares with the time by which it was asked.
    fn of_chain(error: webpki::Error) -> Self {
        match error {
            webpki::Error::CertExpired { time, not_after } => Self::Expired {
                by: between(not_after, time),
            },
            webpki::Error::CertNotValidYet { time, not_before } => Self::NotYetValid {
                by: between(time, not_before),
            },
            error => Self::Chain(error),
        }
    }
}
