//! A mesh in which endpoints die, return, come and go, simulated from a seed.
//!
//! Time is simulated, and so is everything that happens in it, so that a failure can be repeated:
//! it names its seed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/places.rs"]
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use mesh_core::attributes::SelectedEndpoint;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
use mesh_core::service::ClusterName;
use mesh_discovery::balance::PickRequest;
use mesh_discovery::balance::policy::Policy;
use mesh_discovery::circuit_breaker::Resource;
use mesh_discovery::cluster::Upstream;
use mesh_discovery::service::{Balance, Target};
use tokio::time::{Instant, advance};
use tower::discover::Change;
use tower::{ServiceExt, service_fn};

use places::{Places, client, place};

const POLICIES: [&str; 8] = [
    r#"{"simple": "ROUND_ROBIN"}"#,
    r#"{"simple": "ROUND_ROBIN", "warmup": {"duration": "60s"}}"#,
    r#"{"simple": "LEAST_REQUEST"}"#,
    r#"{"simple": "LEAST_REQUEST", "warmup": {"duration": "60s", "aggression": 2}}"#,
    r#"{"simple": "RANDOM"}"#,
    r#"{"consistentHash": {"useSourceIp": true, "ringHash": {"minimumRingSize": 128}}}"#,
    r#"{"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": 1009}}}"#,
    PEAK_EWMA,
];
/// Stands for the policy that Istio has no name for.
const PEAK_EWMA: &str = "{}";
const ERRORS: u32 = 3;
const INTERVAL: u64 = 10;
const EJECTION: u64 = 30;
const PERCENT: usize = 60;

