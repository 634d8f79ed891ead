//! Our identity in the mesh.

use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::watch::Watch;

use crate::resolve::LiveIdentity;
use crate::verify::Revocations;

/// What a workload proves in the mesh, and whom it believes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeshIdentity {
    pub(super) live: LiveIdentity,
    pub(super) trust_domains: Arc<TrustDomains>,
    pub(super) revocations: Option<Watch<Revocations>>,
}

impl MeshIdentity {
    /// Proves the SVID that `live` has at the time, and believes its bundles.
    ///
    /// Clients are accepted of `trust_domains` only, and so are servers of which no name is
    /// expected, even if there are bundles of others. An alias that has no bundle of its own has
    /// that of the local trust domain.
    pub fn new(live: LiveIdentity, trust_domains: TrustDomains) -> Self {
        Self {
            live,
            trust_domains: Arc::new(trust_domains),
            revocations: None,
        }
    }

    /// Refuses workloads whose certificates are revoked: `ca-crl.pem` of an authority that is
    /// plugged in, which istiod hands on in the ConfigMap `istio-ca-crl`. Default: nothing is
    /// revoked.
    ///
    /// Pass a [`Watch`] to replace the lists: each handshake uses those that are current. As long
    /// as there are none, nothing is revoked; as soon as there is one, each authority of a chain
    /// has to have one that is in date.
    #[must_use]
    pub fn with_revocations(self, revocations: impl Into<Watch<Revocations>>) -> Self {
        Self {
            revocations: Some(revocations.into()),
            ..self
        }
    }
}
