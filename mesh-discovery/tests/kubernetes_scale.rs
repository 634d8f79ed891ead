//! A cluster of 5,000 Services and 50,000 endpoints: from the first request to a configuration, and
//! from an event to clusters with other endpoints.
//!
//! `cargo test --release -p mesh-discovery --features kubernetes --test kubernetes_scale -- --ignored`
#![cfg(feature = "kubernetes")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "no test uses all of it")]
#[path = "support/api_server.rs"]
mod api_server;

use std::time::Duration;

use kube::{Client, Config};
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::resource::kind::Kind;
use mesh_core::workload::Workload;
use mesh_discovery::registry::{Change, ClusterEndpoints, Debounce, Driver, Registry};
use mesh_discovery::source::kubernetes::Kubernetes;
use serde_json::{Value, json};
use tokio::time::Instant;

use api_server::{ApiServer, TOKEN};

const SERVICES: usize = 5_000;
const ENDPOINTS: usize = 10;
/// Bytes that the registry and the configuration may take.
const MAX_MEMORY: usize = 150 << 20;
const SLICES: &str = "discovery.k8s.io/v1/endpointslices";

/// Bytes of memory that the process has, where the system says so.
fn resident() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {
            "name": format!("service-{number}"), "namespace": format!("ns-{}", number % 100),
            "uid": format!("00000000-0000-0000-0000-{number:012}"),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": format!("app-{number}") },
        },
        "spec": {
            "type": "ClusterIP", "selector": { "app": format!("app-{number}") },
            "clusterIP": format!("10.{}.{}.1", number / 250, number % 250),
            "clusterIPs": [format!("10.{}.{}.1", number / 250, number % 250)],
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" }],
        },
    })
}

fn slice(number: usize, generation: usize) -> Value {
    let endpoint = |index: usize| {
        json!({
            "addresses": [format!("172.{}.{}.{}", number / 250, number % 250, index + generation)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": format!("node-{}", index % 50), "zone": format!("zone-{}", index % 3),
            "targetRef": {
                "kind": "Pod", "name": format!("service-{number}-{index}"),
                "namespace": format!("ns-{}", number % 100),
                "uid": format!("00000000-0000-0000-{index:04}-{number:012}"),
            },
        })
    };
    json!({
        "metadata": {
            "name": format!("service-{number}-x"), "namespace": format!("ns-{}", number % 100),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "kubernetes.io/service-name": format!("service-{number}") },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "holds in an optimised build"]
async fn a_large_cluster_is_ready_in_three_seconds_and_an_event_is_seen_in_five_milliseconds() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = ApiServer::start().await;
    for number in 0..SERVICES {
        server.apply("v1/services", service(number));
        server.apply(SLICES, slice(number, 0));
    }
    let mut config = Config::new(format!("https://{}", server.address).parse().unwrap());
    config.root_cert = Some(vec![server.certificate.to_vec()]);
    config.auth_info.token = Some(TOKEN.to_owned().into());
    let client = Client::try_from(config).unwrap();

    let registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let mut driver = Driver::new(registry);
    let kinds = [Kind::Service, Kind::EndpointSlice];
    let memory = resident();
    let start = Instant::now();
    driver.add_cluster("cluster", Kubernetes::new(client).with_kinds(kinds));
    let Some(Change::Config(config)) = driver.next().await else {
        panic!()
    };
    let ready = start.elapsed();
    let services = config.services().iter();
    let endpoints: usize = services
        .map(|service| service.endpoints(&service.ports[0]).len())
        .sum();
    assert_eq!(endpoints, SERVICES * ENDPOINTS);
    assert!(ready <= Duration::from_secs(3), "{ready:?}");
    // What the server keeps was there before; what it made for its answers counts.
    let grown = resident().saturating_sub(memory);
    assert!(grown <= MAX_MEMORY, "{} MiB", grown >> 20);

    let model = resolve(&config, &Workload::sidecar("ns-0"));
    let mut clusters = ClusterEndpoints::new(model.clusters);
    let mut times = Vec::new();
    for generation in 1..=20 {
        server.wait_for(&format!("watch {SLICES}")).await;
        let start = Instant::now();
        server.apply(SLICES, slice(generation * 7, generation));
        let Some(Change::Endpoints(updates)) = driver.next().await else {
            panic!()
        };
        assert_eq!(clusters.apply(&updates).len(), 1);
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2];
    eprintln!(
        "ready after {ready:?}, {} MiB, events seen after {median:?}",
        grown >> 20
    );
    assert!(median <= Duration::from_millis(5), "{times:?}");
}
