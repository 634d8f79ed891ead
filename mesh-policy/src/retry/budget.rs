//! How many retries a cluster bears at once.
//!
//! A DestinationRule caps them by a number (`connectionPool.http.maxRetries`) or by a share of the
//! requests under way (`retryBudget`), which takes the number's place. Without either there is no
//! cap: Istio lifts Envoy's default of three.
//!
//! A request is under way from its first attempt until the head of its response has come; a retry
//! from the decision until the next decision, or the end. With a `budgetInterval`, the share is of
//! the requests that came in the interval before, however long they take.
//!
//! Source: `RetryBudgetImpl` in Envoy's `source/common/upstream/resource_manager_impl.h`.
//!
//! # Example
//!
//! ```
//! use mesh_policy::retry::budget::{RetryBudget, RetryCap};
//!
//! let budget = RetryBudget::new(RetryCap::Concurrent(1));
//! let first = budget.retry();
//! assert!(first.is_some());
//! assert!(budget.retry().is_none());
//! drop(first);
//! assert!(budget.retry().is_some());
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mesh_core::model::cluster::Cluster;
use mesh_core::service::ClusterName;
use tokio::time::Instant;

use super::recent::Recent;

/// Envoy's share where only the least number is given, and its least number where only the share is.
const PERCENT: f64 = 20.0;
const LEAST: u32 = 3;

/// The cap on the concurrent retries of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryCap {
    /// A number.
    Concurrent(u32),
    /// A share of the requests under way.
    Share {
        /// Of a hundred requests.
        percent: f64,
        /// Retries that are borne however few requests are under way.
        least: u32,
        /// For how long a request counts; zero is as long as it is under way.
        interval: Duration,
    },
}

impl RetryCap {
    /// The cap that the traffic policy of `cluster` sets, if any.
    pub fn of(cluster: &Cluster) -> Option<Self> {
        if let Some(budget) = &cluster.policy.retry_budget {
            let percent = budget.percent.unwrap_or(PERCENT);
            let least = match budget.min_retry_concurrency {
                0 => LEAST,
                least => least,
            };
            let interval = budget.budget_interval.and_then(|written| written.as_std());
            let interval = interval.unwrap_or_default();
            return Some(Self::Share {
                percent,
                least,
                interval,
            });
        }
        let pool = cluster.policy.connection_pool.as_ref()?;
        let retries = u32::try_from(pool.http.as_ref()?.max_retries).ok()?;
        (retries > 0).then_some(Self::Concurrent(retries))
    }

    /// For how long a request counts; zero is as long as it is under way.
    fn interval(self) -> Duration {
        match self {
            Self::Concurrent(_) => Duration::ZERO,
            Self::Share { interval, .. } => interval,
        }
    }
}

/// The retries of a cluster, counted. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    cap: RetryCap,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    active: AtomicU32,
    retries: AtomicU32,
    /// Requests of the interval, if there is one.
    recent: Option<Recent>,
    /// When the interval begins to count.
    start: Instant,
}

impl Counts {
    fn new(cap: RetryCap) -> Self {
        Self {
            active: AtomicU32::new(0),
            retries: AtomicU32::new(0),
            recent: Recent::new(cap.interval()),
            start: Instant::now(),
        }
    }
}

impl RetryBudget {
    /// No retries yet.
    pub fn new(cap: RetryCap) -> Self {
        let counts = Arc::new(Counts::new(cap));
        Self { cap, counts }
    }

    /// Counts a request as under way until the value is dropped.
    pub fn request(&self) -> ActiveRequest {
        self.counts.active.fetch_add(1, Ordering::Relaxed);
        if let Some(recent) = &self.counts.recent {
            recent.add(self.counts.start.elapsed());
        }
        ActiveRequest(Arc::clone(&self.counts))
    }

    /// Leave for a retry, which counts until it is dropped. `None` if the cluster bears no more.
    pub fn retry(&self) -> Option<RetryPermit> {
        let most = self.most();
        let retries = &self.counts.retries;
        let taken = retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |retries| {
            (retries < most).then_some(retries + 1)
        });
        taken
            .ok()
            .map(|_| RetryPermit(Some(Arc::clone(&self.counts))))
    }

    fn most(&self) -> u32 {
        match self.cap {
            RetryCap::Concurrent(most) => most,
            RetryCap::Share { percent, least, .. } => {
                let requests = match &self.counts.recent {
                    Some(recent) => recent.count(self.counts.start.elapsed()),
                    None => self.counts.active.load(Ordering::Relaxed),
                };
                // Casts of floats saturate, and drop the fraction as Envoy does.
                ((percent / 100.0 * f64::from(requests)) as u32).max(least)
            }
        }
    }
}

