use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::cluster::{Cluster, Discovery, Endpoint};

use super::super::{Answer, DnsClusters, NameStatus, RefreshSettings};
use super::{SrvAnswer, SrvTarget, by_priority, endpoints};

/// Resolves a service, and the names of its targets, to the endpoints of a cluster (RFC 2782). A
/// machine: answers and the time go in, what is to be looked up and the cluster with its endpoints come
/// out.
///
/// - All priorities are endpoints of the cluster. The balancer sends load to the first of which enough
///   endpoints are healthy ([`priority`](crate::balance::priority)), so that outlier detection and probes
///   decide when targets are held in reserve no longer. For that, the cluster's
///   [`locality`](Cluster::locality) is replaced if there are several; at most sixteen are told apart.
/// - Addresses of a target share its weight. One of weight 0 gets next to nothing beside others.
/// - The service, and the name of each target, are looked up again when their answers expire. That there
///   is no such service is known for as long as its zone says (RFC 2308), or after
///   [`refresh`](RefreshSettings::refresh); then the cluster has no endpoints, as if the service is
///   declared to be none.
/// - An answer that could not be had changes nothing. New targets take the place of those before once
///   each of them was looked up.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use mesh_core::model::cluster::{Cluster, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::source::dns::{
///     Answer, RefreshSettings, SrvAnswer, SrvCluster, SrvLookup, SrvTarget,
/// };
///
/// # let now = tokio::time::Instant::now().into_std();
/// let ttl = Duration::from_secs(30);
/// let cluster = Arc::new(Cluster::new(ClusterName::from("sip")));
/// let mut sip = SrvCluster::new(cluster, "_sip._tcp.example", RefreshSettings::default(), now);
/// assert_eq!(sip.take_due(now), [SrvLookup::Service("_sip._tcp.example".into())]);
///
/// let target = SrvTarget { host: "a.example".into(), port: 5060, priority: 10, weight: 1 };
/// let answer = SrvAnswer::Targets { targets: vec![target], ttl };
/// assert!(sip.handle_targets(answer, now, 0).is_none(), "its address is not known yet");
/// assert_eq!(sip.take_due(now), [SrvLookup::Host("a.example".into())]);
///
/// let answer = Answer::Addresses { addresses: vec![[192, 0, 2, 7].into()], ttl };
/// let resolved = sip.handle_answer("a.example", answer, now, 0).unwrap();
/// let address = EndpointAddress::Ip("192.0.2.7:5060".parse().unwrap());
/// assert_eq!(resolved.endpoints[0].address, address);
/// assert_eq!(sip.deadline(), Some(now + ttl));
/// ```
#[derive(Clone, Debug)]
pub struct SrvCluster {
    // As it was given.
    cluster: Arc<Cluster>,
    service: String,
    settings: RefreshSettings,
    targets: Vec<SrvTarget>,
    is_answered: bool,
    failures: u32,
    // When the service is looked up next; `None` while it is being looked up.
    next: Option<Instant>,
    // The names of the targets are those of a cluster.
    names: Arc<Cluster>,
    hosts: DnsClusters,
    // The endpoints that were told of; `None` if none were yet.
    told: Option<Vec<Endpoint>>,
}

/// What is to be looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SrvLookup {
    /// The addresses of the host of a target.
    Host(String),
    /// The targets of the service.
    Service(String),
}

impl SrvCluster {
    /// Resolves `service`, such as `_sip._tcp.example.com`, from `now` on, to the endpoints of `cluster`,
    /// in place of those that it has.
    pub fn new(
        cluster: Arc<Cluster>,
        service: impl Into<String>,
        settings: RefreshSettings,
        now: Instant,
    ) -> Self {
        Self {
            names: Arc::new(names(&cluster, Vec::new())),
            cluster,
            service: service.into(),
            settings,
            targets: Vec::new(),
            is_answered: false,
            failures: 0,
            next: Some(now),
            hosts: DnsClusters::new(settings),
            told: None,
        }
    }

    /// Takes another version of the cluster. Returns it with the endpoints that are known, if any
    /// answer has told of them.
    pub fn replace(&mut self, cluster: Arc<Cluster>) -> Option<Arc<Cluster>> {
        self.cluster = cluster;
        self.told = None;
        self.resolve()
    }

