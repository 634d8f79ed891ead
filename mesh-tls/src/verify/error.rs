//! Why a peer is not believed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use rustls::{CertificateError, Error, OtherError};
use rustls_pki_types::UnixTime;

use crate::certificate::ParseCertificateError;
use crate::digest::Digest;
use crate::foreign::Foreign;
use crate::svid::SvidError;

/// Why a peer is not believed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The chain breaks a rule that the other variants do not name.
    #[error("the certificate chain is not valid: {0}")]
    Chain(#[source] webpki::Error),
    /// A certificate of the chain counts no more.
    #[error("a certificate expired {} ago", Span(*.by))]
    Expired {
        /// Its last second.
        not_after: UnixTime,
        /// How long ago that was.
        by: Duration,
    },
    /// The leaf cannot be parsed.
    #[error(transparent)]
    Malformed(#[from] ParseCertificateError),
    /// The names of the certificate are not the expected ones.
    #[error("the certificate is for {}, wanted {}", List(.got), List(.wanted))]
    Names {
        /// The names of the certificate.
        got: Vec<String>,
        /// One of these was expected.
        wanted: Vec<String>,
    },
    /// The peer presented no certificate.
    #[error("no certificate was presented")]
    NoCertificate,
    /// A certificate of the chain does not count yet.
    #[error("a certificate is not valid for another {}; is a clock wrong?", Span(*.by))]
    NotYetValid {
        /// Its first second.
        not_before: UnixTime,
        /// How long it is until then.
        by: Duration,
    },
    /// Neither the certificate nor its key is pinned.
    #[error("certificate {certificate} with public key {public_key} is not pinned")]
    NotPinned {
        /// Digest of the certificate.
        certificate: Digest,
        /// Digest of its public key.
        public_key: Digest,
    },
    /// The certificate is not for this purpose (RFC 5280 section 4.2.1.12).
    #[error("the certificate is not for this side of TLS")]
    Purpose(#[source] webpki::Error),
    /// More revocation lists are about the chain than are tried.
    #[error("more revocation lists have the name of an issuer of the chain than are tried")]
    RevocationLists,
    /// A revocation list is out of date.
    #[error("the revocation list is out of date for {}", Span(*.by))]
    RevocationListExpired {
        /// How long.
        by: Duration,
    },
    /// No revocation list is about a certificate of the chain.
    #[error("no revocation list is about the certificate")]
    RevocationUnknown,
    /// A certificate of the chain is revoked.
    #[error("a certificate is revoked")]
    Revoked,
    /// The only authority that the chain leads to counts no more.
    #[error("the root `{subject}` expired {} ago", Span(*.by))]
    RootExpired {
        /// The authority, in the form of RFC 2253.
        subject: String,
        /// Its last second.
        not_after: UnixTime,
        /// How long ago that was.
        by: Duration,
    },
    /// The only authority that the chain leads to does not count yet.
    #[error("the root `{subject}` is not valid for another {}; is a clock wrong?", Span(*.by))]
    RootNotYetValid {
        /// The authority, in the form of RFC 2253.
        subject: String,
        /// Its first second.
        not_before: UnixTime,
        /// How long it is until then.
        by: Duration,
    },
    /// The leaf is not that of an X509-SVID.
    #[error(transparent)]
    Svid(#[from] SvidError),
    /// The identity is of a trust domain that is not accepted, or that nobody is believed about.
    #[error("`{got}` is not a trust domain that is accepted here")]
    TrustDomain {
        /// The peer's.
        got: TrustDomain,
    },
    /// The chain leads to no authority that is believed.
    #[error(transparent)]
    UntrustedIssuer(Box<UntrustedIssuer>),
}

/// Both ends of a chain that does not meet what is trusted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "certificate {leaf} was signed by `{}`, and the chain leads to none of {} trusted \
     authorities ({})",
    Foreign(issuer), trusted.len(), Fingerprints(trusted)
)]
#[non_exhaustive]
pub struct UntrustedIssuer {
    /// Digest of the peer's certificate.
    pub leaf: Digest,
    /// Who signed the last certificate that the peer sent, in the form of RFC 2253. Empty if it has
    /// no name.
    pub issuer: String,
    /// Digests of the other certificates that the peer sent.
    pub chain: Vec<Digest>,
    /// Digests of the authorities that are trusted.
    pub trusted: Vec<Digest>,
}

impl VerifyError {
    /// The error of a chain at `now`, as far as it needs nothing but webpki's.
    pub(super) fn of_chain(error: webpki::Error, now: UnixTime) -> Self {
        use webpki::Error as E;
        let since =
            |time: UnixTime| Duration::from_secs(now.as_secs().saturating_sub(time.as_secs()));
        match error {
            E::CertExpired { not_after, .. } => Self::Expired {
                not_after,
                by: since(not_after),
            },
            E::CertNotValidYet { not_before, .. } => Self::NotYetValid {
                not_before,
                by: Duration::from_secs(not_before.as_secs().saturating_sub(now.as_secs())),
            },
            E::CertRevoked => Self::Revoked,
            E::CrlExpired { next_update, .. } => Self::RevocationListExpired {
                by: since(next_update),
            },
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Self::Purpose(error),
            // A list of another authority of the same name says nothing.
            E::UnknownRevocationStatus
            | E::InvalidCrlSignatureForPublicKey
            | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::RevocationUnknown,
            _ => Self::Chain(error),
        }
    }

    /// The error for rustls, which chooses the alert that the peer gets (RFC 8446 section 6.2).
    pub(super) fn to_rustls(&self, now: UnixTime) -> Error {
        let certificate = match self {
            Self::Expired { not_after, .. } | Self::RootExpired { not_after, .. } => {
                CertificateError::ExpiredContext {
                    time: now,
                    not_after: *not_after,
                }
            }
            Self::NotYetValid { not_before, .. } | Self::RootNotYetValid { not_before, .. } => {
                CertificateError::NotValidYetContext {
                    time: now,
                    not_before: *not_before,
                }
            }
            Self::Malformed(_) => CertificateError::BadEncoding,
            Self::Purpose(_) => CertificateError::InvalidPurpose,
            Self::RevocationListExpired { .. } => CertificateError::ExpiredRevocationList,
            Self::RevocationLists | Self::RevocationUnknown => {
                CertificateError::UnknownRevocationStatus
            }
            Self::Revoked => CertificateError::Revoked,
            Self::TrustDomain { .. } | Self::UntrustedIssuer(_) => CertificateError::UnknownIssuer,
            Self::Chain(_)
            | Self::Names { .. }
            | Self::NoCertificate
            | Self::NotPinned { .. }
            | Self::Svid(_) => CertificateError::Other(OtherError(Arc::new(self.clone()))),
        };
        Error::InvalidCertificate(certificate)
    }
}

/// A span of time in its largest whole unit.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [
            (86_400, "day"),
            (3_600, "hour"),
            (60, "minute"),
            (1, "second"),
        ];
        let unit = units.iter().find(|(length, _)| seconds >= *length);
        let (count, name) = unit.map_or((0, "second"), |(length, name)| (seconds / length, name));
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {name}{plural}")
    }
}

