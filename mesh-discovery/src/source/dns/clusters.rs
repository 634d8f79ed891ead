//! Clusters of names, and what answers make of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
use mesh_core::service::ClusterName;

use super::Answer;
use super::refresh::{NameStatus, RefreshSettings};
use crate::balance::is_resolved;

/// Resolves the names of clusters. A machine: answers and the time go in, names to look up and
/// clusters with addresses come out.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct DnsClusters {
    settings: RefreshSettings,
    // As the configuration has them.
    clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    names: BTreeMap<String, NameStatus>,
    clusters_of: BTreeMap<String, BTreeSet<ClusterName>>,
    due: BTreeSet<(Instant, String)>,
}

impl DnsClusters {
    /// No clusters yet.
    pub fn new(settings: RefreshSettings) -> Self {
        Self {
            settings,
            clusters: BTreeMap::new(),
            names: BTreeMap::new(),
            clusters_of: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Looks names up by other `settings` from the next answers on.
    pub fn set_settings(&mut self, settings: RefreshSettings) {
        self.settings = settings;
    }

    /// Takes the clusters of a new configuration, of which only those that are resolved by DNS
    /// count. What is known of names that stay is kept. Returns the clusters that are other than
    /// before and have a name with an answer already.
    pub fn replace(
        &mut self,
        clusters: &BTreeMap<ClusterName, Arc<Cluster>>,
        now: Instant,
    ) -> Vec<Arc<Cluster>> {
        let resolved = clusters.iter().filter(|(_, cluster)| is_resolved(cluster));
        let resolved = resolved.map(|(name, cluster)| (name.clone(), Arc::clone(cluster)));
        let before = std::mem::replace(&mut self.clusters, resolved.collect());
        self.index(now);
        let changed = self.clusters.iter().filter(|(name, cluster)| {
            let same = |before: &Arc<Cluster>| Arc::ptr_eq(before, cluster);
            !before.get(*name).is_some_and(same) && self.has_answer(cluster)
        });
        changed.map(|(_, cluster)| self.resolve(cluster)).collect()
    }

    /// Whether `cluster` is the very version that was taken last.
    pub(super) fn has(&self, cluster: &Arc<Cluster>) -> bool {
        let known = self.clusters.get(&cluster.name);
        known.is_some_and(|known| Arc::ptr_eq(known, cluster))
    }

    /// Takes a cluster whose endpoints alone are other than before, as
    /// [`ClusterEndpoints::apply`](crate::registry::ClusterEndpoints::apply) gives it.
    ///
    /// Returns it with the addresses that are known; `None` if it is not resolved by DNS.
    pub fn update(&mut self, cluster: &Arc<Cluster>, now: Instant) -> Option<Arc<Cluster>> {
        if !is_resolved(cluster) {
            return None;
        }
        self.clusters
            .insert(cluster.name.clone(), Arc::clone(cluster));
        self.index(now);
        Some(self.resolve(cluster))
    }

    /// The names that are to be looked up at `now`. None of them is due again before its answer has
    /// been handled.
    pub fn take_due(&mut self, now: Instant) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((next, _)) = self.due.first()
            && *next <= now
            && let Some((_, name)) = self.due.pop_first()
        {
            if let Some(status) = self.names.get_mut(&name) {
                status.next = None;
                names.push(name);
            }
        }
        names
    }

    /// When the next name is to be looked up; `None` if there is none, or all are being looked up.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(next, _)| *next)
    }

    /// Takes in what a look-up of `name` found, and gives the clusters that have other endpoints
    /// than before. `random`, uniform over all values, spreads the next look-up.
    ///
    /// A name that no cluster has any more is ignored.
    pub fn handle_answer(
        &mut self,
        name: &str,
        answer: Answer,
        now: Instant,
        random: u64,
    ) -> Vec<Arc<Cluster>> {
        let Some(status) = self.names.get_mut(name) else {
            return Vec::new();
        };
        if let Some(next) = status.next {
            self.due.remove(&(next, name.to_owned()));
        }
        let changed = status.handle_answer(answer, &self.settings, now, random);
        self.due
            .extend(status.next.map(|next| (next, name.to_owned())));
        if !changed {
            return Vec::new();
        }
        let clusters = self.clusters_of.get(name).into_iter().flatten();
        let clusters = clusters.filter_map(|cluster| self.clusters.get(cluster));
        clusters.map(|cluster| self.resolve(cluster)).collect()
    }

    /// What is known of each name.
    pub fn names(&self) -> impl Iterator<Item = (&str, &NameStatus)> {
        self.names.iter().map(|(name, status)| (&**name, status))
    }

    /// What is known of one name; `None` if no cluster has it.
    pub fn name(&self, name: &str) -> Option<&NameStatus> {
        self.names.get(name)
    }

