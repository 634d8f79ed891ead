//! What a verifier is asked about.

use rustls_pki_types::{CertificateDer, UnixTime};

/// When a handshake is.
#[derive(Clone, Copy)]
pub(super) struct When {
    /// The time.
    pub(super) at: UnixTime,
    /// Whether it is over, and looked at once more.
    pub(super) is_over: bool,
}

impl When {
    pub(super) fn of_handshake(at: UnixTime) -> Self {
        let is_over = false;
        Self { at, is_over }
    }
}

/// What a peer presented.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) signers: &'a [CertificateDer<'a>],
}
