//! Why a handshake failed, in one sentence.
//!
//! rustls says what one side of the protocol saw: `received corrupt message of type
//! InvalidContentType`, `received fatal alert: UnknownCA`. A [`Diagnosis`] says what that means for
//! whoever has to repair it, from our side of the connection: the peer spoke plaintext, the peer
//! does not trust the authority of our certificate. It is a value to match on ([`Cause`]), a
//! sentence ([`Display`](std::fmt::Display)), and a label for metrics that has few values
//! ([`label`](Diagnosis::label)).
//!
//! In TLS 1.3 a client is done before the server has looked at its certificate. What the server
//! thinks of it arrives with the first read, whose error can be diagnosed in the same way.
//!
//! # Example
//!
//! ```
//! use mesh_tls::diagnose::{Cause, Diagnosis, Side};
//! use rustls::{AlertDescription, Error};
//!
//! let error = Error::AlertReceived(AlertDescription::UnknownCA);
//! let diagnosis = Diagnosis::of(Side::Client, &error, None);
//! assert!(matches!(diagnosis.cause(), Cause::OurIssuerUntrusted));
//! assert_eq!(diagnosis.label(), "our_issuer_untrusted");
//! assert_eq!(
//!     diagnosis.to_string(),
//!     "the server does not trust the authority that signed our certificate",
//! );
//! ```

mod own_certificate;

use std::fmt;
use std::io;

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};

use crate::verify::VerifyError;

pub use own_certificate::OwnCertificate;

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Side {
    /// What the other end is called.
    fn peer(self) -> &'static str {
        match self {
            Self::Client => "server",
            Self::Server => "client",
        }
    }
}

/// Why a handshake failed, seen from our side. Its [`source`](std::error::Error::source) is what the verifier
/// or rustls said, where either did.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    side: Side,
    cause: Cause,
    own: Option<Box<OwnCertificate>>,
}

/// Why a handshake failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The connection ended in the middle of the handshake.
    Closed,
    /// The client presented no certificate, which we demand.
    NoClientCertificate,
    /// No application protocol is offered by both sides.
    NoCommonAlpn,
    /// No cipher suite, group or signature scheme is offered by both sides.
    NoCommonCipher,
    /// The server says that there is nothing in common, and we have no certificate: one of TLS 1.2
    /// that demands a certificate says the same.
    NoCommonCipherOrCertificate,
    /// No version of TLS is offered by both sides.
    NoCommonVersion,
    /// We have no certificate for the server name that the client asked for.
    NoServerCertificate,
    /// The server does not accept that we present no certificate.
    OurCertificateMissing,
    /// The peer does not accept our certificate, for the reason of this alert.
    OurCertificateRefused(AlertDescription),
    /// The server asked for no certificate, so that it does not know who we are. The connection
    /// stands; no handshake fails for this cause.
    OurCertificateUnasked,
    /// The peer does not trust the authority that signed our certificate.
    OurIssuerUntrusted,
    /// The peer does not know the server name that we asked for.
    OurServerNameUnknown,
    /// The peer sent this alert.
    PeerAlert(AlertDescription),
    /// The peer's certificate proves not what we demand.
    PeerRefused(Box<VerifyError>),
    /// The peer does not speak TLS.
    Plaintext,
    /// The handshake took too long.
    TimedOut,
    /// The protocol was broken, or the connection failed.
    Protocol(Error),
    /// The connection failed.
    Io(io::ErrorKind),
}

impl Diagnosis {
    /// What `error` means. `refusal` is what the verifier said, if it was asked
    /// ([`PeerVerifier::take_refusal`](crate::verify::PeerVerifier::take_refusal)).
    pub fn of(side: Side, error: &Error, refusal: Option<VerifyError>) -> Self {
        let cause = match (error, refusal) {
            (Error::InvalidCertificate(_), Some(refusal)) => Cause::PeerRefused(Box::new(refusal)),
            (Error::InvalidCertificate(error), None) => of_certificate(error),
            (error, _) => of_protocol(side, error),
        };
        Self::new(side, cause)
    }