    /// Whether `cluster` is resolved by DNS, and no attempt to look up one of its names has ended yet.
    /// Envoy calls such a cluster warming, and serves the one that it takes the place of until then.
    pub fn is_warming(&self, cluster: &Cluster) -> bool {
        let is_awaited = |name| self.names.get(name).is_some_and(NameStatus::is_awaited);
        is_resolved(cluster) && names_of(cluster).any(is_awaited)
    }

    /// Takes note of which clusters have which names, and makes new names due.
    fn index(&mut self, now: Instant) {
        self.clusters_of.clear();
        for (name, cluster) in &self.clusters {
            for host in names_of(cluster) {
                let of = self.clusters_of.entry(host.to_owned()).or_default();
                of.insert(name.clone());
            }
        }
        self.names
            .retain(|name, _| self.clusters_of.contains_key(name));
        for name in self.clusters_of.keys() {
            if !self.names.contains_key(name) {
                let status = NameStatus {
                    next: Some(now),
                    ..NameStatus::default()
                };
                self.names.insert(name.clone(), status);
                self.due.insert((now, name.clone()));
            }
        }
        self.due.retain(|(_, name)| self.names.contains_key(name));
    }

    fn has_answer(&self, cluster: &Cluster) -> bool {
        let answered = |name| {
            let status = self.names.get(name);
            status.is_some_and(|status| status.answered.is_some())
        };
        names_of(cluster).any(answered)
    }

    /// The cluster with the addresses of its names. An address that several names have counts once.
    fn resolve(&self, cluster: &Arc<Cluster>) -> Arc<Cluster> {
        let mut seen = HashSet::new();
        let mut endpoints = Vec::new();
        for endpoint in &cluster.endpoints {
            let addresses = self.addresses(endpoint, cluster.discovery);
            for address in addresses {
                if seen.insert(address.clone()) {
                    endpoints.push(Endpoint {
                        address,
                        ..endpoint.clone()
                    });
                }
            }
        }
        Arc::new(Cluster {
            endpoints,
            ..Cluster::clone(cluster)
        })
    }

    fn addresses(&self, endpoint: &Endpoint, discovery: Discovery) -> Vec<EndpointAddress> {
        let EndpointAddress::Dns { host, port } = &endpoint.address else {
            return vec![endpoint.address.clone()];
        };
        let Some(status) = self.names.get(host) else {
            return Vec::new();
        };
        let at = |ip| EndpointAddress::Ip(SocketAddr::new(ip, *port));
        match discovery {
            Discovery::LogicalDns => status.logical.map(at).into_iter().collect(),
            _ => status.addresses.iter().copied().map(at).collect(),
        }
    }
}

