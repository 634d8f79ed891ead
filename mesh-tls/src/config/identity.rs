//! Our identity in the mesh.

use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::watch::Watch;

use crate::resolve::LiveIdentity;
use crate::trust_bundle::ExtraAuthorities;
use crate::verify::Revocations;

/// What a workload proves in the mesh, and whom it believes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeshIdentity {
    pub(super) live: LiveIdentity,
    pub(super) trust_domains: Arc<TrustDomains>,
    pub(super) revocations: Option<Watch<Revocations>>,
    pub(super) extra: Arc<ExtraAuthorities>,
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
            extra: Arc::default(),
        }
    }

    /// Believes these authorities beside those of the bundles (`meshConfig.caCertificates`), and
    /// accepts clients of the trust domains that they are named for, as istiod has it. Default: none.
    #[must_use]
    pub fn with_extra_authorities(self, extra: impl Into<Arc<ExtraAuthorities>>) -> Self {
        let extra = extra.into();
        Self { extra, ..self }
    }

    /// Refuses workloads whose certificates are revoked by these lists, in place of those of the
    /// [bundles](crate::trust_bundle::TrustBundle::with_revocations). Default: those of the bundles.
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
