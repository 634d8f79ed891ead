use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mesh_core::model::cluster::Cluster;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::driver::MAX_LOOKUPS;
use super::super::{Answer, RefreshSettings, ResolveSrv};
use super::{SrvAnswer, SrvCluster, SrvLookup};

type Lookup = Pin<Box<dyn Future<Output = Found> + Send>>;

enum Found {
    Host(String, Answer),
    Service(SrvAnswer),
}

/// Keeps the cluster of a service resolved, see [`SrvCluster`].
///
/// ```
/// use std::future::{Future, ready};
/// use std::pin::Pin;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use mesh_core::model::cluster::Cluster;
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::source::dns::{
///     Answer, RefreshSettings, Resolve, ResolveSrv, SrvAnswer, SrvDriver, SrvTarget,
/// };
///
/// const TTL: Duration = Duration::from_secs(30);
///
/// struct Loopback;
///
/// impl Resolve for Loopback {
///     fn resolve(&self, _: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
///         let addresses = vec![[127, 0, 0, 1].into()];
///         Box::pin(ready(Answer::Addresses { addresses, ttl: TTL }))
///     }
/// }
///
/// impl ResolveSrv for Loopback {
///     fn resolve_srv(&self, _: &str) -> Pin<Box<dyn Future<Output = SrvAnswer> + Send>> {
///         let target = SrvTarget { host: "a.example".into(), port: 5060, priority: 0, weight: 0 };
///         Box::pin(ready(SrvAnswer::Targets { targets: vec![target], ttl: TTL }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let cluster = Arc::new(Cluster::new(ClusterName::from("sip")));
/// let settings = RefreshSettings::default();
/// let mut driver = SrvDriver::new(Loopback, cluster, "_sip._tcp.example", settings);
/// let resolved = driver.next().await;
/// assert_eq!(resolved.endpoints[0].address.port(), Some(5060));
/// # }
/// ```
pub struct SrvDriver<R> {
    resolver: R,
    cluster: SrvCluster,
    changed: Option<Arc<Cluster>>,
    waiting: VecDeque<SrvLookup>,
    lookups: FuturesUnordered<Lookup>,
    random: fastrand::Rng,
    sleep: Pin<Box<Sleep>>,
}

impl<R: ResolveSrv> SrvDriver<R> {
    /// Asks `resolver` for `service`, such as `_sip._tcp.example.com`, whose targets are the endpoints
    /// of `cluster`, in place of those that it has.
    ///
    /// # Panics
    ///
    /// If there is no tokio runtime with a timer.
    pub fn new(
        resolver: R,
        cluster: Arc<Cluster>,
        service: impl Into<String>,
        settings: RefreshSettings,
    ) -> Self {
        let now = Instant::now();
        Self {
            resolver,
            cluster: SrvCluster::new(cluster, service, settings, now.into_std()),
            changed: None,
            waiting: VecDeque::new(),
            lookups: FuturesUnordered::new(),
            random: fastrand::Rng::new(),
            sleep: Box::pin(sleep_until(now)),
        }
    }

    /// Takes another version of the cluster.
    pub fn replace(&mut self, cluster: Arc<Cluster>) {
        self.changed = self.cluster.replace(cluster);
    }

    /// The machine, for what is known of the service.
    pub fn cluster(&self) -> &SrvCluster {
        &self.cluster
    }

    /// Waits until the cluster has other endpoints than before, and gives it with them.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Arc<Cluster> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Arc<Cluster>> {
        loop {
            if let Some(cluster) = self.changed.take() {
                return Poll::Ready(cluster);
            }
            let now = Instant::now().into_std();
            self.waiting.extend(self.cluster.take_due(now));
            self.start();
            if let Poll::Ready(Some(found)) = self.lookups.poll_next_unpin(cx) {
                let random = self.random.u64(..);
                self.changed = match found {
                    Found::Host(host, answer) => {
                        self.cluster.handle_answer(&host, answer, now, random)
                    }
                    Found::Service(answer) => self.cluster.handle_targets(answer, now, random),
                };
                continue;
            }
            if self.poll_sleep(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn start(&mut self) {
        while self.lookups.len() < MAX_LOOKUPS
            && let Some(lookup) = self.waiting.pop_front()
        {
            self.lookups.push(match lookup {
                SrvLookup::Host(host) => {
                    let answer = self.resolver.resolve(&host);
                    Box::pin(async move { Found::Host(host, answer.await) })
                }
                SrvLookup::Service(service) => {
                    let answer = self.resolver.resolve_srv(&service);
                    Box::pin(async move { Found::Service(answer.await) })
                }
            });
        }
    }

    /// Waits until something is due. Pending if nothing will be before something else happens.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.cluster.deadline().map(Instant::from_std) else {
            return Poll::Pending;
        };
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for SrvDriver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrvDriver")
            .field("cluster", &self.cluster)
            .field("lookups", &self.lookups.len())
            .finish_non_exhaustive()
    }
}
