//! Endpoints that changed while nothing else did.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mesh_core::config::services::Service;
use mesh_core::model::cluster::{Cluster, Discovery, Endpoint};
use mesh_core::service::ClusterName;

/// A service whose endpoints may have changed, while its ports and all else stayed.
///
/// What it means for clusters is up to [`ClusterEndpoints`].
#[derive(Clone, Debug)]
pub struct EndpointUpdate {
    service: Arc<Service>,
}

impl EndpointUpdate {
    /// The endpoints of `service` are those that it has.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    /// The service, with the endpoints that it has now.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The endpoints that `cluster` has now; `None` if the cluster is not of this service, or does
    /// not list endpoints.
    pub fn endpoints(&self, cluster: &Cluster) -> Option<Vec<Endpoint>> {
        let lists = match cluster.discovery {
            Discovery::LogicalDns | Discovery::Static | Discovery::StrictDns => true,
            Discovery::DynamicDns | Discovery::OriginalDestination => false,
        };
        let (host, port) = destination(&cluster.name)?;
        let (declared, origin) = (&self.service.origin, &cluster.origin);
        let is_own = host == self.service.hostname
            && (declared.kind(), declared.namespace(), declared.name())
                == (origin.kind(), origin.namespace(), origin.name());
        let port = self.service.port(port).filter(|_| lists && is_own)?;
        let all = self.service.endpoints(port).iter();
        let taken = all.filter(|endpoint| cluster.takes(endpoint));
        Some(taken.cloned().collect())
    }
}

/// Clusters that keep up with the endpoints of their services.
///
/// Between two configurations, [`apply`](Self::apply) puts the endpoints of an [`EndpointUpdate`]
/// into the clusters of its service, and tells which clusters changed. Its cost does not depend on
/// how many other clusters there are.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
///
/// use mesh_core::model::cluster::Cluster;
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::registry::ClusterEndpoints;
///
/// let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
/// let cluster = Arc::new(Cluster::new(name.clone()));
/// let mut clusters = ClusterEndpoints::new(BTreeMap::from([(name.clone(), cluster)]));
/// assert!(clusters.apply(&[]).is_empty());
/// assert!(clusters.clusters()[&name].endpoints.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClusterEndpoints {
    clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    by_host: HashMap<String, Vec<ClusterName>>,
}

impl ClusterEndpoints {
    /// Takes the clusters of a resolved configuration.
    pub fn new(clusters: BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        let mut by_host: HashMap<String, Vec<ClusterName>> = HashMap::new();
        for name in clusters.keys() {
            if let Some((host, _)) = destination(name) {
                by_host.entry(host).or_default().push(name.clone());
            }
        }
        Self { clusters, by_host }
    }

    /// The clusters, with the endpoints that they have now.
    pub fn clusters(&self) -> &BTreeMap<ClusterName, Arc<Cluster>> {
        &self.clusters
    }

    /// Puts the endpoints of `updates` into the clusters, and gives those that have other
    /// endpoints than before.
    pub fn apply(&mut self, updates: &[EndpointUpdate]) -> Vec<Arc<Cluster>> {
        let mut changed = Vec::new();
        for update in updates {
            let names = self.by_host.get(&update.service.hostname);
            for name in names.into_iter().flatten() {
                let Some(cluster) = self.clusters.get_mut(name) else {
                    continue;
                };
                let Some(endpoints) = update.endpoints(cluster) else {
                    continue;
                };
                if endpoints != cluster.endpoints {
                    Arc::make_mut(cluster).endpoints = endpoints;
                    changed.push(Arc::clone(cluster));
                }
            }
        }
        changed
    }
}

/// The host and port that an outbound cluster stands for, whichever form its name has.
fn destination(name: &ClusterName) -> Option<(String, u16)> {
    let of = |name: &ClusterName| Some((name.host()?.to_owned(), name.port()?));
    of(name).or_else(|| of(&ClusterName::from_sni(name.as_str())?))
}
