//! Certificate revocation lists ([RFC 5280 section 5]).
//!
//! [RFC 5280 section 5]: https://www.rfc-editor.org/rfc/rfc5280#section-5
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_tls::ca::SerialNumber;
//! use mesh_tls::ca::crl::{Reason, Revocations, Revoked};
//! use mesh_tls::ca::root::RootSpec;
//! use mesh_tls::csr::KeyKind;
//! use mesh_tls::key::SigningKey;
//! use rustls_pki_types::UnixTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
//! let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
//! let root = RootSpec::default().sign(key, now, SerialNumber::new([1; 16]), &provider)?;
//!
//! let stolen = Revoked { serial: vec![7], at: now, reason: Some(Reason::KeyCompromise) };
//! let list = Revocations { number: 1, lifetime: Duration::from_secs(86_400), revoked: vec![stolen] };
//! let list = list.sign(&root, now)?;
//! assert!(list.to_pem().starts_with("-----BEGIN X509 CRL-----"));
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};

use super::signer::Signer;
use super::writer::date;
use crate::clock::later;
use crate::pem;

/// Certificates of one signer that count no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocations {
    /// The number of the list, higher than that of the list before.
    pub number: u64,
    /// How long until the next list is due.
    pub lifetime: Duration,
    /// The certificates, each once.
    pub revoked: Vec<Revoked>,
}

/// A certificate that counts no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revoked {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: UnixTime,
    /// Why, if it is said.
    pub reason: Option<Reason>,
}

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// Others have its key.
    KeyCompromise,
    /// Others have the authority's key.
    CaCompromise,
    /// The holder's name has changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The holder does not exist any more.
    CessationOfOperation,
    /// The holder may not say any more what the certificate says.
    PrivilegeWithdrawn,
}

impl Revocations {
    /// Signs the list.
    ///
    /// # Errors
    ///
    /// When the signing certificate may not sign lists, the lifetime is zero, or the cryptographic
    /// library refuses to sign.
    pub fn sign(&self, signer: &Signer, now: UnixTime) -> Result<RevocationList, RevokeError> {
        let may_sign = signer.certificate().key_usage();
        if may_sign.is_some_and(|usage| !usage.crl_sign()) {
            return Err(RevokeError::NotASignerOfLists);
        }
        if self.lifetime < Duration::from_secs(1) {
            return Err(RevokeError::NoLifetime);
        }
        let params = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(later(now, self.lifetime)),
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(signer.issuer());
        let list = list.map_err(|_| RevokeError::Sign)?;
        Ok(RevocationList(list.into()))
    }
}

fn entry(revoked: &Revoked) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(&revoked.serial),
        revocation_time: date(revoked.at),
        reason_code: revoked.reason.map(code),
        invalidity_date: None,
    }
}

fn code(reason: Reason) -> RevocationReason {
    match reason {
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::CaCompromise => RevocationReason::CaCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    }
}

/// A signed list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RevocationList(CertificateRevocationListDer<'static>);

impl RevocationList {
    /// The list in DER.
    pub fn der(&self) -> &CertificateRevocationListDer<'static> {
        &self.0
    }

    /// Writes the list as PEM, as in `ca-crl.pem`.
    pub fn to_pem(&self) -> String {
        pem::encode("X509 CRL", &self.0)
    }
}

/// Why a list was not signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The list would be out of date at once.
    #[error("a revocation list counts for a second at least")]
    NoLifetime,
    /// The key usage of the signing certificate does not allow it.
    #[error("the authority's certificate may not sign revocation lists")]
    NotASignerOfLists,
    /// The cryptographic library refused to sign.
    #[error("the cryptographic library refused to sign")]
    Sign,
}
