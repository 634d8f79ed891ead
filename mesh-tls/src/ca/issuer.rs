//! A certificate for a signing request.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::UnixTime;

use super::serial::SerialNumber;
use super::signer::Signer;
use super::writer::date;
use crate::certificate::{Certificate, ParseCertificateError, SubjectAltName};
use crate::clock::{earlier, later};
use crate::csr::SigningRequest;
use crate::pem;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The longest common name (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// For how long certificates are issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IssuancePolicy {
    /// The lifetime when a request does not ask for one. Default: 24 hours, istiod's
    /// `DEFAULT_WORKLOAD_CERT_TTL`. It is cut to what is left of the authority's certificates.
    pub default_ttl: Duration,
    /// The longest lifetime that a request may ask for. Default: 90 days, istiod's
    /// `MAX_WORKLOAD_CERT_TTL`.
    pub max_ttl: Duration,
    /// How long before the time of issue a certificate begins to count, for peers whose clocks are
    /// late. Default: 2 minutes.
    pub backdate: Duration,
}

impl Default for IssuancePolicy {
    fn default() -> Self {
        Self {
            default_ttl: 24 * HOUR,
            max_ttl: 90 * 24 * HOUR,
            backdate: Duration::from_secs(120),
        }
    }
}

/// What a certificate says besides the public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuance {
    /// The names that the caller has proven, at least one.
    pub names: Vec<SubjectAltName>,
    /// The lifetime that the request asks for; zero is the default of the policy.
    pub ttl: Duration,
    /// The time of issue.
    pub now: UnixTime,
    /// The serial number.
    pub serial: SerialNumber,
}

impl Issuance {
    /// A certificate for the workload `id`, of the default lifetime.
    pub fn for_workload(id: &SpiffeId, now: UnixTime, serial: SerialNumber) -> Self {
        Self {
            names: vec![SubjectAltName::Uri(id.as_str().to_owned())],
            ttl: Duration::ZERO,
            now,
            serial,
        }
    }
}

/// Issues certificates. A snapshot: an [`Authority`](super::Authority) makes a new one when it
/// changes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Issuer {
    signer: Arc<Signer>,
    roots: Arc<[Certificate]>,
    policy: IssuancePolicy,
}

impl Issuer {
    /// Issues by `signer`, and tells peers to trust its roots.
    pub fn new(signer: Arc<Signer>, policy: IssuancePolicy) -> Self {
        let roots = signer.roots().into();
        Self {
            signer,
            roots,
            policy,
        }
    }

    /// Tells peers to trust `roots` instead, which should include the signer's.
    #[must_use]
    pub fn with_roots(mut self, roots: impl Into<Arc<[Certificate]>>) -> Self {
        self.roots = roots.into();
        self
    }

    /// Who signs.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// The roots that peers are told to trust.
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    /// Issues a certificate for the public key of `request`.
    ///
    /// # Errors
    ///
    /// When the lifetime asked for is longer than the policy allows, the signing certificate or one above
    /// it has expired, there is no name or one of a kind that is not issued, or the cryptographic library
    /// refuses to sign.
    pub fn issue(
        &self,
        request: &SigningRequest,
        issuance: &Issuance,
    ) -> Result<Issued, IssueError> {
        let params = self.params(request, issuance)?;
        let key = SubjectPublicKeyInfo::from_der(request.public_key());
        let key = key.map_err(|_| IssueError::Sign)?;
        let signed = params.signed_by(&key, self.signer.issuer());
        let signed = signed.map_err(|_| IssueError::Sign)?;
        let leaf = Certificate::from_der(signed.der())?;
        let above = self.signer.above(leaf.validity(), issuance.now).cloned();
        let chain = std::iter::once(leaf).chain(above).collect();
        Ok(Issued {
            chain,
            roots: Arc::clone(&self.roots),
        })
    }

