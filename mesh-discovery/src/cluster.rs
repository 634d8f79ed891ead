//! The clusters of a client, by name.
//!
//! [`Clusters`] hold an [`Upstream`] for each cluster of the resolved model: its balancer and its
//! circuit breakers. A new model replaces them; clusters and endpoints that stay keep what is known
//! of them.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::balance::PickRequest;
//! use mesh_discovery::cluster::Clusters;
//! use mesh_discovery::locality::Client;
//!
//! let cart = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
//! let mut cluster = Cluster::new(cart.clone());
//! cluster.endpoints.push(Endpoint::new(EndpointAddress::Ip("10.0.0.7:8080".parse()?)));
//!
//! let now = Instant::now();
//! let clusters = Clusters::new(Client::default());
//! clusters.publish(&BTreeMap::from([(cart.clone(), Arc::new(cluster))]), now);
//!
//! let upstream = clusters.get(&cart).unwrap();
//! let host = upstream.balancer().pick(&PickRequest::new(now), || 0).unwrap();
//! assert_eq!(host.endpoint().address.port(), Some(8080));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod view;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use mesh_core::model::Notice;
use mesh_core::model::cluster::{Cluster, Endpoint};
use mesh_core::service::ClusterName;

use crate::balance::Balancer;
use crate::balance::hash::xxhash64_seeded;
use crate::balance::policy::{Policy, PolicyError};
use crate::circuit_breaker::{Breakers, Limits};
use crate::endpoint_set::EndpointChange;
use crate::locality::Client;

pub use self::view::ClustersView;

/// One cluster while it serves.
#[derive(Debug)]
pub struct Upstream {
    balancer: Balancer,
    breakers: Arc<Breakers>,
}

impl Upstream {
    /// Serves `cluster` for `client`. `seed` decides where turns begin, see [`Balancer::new`].
    pub fn new(cluster: Arc<Cluster>, client: Client, now: Instant, seed: u64) -> Self {
        let limits = Limits::compile(cluster.policy.connection_pool.as_deref());
        Self {
            breakers: Arc::new(Breakers::new(limits)),
            balancer: Balancer::new(cluster, client, now, seed),
        }
    }

    /// Picks endpoints by `policy` whatever the cluster says, see [`Balancer::with_policy`].
    ///
    /// # Errors
    ///
    /// The policy cannot be followed: its table or ring cannot have that size.
    pub fn with_policy(self, policy: Policy, now: Instant) -> Result<Self, PolicyError> {
        let balancer = self.balancer.with_policy(policy, now)?;
        Ok(Self { balancer, ..self })
    }

    /// Takes another version of the cluster, see [`Balancer::replace`].
    pub fn replace(&self, cluster: Arc<Cluster>, now: Instant) {
        let limits = Limits::compile(cluster.policy.connection_pool.as_deref());
        self.breakers.set_limits(limits);
        self.balancer.replace(cluster, now);
    }

    /// Who picks its endpoints.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// What is under way to it.
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.breakers
    }

    /// The cluster as the model says it. What is picked says of which version it is.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.balancer.cluster()
    }
}

/// The clusters of a client. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Clusters {
    shared: Arc<Shared>,
}

struct Shared {
    client: ArcSwap<Client>,
    seed: u64,
    view: ClustersView,
    /// Held by who replaces the table.
    replacing: Mutex<()>,
}

impl Clusters {
    /// No clusters, for `client`.
    pub fn new(client: Client) -> Self {
        Self::with_seed(client, 0)
    }

