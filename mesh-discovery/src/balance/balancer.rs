use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mesh_core::model::Notice;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
use tower::discover::Change;

use crate::balance::host::Host;
use crate::balance::host::Weighing;
use crate::balance::level::{Build, Level};
use crate::balance::members::Members;
use crate::balance::priority::{self, Health};
use crate::balance::settings::Settings;
use crate::balance::snapshot::{PickRequest, Snapshot};
use crate::endpoint_set::{EndpointChange, EndpointSet};
use crate::health::outlier::{Detector, Ejection, Outcome};
use crate::locality::Client;

/// No time at which something has to be decided.
const NEVER: u64 = u64::MAX;

/// Picks endpoints of one cluster, and keeps what is known of them.
///
/// It is shared: picks take no lock but where endpoints have weights, and then for one step of a
/// heap; changes are made beside them, and seen by the picks after. It has no tasks: who picks says
/// what time it is, and what is due is done then.
///
/// See the [module docs](super) for an example.
pub struct Balancer {
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    /// When the detector has to decide next, in nanoseconds since `epoch`.
    due: AtomicU64,
    epoch: Instant,
}

/// What changes.
pub(crate) struct State {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) client: Client,
    pub(crate) members: Members,
    pub(crate) detector: Option<Detector<EndpointAddress>>,
    seed: u64,
}

impl Balancer {
    /// Balances over the endpoints of `cluster`, which are known from `now` on, for `client`.
    /// `seed` decides where turns begin: give each client another, so that they do not pick the
    /// same endpoint at the same time.
    pub fn new(cluster: Arc<Cluster>, client: Client, now: Instant, seed: u64) -> Self {
        let settings = Arc::new(Settings::compile(&cluster, &client));
        let endpoints = endpoints_of(&cluster);
        let mut state = State {
            cluster,
            client,
            members: Members::default(),
            detector: None,
            seed,
        };
        let empty = Snapshot {
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
        }
    }

    /// Takes another version of the cluster: its endpoints and its policy. Endpoints that stay keep
    /// their state: active requests, errors, ejections, age.
    ///
    /// If the endpoints are those of the version before, what came by
    /// [`replace_endpoints`](Self::replace_endpoints) and [`apply`](Self::apply) since stays.
    pub fn replace(&self, cluster: Arc<Cluster>, now: Instant) {
        let mut state = self.state();
        let settings = Arc::new(Settings::compile(&cluster, &state.client));
        let endpoints = endpoints_of(&cluster);
        let before = std::mem::replace(&mut state.cluster, cluster);
        state.set_detector(&settings, now);
        if before.endpoints != state.cluster.endpoints {
            state.set_endpoints(&endpoints, &settings, now);
        }
        state.members.sort(&settings.rules);
        self.publish(&mut state, settings, now);
    }

    /// Takes another list of endpoints, as a whole.
    pub fn replace_endpoints(&self, endpoints: impl IntoIterator<Item = Endpoint>, now: Instant) {
        let mut state = self.state();
        let settings = Arc::clone(&self.snapshot.load().settings);
        state.set_endpoints(&endpoints.into_iter().collect(), &settings, now);
        self.publish(&mut state, settings, now);
    }

    /// Takes changes to the endpoints. This is the cheap way: it costs about as much as there are
    /// changes, but for hashing policies, whose tables are built again.
    pub fn apply(&self, changes: impl IntoIterator<Item = EndpointChange>, now: Instant) {
        let mut state = self.state();
        let settings = Arc::clone(&self.snapshot.load().settings);
        for change in changes {
            state.apply(change, &settings, now);
        }
        self.publish(&mut state, settings, now);
    }

    /// Picks an endpoint. `random` gives numbers uniform over all values. `None` if no endpoint is
    /// healthy.
    pub fn pick(&self, request: &PickRequest<'_>, random: impl FnMut() -> u64) -> Option<Host> {
        self.handle_time(request.now);
        let picked = self.snapshot.load().pick(request, random)?;
        Some(picked.host)
    }

    /// Records what came of a request to `host`, and ejects the endpoint if it failed too often.
    pub fn record(&self, host: &Host, outcome: Outcome, now: Instant) -> Option<Ejection> {
        let snapshot = self.snapshot.load();
        let outlier = snapshot.settings.outlier.as_ref()?;
        let cause = host.state().monitor().record(outlier, outcome)?;
        let mut state = self.state();
        let address = &host.endpoint().address;
        let is_same = |known: &Host| Arc::ptr_eq(known.state(), host.state());
        // It may be gone, or gone and back as another.
        state
            .members
            .get(address)
            .filter(|member| is_same(&member.host))?;
        let count = state.members.len();
        let detector = state.detector.as_mut()?;
        let ejection = detector
            .handle_trip(address.clone(), cause, count, now)
            .ok()?;
        state
            .members
            .set_health(address, |member| member.is_ejected = true);
        let settings = Arc::clone(&snapshot.settings);
        self.publish(&mut state, settings, now);
        Some(ejection)
    }

