//! Authorities as webpki takes them, with the certificates that it drops.

use std::sync::Arc;

use rustls_pki_types::TrustAnchor;

use crate::certificate::Certificate;

/// The authorities of a bundle, which it shares with whoever has verified by them.
pub(crate) type Anchors = Arc<AnchorSet>;

/// Authorities. Two sets are equal if their certificates are.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnchorSet {
    certificates: Vec<Certificate>,
    /// The names and keys of the same certificates.
    anchors: Vec<TrustAnchor<'static>>,
}

impl AnchorSet {
    /// Adds an authority, or one that [stands for itself](Certificate::is_self_issued) alone.
    ///
    /// # Errors
    ///
    /// When the certificate is neither.
    pub(crate) fn push(&mut self, certificate: Certificate) -> Result<(), webpki::Error> {
        if !certificate.can_be_ca() && !certificate.is_self_issued() {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        let anchor = webpki::anchor_from_trusted_cert(certificate.der())?;
        self.anchors.push(anchor.to_owned());
        self.certificates.push(certificate);
        Ok(())
    }

    /// The certificates, in the order in which they were added.
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    pub(super) fn as_slice(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The certificate of `anchor`, which is one of [these](Self::as_slice). An authority that was
    /// renewed with its key has equal anchors, so it is told by its place.
    pub(super) fn certificate_of(&self, anchor: &TrustAnchor<'_>) -> Option<&Certificate> {
        let mut anchors = self.anchors.iter();
        let place = anchors.position(|one| std::ptr::addr_eq(one, anchor))?;
        self.certificates.get(place)
    }
}

impl PartialEq for AnchorSet {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for AnchorSet {}
