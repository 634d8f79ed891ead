use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mesh_core::model::Notice;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, LocalityBalancing};

use crate::balance::host::Host;
use crate::balance::policy::{Policy, PolicyError};
#[cfg(feature = "balance")]
use crate::balance::settings::Target;
use crate::balance::settings::{self, Settings};
use crate::balance::snapshot::{PRIORITY_UPDATES, Pick, PickRequest, Snapshot};
use crate::balance::state::State;
use crate::endpoint_set::{EndpointChange, EndpointSet};
use crate::health::outlier::Detector;
use crate::locality::Client;

/// No time at which something has to be decided.
const NEVER: u64 = u64::MAX;

/// Picks endpoints of one cluster, and keeps what is known of them.
///
/// It is shared: picks take no lock but where endpoints have weights, and then for one step of a
/// heap, and where they avoid priorities that were tried before; changes are made beside them, and seen
/// by the picks after. It has no tasks: who picks says what time it is, and what is due is done then, or
/// by the next pick if there is a change just then.
///
/// A change of one endpoint among many costs little under every policy, so that an endpoint can be
/// ejected by the request that failed. For Maglev, whose table takes milliseconds to compile, that is
/// because the table follows later: until somebody calls [`rebuild`](Self::rebuild), the table before
/// is picked from, endpoints that have gone are passed over, and new ones wait. The services of
/// `service`, and `Upstream::pick`, have it called beside the requests; who picks here calls it where
/// there is time to wait, whenever the balancer [is stale](Self::is_stale). (In Envoy, too, requests
/// are balanced by the table before until the main thread has compiled another.)
///
/// See the [module docs](super) for an example.
pub struct Balancer {
    pub(super) snapshot: ArcSwap<Snapshot>,
    pub(super) state: Mutex<State>,
    /// When the detector has to decide next, in nanoseconds since `epoch`.
    pub(super) due: AtomicU64,
    pub(super) epoch: Instant,
    pub(super) is_stale: AtomicBool,
    /// Held while tables are compiled beside the picks.
    pub(super) renewal: Mutex<()>,
    /// Whether somebody has taken it on to rebuild.
    #[cfg(feature = "balance")]
    pub(super) is_claimed: AtomicBool,
}

/// What has to be known of a request.
#[cfg(feature = "balance")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Its hash.
    pub(crate) hash: bool,
    /// Its authority.
    pub(crate) authority: bool,
    /// How it ends, and how long that takes.
    pub(crate) outcome: bool,
}