    /// Records whether probes find an endpoint well. One that is ejected returns when they do, as in
    /// Envoy.
    pub fn record_probe(&self, address: &EndpointAddress, is_healthy: bool, now: Instant) {
        let mut state = self.state();
        let detector = state.detector.as_mut();
        let returns = is_healthy && detector.is_some_and(|one| one.handle_recovery(address, now));
        if let Some(member) = state.members.get(address).filter(|_| returns) {
            member.host.state().monitor().reset();
        }
        let changed = state.members.set_health(address, |member| {
            member.fails_probes = !is_healthy;
            member.is_ejected &= !returns;
        });
        if changed {
            let settings = Arc::clone(&self.snapshot.load().settings);
            self.publish(&mut state, settings, now);
        }
    }

    /// Lets endpoints return whose ejection is over. Every pick does this, so it has to be called
    /// only where nothing is picked.
    pub fn handle_time(&self, now: Instant) {
        let elapsed = nanos(now.saturating_duration_since(self.epoch));
        if elapsed < self.due.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        let Some(detector) = &mut state.detector else {
            return;
        };
        let returned = detector.handle_time(now);
        for address in &returned {
            if let Some(member) = state.members.get(address) {
                member.host.state().monitor().reset();
            }
            state
                .members
                .set_health(address, |member| member.is_ejected = false);
        }
        let settings = Arc::clone(&self.snapshot.load().settings);
        self.publish(&mut state, settings, now);
    }

    /// What is not followed as it was written.
    pub fn notices(&self) -> Vec<Notice> {
        self.snapshot.load().settings.notices.clone()
    }

    /// The cluster as it was given last. Endpoints may have changed since.
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.state().cluster)
    }

    /// The endpoints, in no order.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let state = self.state();
        let members = state.members.iter();
        members
            .map(|member| Arc::clone(member.host.endpoint()))
            .collect()
    }

    /// Whether endpoints are picked by a hash of the request.
    pub fn needs_hash(&self) -> bool {
        self.snapshot.load().settings.policy.is_hash()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles what has changed, for the picks to come.
    fn publish(&self, state: &mut State, settings: Arc<Settings>, now: Instant) {
        let due = state.detector.as_ref().and_then(Detector::next_deadline);
        let due = due.map_or(NEVER, |due| {
            nanos(due.saturating_duration_since(self.epoch))
        });
        let snapshot = state.compile(&self.snapshot.load(), settings, now);
        self.snapshot.store(Arc::new(snapshot));
        self.due.store(due, Ordering::Relaxed);
    }
}

impl State {
    fn set_detector(&mut self, settings: &Settings, now: Instant) {
        let Some(outlier) = settings.outlier.clone() else {
            self.detector = None;
            let ejected: Vec<EndpointAddress> = self
                .members
                .iter()
                .filter(|member| member.is_ejected)
                .map(|member| member.host.endpoint().address.clone())
                .collect();
            for address in ejected {
                self.members
                    .set_health(&address, |member| member.is_ejected = false);
            }
            return;
        };
        match &mut self.detector {
            Some(detector) => detector.set_settings(outlier, now),
            None => self.detector = Some(Detector::new(outlier, now)),
        }
    }

    fn set_endpoints(&mut self, endpoints: &EndpointSet, settings: &Settings, now: Instant) {
        let before = self.members.iter();
        let before: EndpointSet = before
            .map(|member| Arc::clone(member.host.endpoint()))
            .collect();
        for change in endpoints.changes_since(&before) {
            self.apply(change, settings, now);
        }
    }

    fn apply(&mut self, change: EndpointChange, settings: &Settings, now: Instant) {
        match change {
            Change::Insert(_, endpoint) => self.members.insert(endpoint, &settings.rules, now),
            Change::Remove(address) => {
                self.members.remove(&address);
                if let Some(detector) = &mut self.detector {
                    detector.remove(&address);
                }
            }
        }
    }

    fn compile(&mut self, before: &Snapshot, settings: Arc<Settings>, now: Instant) -> Snapshot {
        let changed = self.members.take_changed();
        let has_same_settings = Arc::ptr_eq(&before.settings, &settings);
        let healths: Vec<Health> = self
            .members
            .levels()
            .map(|(_, level)| level.hosts.health())
            .collect();
        let loads: Vec<_> = priority::loads(&healths, settings.panic_threshold).collect();
        let weighing = Weighing {
            warmup: settings.warmup.as_ref(),
            now,
        };
        let mut levels = Vec::with_capacity(loads.len());
        for ((index, (priority, members)), load) in self.members.levels().enumerate().zip(&loads) {
            let before = before
                .levels
                .iter()
                .find(|level| level.priority == priority);
            let is_first = index == 0;
            let is_same =
                |level: &&Arc<Level>| level.panic == load.panic && level.is_first == is_first;
            let stays = has_same_settings && !changed.contains(&priority);
            if let Some(level) = before.filter(|_| stays).filter(is_same) {
                levels.push(Arc::clone(level));
                continue;
            }
            self.seed = self
                .seed
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let build = Build {
                settings: &settings,
                weighing,
                seed: self.seed,
                before: before.map(Arc::as_ref),
                is_first,
            };
            levels.push(Arc::new(Level::compile(
                priority, load.panic, members, &build,
            )));
        }
        Snapshot {
            settings,
            levels,
            loads,
        }
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

fn nanos(duration: Duration) -> u64 {
    // Below `NEVER`, for nearly 600 years.
    u64::try_from(duration.as_nanos())
        .unwrap_or(NEVER)
        .min(NEVER - 1)
}
