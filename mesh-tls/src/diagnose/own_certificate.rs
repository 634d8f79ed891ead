use std::fmt;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::certificate::Certificate;
use crate::digest::{Digest, Sha256};
use crate::validity::Validity;
use crate::verify::Span;

/// The certificate that we showed, for whoever has to find out why the peer does not accept it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnCertificate {
    fingerprint: Digest,
    issuer: String,
    validity: Validity,
    now: UnixTime,
}

impl OwnCertificate {
    /// What there is to know of a certificate at the time of `clock`. `None` without a certificate,
    /// a digest or the time.
    pub fn new(
        certificate: Option<Certificate>,
        provider: &CryptoProvider,
        clock: &dyn TimeProvider,
    ) -> Option<Self> {
        let certificate = certificate?;
        let sha256 = Sha256::of_provider(provider).ok()?;
        Some(Self {
            fingerprint: certificate.fingerprint(&sha256),
            issuer: certificate.issuer().to_owned(),
            validity: certificate.validity(),
            now: clock.current_time()?,
        })
    }
}

impl fmt::Display for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fingerprint,
            issuer,
            validity,
            now,
        } = self;
        write!(f, "certificate {fingerprint}, signed by `{issuer}`, ")?;
        let span = |from: UnixTime, to: UnixTime| {
            Span(Duration::from_secs(
                to.as_secs().saturating_sub(from.as_secs()),
            ))
        };
        let (first, last) = (validity.not_before(), validity.not_after());
        if *now < first {
            write!(f, "not valid for another {}", span(*now, first))
        } else if validity.contains(*now) {
            write!(f, "valid for another {}", span(*now, last))
        } else {
            write!(f, "expired {} ago", span(last, *now))
        }
    }
}