impl Balancer {
    /// Balances over the endpoints of `cluster`, which are known from `now` on, for `client`.
    /// `seed` decides where turns begin: give each client another, so that they do not pick the
    /// same endpoint at the same time.
    pub fn new(cluster: Arc<Cluster>, client: Client, now: Instant, seed: u64) -> Self {
        let endpoints = endpoints_of(&cluster);
        let mut state = State::new(Arc::clone(&cluster), client, seed);
        let settings = Arc::new(state.settings());
        let empty = Snapshot {
            cluster,
            settings: Arc::clone(&settings),
            levels: Vec::new(),
            loads: Vec::new(),
        };
        state.set_detector(&settings, now);
        state.set_endpoints(&endpoints, &settings, now);
        let snapshot = state.compile(&empty, settings, now);
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            state: Mutex::new(state),
            due: AtomicU64::new(NEVER),
            epoch: now,
            is_stale: AtomicBool::new(false),
            renewal: Mutex::default(),
            #[cfg(feature = "balance")]
            is_claimed: AtomicBool::new(false),
        }
    }

    /// Picks by `policy` instead of what the cluster's `loadBalancer` says, in all its versions. So
    /// policies are had that Istio has no name for, such as
    /// [`PeakEwma`](crate::balance::policy::Policy::PeakEwma).
    ///
    /// # Errors
    ///
    /// The size of a Maglev table is not prime, or a table or ring would be too large.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::{Duration, Instant};
    ///
    /// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    /// use mesh_core::service::ClusterName;
    /// use mesh_discovery::balance::policy::Policy;
    /// use mesh_discovery::balance::{Balancer, PickRequest};
    ///
    /// let mut cluster = Cluster::new(ClusterName::from("cart"));
    /// for port in [80, 81] {
    ///     let address = EndpointAddress::Ip(([10, 0, 0, 7], port).into());
    ///     cluster.endpoints.push(Endpoint::new(address));
    /// }
    /// let now = Instant::now();
    /// let balancer = Balancer::new(Arc::new(cluster), Default::default(), now, 0);
    /// let balancer = balancer.with_policy(Policy::PeakEwma, now)?;
    ///
    /// // Both endpoints are drawn by two numbers in a row.
    /// let mut random = 0..;
    /// let mut draw = || random.next().unwrap_or(0);
    /// let mut pick = || balancer.pick(&PickRequest::new(now), &mut draw).unwrap();
    /// let slow = pick();
    /// slow.state().latency().record(Duration::from_secs(1), now);
    /// assert_ne!(pick().endpoint().address, slow.endpoint().address);
    /// # Ok::<(), mesh_discovery::balance::policy::PolicyError>(())
    /// ```
    pub fn with_policy(self, policy: Policy, now: Instant) -> Result<Self, PolicyError> {
        policy.validate()?;
        let mut state = self.state();
        state.policy = Some(policy);
        self.put_settings(&mut state, None, now);
        drop(state);
        self.rebuild(now);
        Ok(self)
    }

    /// Takes another version of the cluster: its endpoints and its policy. Endpoints that stay keep
    /// their state: active requests, errors, ejections, age.
    ///
    /// What came by [`replace_endpoints`](Self::replace_endpoints) and [`apply`](Self::apply) since the
    /// version before goes, unless the cluster is one of names that are resolved by DNS, and has the
    /// same ones: their addresses come by no other way.
    ///
    /// Costs time in proportion to the endpoints, and includes a [`rebuild`](Self::rebuild).
    pub fn replace(&self, cluster: Arc<Cluster>, now: Instant) {
        self.put(&mut self.state(), cluster, now);
        self.rebuild(now);
    }

    /// Balances for another client, over the same endpoints. Replicas of the client count where zones do,
    /// and nowhere else.
    pub fn set_client(&self, client: &Client, now: Instant) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.client, client.clone());
        let elsewhere = Client {
            replicas: before.replicas.clone(),
            ..client.clone()
        };
        let counts_replicas = matches!(state.cluster.locality, LocalityBalancing::ZoneAware(_));
        if before == *client || (before == elsewhere && !counts_replicas) {
            return;
        }
        self.put_settings(&mut state, None, now);
        drop(state);
        self.rebuild(now);
    }

    /// Takes another version of the cluster but for its tables.
    pub(super) fn put(&self, state: &mut State, cluster: Arc<Cluster>, now: Instant) {
        let before = std::mem::replace(&mut state.cluster, cluster);
        let stays = state.keeps_endpoints(&before);
        let endpoints = (!stays).then(|| endpoints_of(&state.cluster));
        self.put_settings(state, endpoints.as_ref(), now);
    }

    /// Follows the cluster, the client and the policy as they are now, and takes the endpoints of the
    /// cluster if they are given.
    fn put_settings(&self, state: &mut State, endpoints: Option<&EndpointSet>, now: Instant) {
        let settings = Arc::new(state.settings());
        state.set_detector(&settings, now);
        if let Some(endpoints) = endpoints {
            state.set_endpoints(endpoints, &settings, now);
            state.has_other_endpoints = false;
        }
        state.members.sort(&settings.rules);
        self.publish(state, settings, now);
    }

    /// Takes another list of endpoints, as a whole. Costs time in proportion to them, and includes a
    /// [`rebuild`](Self::rebuild).
    pub fn replace_endpoints(&self, endpoints: impl IntoIterator<Item = Endpoint>, now: Instant) {
        let mut state = self.state();
        let settings = Arc::clone(&self.snapshot.load().settings);
        state.set_endpoints(&endpoints.into_iter().collect(), &settings, now);
        state.has_other_endpoints = true;
        self.publish(&mut state, settings, now);
        drop(state);
        self.rebuild(now);
    }

    /// Takes changes to the endpoints. This is the cheap way: it costs about as much as there are
    /// changes, whatever the number of endpoints. A Maglev table follows by a
    /// [`rebuild`](Self::rebuild).
    ///
    /// It costs as much as a new balancer where places have weights and endpoints are picked by a
    /// hash, and where one weighs other than the others for the first time.
    pub fn apply(&self, changes: impl IntoIterator<Item = EndpointChange>, now: Instant) {
        let mut state = self.state();
        let settings = Arc::clone(&self.snapshot.load().settings);
        for change in changes {
            state.apply(change, &settings, now);
            state.has_other_endpoints = true;
        }
        self.publish(&mut state, settings, now);
    }

    /// Picks an endpoint. `random` gives numbers uniform over all values. `None` if no endpoint is
    /// healthy.
    ///
    /// Allocates nothing, unless the endpoint is not listed but named by the request, or a further attempt
    /// avoids priorities.
    pub fn pick(&self, request: &PickRequest<'_>, random: impl FnMut() -> u64) -> Option<Host> {
        self.handle_due(request.now);
        let tried = self.tried(request);
        let snapshot = self.snapshot.load();
        let picked = snapshot.pick(request, &tried, random)?;
        Some(picked.host)
    }

    /// Picks an endpoint as [`pick`](Self::pick) does, and says of which version of the cluster it is. The
    /// two belong together: [`cluster`](Self::cluster) may be another one already.
    pub fn pick_with_cluster(
        &self,
        request: &PickRequest<'_>,
        random: impl FnMut() -> u64,
    ) -> Option<Pick> {
        self.handle_due(request.now);
        let tried = self.tried(request);
        let snapshot = self.snapshot.load();
        let picked = snapshot.pick(request, &tried, random)?;
        Some(Pick {
            host: picked.host,
            cluster: Arc::clone(&snapshot.cluster),
        })
    }

    /// The priorities that were tried before, where they are to be avoided. Envoy looks at them with
    /// every second attempt, as Istio tells it to.
    pub(crate) fn tried(&self, request: &PickRequest<'_>) -> Vec<u32> {
        let previous = request.previous.filter(|_| request.avoids_priorities);
        let tried = previous.map_or(&[][..], |list| &list.addresses);
        let tried = &tried[..tried.len() / PRIORITY_UPDATES * PRIORITY_UPDATES];
        if tried.is_empty() {
            return Vec::new();
        }
        let state = self.state();
        let priority = |address| state.members.get(address)?.priority;
        tried.iter().filter_map(priority).collect()
    }

    /// What is not followed as it was written.
    pub fn notices(&self) -> Vec<Notice> {
        self.snapshot.load().settings.notices.clone()
    }

    /// The cluster as it was given last. Endpoints may have changed since.
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.snapshot.load().cluster)
    }

    /// Whether endpoints came since the cluster did that the same one would not keep, given again.
    pub(crate) fn has_strayed(&self) -> bool {
        let state = self.state();
        state.has_other_endpoints && !settings::is_resolved(&state.cluster)
    }

    /// The endpoints, in no order.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let state = self.state();
        let members = state.members.iter();
        members
            .map(|member| Arc::clone(member.host.endpoint()))
            .collect()
    }

    /// The endpoint at an address, if it is one of them now.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    /// use mesh_core::service::ClusterName;
    /// use mesh_discovery::balance::Balancer;
    ///
    /// let mut cluster = Cluster::new(ClusterName::from("cart"));
    /// let address = EndpointAddress::Ip(([10, 0, 0, 7], 80).into());
    /// cluster.endpoints.push(Endpoint::new(address.clone()));
    /// let now = Instant::now();
    /// let balancer = Balancer::new(Arc::new(cluster), Default::default(), now, 0);
    ///
    /// assert!(balancer.endpoint(&address).is_some());
    /// balancer.replace_endpoints([], now);
    /// assert!(balancer.endpoint(&address).is_none());
    /// ```
    pub fn endpoint(&self, address: &EndpointAddress) -> Option<Arc<Endpoint>> {
        let state = self.state();
        let member = state.members.get(address)?;
        Some(Arc::clone(member.host.endpoint()))
    }

    /// The endpoints with what is known of them, in no order.
    #[cfg(feature = "balance")]
    pub(crate) fn hosts(&self) -> Vec<Host> {
        let state = self.state();
        let members = state.members.iter();
        members.map(|member| member.host.clone()).collect()
    }

    /// Whether endpoints are picked by a hash of the request.
    pub fn needs_hash(&self) -> bool {
        self.snapshot.load().settings.policy.is_hash()
    }

    /// What of a request endpoints are picked and judged by.
    #[cfg(feature = "balance")]
    pub(crate) fn needs(&self) -> Needs {
        let snapshot = self.snapshot.load();
        Needs {
            hash: snapshot.settings.policy.is_hash(),
            authority: matches!(snapshot.settings.target, Target::Authority(_)),
            outcome: snapshot.settings.outlier.is_some()
                || snapshot.settings.policy == Policy::PeakEwma,
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles what has changed, for the picks to come.
    pub(super) fn publish(&self, state: &mut State, settings: Arc<Settings>, now: Instant) {
        let before = self.snapshot();
        self.publish_after(&before, state, settings, now);
    }

    pub(super) fn publish_after(
        &self,
        before: &Snapshot,
        state: &mut State,
        settings: Arc<Settings>,
        now: Instant,
    ) {
        let due = state.detector.as_ref().and_then(Detector::next_deadline);
        let due = due.map_or(NEVER, |due| {
            nanos(due.saturating_duration_since(self.epoch))
        });
        let snapshot = state.compile(before, settings, now);
        let is_stale = snapshot.levels.iter().any(|level| level.is_stale());
        self.snapshot.store(Arc::new(snapshot));
        self.is_stale.store(is_stale, Ordering::Relaxed);
        self.due.store(due, Ordering::Relaxed);
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("snapshot", &self.snapshot.load())
            .finish_non_exhaustive()
    }
}

fn endpoints_of(cluster: &Cluster) -> EndpointSet {
    cluster.endpoints.iter().cloned().collect()
}

pub(super) fn nanos(duration: Duration) -> u64 {
    // Below `NEVER`, for nearly 600 years.
    u64::try_from(duration.as_nanos())
        .unwrap_or(NEVER)
        .min(NEVER - 1)
}