/// A request under way, see [`RetryBudget::request`].
#[derive(Debug)]
pub struct ActiveRequest(Arc<Counts>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Leave for a retry, see [`RetryBudget::retry`].
#[derive(Debug)]
pub struct RetryPermit(Option<Arc<Counts>>);

impl RetryPermit {
    /// Leave where nothing is capped.
    pub(crate) fn unlimited() -> Self {
        Self(None)
    }
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.retries.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The budgets of all clusters that cap their retries.
#[derive(Clone, Debug, Default)]
pub struct RetryBudgets(HashMap<ClusterName, RetryBudget>);

impl RetryBudgets {
    /// The budgets that the traffic policies of `clusters` set.
    pub fn compile(clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        Self::default().updated(clusters)
    }

    /// The budgets that the traffic policies of `clusters` set. Clusters that are known go on
    /// counting where they are.
    #[must_use]
    pub fn updated(&self, clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        let budgets = clusters.iter().filter_map(|(name, cluster)| {
            let cap = RetryCap::of(cluster)?;
            let budget = match self.0.get(name) {
                // What is counted otherwise cannot be counted on.
                Some(known) if known.cap.interval() == cap.interval() => RetryBudget {
                    cap,
                    counts: Arc::clone(&known.counts),
                },
                _ => RetryBudget::new(cap),
            };
            Some((name.clone(), budget))
        });
        Self(budgets.collect())
    }

    /// The budget of a cluster. `None` is no cap.
    pub fn of(&self, cluster: &ClusterName) -> Option<&RetryBudget> {
        self.0.get(cluster)
    }
}

impl FromIterator<(ClusterName, RetryBudget)> for RetryBudgets {
    fn from_iter<I: IntoIterator<Item = (ClusterName, RetryBudget)>>(budgets: I) -> Self {
        Self(budgets.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::istio::destination_rule;

    use super::*;

    fn share(percent: f64, least: u32) -> RetryBudget {
        let interval = Duration::ZERO;
        RetryBudget::new(RetryCap::Share {
            percent,
            least,
            interval,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn with_an_interval_requests_count_for_as_long_as_that() {
        let budget = RetryBudget::new(RetryCap::Share {
            percent: 50.0,
            least: 1,
            interval: Duration::from_millis(160),
        });
        for _ in 0..8 {
            drop(budget.request());
        }
        assert_eq!(
            permits_of(&budget),
            4,
            "half of the requests that have ended"
        );
        tokio::time::advance(Duration::from_millis(140)).await;
        assert_eq!(permits_of(&budget), 4);
        let _long = budget.request();
        tokio::time::advance(Duration::from_millis(160)).await;
        assert_eq!(
            permits_of(&budget),
            1,
            "the least: one under way is too old"
        );
    }

    /// How many retries are borne at once.
    fn permits_of(budget: &RetryBudget) -> usize {
        let permits: Vec<_> = std::iter::from_fn(|| budget.retry()).collect();
        permits.len()
    }

    #[test]
    fn the_share_is_of_the_requests_under_way() {
        let budget = share(20.0, 1);
        let requests: Vec<_> = (0..14).map(|_| budget.request()).collect();
        let permits: Vec<_> = std::iter::from_fn(|| budget.retry()).collect();
        assert_eq!(permits.len(), 2, "a fifth of 14, rounded down");
        drop((requests, permits));
        let permits: Vec<_> = std::iter::from_fn(|| budget.retry()).collect();
        assert_eq!(permits.len(), 1, "the least");
    }

    #[test]
    fn the_destination_rule_sets_the_cap() {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        assert_eq!(RetryCap::of(&cluster), None);

        let http = destination_rule::HttpSettings {
            max_retries: 4,
            ..destination_rule::HttpSettings::default()
        };
        cluster.policy.connection_pool = Some(Box::new(destination_rule::ConnectionPoolSettings {
            http: Some(http),
            ..destination_rule::ConnectionPoolSettings::default()
        }));
        assert_eq!(RetryCap::of(&cluster), Some(RetryCap::Concurrent(4)));

        cluster.policy.retry_budget = Some(destination_rule::RetryBudget::default());
        let (percent, least, interval) = (20.0, 3, Duration::ZERO);
        let expected = RetryCap::Share {
            percent,
            least,
            interval,
        };
        assert_eq!(RetryCap::of(&cluster), Some(expected));
    }

    #[test]
    fn a_new_configuration_does_not_forget_what_is_under_way() {
        let name = ClusterName::from("cart");
        let mut cluster = Cluster::new(name.clone());
        cluster.policy.retry_budget = Some(destination_rule::RetryBudget {
            min_retry_concurrency: 1,
            ..destination_rule::RetryBudget::default()
        });
        let clusters = BTreeMap::from([(name.clone(), Arc::new(cluster))]);
        let budgets = RetryBudgets::compile(&clusters);
        let permit = budgets.of(&name).unwrap().retry();
        assert!(permit.is_some());
        let budgets = budgets.updated(&clusters);
        assert!(budgets.of(&name).unwrap().retry().is_none());
        drop(permit);
        assert!(budgets.of(&name).unwrap().retry().is_some());
    }
}
