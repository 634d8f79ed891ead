//! Host names of endpoints, resolved again and again.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::model::cluster::Cluster;
use mesh_core::service::ClusterName;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::source::dns::{Answer, DnsClusters, RefreshSettings};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long the first answers for names are waited for, before what needs them is served without.
const FIRST_ANSWERS: Duration = Duration::from_secs(5);

/// The names that clusters have for endpoints.
///
/// Names are resolved in the background by the operating system, and their addresses outlive the
/// generation that asked for them first.
#[derive(Debug)]
pub(super) struct Names {
    // `None` once it is dropped.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
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
    /// Knows no name yet. Each is looked up again after `refresh`, and other addresses are told to the
    /// clusters of `live`.
    pub(super) fn new(live: Clusters, refresh: RefreshSettings) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("names")
            .enable_all()
            .build()?;
        let machine = DnsClusters::new(refresh);
        let shared = Arc::new(Shared {
            known: Mutex::new(Known { machine, live }),
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
            lookups.spawn(async move {
                let answer = look_up(&name).await;
                (name, answer)
            });
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

/// The addresses of a name, as the operating system knows them.
pub(super) async fn look_up(name: &str) -> Answer {
    // Whatever the port is, it is not looked up.
    let Ok(found) = tokio::net::lookup_host((name, 0)).await else {
        return Answer::Failed;
    };
    let addresses = preferred(found.map(|address| address.ip()).collect());
    match addresses.is_empty() {
        true => Answer::NoAddress,
        // The operating system does not say how long it is good.
        false => Answer::Addresses {
            addresses,
            ttl: Duration::ZERO,
        },
    }
}

/// The IPv4 addresses; all if there are none. Istio has an Envoy look for nothing else, unless its
/// own host has IPv6 only.
fn preferred(mut found: Vec<IpAddr>) -> Vec<IpAddr> {
    if found.iter().any(IpAddr::is_ipv4) {
        found.retain(IpAddr::is_ipv4);
    }
    found
}

#[cfg(test)]
mod tests {
    use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};
    use mesh_discovery::locality::Client;

    use super::*;

    #[test]
    fn ipv4_is_preferred() {
        let (four, six): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), "::1".parse().unwrap());
        assert_eq!(preferred(vec![six, four]), [four]);
        assert_eq!(preferred(vec![six]), [six]);
    }

    #[test]
    fn a_name_is_resolved_before_its_cluster_is_published() {
        let names = names();
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
        let names = names();
        let found = names.publish(named("no such name"), |_, clusters| clusters.clone());
        assert!(found[&ClusterName::from("cart")].endpoints.is_empty());
    }

    fn names() -> Names {
        let live = Clusters::new(Client::default());
        Names::new(live, RefreshSettings::default()).unwrap()
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
