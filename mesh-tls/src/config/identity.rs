//! Our identity in the mesh.

use std::sync::Arc;

use mesh_core::identity::TrustDomains;

use crate::resolve::LiveIdentity;

/// What a workload proves in the mesh, and whom it believes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeshIdentity {
    pub(super) live: LiveIdentity,
    pub(super) trust_domains: Arc<TrustDomains>,
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
        }
    }
}