    /// What an error of a connection means, if it is one of TLS or of the transport below.
    pub fn of_io(side: Side, error: &io::Error, refusal: Option<VerifyError>) -> Self {
        let inner = error.get_ref();
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
            return Self::of(side, error, refusal);
        }
        let cause = match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Cause::Closed,
            io::ErrorKind::TimedOut => Cause::TimedOut,
            kind => Cause::Io(kind),
        };
        Self::new(side, cause)
    }

    /// A cause that no error of rustls stands for.
    pub fn new(side: Side, cause: Cause) -> Self {
        let own = None;
        Self { side, cause, own }
    }

    /// Tells of the certificate that we showed where the peer did not accept it. With it, a client is
    /// known not to lack one.
    #[must_use]
    pub fn with_own_certificate(mut self, own: Option<OwnCertificate>) -> Self {
        match self.cause {
            Cause::OurCertificateRefused(_) | Cause::OurIssuerUntrusted => {
                self.own = own.map(Box::new);
            }
            Cause::NoCommonCipherOrCertificate if own.is_some() => {
                self.cause = Cause::NoCommonCipher;
            }
            _ => {}
        }
        self
    }

    /// The certificate that we showed and the peer did not accept, if it is known.
    pub fn own_certificate(&self) -> Option<&OwnCertificate> {
        self.own.as_deref()
    }

    /// Which side we are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Why the handshake failed.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The cause as a label of metrics. There are fewer than forty, whatever peers do.
    pub fn label(&self) -> &'static str {
        match &self.cause {
            Cause::Closed => "closed",
            Cause::Io(_) => "io",
            Cause::NoClientCertificate => "no_client_certificate",
            Cause::NoCommonAlpn => "no_common_alpn",
            Cause::NoCommonCipher => "no_common_cipher",
            Cause::NoCommonCipherOrCertificate => "no_common_cipher_or_certificate",
            Cause::NoCommonVersion => "no_common_version",
            Cause::NoServerCertificate => "no_server_certificate",
            Cause::OurCertificateMissing => "our_certificate_missing",
            Cause::OurCertificateRefused(_) => "our_certificate_refused",
            Cause::OurCertificateUnasked => "our_certificate_unasked",
            Cause::OurIssuerUntrusted => "our_issuer_untrusted",
            Cause::OurServerNameUnknown => "our_server_name_unknown",
            Cause::PeerAlert(_) => "peer_alert",
            Cause::PeerRefused(error) => of_refusal(error),
            Cause::Plaintext => "plaintext",
            Cause::Protocol(_) => "protocol",
            Cause::TimedOut => "timed_out",
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence(f)?;
        match &self.own {
            Some(own) => write!(f, " ({own})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnosis {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::PeerRefused(error) => Some(error.as_ref()),
            Cause::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl Diagnosis {
    fn sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.side.peer();
        match &self.cause {
            Cause::Closed => write!(f, "the {peer} closed the connection during the handshake"),
            Cause::Io(kind) => write!(f, "the connection failed: {kind}"),
            Cause::NoClientCertificate => {
                f.write_str("the client presented no certificate, which is demanded here")
            }
            Cause::NoCommonAlpn => {
                write!(
                    f,
                    "we and the {peer} have no application protocol (ALPN) in common"
                )
            }
            Cause::NoCommonCipher => write!(
                f,
                "we and the {peer} have no cipher suite, group or signature scheme in common"
            ),
            Cause::NoCommonCipherOrCertificate => f.write_str(
                "the server has no cipher suite, group or signature scheme in common with us, or \
                 demands a certificate, and we presented none",
            ),
            Cause::NoCommonVersion => {
                write!(f, "we and the {peer} have no version of TLS in common")
            }
            Cause::NoServerCertificate => {
                f.write_str("we have no certificate for what the client asked for")
            }
            Cause::OurCertificateMissing => {
                f.write_str("the server demands a certificate, and we presented none")
            }
            Cause::OurCertificateRefused(alert) => {
                write!(f, "the {peer} refused our certificate: {}", reason(*alert))
            }
            Cause::OurCertificateUnasked => {
                f.write_str("the server asked for no certificate, and does not know who we are")
            }
            Cause::OurIssuerUntrusted => write!(
                f,
                "the {peer} does not trust the authority that signed our certificate"
            ),
            Cause::OurServerNameUnknown => {
                f.write_str("the server does not know the server name that we asked for")
            }
            Cause::PeerAlert(alert) => write!(f, "the {peer} ended the handshake: {alert:?}"),
            Cause::PeerRefused(error) => write!(f, "the {peer} is not believed: {error}"),
            Cause::Plaintext => write!(f, "the {peer} does not speak TLS; is it plaintext?"),
            Cause::Protocol(error) => write!(f, "the handshake with the {peer} failed: {error}"),
            Cause::TimedOut => write!(f, "the {peer} did not finish the handshake in time"),
        }
    }
}

/// A refusal by a verifier of ours whose record somebody else took, or by another verifier.
fn of_certificate(error: &CertificateError) -> Cause {
    if let CertificateError::Other(OtherError(inner)) = error
        && let Some(refusal) = inner.downcast_ref::<VerifyError>()
    {
        return Cause::PeerRefused(Box::new(refusal.clone()));
    }
    Cause::Protocol(Error::InvalidCertificate(error.clone()))
}

fn of_protocol(side: Side, error: &Error) -> Cause {
    match error {
        Error::AlertReceived(alert) => of_alert(side, *alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => Cause::Plaintext,
        Error::NoApplicationProtocol => Cause::NoCommonAlpn,
        Error::NoCertificatesPresented => Cause::NoClientCertificate,
        Error::PeerIncompatible(reason) => of_incompatibility(reason, error),
        // What rustls says when a resolver has no certificate.
        Error::General(text) if text.contains("no server certificate chain resolved") => {
            Cause::NoServerCertificate
        }
        _ => Cause::Protocol(error.clone()),
    }
}

fn of_incompatibility(reason: &PeerIncompatible, error: &Error) -> Cause {
    match reason {
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon => Cause::NoCommonCipher,
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        // What clients of TLS 1.1 lack, which rustls looks for before it looks at the version.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => Cause::NoCommonVersion,
        _ => Cause::Protocol(error.clone()),
    }
}

fn of_alert(side: Side, alert: AlertDescription) -> Cause {
    use AlertDescription as A;
    match alert {
        A::UnknownCA => Cause::OurIssuerUntrusted,
        A::CertificateRequired if side == Side::Client => Cause::OurCertificateMissing,
        A::AccessDenied
        | A::BadCertificate
        | A::CertificateExpired
        | A::CertificateRevoked
        | A::CertificateUnknown
        | A::UnsupportedCertificate => Cause::OurCertificateRefused(alert),
        A::NoApplicationProtocol => Cause::NoCommonAlpn,
        A::ProtocolVersion => Cause::NoCommonVersion,
        A::HandshakeFailure if side == Side::Client => Cause::NoCommonCipherOrCertificate,
        A::HandshakeFailure | A::InsufficientSecurity => Cause::NoCommonCipher,
        A::UnrecognisedName if side == Side::Client => Cause::OurServerNameUnknown,
        _ => Cause::PeerAlert(alert),
    }
}

/// Why the peer refused our certificate (RFC 8446 section 6.2).
fn reason(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::AccessDenied => "our identity is not admitted",
        AlertDescription::BadCertificate => "it is malformed or has the wrong name",
        AlertDescription::CertificateExpired => "it is expired or not valid yet",
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::UnsupportedCertificate => "it is of the wrong kind",
        _ => "it gave no reason; our identity may not be the expected one",
    }
}

fn of_refusal(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::Chain(_) => "peer_chain",
        VerifyError::Expired { .. } => "peer_expired",
        VerifyError::Malformed(_) => "peer_malformed",
        VerifyError::Names { .. } => "peer_names",
        VerifyError::NoCertificate => "peer_no_certificate",
        VerifyError::NotPinned { .. } => "peer_not_pinned",
        VerifyError::NotYetValid { .. } => "peer_not_yet_valid",
        VerifyError::Purpose(_) => "peer_purpose",
        VerifyError::RevocationListExpired { .. } => "peer_revocation_list_expired",
        VerifyError::RevocationLists => "peer_revocation_lists",
        VerifyError::RevocationUnknown => "peer_revocation_unknown",
        VerifyError::Revoked => "peer_revoked",
        VerifyError::RootExpired { .. } => "peer_root_expired",
        VerifyError::RootNotYetValid { .. } => "peer_root_not_yet_valid",
        VerifyError::Svid(_) => "peer_svid",
        VerifyError::TrustDomain { .. } => "peer_trust_domain",
        VerifyError::UntrustedIssuer(_) => "peer_issuer_untrusted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_sentence_and_label() {
        use AlertDescription as A;
        let alert = Error::AlertReceived;
        let plaintext = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let cipher = Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        let cases = [
            (
                Side::Client,
                plaintext,
                "plaintext",
                "the server does not speak TLS",
            ),
            (
                Side::Server,
                Error::NoCertificatesPresented,
                "no_client_certificate",
                "the client presented no certificate",
            ),
            (
                Side::Client,
                alert(A::CertificateRequired),
                "our_certificate_missing",
                "the server demands a certificate, and we presented none",
            ),
            (
                Side::Server,
                alert(A::CertificateExpired),
                "our_certificate_refused",
                "the client refused our certificate: it is expired",
            ),
            (
                Side::Server,
                alert(A::UnknownCA),
                "our_issuer_untrusted",
                "the client does not trust",
            ),
            (
                Side::Server,
                Error::NoApplicationProtocol,
                "no_common_alpn",
                "application protocol",
            ),
            (
                Side::Client,
                alert(A::ProtocolVersion),
                "no_common_version",
                "version of TLS",
            ),
            (Side::Server, cipher, "no_common_cipher", "no cipher suite"),
            (
                Side::Server,
                alert(A::UserCanceled),
                "peer_alert",
                "the client ended the handshake",
            ),
        ];
        for (side, error, label, text) in cases {
            let diagnosis = Diagnosis::of(side, &error, None);
            assert_eq!(diagnosis.label(), label, "{error}");
            assert!(diagnosis.to_string().contains(text), "{diagnosis}");
        }
    }

    #[test]
    fn a_handshake_failure_may_mean_to_a_client_that_it_lacks_a_certificate() {
        let error = Error::AlertReceived(AlertDescription::HandshakeFailure);
        let cases = [
            (
                Side::Client,
                "no_common_cipher_or_certificate",
                "or demands a certificate, and we presented none",
            ),
            (Side::Server, "no_common_cipher", "no cipher suite"),
        ];
        for (side, label, text) in cases {
            let diagnosis = Diagnosis::of(side, &error, None);
            assert_eq!(diagnosis.label(), label);
            assert!(diagnosis.to_string().contains(text), "{diagnosis}");
        }
    }

    #[test]
    fn a_server_that_asked_for_no_certificate_does_not_know_us() {
        let diagnosis = Diagnosis::new(Side::Client, Cause::OurCertificateUnasked);
        assert_eq!(diagnosis.label(), "our_certificate_unasked");
        let text = "the server asked for no certificate, and does not know who we are";
        assert_eq!(diagnosis.to_string(), text);
    }

    #[test]
    fn what_the_verifier_said_is_told_whole() {
        let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let refusal = VerifyError::TrustDomain {
            got: "other".parse().unwrap(),
        };
        let diagnosis = Diagnosis::of(Side::Server, &error, Some(refusal));
        assert_eq!(diagnosis.label(), "peer_trust_domain");
        let text =
            "the client is not believed: `other` is not a trust domain that is accepted here";
        assert_eq!(diagnosis.to_string(), text);
        // A record of another handshake is not taken for the reason of this one.
        let diagnosis = Diagnosis::of(
            Side::Server,
            &Error::DecryptError,
            Some(VerifyError::Revoked),
        );
        assert_eq!(diagnosis.label(), "protocol");
    }

    #[test]
    fn what_the_verifier_or_rustls_said_is_the_source() {
        let bad = Error::InvalidCertificate(CertificateError::BadEncoding);
        let chain = VerifyError::Chain(webpki::Error::PathLenConstraintViolated);
        let refused = Diagnosis::of(Side::Client, &bad, Some(chain));
        let text = "the server is not believed: the certificate chain is not valid: \
                    PathLenConstraintViolated";
        assert_eq!(
            (refused.to_string(), refused.label()),
            (text.to_owned(), "peer_chain")
        );
        let source = std::error::Error::source(&refused).unwrap();
        let source = source.downcast_ref::<VerifyError>().unwrap();
        let webpki = std::error::Error::source(source).unwrap();
        assert!(webpki.is::<webpki::Error>());

        let broken = Diagnosis::of(Side::Server, &Error::DecryptError, None);
        assert!(std::error::Error::source(&broken).unwrap().is::<Error>());
        let closed = Diagnosis::new(Side::Server, Cause::Closed);
        assert!(std::error::Error::source(&closed).is_none());
    }

    #[test]
    fn errors_of_the_transport_are_told_from_those_of_tls() {
        let of = |error: &io::Error| Diagnosis::of_io(Side::Client, error, None).label();
        let tls = Error::AlertReceived(AlertDescription::UnknownCA);
        assert_eq!(
            of(&io::Error::new(io::ErrorKind::InvalidData, tls)),
            "our_issuer_untrusted"
        );
        assert_eq!(of(&io::ErrorKind::UnexpectedEof.into()), "closed");
        assert_eq!(of(&io::ErrorKind::TimedOut.into()), "timed_out");
        assert_eq!(of(&io::ErrorKind::OutOfMemory.into()), "io");
    }
}
