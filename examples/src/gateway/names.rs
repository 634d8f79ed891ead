//! Host names of endpoints, resolved again and again.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::model::cluster::Cluster;
use mesh_core::service::ClusterName;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::source::dns::{
    AddressFamily, Answer, DnsClusters, RefreshSettings, Resolve, Resolver, ResolverError,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long the first answers for names are waited for, before what needs them is served without.
const FIRST_ANSWERS: Duration = Duration::from_secs(5);

/// The names that clusters have for endpoints.
///
/// Names are resolved in the background, and their addresses outlive the generation that asked for them
/// first. What a name has no longer is dropped when its answer has expired.
pub(super) struct Names {
    // `None` once it is dropped.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

struct Shared {
    known: Mutex<Known>,
    resolver: Arc<dyn Resolve>,
    /// Something is due earlier than before.
    changed: Notify,
    answered: Condvar,
}

#[derive(Debug)]
struct Known {
    machine: DnsClusters,
    /// The clusters that are told of other addresses.
    live: Clusters,
}

impl Names {
    /// Knows no name yet. Each is looked up by `resolver` again when its answer has expired, or after
    /// `refresh`, and other addresses are told to the clusters of `live`.
    pub(super) fn new(
        live: Clusters,
        refresh: RefreshSettings,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("names")
            .enable_all()
            .build()?;
        let machine = DnsClusters::new(refresh);
        let shared = Arc::new(Shared {
            known: Mutex::new(Known { machine, live }),
            resolver,
            changed: Notify::new(),
            answered: Condvar::new(),
        });
        runtime.spawn(keep(Arc::clone(&shared)));
        Ok(Self {
            runtime: Some(runtime),
            shared,
        })
    }

    /// Takes the clusters of a new configuration, and calls `publish` with them, their names resolved.
    ///
    /// Waits for the first answers for names that are new, which may be that they have no address; but
    /// for no longer than some seconds.
    pub(super) fn publish<T>(
        &self,
        mut clusters: BTreeMap<ClusterName, Arc<Cluster>>,
        publish: impl FnOnce(&Clusters, &BTreeMap<ClusterName, Arc<Cluster>>) -> T,
    ) -> T {
        let mut known = self.shared.lock();
        known.machine.replace(&clusters, Instant::now().into_std());
        self.shared.changed.notify_one();
        let is_awaited = |known: &mut Known| {
            let mut names = known.machine.names();
            names.any(|(_, name)| name.answered.is_none() && name.failures == 0)
        };
        let waited = self
            .shared
            .answered
            .wait_timeout_while(known, FIRST_ANSWERS, is_awaited);
        (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now().into_std();
        for cluster in clusters.values_mut() {
            if let Some(resolved) = known.machine.update(cluster, now) {
                *cluster = resolved;
            }
        }
        // Nothing is told of other addresses meanwhile.
        publish(&known.live, &clusters)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A look-up that blocks is not waited for.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the look-ups that are due, and says when the next one is.
    fn start(&self, lookups: &mut JoinSet<(String, Answer)>) -> Option<Instant> {
        let mut known = self.lock();
        for name in known.machine.take_due(Instant::now().into_std()) {
            let looking_up = self.resolver.resolve(&name);
            lookups.spawn(async move { (name, looking_up.await) });
        }
        known.machine.deadline().map(Instant::from_std)
    }

    fn handle(&self, name: &str, answer: Answer) {
        let mut known = self.lock();
        let now = Instant::now().into_std();
        let changed = known
            .machine
            .handle_answer(name, answer, now, fastrand::u64(..));
        for cluster in changed {
            let endpoints = cluster.endpoints.iter().cloned();
            known.live.replace_endpoints(&cluster.name, endpoints, now);
        }
        self.answered.notify_all();
    }
}

/// Looks names up whenever they are due.
async fn keep(shared: Arc<Shared>) {
    let mut lookups = JoinSet::new();
    loop {
        let next = shared.start(&mut lookups);
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(Ok((name, answer))) = lookups.join_next() => shared.handle(&name, answer),
            () = due => {}
            () = shared.changed.notified() => {}
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// Asks the servers that the system is configured with now, for IPv4 addresses or, if a name has none,
/// others. Istio has an Envoy look for nothing else, unless its own host has IPv6 only.
pub(super) fn system() -> Result<Resolver, ResolverError> {
    let resolver = Resolver::system()?;
    Ok(resolver.with_family(AddressFamily::V4Preferred))
}

/// Resolves nothing, where the system does not say who is to be asked.
pub(super) struct Nobody;

impl Resolve for Nobody {
    fn resolve(&self, _host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(ready(Answer::Failed))
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};
    use mesh_discovery::locality::Client;

    use super::*;

    #[test]
    fn a_name_is_resolved_before_its_cluster_is_published() {
        let names = names(Arc::new(system().unwrap()));
        for _generation in 0..2 {
            let found = names.publish(named("localhost"), |_, clusters| clusters.clone());
            let endpoints = &found[&ClusterName::from("cart")].endpoints;
            let is_loopback = |endpoint: &Endpoint| match &endpoint.address {
                EndpointAddress::Ip(address) => address.ip().is_loopback() && address.port() == 80,
                _ => false,
            };
            assert!(!endpoints.is_empty());
            assert!(endpoints.iter().all(is_loopback), "{endpoints:?}");
        }
    }

    #[test]
    fn a_name_without_an_address_is_no_endpoint() {
        for answer in [Answer::NoAddress, Answer::Failed] {
            let names = names(Arc::new(Says(Mutex::new(vec![answer]))));
            let found = names.publish(named("none.example"), |_, clusters| clusters.clone());
            assert!(found[&ClusterName::from("cart")].endpoints.is_empty());
        }
    }

    #[test]
    fn a_name_that_is_gone_loses_its_addresses_when_the_answer_has_expired() {
        let addresses = vec![[192, 0, 2, 7].into()];
        let ttl = Duration::from_millis(1);
        let answers = vec![Answer::NoAddress, Answer::Addresses { addresses, ttl }];
        let live = Clusters::new(Client::default());
        let resolver = Arc::new(Says(Mutex::new(answers)));
        let names = Names::new(live.clone(), RefreshSettings::default(), resolver).unwrap();
        names.publish(named("a.example"), |live, clusters| {
            live.publish(clusters, Instant::now().into_std());
        });
        let upstream = live.get(&ClusterName::from("cart")).unwrap();
        let deadline = Instant::now() + FIRST_ANSWERS;
        while !upstream.balancer().endpoints().is_empty() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    /// Gives these answers, the last one first.
    struct Says(Mutex<Vec<Answer>>);

    impl Resolve for Says {
        fn resolve(&self, _host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let answer = self.0.lock().unwrap().pop();
            Box::pin(ready(answer.unwrap_or(Answer::Failed)))
        }
    }

    fn names(resolver: Arc<dyn Resolve>) -> Names {
        let live = Clusters::new(Client::default());
        Names::new(live, RefreshSettings::default(), resolver).unwrap()
    }

    fn named(host: &str) -> BTreeMap<ClusterName, Arc<Cluster>> {
        let name = ClusterName::from("cart");
        let mut cluster = Cluster::new(name.clone());
        cluster.discovery = Discovery::StrictDns;
        let (host, port) = (host.into(), 80);
        cluster.endpoints = vec![Endpoint::new(EndpointAddress::Dns { host, port })];
        BTreeMap::from([(name, Arc::new(cluster))])
    }
}