#[tokio::test(start_paused = true)]
async fn two_hundred_meshes_hold_their_promises() {
    for seed in 0..200 {
        simulate(seed).await;
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "takes a minute"]
async fn ten_thousand_meshes_hold_their_promises() {
    for seed in 0..10_000 {
        simulate(seed).await;
    }
}

async fn simulate(seed: u64) {
    let mut mesh = Mesh::new(seed);
    let steps = mesh.random.usize(50..400);
    for _ in 0..steps {
        match mesh.random.u8(0..20) {
            0 => mesh.flip_endpoint(),
            1 => mesh.insert_endpoint(),
            2 => mesh.remove_endpoint(),
            3 => mesh.set_ready(),
            4 | 5 => mesh.wait().await,
            6 => mesh.abandon_request(),
            _ => mesh.send().await,
        }
    }
    mesh.check_that_nobody_starves().await;
    mesh.check_that_nothing_leaks();
}

/// What is true, and what the client can know of it.
struct Mesh {
    seed: u64,
    random: Rng,
    places: Places,
    /// How often each endpoint could be picked before it is said to starve.
    picks: usize,
    upstream: Arc<Upstream>,
    /// Whether each endpoint works, by port.
    works: Arc<Mutex<HashMap<u16, bool>>>,
    known: BTreeMap<u16, Known>,
    start: Instant,
}

/// A naive outlier detection: what the client knows of an endpoint.
#[derive(Default)]
struct Known {
    is_unready: bool,
    errors: u32,
    ejected_until: Option<u64>,
    ejections: u64,
    returned: Option<u64>,
}

impl Mesh {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        let policy = POLICIES[random.usize(..POLICIES.len())];
        cluster.policy.load_balancer = Some(serde_json::from_str(policy).unwrap());
        let places = Places::ALL[random.usize(..Places::ALL.len())];
        cluster.locality = places.balancing();
        let outlier = format!(
            r#"{{"consecutive5xxErrors": {ERRORS}, "interval": "{INTERVAL}s",
                "baseEjectionTime": "{EJECTION}s", "maxEjectionPercent": {PERCENT}}}"#
        );
        cluster.policy.outlier_detection = Some(serde_json::from_str(&outlier).unwrap());
        let ports = 1..=random.u16(1..12);
        cluster.endpoints = ports.clone().map(|port| endpoint(port, true)).collect();
        let start = Instant::now();
        let now = start.into_std();
        let mut upstream = Upstream::new(Arc::new(cluster), client(&mut random), now, seed);
        let mut picks = 60;
        if policy == PEAK_EWMA {
            upstream = upstream.with_policy(Policy::PeakEwma, now).unwrap();
            // The slowest of n is picked once in n².
            picks = 600;
        }
        Self {
            seed,
            random,
            places,
            picks,
            upstream: Arc::new(upstream),
            works: Arc::new(Mutex::new(ports.clone().map(|port| (port, true)).collect())),
            known: ports.map(|port| (port, Known::default())).collect(),
            start,
        }
    }

    /// An endpoint dies, or returns to life. Nobody tells the client.
    fn flip_endpoint(&mut self) {
        if let Some(port) = self.any_port() {
            let mut works = self.works.lock().unwrap();
            let works = works.get_mut(&port).unwrap();
            *works = !*works;
        }
    }

    fn insert_endpoint(&mut self) {
        let port = self.random.u16(1..20);
        self.works.lock().unwrap().entry(port).or_insert(true);
        self.known.entry(port).or_default().is_unready = false;
        self.apply(Change::Insert(
            address(port),
            Arc::new(endpoint(port, true)),
        ));
    }

    fn remove_endpoint(&mut self) {
        if let Some(port) = self.any_port() {
            self.known.remove(&port);
            self.apply(Change::Remove(address(port)));
        }
    }

    /// The control plane says whether an endpoint is ready.
    fn set_ready(&mut self) {
        if let Some(port) = self.any_port() {
            let ready = self.random.bool();
            self.known.get_mut(&port).unwrap().is_unready = !ready;
            self.apply(Change::Insert(
                address(port),
                Arc::new(endpoint(port, ready)),
            ));
        }
    }

    fn apply(&self, change: Change<EndpointAddress, Arc<Endpoint>>) {
        let now = Instant::now().into_std();
        self.upstream.balancer().apply([change], now);
    }

    async fn wait(&mut self) {
        advance(Duration::from_secs(self.random.u64(1..45))).await;
        // A pick leaves it to the next to let endpoints return while a table is compiled beside it.
        self.upstream
            .balancer()
            .handle_time(Instant::now().into_std());
        self.end_intervals();
    }

    /// Sends a request that nobody waits for.
    fn abandon_request(&self) {
        let service = Balance::new(Arc::clone(&self.upstream), |_: &Target| {
            service_fn(|_: Request<()>| {
                std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
            })
        });
        let mut waiting = tokio_test::task::spawn(service.oneshot(Request::new(())));
        let polled = waiting.poll();
        let nobody_is_healthy = self.healthy().is_empty();
        assert_eq!(polled.is_ready(), nobody_is_healthy, "seed {}", self.seed);
    }

    async fn send(&mut self) {
        let works = Arc::clone(&self.works);
        let service = Balance::new(Arc::clone(&self.upstream), move |target: &Target| {
            let port = target.endpoint.address.port().unwrap();
            let works = works.lock().unwrap().get(&port) == Some(&true);
            service_fn(move |_: Request<()>| async move {
                let mut response = Response::new(Full::<Bytes>::default());
                if !works {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok::<_, Infallible>(response)
            })
        });
        let random = self.random.u64(..);
        let state = Mutex::new(Rng::with_seed(random));
        let service = service.with_random(move || state.lock().unwrap().u64(..));
        let response = service.oneshot(Request::new(())).await.unwrap();
        let selected = response.extensions().get::<SelectedEndpoint>();
        let port = selected.and_then(|selected| selected.0.address.port());
        let healthy = self.healthy();
        let Some(port) = port else {
            assert!(
                healthy.is_empty(),
                "seed {}: {healthy:?} are healthy",
                self.seed
            );
            return;
        };
        assert!(
            healthy.contains(&port),
            "seed {}: {port} is known to be dead",
            self.seed
        );
        self.learn(port, response.status() == StatusCode::OK);
    }

    /// What the client can pick from.
    fn healthy(&self) -> BTreeSet<u16> {
        let healthy = self
            .known
            .iter()
            .filter(|(_, known)| !known.is_unready && known.ejected_until.is_none());
        healthy.map(|(port, _)| *port).collect()
    }

    fn learn(&mut self, port: u16, worked: bool) {
        let count = self.known.len();
        let ejected = self
            .known
            .values()
            .filter(|known| known.ejected_until.is_some())
            .count();
        let now = self.seconds();
        let known = self.known.get_mut(&port).unwrap();
        if worked {
            known.errors = 0;
            return;
        }
        known.errors += 1;
        if known.errors < ERRORS {
            return;
        }
        known.errors = 0;
        if (ejected + 1) * 100 <= PERCENT * count {
            // The longest ejection is 300 s.
            if known.ejections * EJECTION < 300 + EJECTION {
                known.ejections += 1;
            }
            known.ejected_until = Some(now + (known.ejections * EJECTION).min(300));
        }
    }

    fn end_intervals(&mut self) {
        let now = self.seconds();
        for interval in (INTERVAL..=now).step_by(INTERVAL as usize) {
            for known in self.known.values_mut() {
                if known.ejected_until.is_some_and(|until| until <= interval) {
                    known.ejected_until = None;
                    known.errors = 0;
                    known.returned = Some(interval);
                }
            }
        }
        self.forget_ejections(now);
    }

    /// Each interval in which an endpoint is well takes one ejection off.
    fn forget_ejections(&mut self, now: u64) {
        for known in self.known.values_mut() {
            let Some(returned) = known.returned.filter(|_| known.ejected_until.is_none()) else {
                continue;
            };
            let ended = now / INTERVAL * INTERVAL;
            let intervals = ended.saturating_sub(returned) / INTERVAL;
            known.ejections = known.ejections.saturating_sub(intervals);
            known.returned = Some(returned + intervals * INTERVAL);
        }
    }

    fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn any_port(&mut self) -> Option<u16> {
        let count = self.known.len();
        let index = (count > 0).then(|| self.random.usize(..count))?;
        self.known.keys().nth(index).copied()
    }

    /// Every healthy endpoint gets requests, when all work, unless it is held in reserve.
    async fn check_that_nobody_starves(&mut self) {
        for works in self.works.lock().unwrap().values_mut() {
            *works = true;
        }
        // Tables are compiled beside the requests, and some time later. Those whose ejection is over by
        // now return first: a table that is compiled before does not have them.
        let now = Instant::now().into_std();
        self.upstream.balancer().handle_time(now);
        self.upstream.balancer().rebuild(now);
        let mut picked = BTreeSet::new();
        for _ in 0..self.known.len() * self.picks {
            let request = PickRequest {
                hash: Some(self.random.u64(..)),
                ..PickRequest::new(Instant::now().into_std())
            };
            let host = self
                .upstream
                .balancer()
                .pick(&request, || self.random.u64(..));
            picked.extend(host.and_then(|host| host.endpoint().address.port()));
        }
        let (healthy, seed) = (self.healthy(), self.seed);
        if self.places.reserves() {
            assert!(
                picked.is_subset(&healthy),
                "seed {seed}: {picked:?} of {healthy:?}"
            );
            assert_eq!(picked.is_empty(), healthy.is_empty(), "seed {seed}");
        } else {
            assert_eq!(picked, healthy, "seed {seed}");
        }
    }

    fn check_that_nothing_leaks(&self) {
        let used = self.upstream.breakers().used(Resource::Requests);
        assert_eq!(used, 0, "seed {}", self.seed);
        for number in 0..20 {
            let request = PickRequest::new(Instant::now().into_std());
            if let Some(host) = self.upstream.balancer().pick(&request, || number) {
                assert_eq!(host.state().active(), 0, "seed {}", self.seed);
            }
        }
    }
}

fn address(port: u16) -> EndpointAddress {
    EndpointAddress::Ip(([10, 0, 0, 1], port).into())
}

fn endpoint(port: u16, healthy: bool) -> Endpoint {
    Endpoint {
        healthy,
        locality: place(port).into(),
        ..Endpoint::new(address(port))
    }
}
