//! Why something of the Gateway API has an effect, or none: the reasons of its status conditions.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the reasons, each with the text that the API has for it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident $text:literal,)*) => {
        /// A reason of a status condition, in the words of the Gateway API and of istiod.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason {
            $($(#[$doc])* $reason,)*
        }

        impl Reason {
            /// The reason as conditions have it, such as `NoMatchingParent`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// It is valid.
    Accepted "Accepted",
    /// An address of a Gateway is not there yet.
    AddressNotAssigned "AddressNotAssigned",
    /// An address of a Gateway cannot be had.
    AddressNotUsable "AddressNotUsable",
    /// A backend does not exist, or has not the port.
    BackendNotFound "BackendNotFound",
    /// A setting that weakens a check is in use.
    ConfigurationChanged "ConfigurationChanged",
    /// An older policy has the target.
    Conflicted "Conflicted",
    /// A field or an annotation that has been replaced.
    DeprecatedField "DeprecatedField",
    /// An earlier listener of the same port has the same hostname.
    HostnameConflict "HostnameConflict",
    /// An annotation asks for it.
    IgnoredByIstio "IgnoredByIstio",
    /// It cannot be applied.
    Invalid "Invalid",
    /// Authorities are looked for in a kind that has none.
    InvalidCaCertificateKind "InvalidCACertificateKind",
    /// Authorities do not exist, or are none.
    InvalidCaCertificateRef "InvalidCACertificateRef",
    /// A certificate does not exist, or is none.
    InvalidCertificateRef "InvalidCertificateRef",
    /// The client certificate of a Gateway does not exist, or is none.
    InvalidClientCertificateRef "InvalidClientCertificateRef",
    /// A reference to a backend is not well-formed.
    InvalidDestination "InvalidDestination",
    /// A filter is not supported, or not well-formed.
    InvalidFilter "InvalidFilter",
    /// A reference to a kind that cannot be referred to.
    InvalidKind "InvalidKind",
    /// The parameters of a Gateway do not exist, or are of a kind that has none.
    InvalidParameters "InvalidParameters",
    /// A listener allows a kind of routes that its protocol has not.
    InvalidRouteKinds "InvalidRouteKinds",
    /// Some listeners are not valid, or all of them.
    ListenersNotValid "ListenersNotValid",
    /// No other listener is in the way.
    NoConflicts "NoConflicts",
    /// No listener that the route refers to has a hostname in common with it.
    NoMatchingListenerHostname "NoMatchingListenerHostname",
    /// No listener has the name or the port that the route refers to.
    NoMatchingParent "NoMatchingParent",
    /// There are no authorities that peers could be verified by.
    NoValidCaCertificate "NoValidCACertificate",
    /// The Gateway takes no ListenerSets of the namespace.
    NotAllowed "NotAllowed",
    /// The listener does not take routes of the kind or of the namespace.
    NotAllowedByListeners "NotAllowedByListeners",
    /// It is served.
    Programmed "Programmed",
    /// An earlier listener of the same port has a protocol that cannot share it.
    ProtocolConflict "ProtocolConflict",
    /// No ReferenceGrant allows a reference to another namespace.
    RefNotPermitted "RefNotPermitted",
    /// All that is referred to exists, and may be referred to.
    ResolvedRefs "ResolvedRefs",
    /// The target of a policy does not exist.
    TargetNotFound "TargetNotFound",
    /// An address of a Gateway that is not served.
    UnsupportedAddress "UnsupportedAddress",
    /// The protocol of a listener is not served.
    UnsupportedProtocol "UnsupportedProtocol",
    /// A value that is not supported.
    UnsupportedValue "UnsupportedValue",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is refused, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: Reason,
    /// What, in istiod's words where it has some.
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
