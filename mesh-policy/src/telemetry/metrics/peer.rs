//! The other end of an exchange.

use std::sync::Arc;

use mesh_core::attributes::PeerIdentity;
use mesh_core::identity::SpiffeId;
use mesh_core::model::cluster::Endpoint;

use crate::telemetry::workload::{PeerWorkload, canonical_revision, canonical_service};

/// The other end of an exchange, as it is known. Its properties are looked at only once they are
/// recorded.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Endpoint(Arc<Endpoint>),
    Identity(SpiffeId),
    Workload(Box<PeerWorkload>),
}

/// A property of a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Property {
    App,
    CanonicalRevision,
    CanonicalService,
    Cluster,
    Namespace,
    Principal,
    Version,
    Workload,
}

impl PeerWorkload {
    pub(super) fn property(&self, property: Property) -> &str {
        match property {
            Property::App => &self.app,
            Property::CanonicalRevision => &self.canonical_revision,
            Property::CanonicalService => &self.canonical_service,
            Property::Cluster => &self.cluster,
            Property::Namespace => &self.namespace,
            Property::Principal => &self.principal,
            Property::Version => &self.version,
            Property::Workload => &self.workload,
        }
    }
}

impl Peer {
    /// Who is known from an exchange of metadata or by its address, else who has proven an identity.
    pub(super) fn of(
        workload: Option<&PeerWorkload>,
        identity: Option<&PeerIdentity>,
    ) -> Option<Self> {
        let workload = workload.map(|workload| Self::Workload(Box::new(workload.clone())));
        workload.or_else(|| identity.map(|PeerIdentity(id)| Self::Identity(id.clone())))
    }

    /// What is known of a property; nothing is the empty text.
    pub(super) fn property(&self, property: Property) -> &str {
        match self {
            Self::Endpoint(endpoint) => of_endpoint(endpoint, property),
            Self::Identity(identity) => of_identity(identity, property),
            Self::Workload(workload) => workload.property(property),
        }
    }
}

/// What is known of the workload at an endpoint. Its name is not.
fn of_endpoint(endpoint: &Endpoint, property: Property) -> &str {
    let labels = &endpoint.labels;
    let known = match property {
        Property::App => labels.value("app"),
        Property::CanonicalRevision => canonical_revision(labels).or(Some("latest")),
        Property::CanonicalService => canonical_service(labels),
        Property::Namespace => Some(endpoint.namespace.as_ref()),
        Property::Version => labels.value("version"),
        Property::Cluster | Property::Principal | Property::Workload => None,
    };
    known.unwrap_or_default()
}

/// What a proven identity says: the principal and, of a service account, the namespace.
fn of_identity(identity: &SpiffeId, property: Property) -> &str {
    match property {
        Property::Namespace => {
            let account = identity.service_account();
            account.map_or("", |account| account.namespace)
        }
        Property::Principal => identity.as_str(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::EndpointAddress;

    use super::*;

    #[test]
    fn an_identity_tells_the_namespace() {
        let text = "spiffe://cluster.local/ns/shop/sa/cart";
        let peer = Peer::Identity(text.parse().unwrap());
        assert_eq!(peer.property(Property::Namespace), "shop");
        assert_eq!(peer.property(Property::Principal), text);
        assert_eq!(peer.property(Property::App), "");
    }

    #[test]
    fn an_endpoint_says_what_a_workload_with_its_labels_would() {
        let address = EndpointAddress::Ip(([10, 0, 0, 7], 80).into());
        let mut endpoint = Endpoint::new(address);
        endpoint.namespace = "shop".into();
        endpoint.labels.insert("app", "cart");
        endpoint.labels.insert("app.kubernetes.io/version", "7");
        let workload = PeerWorkload::of_labels("", "shop", &endpoint.labels);
        let peer = Peer::Endpoint(Arc::new(endpoint));
        for property in [
            Property::App,
            Property::CanonicalRevision,
            Property::CanonicalService,
            Property::Cluster,
            Property::Namespace,
            Property::Principal,
            Property::Version,
            Property::Workload,
        ] {
            let known = peer.property(property);
            assert_eq!(known, workload.property(property), "{property:?}");
        }
    }
}
