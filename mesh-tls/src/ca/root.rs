//! A root that signs itself, and when it is renewed.
//!
//! As istiod does when it is given no certificates, the root is renewed with the key that it has:
//! certificates that were issued under the old certificate lead to the new one as well, because a
//! root is found by its name and key. Peers that were told of the old certificate only can go on to
//! verify with it until it expires, and by then must have been told of the new one. It is therefore
//! renewed when a fifth of its life is left.
//!
//! Source: istiod, `security/pkg/pki/ca/selfsignedcarootcertrotator.go`.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mesh_tls::ca::SerialNumber;
//! use mesh_tls::ca::root::{RootRenewal, RootSpec};
//! use mesh_tls::csr::KeyKind;
//! use mesh_tls::key::SigningKey;
//! use rustls_pki_types::UnixTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
//! let spec = RootSpec::default();
//! let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
//! let root = spec.sign(Arc::clone(&key), at(0), SerialNumber::new([1; 16]), &provider)?;
//!
//! let renewal = RootRenewal::default();
//! let eight_years = at(8 * 365 * 86_400);
//! assert!(!renewal.is_due(root.certificate().validity(), at(0)));
//! assert!(renewal.is_due(root.certificate().validity(), eight_years));
//! let renewed = spec.sign(key, eight_years, SerialNumber::new([2; 16]), &provider)?;
//! assert_eq!(renewed.certificate().public_key(), root.certificate().public_key());
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;

use super::serial::SerialNumber;
use super::signer::{Signer, SignerError, SignerMaterial};
use super::writer::{CaKey, date};
use crate::certificate::Certificate;
use crate::clock::{earlier, later, part};
use crate::key::SigningKey;
use crate::validity::Validity;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a root says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RootSpec {
    /// The organization, its only name. Default: `cluster.local`; istiod takes the trust domain.
    pub organization: String,
    /// How long it counts, from when it is signed. Default: 3650 days.
    pub lifetime: Duration,
    /// How long before it is signed it begins to count, for peers whose clocks are late. Default: 2
    /// minutes, as the certificates that are issued below it; istiod's roots are not backdated, and a
    /// peer that is late then refuses all of its certificates until it has caught up.
    pub backdate: Duration,
}

impl Default for RootSpec {
    fn default() -> Self {
        Self {
            organization: "cluster.local".to_owned(),
            lifetime: 3650 * DAY,
            backdate: Duration::from_secs(120),
        }
    }
}

impl RootSpec {
    /// Signs a root with `key`. With the key of an older root of the same name, it takes over the
    /// certificates of that one.
    ///
    /// # Errors
    ///
    /// When the cryptographic library refuses to sign, or the result is no authority: the lifetime
    /// is zero, for one.
    pub fn sign(
        &self,
        key: Arc<SigningKey>,
        now: UnixTime,
        serial: SerialNumber,
        provider: &CryptoProvider,
    ) -> Result<Signer, SignerError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, self.organization.as_str());
        params.serial_number = Some(serial.as_bytes().to_vec().into());
        params.not_before = date(earlier(now, self.backdate));
        params.not_after = date(later(now, self.lifetime));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&CaKey(Arc::clone(&key)));
        let signed = signed.map_err(|_| SignerError::Sign)?;
        let certificate = Certificate::from_der(signed.der()).map_err(|_| SignerError::Name)?;
        let material = SignerMaterial {
            roots: vec![certificate.clone()],
            certificate,
            key,
            intermediates: Vec::new(),
        };
        Signer::new(material, now, provider)
    }
}

/// When a root is renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootRenewal {
    /// The part of its life that is left when it is renewed. Default: 0.2.
    pub grace: f64,
    /// How often to look. Default: an hour.
    pub check_interval: Duration,
}

impl Default for RootRenewal {
    fn default() -> Self {
        Self {
            grace: 0.2,
            check_interval: Duration::from_secs(60 * 60),
        }
    }
}

impl RootRenewal {
    /// Whether a root that counts for this time is to be renewed at `now`.
    pub fn is_due(&self, root: Validity, now: UnixTime) -> bool {
        root.renew_at(1.0 - self.grace) <= now
    }

    /// When to look first: within one interval, by a random number between 0 and 1, so that
    /// authorities that started together do not renew together.
    pub fn first_check(&self, now: UnixTime, jitter: f64) -> UnixTime {
        later(now, part(self.check_interval, jitter))
    }
}