    /// No clusters, for `client`. `seed` decides where turns begin: replicas of a client that all
    /// have another do not pick the same endpoint at the same time.
    pub fn with_seed(client: Client, seed: u64) -> Self {
        let shared = Shared {
            client: ArcSwap::from_pointee(client),
            seed,
            view: ClustersView::new(Arc::default()),
            replacing: Mutex::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes the clusters of a model. Those that are in it by the same name keep their state, and
    /// those that are the same value are left alone, unless they have got other endpoints since, see
    /// [`Balancer::replace`].
    ///
    /// Returns what in them is not followed as it was written.
    pub fn publish(
        &self,
        clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
        now: Instant,
    ) -> Vec<Notice> {
        let replacing = self.shared.replacing.lock();
        let _replacing = replacing.unwrap_or_else(PoisonError::into_inner);
        let before = self.shared.view.table();
        let entries = clusters.iter().map(|(name, cluster)| {
            let upstream = match before.get(name) {
                Some(upstream) => {
                    let is_same = Arc::ptr_eq(&upstream.cluster(), cluster);
                    if !is_same || upstream.balancer.has_strayed() {
                        upstream.replace(Arc::clone(cluster), now);
                    }
                    Arc::clone(upstream)
                }
                None => Arc::new(self.upstream(name, cluster, now)),
            };
            (name.clone(), upstream)
        });
        let table: HashMap<_, _> = entries.collect();
        let mut notices: Vec<Notice> = table
            .values()
            .flat_map(|upstream| upstream.balancer.notices())
            .collect();
        // The clusters of a service share its rule.
        notices.sort_by(|a, b| a.message.cmp(&b.message));
        notices.dedup();
        self.shared.view.replace(table);
        notices
    }

    /// Balances for another client from now on, one that has moved or whose replicas have. What is known
    /// of endpoints stays.
    pub fn set_client(&self, client: &Client, now: Instant) {
        let replacing = self.shared.replacing.lock();
        let _replacing = replacing.unwrap_or_else(PoisonError::into_inner);
        if **self.shared.client.load() == *client {
            return;
        }
        self.shared.client.store(Arc::new(client.clone()));
        for upstream in self.shared.view.table().values() {
            upstream.balancer.set_client(client, now);
        }
    }

    fn upstream(&self, name: &ClusterName, cluster: &Arc<Cluster>, now: Instant) -> Upstream {
        let seed = xxhash64_seeded(self.shared.seed, name.as_str().as_bytes());
        let client = self.shared.client.load();
        Upstream::new(Arc::clone(cluster), Client::clone(&client), now, seed)
    }

    /// The clusters as they are now, for one generation of the configuration: what is published
    /// later adds none and removes none. Each cluster is shared, and takes its new policies and
    /// endpoints as this one does.
    #[must_use]
    pub fn snapshot(&self) -> ClustersView {
        ClustersView::new(self.shared.view.table())
    }

    /// The cluster of a name.
    pub fn get(&self, name: &ClusterName) -> Option<Arc<Upstream>> {
        self.shared.view.get(name)
    }

    /// All clusters, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (ClusterName, Arc<Upstream>)> + use<> {
        self.shared.view.iter()
    }

    /// Takes another list of endpoints of a cluster, without anything else of the configuration.
    /// Says whether there is such a cluster.
    pub fn replace_endpoints(
        &self,
        name: &ClusterName,
        endpoints: impl IntoIterator<Item = Endpoint>,
        now: Instant,
    ) -> bool {
        let upstream = self.get(name);
        upstream.is_some_and(|upstream| {
            upstream.balancer.replace_endpoints(endpoints, now);
            true
        })
    }

    /// Takes changes to the endpoints of a cluster, see [`Balancer::apply`]. Says whether there is
    /// such a cluster.
    pub fn apply(
        &self,
        name: &ClusterName,
        changes: impl IntoIterator<Item = EndpointChange>,
        now: Instant,
    ) -> bool {
        let upstream = self.get(name);
        upstream.is_some_and(|upstream| {
            upstream.balancer.apply(changes, now);
            true
        })
    }
}

impl From<Clusters> for ClustersView {
    /// The clusters as they are at any time.
    fn from(clusters: Clusters) -> Self {
        clusters.shared.view.clone()
    }
}

impl fmt::Debug for Clusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.view.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::LocalityBalancing;

    use super::*;
    use crate::balance::PickRequest;
    use crate::balance::testing::{endpoint, now};
    use crate::circuit_breaker::Resource;

    #[test]
    fn clusters_keep_their_state_and_take_their_new_policy() {
        let now = now();
        let clusters = Clusters::new(Client::default());
        clusters.publish(&model(&[("cart", "{}")]), now);
        let before = clusters.get(&"cart".into()).unwrap();
        let host = before
            .balancer()
            .pick(&PickRequest::new(now), || 0)
            .unwrap();
        let _active = host.begin();
        let _permit = before.breakers().acquire(Resource::Connections).unwrap();

        let limited = r#"{"tcp": {"maxConnections": 1}}"#;
        clusters.publish(&model(&[("cart", limited), ("users", "{}")]), now);
        let after = clusters.get(&"cart".into()).unwrap();
        let host = after.balancer().pick(&PickRequest::new(now), || 0).unwrap();
        assert_eq!(host.state().active(), 1);
        assert!(after.breakers().acquire(Resource::Connections).is_none());
        assert_eq!(clusters.iter().count(), 2);

        clusters.publish(&model(&[]), now);
        assert!(clusters.get(&"cart".into()).is_none());
    }