/// How many names a message lists.
const LISTED: usize = 5;

/// Names in backticks, not too many of them.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody");
        }
        for (index, name) in self.0.iter().take(LISTED).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}`{}`", Foreign(name))?;
        }
        match self.0.len().checked_sub(LISTED) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

struct Fingerprints<'a>(&'a [Digest]);

impl fmt::Display for Fingerprints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        List(&texts).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        let cases = [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (119, "1 minute"),
            (7_200, "2 hours"),
            (86_400 * 3 + 5, "3 days"),
        ];
        for (seconds, text) in cases {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn what_a_peer_says_of_itself_ends_no_line_and_is_cut() {
        let uri = format!("spiffe://td/\n\u{1b}[31m{}", "a".repeat(64 << 10));
        let source = uri.parse::<mesh_core::identity::SpiffeId>().unwrap_err();
        let id = SvidError::Id {
            uri: uri.clone(),
            source,
        };
        let names = VerifyError::Names {
            got: vec![uri.clone()],
            wanted: vec!["spiffe://td/a".to_owned()],
        };
        let issuer = VerifyError::UntrustedIssuer(Box::new(UntrustedIssuer {
            leaf: Digest::from_hex(&"0".repeat(64)).unwrap(),
            issuer: uri,
            chain: Vec::new(),
            trusted: Vec::new(),
        }));
        for error in [id.into(), names, issuer] {
            let text = error.to_string();
            assert!(text.len() < 1_000, "{} bytes", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains(r"spiffe://td/\n\u{1b}[31maaa"), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(
            List(&names).to_string(),
            "`0`, `1`, `2`, `3`, `4` and 2 more"
        );
        assert_eq!(List(&names[..5]).to_string(), "`0`, `1`, `2`, `3`, `4`");
        assert_eq!(List(&[]).to_string(), "nobody");
    }
}
