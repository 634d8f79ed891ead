//! The machine and who it asks, on tokio's clock.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mesh_core::model::cluster::Cluster;
use mesh_core::service::ClusterName;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Answer, DnsClusters, RefreshSettings, Resolve};

/// How many names are looked up at once.
pub(super) const MAX_LOOKUPS: usize = 64;

type Lookup = Pin<Box<dyn Future<Output = (String, Answer)> + Send>>;

/// Keeps the clusters that are resolved by DNS resolved.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::future::{Future, ready};
/// use std::pin::Pin;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::source::dns::{Answer, DnsDriver, RefreshSettings, Resolve};
///
/// struct Loopback;
///
/// impl Resolve for Loopback {
///     fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
///         let addresses = vec![[127, 0, 0, 1].into()];
///         Box::pin(ready(Answer::Addresses { addresses, ttl: Duration::from_secs(30) }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let name = ClusterName::outbound(80, "", "books.example");
/// let mut cluster = Cluster::new(name.clone());
/// cluster.discovery = Discovery::StrictDns;
/// let address = EndpointAddress::Dns { host: "books.example".into(), port: 80 };
/// cluster.endpoints = vec![Endpoint::new(address)];
///
/// let mut driver = DnsDriver::new(Loopback, RefreshSettings::default());
/// driver.replace(&BTreeMap::from([(name, Arc::new(cluster))]));
/// let resolved = driver.next().await;
/// assert_eq!(resolved.endpoints[0].address, EndpointAddress::Ip("127.0.0.1:80".parse().unwrap()));
/// # }
/// ```
pub struct DnsDriver<R> {
    resolver: R,
    clusters: DnsClusters,
    waiting: VecDeque<String>,
    lookups: FuturesUnordered<Lookup>,
    changed: VecDeque<Arc<Cluster>>,
    random: fastrand::Rng,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<R: Resolve> DnsDriver<R> {
    /// Asks `resolver`.
    pub fn new(resolver: R, settings: RefreshSettings) -> Self {
        Self {
            resolver,
            clusters: DnsClusters::new(settings),
            waiting: VecDeque::new(),
            lookups: FuturesUnordered::new(),
            changed: VecDeque::new(),
            random: fastrand::Rng::new(),
            sleep: None,
        }
    }

    /// Takes the clusters of a new configuration, of which only those that are resolved by DNS
    /// count.
    pub fn replace(&mut self, clusters: &BTreeMap<ClusterName, Arc<Cluster>>) {
        // What was resolved for the configuration before may be of clusters that are gone. Of those that
        // are the same it is not told again.
        let stays = |resolved: &Arc<Cluster>| {
            let written = clusters.get(&resolved.name);
            written.is_some_and(|written| self.clusters.has(written))
        };
        self.changed.retain(stays);
        let changed = self.clusters.replace(clusters, Instant::now().into_std());
        self.changed.extend(changed);
    }

    /// Takes a cluster whose endpoints alone are other than before.
    pub fn update(&mut self, cluster: &Arc<Cluster>) {
        let changed = self.clusters.update(cluster, Instant::now().into_std());
        self.changed.extend(changed);
    }

    /// The machine, for what is known of each name.
    pub fn clusters(&self) -> &DnsClusters {
        &self.clusters
    }

    /// Waits for the next cluster that has other addresses than before, and gives it with them.
    ///
    /// Needs a tokio runtime with a timer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Arc<Cluster> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Arc<Cluster>> {
        loop {
            if let Some(cluster) = self.changed.pop_front() {
                return Poll::Ready(cluster);
            }
            let now = Instant::now();
            self.waiting.extend(self.clusters.take_due(now.into_std()));
            self.start();
            if let Poll::Ready(Some((name, answer))) = self.lookups.poll_next_unpin(cx) {
                let random = self.random.u64(..);
                let changed = self
                    .clusters
                    .handle_answer(&name, answer, now.into_std(), random);
                self.changed.extend(changed);
                continue;
            }
            if self.poll_sleep(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn start(&mut self) {
        while self.lookups.len() < MAX_LOOKUPS
            && let Some(name) = self.waiting.pop_front()
        {
            let answer = self.resolver.resolve(&name);
            self.lookups
                .push(Box::pin(async move { (name, answer.await) }));
        }
    }

    /// Waits until a name is due. Pending if none will be before something else happens.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.clusters.deadline().map(Instant::from_std) else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for DnsDriver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsDriver")
            .field("clusters", &self.clusters)
            .field("lookups", &self.lookups.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_waits_to_be_given_outlives_a_configuration_that_has_it() {
        let mut driver = DnsDriver::new(Loopback, RefreshSettings::default());
        let both = clusters(["a", "b"]);
        driver.replace(&both);
        assert_eq!(next(&mut driver).await.as_deref(), Some("a"));
        // The answer was for both.
        driver.replace(&both);
        assert_eq!(next(&mut driver).await.as_deref(), Some("b"));
        assert_eq!(next(&mut driver).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_waits_to_be_given_goes_with_the_configuration_that_had_it() {
        let mut driver = DnsDriver::new(Loopback, RefreshSettings::default());
        driver.replace(&clusters(["a", "b"]));
        assert_eq!(next(&mut driver).await.as_deref(), Some("a"));
        driver.replace(&clusters(["a"]));
        assert_eq!(
            next(&mut driver).await.as_deref(),
            Some("a"),
            "another version"
        );
        assert_eq!(next(&mut driver).await, None);

        driver.replace(&clusters(["b"]));
        driver.replace(&clusters(["b"]));
        assert_eq!(next(&mut driver).await.as_deref(), Some("b"));
        assert_eq!(next(&mut driver).await, None, "one version is enough");
    }

    /// The next cluster that has an address; `None` if none has.
    async fn next(driver: &mut DnsDriver<Loopback>) -> Option<String> {
        let resolved = timeout(Duration::from_secs(1), driver.next()).await.ok()?;
        assert_eq!(resolved.endpoints.len(), 1);
        Some(resolved.name.as_str().to_owned())
    }

    /// Clusters of one name.
    fn clusters<const N: usize>(names: [&str; N]) -> BTreeMap<ClusterName, Arc<Cluster>> {
        let cluster = |name| {
            let mut cluster = Cluster::new(ClusterName::from(name));
            cluster.discovery = Discovery::StrictDns;
            let (host, port) = ("books.example".into(), 80);
            cluster.endpoints = vec![Endpoint::new(EndpointAddress::Dns { host, port })];
            (cluster.name.clone(), Arc::new(cluster))
        };
        names.map(cluster).into()
    }

    /// Finds one address of every name.
    struct Loopback;

    impl Resolve for Loopback {
        fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let addresses = vec![[127, 0, 0, 1].into()];
            let ttl = Duration::from_secs(30);
            Box::pin(std::future::ready(Answer::Addresses { addresses, ttl }))
        }
    }
}