    #[test]
    fn a_client_that_moves_is_served_nearby_and_forgets_nothing() {
        let now = now();
        let mut clusters = model(&[("cart", "{}")]);
        let cart = Arc::get_mut(clusters.get_mut(&"cart".into()).unwrap()).unwrap();
        let setting = Box::default();
        cart.locality = LocalityBalancing::Locality {
            setting,
            force: true,
        };
        cart.endpoints = vec![endpoint(1), endpoint(2)];
        cart.endpoints[0].locality = "eu".into();
        cart.endpoints[1].locality = "us".into();
        let live = Clusters::new(in_region("eu"));
        live.publish(&clusters, now);
        let snapshot = live.snapshot();
        let pick = |cart: Option<Arc<Upstream>>| {
            let balancer = cart.as_deref().map(Upstream::balancer);
            let picked = balancer.unwrap().pick(&PickRequest::new(now), || 0);
            picked.unwrap()
        };
        let cart = ClusterName::from("cart");
        let before = pick(live.get(&cart));
        let _active = before.begin();
        assert_eq!(before.endpoint().locality, "eu");

        live.set_client(&in_region("us"), now);
        assert_eq!(pick(live.get(&cart)).endpoint().locality, "us");
        assert_eq!(pick(snapshot.get(&cart)).endpoint().locality, "us");
        live.set_client(&in_region("eu"), now);
        assert_eq!(pick(live.get(&cart)).state().active(), 1);
    }

    fn in_region(region: &str) -> Client {
        Client {
            locality: region.into(),
            ..Client::default()
        }
    }

    #[test]
    fn a_snapshot_keeps_the_clusters_that_there_were() {
        let now = now();
        let clusters = Clusters::new(Client::default());
        clusters.publish(&model(&[("cart", "{}")]), now);
        let snapshot = clusters.snapshot();
        let cart = clusters.get(&"cart".into()).unwrap();
        clusters.publish(&model(&[("users", "{}")]), now);
        assert!(Arc::ptr_eq(&snapshot.get(&"cart".into()).unwrap(), &cart));
        assert!(snapshot.get(&"users".into()).is_none());
    }

    #[test]
    fn endpoints_can_be_replaced_alone() {
        let now = now();
        let clusters = Clusters::new(Client::default());
        clusters.publish(&model(&[("cart", "{}")]), now);
        assert!(clusters.replace_endpoints(&"cart".into(), [endpoint(2)], now));
        assert!(!clusters.replace_endpoints(&"none".into(), [endpoint(2)], now));
        let upstream = clusters.get(&"cart".into()).unwrap();
        let host = upstream
            .balancer()
            .pick(&PickRequest::new(now), || 0)
            .unwrap();
        assert_eq!(host.endpoint().address.port(), Some(2));
    }

    #[test]
    fn a_model_removes_endpoints_that_it_does_not_have() {
        let now = now();
        let clusters = Clusters::new(Client::default());
        let first = model(&[("cart", "{}")]);
        clusters.publish(&first, now);
        for next in [first, model(&[("cart", "{}")])] {
            clusters.replace_endpoints(&"cart".into(), [endpoint(1), endpoint(2)], now);
            clusters.publish(&next, now);
            let upstream = clusters.get(&"cart".into()).unwrap();
            assert_eq!(upstream.balancer().endpoints(), [Arc::new(endpoint(1))]);
        }
    }

    /// Clusters with one endpoint and these connection pools.
    fn model(clusters: &[(&str, &str)]) -> BTreeMap<ClusterName, Arc<Cluster>> {
        let clusters = clusters.iter().map(|(name, pool)| {
            let name = ClusterName::from(*name);
            let mut cluster = Cluster::new(name.clone());
            cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
            cluster.endpoints.push(endpoint(1));
            (name, Arc::new(cluster))
        });
        clusters.collect()
    }
}