    /// What is to be looked up at `now`. None of it is due again before its answer has been handled.
    pub fn take_due(&mut self, now: Instant) -> Vec<SrvLookup> {
        let mut due = Vec::new();
        if self.next.is_some_and(|next| next <= now) {
            self.next = None;
            due.push(SrvLookup::Service(self.service.clone()));
        }
        due.extend(self.hosts.take_due(now).into_iter().map(SrvLookup::Host));
        due
    }

    /// When something is to be looked up next; `None` if all is being looked up.
    pub fn deadline(&self) -> Option<Instant> {
        self.next.into_iter().chain(self.hosts.deadline()).min()
    }

    /// Takes in what a look-up of the service found, and gives the cluster if it has other endpoints
    /// than before. `random`, uniform over all values, spreads the next look-up.
    pub fn handle_targets(
        &mut self,
        answer: SrvAnswer,
        now: Instant,
        random: u64,
    ) -> Option<Arc<Cluster>> {
        let pause = match answer {
            SrvAnswer::Targets { targets, ttl } => {
                self.failures = 0;
                self.is_answered = true;
                self.set_targets(targets, now);
                self.settings.after_answer(ttl)
            }
            SrvAnswer::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.settings.after_failures(self.failures, random)
            }
        };
        self.next = Some(now + pause + self.settings.jitter(random));
        self.resolve()
    }

    /// Takes in what a look-up of the host of a target found, and gives the cluster if it has other
    /// endpoints than before. `random`, uniform over all values, spreads the next look-up.
    ///
    /// A host that no target has any more is ignored.
    pub fn handle_answer(
        &mut self,
        host: &str,
        answer: Answer,
        now: Instant,
        random: u64,
    ) -> Option<Arc<Cluster>> {
        self.hosts.handle_answer(host, answer, now, random);
        self.resolve()
    }

    /// The targets, by the last answer.
    pub fn targets(&self) -> &[SrvTarget] {
        &self.targets
    }

    /// How many look-ups of the service have failed since the last that did not.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What is known of the host of a target.
    pub fn host(&self, host: &str) -> Option<&NameStatus> {
        self.hosts.name(host)
    }

    fn set_targets(&mut self, targets: Vec<SrvTarget>, now: Instant) {
        if targets == self.targets {
            return;
        }
        let endpoints = by_priority(targets.iter().cloned());
        self.names = Arc::new(names(&self.cluster, endpoints.concat()));
        let only = BTreeMap::from([(self.names.name.clone(), Arc::clone(&self.names))]);
        self.hosts.replace(&only, now);
        self.targets = targets;
    }

    /// The cluster, if it has other endpoints than were told of.
    fn resolve(&mut self) -> Option<Arc<Cluster>> {
        if !self.is_answered || self.hosts.is_warming(&self.names) {
            return None;
        }
        let status = |host: &str| self.hosts.name(host);
        let known = |host: &str| status(host).map_or(&[][..], |status| &status.addresses);
        let (endpoints, balancing) = endpoints::endpoints(&self.targets, known);
        // Not to know where any target is, is not to know that it is nowhere.
        let is_unknown = |target: &SrvTarget| {
            status(&target.host).is_some_and(|status| status.answered.is_none())
        };
        if endpoints.is_empty() && self.targets.iter().any(is_unknown) {
            return None;
        }
        let before = self.told.replace(endpoints.clone());
        if before.as_ref() == Some(&endpoints) {
            return None;
        }
        let cluster = &self.cluster;
        Some(Arc::new(Cluster {
            endpoints,
            locality: balancing.unwrap_or_else(|| cluster.locality.clone()),
            ..Cluster::clone(cluster)
        }))
    }
}

/// A cluster of the names of targets, under the name of `cluster`.
fn names(cluster: &Cluster, endpoints: Vec<Endpoint>) -> Cluster {
    Cluster {
        discovery: Discovery::StrictDns,
        endpoints,
        ..Cluster::new(cluster.name.clone())
    }
}

#[cfg(test)]
mod tests;
