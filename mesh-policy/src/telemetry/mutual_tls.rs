use http::Extensions;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};

/// Whether the client presented a certificate (`connection.mtls`), of whomever: that of a gateway's
/// client may name nobody in the mesh.
pub(super) fn is_mutual(extensions: &Extensions) -> bool {
    let connection = extensions.get::<ConnectionInfo>();
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    tls.is_some_and(|tls| tls.peer_fingerprint.is_some())
        || extensions.get::<PeerIdentity>().is_some()
}
