use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::cluster::{Cluster, Endpoint};
use mesh_core::service::ClusterName;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::source::dns::{Answer, DnsClusters, RefreshSettings};

/// What is known of the names of clusters, and who is told.
///
/// A cluster that has new names keeps the endpoints that it had until each of them was looked up, as a
/// cluster of Envoy serves until the one that takes its place is warm. It has none meanwhile if it is
/// spoken to in another way than before, for what is meant for the ones is not for the others.
#[derive(Debug)]
pub(super) struct Known {
    machine: DnsClusters,
    live: Clusters,
    /// The clusters, as they are written, that have the endpoints of before.
    warming: BTreeMap<ClusterName, Arc<Cluster>>,
}

impl Known {
    pub(super) fn new(live: Clusters, refresh: RefreshSettings) -> Self {
        Self {
            machine: DnsClusters::new(refresh),
            live,
            warming: BTreeMap::new(),
        }
    }

    /// The clusters that are told of other addresses.
    pub(super) fn live(&self) -> &Clusters {
        &self.live
    }

    /// Looks names up again after `refresh`.
    pub(super) fn renew(&mut self, refresh: RefreshSettings) {
        self.machine.set_settings(refresh);
    }

    /// Takes the clusters of a new configuration. Names that are new are due at once.
    pub(super) fn replace(&mut self, clusters: &BTreeMap<ClusterName, Arc<Cluster>>, now: Instant) {
        self.warming.clear();
        self.machine.replace(clusters, now);
    }

    /// Whether there is a name that was not looked up yet.
    pub(super) fn awaits_answers(&self) -> bool {
        self.machine.names().any(|(_, name)| name.is_awaited())
    }

    /// Gives `clusters`, which were taken, the addresses of their names. Says which of them have no
    /// endpoint because their names were not looked up yet.
    pub(super) fn resolve(
        &mut self,
        clusters: &mut BTreeMap<ClusterName, Arc<Cluster>>,
        now: Instant,
    ) -> Vec<String> {
        let mut without = Vec::new();
        for (name, cluster) in clusters {
            let Some(resolved) = self.machine.update(cluster, now) else {
                continue;
            };
            let written = std::mem::replace(cluster, resolved);
            if !self.machine.is_warming(&written) {
                continue;
            }
            let Some(endpoints) = self.endpoints_before(&written) else {
                // What was spoken to in another way is gone before the new one begins.
                let known = cluster.endpoints.iter().cloned();
                self.live.replace_endpoints(name, known, now);
                if cluster.endpoints.is_empty() {
                    without.push(unresolved(&written));
                }
                continue;
            };
            *cluster = Arc::new(Cluster {
                endpoints,
                ..Cluster::clone(&written)
            });
            self.warming.insert(name.clone(), written);
        }
        without
    }

    /// The endpoints of the cluster that serves in the place of `cluster`, if there are any and they are
    /// spoken to in the same way.
    fn endpoints_before(&self, cluster: &Cluster) -> Option<Vec<Endpoint>> {
        let before = self.live.get(&cluster.name)?;
        if before.cluster().tls != cluster.tls {
            return None;
        }
        let endpoints = before.balancer().endpoints().into_iter();
        let endpoints: Vec<_> = endpoints
            .map(|endpoint| Endpoint::clone(&endpoint))
            .collect();
        (!endpoints.is_empty()).then_some(endpoints)
    }

    /// The names that are to be looked up at `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<String> {
        self.machine.take_due(now)
    }

    /// When the next name is to be looked up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    /// Tells the clusters what a look-up of `name` found.
    pub(super) fn handle(&mut self, name: &str, answer: Answer, now: Instant, random: u64) {
        let mut changed = self.machine.handle_answer(name, answer, now, random);
        changed.retain(|cluster| !self.warming.contains_key(&cluster.name));
        let mut warm = Vec::new();
        self.warming.retain(|_, cluster| {
            let is_warming = self.machine.is_warming(cluster);
            if !is_warming {
                warm.push(Arc::clone(cluster));
            }
            is_warming
        });
        let warm = warm.iter();
        let warm = warm.filter_map(|cluster| self.machine.update(cluster, now));
        changed.extend(warm);
        for cluster in changed {
            let endpoints = cluster.endpoints.iter().cloned();
            self.live.replace_endpoints(&cluster.name, endpoints, now);
        }
    }
}

fn unresolved(cluster: &Cluster) -> String {
    let Cluster { name, origin, .. } = cluster;
    format!(
        "the names of `{name}` are not resolved yet: it has no endpoint until they are [{origin}]"
    )
}
