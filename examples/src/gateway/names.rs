//! Host names of endpoints, resolved again and again.

mod known;

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
    AddressFamily, Answer, RefreshSettings, Resolve, Resolver, ResolverError,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::known::Known;

/// How long the first configuration waits for the first answers for its names.
const AT_START: Duration = Duration::from_secs(5);

/// How long a change waits for them: what a resolver that is near takes, and no more than may pass
/// until a change takes effect.
const OF_CHANGE: Duration = Duration::from_millis(100);

/// The names that clusters have for endpoints.
///
/// Names are resolved in the background, and their addresses outlive the generation that asked for them
/// first. What a name has no longer is dropped when its answer has expired.
pub(super) struct Names {
    // `None` once it is dropped.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    known: Mutex<Known>,
    resolver: Arc<dyn Resolve>,
    /// Something is due earlier than before.
    changed: Notify,
    answered: Condvar,
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
        let shared = Arc::new(Shared {
            known: Mutex::new(Known::new(live, refresh)),
            resolver,
            changed: Notify::new(),
            answered: Condvar::new(),
        });
        runtime.spawn(keep(Arc::clone(&shared)));
        Ok(Self {
            runtime: Some(runtime),
            shared,
            patience: AT_START,
        })
    }

    /// Looks names up again after `refresh`. What is known of names is kept.
    pub(super) fn renew(&self, refresh: RefreshSettings) {
        self.shared.lock().renew(refresh);
    }

    /// Takes the clusters of a new configuration, and calls `publish` with them, their names resolved.
    /// Says of which clusters no name has an address yet.
    ///
    /// The first answers for names that are new, which may be that they have no address, are waited for:
    /// by the first configuration for some seconds, by others no longer than a change may take. A
    /// cluster that has to do without them keeps the endpoints that it had, if there are any.
    pub(super) fn publish<T>(
        &mut self,
        clusters: BTreeMap<ClusterName, Arc<Cluster>>,
        publish: impl FnOnce(&Clusters, &BTreeMap<ClusterName, Arc<Cluster>>) -> T,
    ) -> (T, Vec<String>) {
        let patience = std::mem::replace(&mut self.patience, OF_CHANGE);
        self.shared.publish(clusters, patience, publish)
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

    fn publish<T>(
        &self,
        mut clusters: BTreeMap<ClusterName, Arc<Cluster>>,
        patience: Duration,
        publish: impl FnOnce(&Clusters, &BTreeMap<ClusterName, Arc<Cluster>>) -> T,
    ) -> (T, Vec<String>) {
        let mut known = self.lock();
        known.replace(&clusters, Instant::now().into_std());
        self.changed.notify_one();
        let is_awaited = |known: &mut Known| known.awaits_answers();
        let waited = self
            .answered
            .wait_timeout_while(known, patience, is_awaited);
        (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let without = known.resolve(&mut clusters, Instant::now().into_std());
        // Nothing is told of other addresses meanwhile.
        (publish(known.live(), &clusters), without)
    }

    /// Starts the look-ups that are due, and says when the next one is.
    fn start(&self, lookups: &mut JoinSet<(String, Answer)>) -> Option<Instant> {
        let mut known = self.lock();
        for name in known.take_due(Instant::now().into_std()) {
            let looking_up = self.resolver.resolve(&name);
            lookups.spawn(async move { (name, looking_up.await) });
        }
        known.deadline().map(Instant::from_std)
    }

    fn handle(&self, name: &str, answer: Answer) {
        let now = Instant::now().into_std();
        self.lock().handle(name, answer, now, fastrand::u64(..));
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
mod tests;