fn names_of(cluster: &Cluster) -> impl Iterator<Item = &str> {
    let endpoints = cluster.endpoints.iter();
    endpoints.filter_map(|endpoint| match &endpoint.address {
        EndpointAddress::Dns { host, .. } => Some(&**host),
        EndpointAddress::Ip(_) | EndpointAddress::Unix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn cluster(discovery: Discovery, hosts: &[&str]) -> Arc<Cluster> {
        let mut cluster = Cluster::new(ClusterName::outbound(80, "", hosts[0]));
        cluster.discovery = discovery;
        cluster.endpoints = hosts
            .iter()
            .map(|host| {
                Endpoint::new(EndpointAddress::Dns {
                    host: (*host).into(),
                    port: 80,
                })
            })
            .collect();
        Arc::new(cluster)
    }

    fn known(clusters: &[Arc<Cluster>]) -> (DnsClusters, Instant) {
        let now = tokio::time::Instant::now().into_std();
        let mut machine = DnsClusters::new(RefreshSettings::default());
        let named = clusters
            .iter()
            .map(|cluster| (cluster.name.clone(), Arc::clone(cluster)));
        assert!(machine.replace(&named.collect(), now).is_empty());
        machine.take_due(now);
        (machine, now)
    }

    fn found(last: &[u8]) -> Answer {
        Answer::Addresses {
            addresses: last.iter().map(|last| [192, 0, 2, *last].into()).collect(),
            ttl: TTL,
        }
    }

    fn addresses(cluster: &Cluster) -> Vec<String> {
        let endpoints = cluster.endpoints.iter();
        let address = |endpoint: &Endpoint| match &endpoint.address {
            EndpointAddress::Ip(socket) => socket.ip().to_string(),
            other => panic!("{other:?}"),
        };
        endpoints.map(address).collect()
    }

    #[test]
    fn a_strict_cluster_has_every_address_of_every_name_once() {
        let (mut machine, now) = known(&[cluster(Discovery::StrictDns, &["a", "b"])]);
        let changed = machine.handle_answer("a", found(&[1, 2]), now, 0);
        assert_eq!(addresses(&changed[0]), ["192.0.2.1", "192.0.2.2"]);
        let changed = machine.handle_answer("b", found(&[2, 3]), now, 0);
        assert_eq!(
            addresses(&changed[0]),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
        );
        assert!(
            machine
                .handle_answer("b", Answer::Failed, now, 0)
                .is_empty()
        );
        let changed = machine.handle_answer("a", Answer::NoAddress, now, 0);
        assert_eq!(addresses(&changed[0]), ["192.0.2.2", "192.0.2.3"]);
    }

    #[test]
    fn a_logical_cluster_has_the_first_address_and_keeps_the_last_one_known() {
        let (mut machine, now) = known(&[cluster(Discovery::LogicalDns, &["a"])]);
        let changed = machine.handle_answer("a", found(&[1, 2]), now, 0);
        assert_eq!(addresses(&changed[0]), ["192.0.2.1"]);
        let changed = machine.handle_answer("a", found(&[3, 1]), now, 0);
        assert_eq!(addresses(&changed[0]), ["192.0.2.3"]);
        let changed = machine.handle_answer("a", Answer::NoAddress, now, 0);
        assert_eq!(addresses(&changed[0]), ["192.0.2.3"]);
    }

    #[test]
    fn a_name_is_due_once_and_again_after_its_answer_expired() {
        let (mut machine, now) = known(&[cluster(Discovery::StrictDns, &["a"])]);
        assert_eq!(machine.deadline(), None, "it is being looked up");
        assert!(machine.take_due(now + 10 * TTL).is_empty());
        machine.handle_answer("a", found(&[1]), now, 0);
        assert!(
            machine
                .take_due(now + TTL - Duration::from_nanos(1))
                .is_empty()
        );
        assert_eq!(machine.take_due(now + TTL), ["a"]);
    }

    #[test]
    fn a_name_that_two_clusters_have_is_looked_up_once_for_both() {
        let now = tokio::time::Instant::now().into_std();
        let mut machine = DnsClusters::new(RefreshSettings::default());
        let clusters = [
            cluster(Discovery::StrictDns, &["a"]),
            cluster(Discovery::StrictDns, &["b", "a"]),
        ];
        let named = clusters.map(|cluster| (cluster.name.clone(), cluster));
        machine.replace(&named.into(), now);
        assert_eq!(machine.take_due(now), ["a", "b"]);
        assert_eq!(machine.handle_answer("a", found(&[1]), now, 0).len(), 2);
    }

    #[test]
    fn a_new_configuration_keeps_answers_and_forgets_names_that_are_gone() {
        let (mut machine, now) = known(&[cluster(Discovery::StrictDns, &["a"])]);
        machine.handle_answer("a", found(&[1]), now, 0);
        let both = cluster(Discovery::StrictDns, &["a", "b"]);
        let named = BTreeMap::from([(both.name.clone(), both)]);
        let changed = machine.replace(&named, now);
        assert_eq!(addresses(&changed[0]), ["192.0.2.1"]);
        assert_eq!(machine.take_due(now), ["b"]);
        assert!(machine.replace(&named, now).is_empty(), "the same again");

        machine.replace(&BTreeMap::new(), now);
        assert_eq!(machine.names().count(), 0);
        assert_eq!(machine.deadline(), None);
        assert!(machine.handle_answer("b", found(&[2]), now, 0).is_empty());
    }

    #[test]
    fn a_cluster_is_warming_until_each_of_its_names_was_looked_up() {
        let both = cluster(Discovery::StrictDns, &["a", "b"]);
        let (mut machine, now) = known(&[Arc::clone(&both)]);
        assert!(machine.is_warming(&both));
        machine.handle_answer("a", found(&[1]), now, 0);
        assert!(machine.is_warming(&both));
        machine.handle_answer("b", Answer::Failed, now, 0);
        assert!(!machine.is_warming(&both), "a failure is an end, too");
    }

    #[test]
    fn other_settings_hold_from_the_next_answer_on() {
        let (mut machine, now) = known(&[cluster(Discovery::StrictDns, &["a"])]);
        let refresh = Duration::from_secs(7);
        machine.set_settings(RefreshSettings {
            refresh,
            ..RefreshSettings::default()
        });
        machine.handle_answer("a", Answer::NoAddress, now, 0);
        assert_eq!(machine.deadline(), Some(now + refresh));
    }

    #[test]
    fn clusters_that_list_addresses_are_left_alone() {
        let listed = cluster(Discovery::Static, &["a"]);
        let (mut machine, now) = known(&[Arc::clone(&listed)]);
        assert!(!machine.is_warming(&listed));
        assert_eq!(machine.deadline(), None);
        assert!(machine.update(&listed, now).is_none());
    }
}
