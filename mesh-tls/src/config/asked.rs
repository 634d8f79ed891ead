//! Whether a server asks for our certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Presents what another resolver does, and remembers of one connection whether it was asked to.
///
/// rustls asks a resolver only if the server has sent a `CertificateRequest`, and does not say
/// otherwise whether it has.
#[derive(Debug)]
pub(crate) struct Asked {
    certificates: Arc<dyn ResolvesClientCert>,
    is_asked: AtomicBool,
}

impl Asked {
    pub(super) fn new(certificates: Arc<dyn ResolvesClientCert>) -> Self {
        Self {
            certificates,
            is_asked: AtomicBool::new(false),
        }
    }

    /// Whether the server has asked, once the handshake is over.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.is_asked.store(true, Ordering::Relaxed);
        self.certificates.resolve(authorities, schemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.certificates.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.certificates.has_certs()
    }
}
