//! Whose certificate was accepted.

use mesh_core::identity::SpiffeId;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::PeerVerifier;
use super::trust::Trust;
use crate::certificate::Certificate;
use crate::svid::sole_id;

impl PeerVerifier {
    /// The identity in a certificate that was accepted here. Certificates of other kinds have none.
    /// It is the `id` that [`verify`](Self::verify) gives out.
    pub(crate) fn identity(&self, leaf: &CertificateDer<'_>) -> Option<SpiffeId> {
        match &self.trust {
            Trust::Anybody => None,
            // It is that of an X509-SVID, or it would not have been accepted: its name is enough.
            Trust::Bundles(_) => {
                let leaf = EndEntityCert::try_from(leaf).ok()?;
                sole_id(leaf.valid_uri_names()).ok()
            }
            Trust::Roots(_) | Trust::Secrets(_) => {
                let leaf = Certificate::from_der(leaf).ok()?;
                self.claimed_identity(&leaf)
            }
        }
    }
}