    fn params(
        &self,
        request: &SigningRequest,
        issuance: &Issuance,
    ) -> Result<CertificateParams, IssueError> {
        let Issuance {
            names,
            ttl,
            now,
            serial,
        } = issuance;
        let Some(first) = names.first() else {
            return Err(IssueError::NoName);
        };
        let mut params = CertificateParams::default();
        params.not_before = date(earlier(*now, self.policy.backdate));
        params.not_after = date(self.not_after(*ttl, *now)?);
        params.serial_number = Some(serial.as_bytes().to_vec().into());
        params.subject_alt_names = names.iter().map(san).collect::<Result<_, _>>()?;
        params.distinguished_name = subject(request, first);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn not_after(&self, ttl: Duration, now: UnixTime) -> Result<UnixTime, IssueError> {
        let IssuancePolicy {
            default_ttl,
            max_ttl,
            backdate: _,
        } = self.policy;
        if ttl > max_ttl {
            let (requested, max) = (ttl, max_ttl);
            return Err(IssueError::TtlTooLong { requested, max });
        }
        let signer = self.signer.certificate().validity();
        let left = self.signer.validity().remaining(now);
        if left.is_zero() {
            return Err(IssueError::SignerExpired);
        }
        let ttl = if ttl.is_zero() {
            default_ttl.min(left)
        } else {
            ttl
        };
        Ok(later(now, ttl).min(signer.not_after()))
    }
}

/// The subject: empty, or with the first name as common name if the request has one and the name
/// is not too long to be one.
fn subject(request: &SigningRequest, first: &SubjectAltName) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    let name = first.to_string();
    if request.has_common_name() && name.len() <= MAX_COMMON_NAME {
        subject.push(DnType::CommonName, name);
    }
    subject
}

fn san(name: &SubjectAltName) -> Result<SanType, IssueError> {
    let text = |text: &str| Ia5String::try_from(text).map_err(|_| unsupported(name));
    match name {
        SubjectAltName::Dns(host) => text(host).map(SanType::DnsName),
        SubjectAltName::Ip(address) => Ok(SanType::IpAddress(*address)),
        SubjectAltName::Uri(uri) => text(uri).map(SanType::URI),
        SubjectAltName::Email(_) | SubjectAltName::Other => Err(unsupported(name)),
    }
}

fn unsupported(name: &SubjectAltName) -> IssueError {
    IssueError::UnsupportedName { name: name.clone() }
}

/// A certificate, with what its holder presents and trusts.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, then those that lead to the root, without the root.
    pub chain: Vec<Certificate>,
    /// The roots to trust, the signer's last.
    pub roots: Arc<[Certificate]>,
}

impl Issued {
    /// The certificate.
    ///
    /// # Panics
    ///
    /// When the chain was emptied.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    /// The elements of istiod's answer, as PEM: the certificate issued, each of those above it, and
    /// last, in one element, all roots. Istio's agent takes the last element for what to trust.
    pub fn to_pem(&self) -> Vec<String> {
        let chain = self.chain.iter().map(|one| pem::encode_certificates([one]));
        let roots = pem::encode_certificates(self.roots.iter());
        let has_roots = !self.roots.is_empty();
        chain.chain(has_roots.then_some(roots)).collect()
    }
}

/// Why a certificate was not issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// What was written is no certificate: a name that is text but not a name.
    #[error("the certificate cannot be written")]
    Malformed(#[from] ParseCertificateError),
    /// The caller has no name.
    #[error("there is no name to issue a certificate for")]
    NoName,
    /// The cryptographic library refused to sign.
    #[error("the cryptographic library refused to sign")]
    Sign,
    /// The signing certificate has expired, or one above it.
    #[error("the signing certificate has expired")]
    SignerExpired,
    /// The request asks for a longer lifetime than the policy allows.
    #[error("requested TTL {requested:?} is greater than the max allowed TTL {max:?}")]
    TtlTooLong {
        /// What it asks for.
        requested: Duration,
        /// What the policy allows.
        max: Duration,
    },
    /// A name is of a kind that is not issued, or not ASCII.
    #[error("certificates are not issued for the name `{name}`")]
    UnsupportedName {
        /// The name.
        name: SubjectAltName,
    },
}
