//! A mesh in which endpoints are cut off, simulated from a seed, with connection pools.
//!
//! Whatever happens, limits hold, nothing that is counted is counted for ever, and once the network is
//! whole again requests are served.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
use mesh_core::service::{ClusterName, Protocol};
use mesh_discovery::balance::policy::Policy;
use mesh_discovery::circuit_breaker::Resource;
use mesh_discovery::cluster::Upstream;
use mesh_discovery::connect::Pools;
use mesh_discovery::locality::Client;
use mesh_discovery::service::{Balance, Target};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceExt};

const LIMITS: [(Resource, u32); 3] = [
    (Resource::Connections, 4),
    (Resource::PendingRequests, 5),
    (Resource::Requests, 12),
];
/// The policies that endpoints are picked by, and one that Istio has no name for.
const POLICIES: [Option<&str>; 5] = [
    Some(r#"{"simple": "LEAST_REQUEST"}"#),
    Some(r#"{"simple": "LEAST_REQUEST", "warmup": {"duration": "30s"}}"#),
    Some(r#"{"simple": "ROUND_ROBIN"}"#),
    Some(r#"{"simple": "ROUND_ROBIN", "warmup": {"duration": "30s"}}"#),
    None,
];
/// The longest that a request is waited for.
const PATIENCE: u64 = 12;

#[tokio::test(start_paused = true)]
async fn a_hundred_meshes_outlive_their_partitions() {
    for seed in 0..100 {
        simulate(seed).await;
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes"]
async fn ten_thousand_meshes_outlive_their_partitions() {
    for seed in 0..10_000 {
        simulate(seed).await;
    }
}

async fn simulate(seed: u64) {
    let mut mesh = Mesh::new(seed);
    for _ in 0..mesh.random.usize(20..120) {
        match mesh.random.u8(0..10) {
            0 | 1 => mesh.cut_off_or_reconnect(),
            2 | 3 => sleep(Duration::from_millis(mesh.random.u64(1..8000))).await,
            _ => mesh.send(),
        }
        tokio::task::yield_now().await;
        mesh.check_limits();
    }
    mesh.check_that_nothing_leaks().await;
}

/// What becomes of what is sent to an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Network {
    Whole,
    /// Connections are not made, and nothing comes by those that there are.
    Silent,
    /// Connections are refused; those that there are serve.
    Refusing,
}

type Networks = Arc<Mutex<BTreeMap<u16, Network>>>;

type Sends = tower::util::BoxCloneSyncService<
    Request<Full<Bytes>>,
    Response<Bytes>,
    Box<dyn std::error::Error + Send + Sync>,
>;

struct Mesh {
    seed: u64,
    random: Rng,
    upstream: Arc<Upstream>,
    networks: Networks,
    service: Sends,
    requests: JoinSet<()>,
}

impl Mesh {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let protocol = match random.bool() {
            true => Protocol::Http,
            false => Protocol::Http2,
        };
        let ports = 1..=random.u16(1..5);
        let mut cluster = cluster(protocol, ports.clone());
        let policy = POLICIES[random.usize(..POLICIES.len())];
        let settings = policy.map(|policy| serde_json::from_str(policy).unwrap());
        cluster.policy.load_balancer = settings;
        let now = Instant::now().into_std();
        let mut upstream = Upstream::new(Arc::new(cluster), Client::default(), now, seed);
        if policy.is_none() {
            upstream = upstream.with_policy(Policy::PeakEwma, now).unwrap();
        }
        let upstream = Arc::new(upstream);
        let networks = ports.map(|port| (port, Network::Whole)).collect();
        let networks = Arc::new(Mutex::new(networks));
        let service = service(&upstream, &networks, protocol, seed);
        Self {
            seed,
            random,
            upstream,
            networks,
            service,
            requests: JoinSet::new(),
        }
    }

    fn cut_off_or_reconnect(&mut self) {
        let mut networks = self.networks.lock().unwrap();
        let index = self.random.usize(..networks.len());
        let network = networks.values_mut().nth(index).unwrap();
        *network = match self.random.u8(0..3) {
            0 => Network::Whole,
            1 => Network::Silent,
            _ => Network::Refusing,
        };
    }

    /// Sends a request, and waits for it some time.
    fn send(&mut self) {
        let patience = Duration::from_millis(self.random.u64(1..PATIENCE * 1000));
        let sending = self.service.clone().oneshot(request());
        self.requests.spawn(async move {
            let _ = timeout(patience, sending).await;
        });
    }

    fn check_limits(&self) {
        let endpoints = self.networks.lock().unwrap().len() as u32;
        for (resource, limit) in LIMITS {
            let used = self.upstream.breakers().used(resource);
            // An endpoint that has no connection gets one nevertheless.
            let beyond = match resource {
                Resource::Connections => endpoints,
                Resource::PendingRequests | Resource::Requests => 0,
            };
            let seed = self.seed;
            assert!(used <= limit + beyond, "seed {seed}: {used} {resource:?}");
        }
    }

    async fn check_that_nothing_leaks(&mut self) {
        let seed = self.seed;
        sleep(Duration::from_secs(PATIENCE)).await;
        self.check_unused(&[Resource::PendingRequests, Resource::Requests]);
        while self.requests.try_join_next().is_some() {}
        assert!(self.requests.is_empty(), "seed {seed}");

        for network in self.networks.lock().unwrap().values_mut() {
            *network = Network::Whole;
        }
        // All ejections are over.
        sleep(Duration::from_secs(400)).await;
        for attempt in 0..20 {
            let response = self.service.clone().oneshot(request()).await;
            let (head, body) = response.unwrap().into_parts();
            let status = head.status;
            assert_eq!(status, StatusCode::OK, "seed {seed}, {attempt}: {body:?}");
        }
        // All connections are idle for too long.
        sleep(Duration::from_secs(30)).await;
        self.check_unused(&LIMITS.map(|(resource, _)| resource));
    }

    fn check_unused(&self, resources: &[Resource]) {
        for resource in resources {
            let used = self.upstream.breakers().used(*resource);
            assert_eq!(used, 0, "seed {}: {resource:?}", self.seed);
        }
    }
}

fn request() -> Request<Full<Bytes>> {
    let request = Request::get("http://cart.example/");
    request.body(Full::default()).unwrap()
}

fn cluster(protocol: Protocol, ports: impl Iterator<Item = u16>) -> Cluster {
    let [(_, connections), (_, pending), (_, requests)] = LIMITS;
    let pool = format!(
        r#"{{"tcp": {{"maxConnections": {connections}}},
            "http": {{"http1MaxPendingRequests": {pending}, "http2MaxRequests": {requests},
                "idleTimeout": "20s"}}}}"#
    );
    let outlier = r#"{"consecutive5xxErrors": 3, "maxEjectionPercent": 60}"#;
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.protocol = protocol;
    cluster.connect_timeout = Duration::from_secs(5);
    cluster.policy.connection_pool = Some(serde_json::from_str(&pool).unwrap());
    cluster.policy.outlier_detection = Some(serde_json::from_str(outlier).unwrap());
    let address = |port| EndpointAddress::Ip(([10, 0, 0, 1], port).into());
    cluster.endpoints = ports.map(|port| Endpoint::new(address(port))).collect();
    cluster
}

/// A balanced cluster, whose responses are read to their end.
fn service(upstream: &Arc<Upstream>, networks: &Networks, protocol: Protocol, seed: u64) -> Sends {
    let networks = Arc::clone(networks);
    let connector = tower::service_fn(move |target: Target| {
        let port = target.endpoint.address.port().unwrap();
        connect(Arc::clone(&networks), port, protocol)
    });
    let numbers = |seed| {
        let random = Mutex::new(Rng::with_seed(seed));
        move || random.lock().unwrap().u64(..)
    };
    let pools = Pools::new(connector).with_random(numbers(seed));
    let balance = Balance::new(Arc::clone(upstream), pools).with_random(numbers(seed + 1));
    Sends::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let mut balance = balance.clone();
        async move {
            let (head, body) = balance.call(request).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        }
    }))
}

async fn connect(networks: Networks, port: u16, protocol: Protocol) -> io::Result<DuplexStream> {
    let network = networks.lock().unwrap()[&port];
    match network {
        Network::Whole => {}
        Network::Silent => std::future::pending().await,
        Network::Refusing => return Err(io::ErrorKind::ConnectionRefused.into()),
    }
    let (ours, theirs) = tokio::io::duplex(1024);
    tokio::spawn(serve(theirs, networks, port, protocol));
    Ok(ours)
}

async fn serve(stream: DuplexStream, networks: Networks, port: u16, protocol: Protocol) {
    let answer = service_fn(move |_: Request<Incoming>| {
        let network = networks.lock().unwrap()[&port];
        async move {
            sleep(Duration::from_millis(10)).await;
            match network {
                Network::Silent => std::future::pending().await,
                Network::Whole | Network::Refusing => {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
                }
            }
        }
    });
    let io = TokioIo::new(stream);
    // Whatever the client does to it.
    let _ = match protocol.is_http2() {
        true => {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(io, answer).await
        }
        false => {
            let builder = hyper::server::conn::http1::Builder::new();
            builder.serve_connection(io, answer).await
        }
    };
}
