//! Picks among 10,000 endpoints by each policy, and updates of one of them.
//!
//! Each bench checks what it times: that picks are spread over the endpoints or stay with the hash,
//! and that they allocate nothing, or, where the endpoint is none of the list but where the client's
//! connection went, twice; that an update is seen by the next pick, and a new endpoint of a
//! Maglev table once that is compiled, which is timed apart.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::alloc::System;
use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, LocalityBalancing};
use mesh_core::service::ClusterName;
use mesh_discovery::balance::policy::Policy;
use mesh_discovery::balance::{Balancer, PickRequest};
use mesh_discovery::locality::{Client, Locality};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::discover::Change;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ENDPOINTS: u32 = 10_000;

const MAGLEV: &str = r#"{"consistentHash": {"useSourceIp": true, "maglev": {}}}"#;

/// The policies, and whether endpoints have weights.
const POLICIES: [(&str, &str, bool); 10] = [
    ("round robin", r#"{"simple": "ROUND_ROBIN"}"#, false),
    (
        "round robin, weighted",
        r#"{"simple": "ROUND_ROBIN"}"#,
        true,
    ),
    ("least request", r#"{"simple": "LEAST_REQUEST"}"#, false),
    (
        "least request, weighted",
        r#"{"simple": "LEAST_REQUEST"}"#,
        true,
    ),
    ("random", r#"{"simple": "RANDOM"}"#, false),
    (
        "ring hash",
        r#"{"consistentHash": {"useSourceIp": true}}"#,
        false,
    ),
    (
        "ring hash, weighted",
        r#"{"consistentHash": {"useSourceIp": true}}"#,
        true,
    ),
    ("maglev", MAGLEV, false),
    ("maglev, weighted", MAGLEV, true),
    (
        "round robin, ejecting",
        r#"{"simple": "ROUND_ROBIN"}"#,
        false,
    ),
];

#[expect(clippy::disallowed_methods, reason = "a bench has no other clock")]
fn now() -> Instant {
    Instant::now()
}

fn pick(c: &mut Criterion) {
    let start = now();
    for (name, policy, weighted) in POLICIES {
        let ejecting = name.ends_with("ejecting");
        pick_from(c, name, &balancer(policy, weighted, ejecting, start), start);
    }
    let peak_ewma = balancer("{}", false, false, start);
    let peak_ewma = peak_ewma.with_policy(Policy::PeakEwma, start).unwrap();
    pick_from(c, "peak ewma", &peak_ewma, start);
    for (name, places) in [
        ("weighted places", weighted_places()),
        ("zones", LocalityBalancing::ZoneAware(Box::default())),
    ] {
        let mut cluster = cluster(r#"{"simple": "ROUND_ROBIN"}"#, false, false);
        cluster.locality = places;
        for (endpoint, place) in cluster.endpoints.iter_mut().zip(PLACES.iter().cycle()) {
            endpoint.locality = (*place).into();
        }
        let balancer = Balancer::new(Arc::new(cluster), client(), start, 7);
        pick_from(c, name, &balancer, start);
    }
    pick_unlisted(c, start);
}

/// Picks by hashes, and by numbers where the policy has no use for them.
fn pick_from(c: &mut Criterion, name: &str, balancer: &Balancer, start: Instant) {
    let mut numbers = numbers();
    let request = |hash| PickRequest {
        hash: Some(hash),
        ..PickRequest::new(start)
    };

    let mut picked = HashSet::new();
    for _ in 0..ENDPOINTS {
        let hash = numbers();
        let host = balancer.pick(&request(hash), &mut numbers).unwrap();
        picked.insert(host.endpoint().address.clone());
    }
    assert!(
        picked.len() > ENDPOINTS as usize / 3,
        "{name}: {}",
        picked.len()
    );
    let region = Region::new(ALLOCATOR);
    for _ in 0..1_000 {
        let hash = numbers();
        black_box(balancer.pick(&request(hash), &mut numbers));
    }
    assert_eq!(region.change().allocations, 0, "{name}");

    c.bench_function(&format!("pick of 10000, {name}"), |b| {
        b.iter(|| {
            let hash = numbers();
            black_box(balancer.pick(&request(black_box(hash)), &mut numbers))
        });
    });
}

/// Picks where the client's connection went, whatever the list.
fn pick_unlisted(c: &mut Criterion, start: Instant) {
    let balancer = balancer(r#"{"simple": "PASSTHROUGH"}"#, false, false, start);
    let request = PickRequest {
        original_destination: Some(([192, 0, 2, 7], 8080).into()),
        ..PickRequest::new(start)
    };
    let host = balancer.pick(&request, || 0).unwrap();
    let expected = EndpointAddress::Ip(([192, 0, 2, 7], 8080).into());
    assert_eq!(host.endpoint().address, expected);
    let region = Region::new(ALLOCATOR);
    for _ in 0..1_000 {
        black_box(balancer.pick(&request, || 0));
    }
    assert_eq!(region.change().allocations, 2_000);
    c.bench_function("pick of 10000, passthrough", |b| {
        b.iter(|| black_box(balancer.pick(black_box(&request), || 0)));
    });
}

/// Where the endpoints are, in turn; the client is at the first.
const PLACES: [&str; 2] = ["eu/a", "eu/b"];

/// All places by weight.
fn weighted_places() -> LocalityBalancing {
    let setting = r#"{"distribute": [{"from": "*", "to": {"eu/a": 70, "eu/b": 30}}]}"#;
    LocalityBalancing::Locality {
        setting: serde_json::from_str(setting).unwrap(),
        force: false,
    }
}

/// A client with more replicas in its zone than there are endpoints for, so that some load leaves it.
fn client() -> Client {
    let [own, other] = PLACES.map(Locality::from);
    Client {
        locality: own.clone(),
        replicas: vec![own.clone(), own, other],
        ..Client::default()
    }
}

fn update(c: &mut Criterion) {
    for (name, policy, weighted) in POLICIES {
        let start = now();
        let balancer = balancer(policy, weighted, false, start);
        let changed = endpoint(77, 1);
        let address = changed.address.clone();
        let changed = Arc::new(changed);
        let with = || Change::Insert(address.clone(), Arc::clone(&changed));
        balancer.apply([Change::Remove(address.clone())], start);
        assert!(!finds(&balancer, &address, start), "{name}");
        balancer.apply([with()], start);
        balancer.rebuild(start);
        assert!(finds(&balancer, &address, start), "{name}");

        let mut inserts = false;
        c.bench_function(&format!("update of 1 in 10000, {name}"), |b| {
            b.iter_batched(
                || {
                    inserts = !inserts;
                    match inserts {
                        true => Change::Remove(address.clone()),
                        false => with(),
                    }
                },
                |change| balancer.apply([change], start),
                BatchSize::PerIteration,
            );
        });
    }
}

/// The table of one endpoint more, which picks and updates do not wait for.
fn rebuild(c: &mut Criterion) {
    let start = now();
    let balancer = balancer(MAGLEV, false, false, start);
    let mut next = ENDPOINTS;
    c.bench_function("rebuild of 10000, maglev", |b| {
        b.iter_batched(
            || {
                let new = Arc::new(endpoint(next, 1));
                let old = endpoint(next - ENDPOINTS, 1).address;
                next += 1;
                let changes = [
                    Change::Remove(old),
                    Change::Insert(new.address.clone(), new),
                ];
                balancer.apply(changes, start);
                assert!(balancer.is_stale());
            },
            |()| balancer.rebuild(start),
            BatchSize::PerIteration,
        );
    });
    assert!(!balancer.is_stale());
}

/// Whether the balancer picks the endpoint at all.
fn finds(balancer: &Balancer, address: &EndpointAddress, now: Instant) -> bool {
    let mut numbers = numbers();
    (0..20 * ENDPOINTS).any(|_| {
        let request = PickRequest {
            hash: Some(numbers()),
            ..PickRequest::new(now)
        };
        let host = balancer.pick(&request, &mut numbers).unwrap();
        host.endpoint().address == *address
    })
}

fn balancer(policy: &str, weighted: bool, ejecting: bool, now: Instant) -> Balancer {
    let cluster = cluster(policy, weighted, ejecting);
    Balancer::new(Arc::new(cluster), Client::default(), now, 7)
}

fn cluster(policy: &str, weighted: bool, ejecting: bool) -> Cluster {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.load_balancer = Some(serde_json::from_str(policy).unwrap());
    if ejecting {
        cluster.policy.outlier_detection = Some(Box::default());
    }
    let weight = |host: u32| if weighted { 1 + host % 3 } else { 1 };
    cluster.endpoints = (0..ENDPOINTS)
        .map(|host| endpoint(host, weight(host)))
        .collect();
    cluster
}

fn endpoint(host: u32, weight: u32) -> Endpoint {
    let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + host);
    Endpoint {
        weight,
        ..Endpoint::new(EndpointAddress::Ip((address, 8080).into()))
    }
}

/// Numbers that are well spread, and the same in every run (SplitMix64).
fn numbers() -> impl FnMut() -> u64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

criterion_group!(benches, pick, update, rebuild);
criterion_main!(benches);
