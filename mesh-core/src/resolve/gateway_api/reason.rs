//! Why something of the Gateway API has no effect: the reasons of its status conditions.

use std::fmt;

use crate::model::Notice;
use crate::resolve::place::Place;

/// A reason of a status condition. Written as the Gateway API and istiod do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    /// A backend does not exist, or has not the port.
    BackendNotFound,
    /// An earlier listener of the same port has the same hostname.
    HostnameConflict,
    /// A certificate does not exist, or is none.
    InvalidCertificateRef,
    /// A reference to a kind that cannot be referred to.
    InvalidKind,
    /// No listener that the route refers to has a hostname in common with it.
    NoMatchingListenerHostname,
    /// No listener has the name or the port that the route refers to.
    NoMatchingParent,
    /// The listener does not take routes of the kind or of the namespace.
    NotAllowedByListeners,
    /// An earlier listener of the same port has a protocol that cannot share it.
    ProtocolConflict,
    /// No ReferenceGrant allows a reference to another namespace.
    RefNotPermitted,
    /// An address of a Gateway that is not served.
    UnsupportedAddress,
    /// The protocol of a listener is not served.
    UnsupportedProtocol,
    /// A value that is not supported.
    UnsupportedValue,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names are those of the variants.
        fmt::Debug::fmt(self, f)
    }
}

/// What is refused, why, and what happens instead.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Why.
    pub(super) reason: Reason,
    /// What.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// Says of the value at `place` that it is refused.
    pub(super) fn at(&self, place: &Place<'_>) -> Notice {
        place.notice(self)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
