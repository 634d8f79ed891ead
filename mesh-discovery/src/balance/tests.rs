use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_core::attributes::PreviousEndpoints;
use mesh_core::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress, LocalityBalancing};
use mesh_core::service::ClusterName;
use proptest::prelude::*;
use tower::discover::Change;

use super::*;
use crate::balance::testing::{endpoint, now};
use crate::health::outlier::Outcome;
use crate::locality::Client;

mod changes;
mod endpoints;
mod readiness;

const ROUND_ROBIN: &str = r#"{"simple": "ROUND_ROBIN"}"#;
const FAILURE: Outcome = Outcome::Status(503);

#[test]
fn load_moves_to_the_next_place_when_endpoints_are_ejected() {
    let start = now();
    let mut cluster = cluster(ROUND_ROBIN, &places(&[("eu/a/1", 2), ("us/a/1", 2)]));
    eject_after(&mut cluster, 1);
    cluster.locality = LocalityBalancing::Locality {
        setting: Box::default(),
        force: false,
    };
    let balancer = Balancer::new(Arc::new(cluster), client("eu/a/1"), start, 0);
    assert_eq!(
        shares(&balancer, start),
        BTreeMap::from([("eu/a/1".into(), 100)])
    );

    let host = pick(&balancer, start);
    balancer.record(&host, FAILURE, start);
    let expected = BTreeMap::from([("eu/a/1".into(), 70), ("us/a/1".into(), 30)]);
    assert_eq!(
        shares(&balancer, start),
        expected,
        "half of them are enough for 70 %"
    );

    let later = start + Duration::from_secs(30);
    assert_eq!(
        shares(&balancer, later),
        BTreeMap::from([("eu/a/1".into(), 100)])
    );
}

#[test]
fn places_share_by_weight() {
    let start = now();
    let mut cluster = cluster(
        ROUND_ROBIN,
        &places(&[("eu/a/1", 1), ("eu/b/1", 3), ("us/a/1", 5)]),
    );
    cluster.locality =
        locality(r#"{"distribute": [{"from": "eu/*", "to": {"eu/a/*": 80, "eu/b/*": 20}}]}"#);
    let balancer = Balancer::new(Arc::new(cluster), client("eu/a/1"), start, 0);
    let expected = BTreeMap::from([("eu/a/1".into(), 80), ("eu/b/1".into(), 20)]);
    assert_eq!(shares(&balancer, start), expected);
    let decision = balancer.explain(&PickRequest::new(start), || 0);
    let text = decision.to_string();
    assert!(
        text.contains("no, its locality `us/a/1` gets no load"),
        "{text}"
    );
}

#[test]
fn zones_keep_what_they_can_serve() {
    let start = now();
    let mut cluster = cluster(ROUND_ROBIN, &places(&[("eu/a/", 2), ("eu/b/", 6)]));
    cluster.locality = LocalityBalancing::ZoneAware(Box::default());
    for (replicas, expected) in [
        // A quarter of the endpoints serves half of the replicas: half of the load stays.
        ([("eu/a/", 1), ("eu/b/", 1)], 0.5),
        // Those where no endpoint is are served elsewhere, too.
        ([("eu/a/", 1), ("eu/c/", 3)], 1.0),
    ] {
        let mut client = client("eu/a/");
        client.replicas = replicas
            .iter()
            .flat_map(|(place, count)| std::iter::repeat_n((*place).into(), *count))
            .collect();
        let balancer = Balancer::new(Arc::new(cluster.clone()), client, start, 0);
        let found = shares_of(&balancer, start, (0..10_000).map(|number| number * 7919));
        let local = f64::from(found["eu/a/"]) / 10_000.0;
        assert!((local - expected).abs() < 0.02, "{replicas:?}: {local}");
    }
}

#[test]
fn nobody_is_picked_where_nobody_is_healthy_and_panic_is_disabled() {
    let start = now();
    let mut cluster = cluster("{}", &[endpoint(1), endpoint(2)]);
    eject_after(&mut cluster, 1);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    for _ in 0..2 {
        balancer.record(&pick(&balancer, start), FAILURE, start);
    }
    assert!(balancer.pick(&PickRequest::new(start), || 0).is_none());
    let decision = balancer.explain(&PickRequest::new(start), || 0);
    assert_eq!(decision.outcome, Choice::NoHealthyUpstream);
}

#[test]
fn in_panic_everybody_is_picked() {
    let start = now();
    let mut cluster = cluster("{}", &[endpoint(1), endpoint(2)]);
    eject_after(&mut cluster, 1);
    if let Some(outlier) = &mut cluster.policy.outlier_detection {
        outlier.min_health_percent = 60;
    }
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    balancer.record(&pick(&balancer, start), FAILURE, start);
    let found: Vec<_> = [0, 1]
        .map(|number| balancer.pick(&PickRequest::new(start), || number).unwrap())
        .map(|host| host.endpoint().address.port())
        .into();
    assert_eq!(found, [Some(1), Some(2)]);
}

#[test]
fn endpoints_tried_before_are_avoided_as_often_as_asked() {
    let start = now();
    for policy in [
        ROUND_ROBIN,
        r#"{"simple": "RANDOM"}"#,
        r#"{"consistentHash": {"maglev": {"tableSize": 251}}}"#,
    ] {
        let balancer = Balancer::new(
            Arc::new(cluster(policy, &[endpoint(1), endpoint(2)])),
            Client::default(),
            start,
            0,
        );
        let previous = PreviousEndpoints {
            addresses: vec![endpoint(1).address],
            selection_attempts: 20,
        };
        let request = PickRequest {
            previous: Some(&previous),
            hash: Some(7),
            ..PickRequest::new(start)
        };
        let mut number = 0;
        let random = || {
            number += 1;
            number
        };
        let host = balancer.pick(&request, random).unwrap();
        assert_eq!(host.endpoint().address.port(), Some(2), "{policy}");
    }
}

#[test]
fn further_attempts_move_to_another_place_where_asked() {
    let start = now();
    let mut cluster = cluster(ROUND_ROBIN, &places(&[("eu/a/1", 2), ("us/a/1", 2)]));
    eject_after(&mut cluster, 5);
    cluster.locality = LocalityBalancing::Locality {
        setting: Box::default(),
        force: false,
    };
    let balancer = Balancer::new(Arc::new(cluster), client("eu/a/1"), start, 0);
    // Ports 1 and 2 are near, 3 and 4 are not.
    let cases: [(&[u16], bool, &str); 6] = [
        (&[], true, "eu/a/1"),
        (&[1], true, "eu/a/1"),
        (&[1, 1], true, "us/a/1"),
        (&[1, 2], true, "us/a/1"),
        (&[1, 2], false, "eu/a/1"),
        (&[1, 2, 3, 4], true, "eu/a/1"),
    ];
    for (tried, avoids_priorities, expected) in cases {
        let previous = PreviousEndpoints {
            addresses: tried.iter().map(|port| endpoint(*port).address).collect(),
            selection_attempts: 5,
        };
        let request = PickRequest {
            previous: Some(&previous),
            avoids_priorities,
            ..PickRequest::new(start)
        };
        let host = balancer.pick(&request, || 0).unwrap();
        assert_eq!(host.endpoint().locality, expected, "{tried:?}");
    }
}

#[test]
fn state_stays_with_the_address_when_the_cluster_is_replaced() {
    let start = now();
    let mut first = cluster("{}", &[endpoint(1), endpoint(2)]);
    eject_after(&mut first, 1);
    let balancer = Balancer::new(Arc::new(first.clone()), Client::default(), start, 0);
    let host = pick(&balancer, start);
    balancer.record(&host, FAILURE, start);
    let _active = host.begin();

    let mut second = first;
    second.endpoints = vec![
        Endpoint {
            weight: 7,
            ..(**host.endpoint()).clone()
        },
        endpoint(3),
    ];
    balancer.replace(Arc::new(second), start);
    for number in 0..10 {
        let other = balancer.pick(&PickRequest::new(start), || number).unwrap();
        assert_eq!(
            other.endpoint().address.port(),
            Some(3),
            "the other is still ejected"
        );
    }
    let later = start + Duration::from_secs(60);
    let found = (0..10).filter_map(|number| balancer.pick(&PickRequest::new(later), || number));
    let same: Vec<_> = found
        .filter(|found| found.endpoint().address == host.endpoint().address)
        .collect();
    assert!(
        same.iter()
            .all(|found| found.state().active() == 1 && found.weight() == 7)
    );
    assert!(!same.is_empty(), "it has returned");
}

#[test]
fn what_passes_through_goes_where_the_client_went() {
    let start = now();
    let mut cluster = cluster("{}", &[]);
    cluster.discovery = Discovery::OriginalDestination;
    cluster.port_override = Some(8080);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    let request = PickRequest {
        original_destination: Some(([192, 0, 2, 7], 80).into()),
        ..PickRequest::new(start)
    };
    let host = balancer.pick(&request, || 0).unwrap();
    let expected = EndpointAddress::Ip(([192, 0, 2, 7], 8080).into());
    assert_eq!(host.endpoint().address, expected);
    assert!(
        balancer.pick(&PickRequest::new(start), || 0).is_none(),
        "unknown"
    );
}

#[test]
fn what_is_resolved_by_request_goes_to_its_authority() {
    let start = now();
    let mut cluster = cluster("{}", &[]);
    cluster.name = ClusterName::outbound(8443, "", "*.example");
    cluster.discovery = Discovery::DynamicDns;
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    let dns = |port| EndpointAddress::Dns {
        host: "a.example".into(),
        port,
    };
    let cases = [
        ("a.example", dns(8443)),
        ("a.example:81", dns(81)),
        ("[::1]:81", EndpointAddress::Ip("[::1]:81".parse().unwrap())),
    ];
    for (authority, expected) in cases {
        let authority = authority.parse().unwrap();
        let request = PickRequest {
            authority: Some(&authority),
            ..PickRequest::new(start)
        };
        let host = balancer.pick(&request, || 0).unwrap();
        assert_eq!(host.endpoint().address, expected);
    }
}

#[test]
fn a_policy_that_cannot_be_followed_is_reported() {
    let cluster = cluster(r#"{"backendUtilization": {}}"#, &[endpoint(1)]);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), now(), 0);
    let notices = balancer.notices();
    assert!(
        notices[0].message.contains("backendUtilization"),
        "{notices:?}"
    );
    assert!(notices[0].message.contains("LEAST_REQUEST"), "{notices:?}");
}

#[test]
fn an_ejected_endpoint_is_passed_over_before_its_table_is_made_anew() {
    let start = now();
    let policy = r#"{"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": 251}}}"#;
    let endpoints: Vec<Endpoint> = (1..9).map(endpoint).collect();
    let mut cluster = cluster(policy, &endpoints);
    eject_after(&mut cluster, 1);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    let picks = |balancer: &Balancer| -> Vec<Option<u16>> {
        let pick = |hash| {
            let request = PickRequest {
                hash: Some(hash),
                ..PickRequest::new(start)
            };
            let host = balancer.pick(&request, || 0).unwrap();
            host.endpoint().address.port()
        };
        (0..251).map(pick).collect()
    };
    let before = picks(&balancer);
    let host = pick(&balancer, start);
    let failed = host.endpoint().address.port();
    balancer.record(&host, FAILURE, start);
    assert!(balancer.is_stale());
    for (before, after) in before.iter().zip(picks(&balancer)) {
        assert_ne!(after, failed);
        assert!(*before == failed || *before == after, "only its keys move");
    }
    balancer.rebuild(start);
    assert!(!balancer.is_stale());
    assert!(!picks(&balancer).contains(&failed));
}

proptest! {
    /// Whatever comes and goes, picks are those of a balancer that was made with what is left.
    #[test]
    fn changes_amount_to_what_is_left(
        changes in prop::collection::vec((any::<bool>(), 0_u16..20, 1_u32..3), 1..60),
        hash: u64,
    ) {
        let start = now();
        let policy = r#"{"consistentHash": {"maglev": {"tableSize": 251}}}"#;
        let changed = Balancer::new(Arc::new(cluster(policy, &[])), Client::default(), start, 0);
        let mut left = BTreeMap::new();
        for (inserts, port, weight) in changes {
            let endpoint = Endpoint { weight, ..endpoint(port) };
            let address = endpoint.address.clone();
            if inserts {
                left.insert(port, endpoint.clone());
                changed.apply([Change::Insert(address, Arc::new(endpoint))], start);
            } else {
                left.remove(&port);
                changed.apply([Change::Remove(address)], start);
            }
        }
        changed.rebuild(start);
        prop_assert!(!changed.is_stale());
        let left: Vec<Endpoint> = left.into_values().collect();
        let made = Balancer::new(Arc::new(cluster(policy, &left)), Client::default(), start, 0);
        let pick = |balancer: &Balancer| {
            let request = PickRequest { hash: Some(hash), ..PickRequest::new(start) };
            balancer.pick(&request, || 0).map(|host| host.endpoint().clone())
        };
        prop_assert_eq!(pick(&changed), pick(&made));
    }
}

fn cluster(policy: &str, endpoints: &[Endpoint]) -> Cluster {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.load_balancer = Some(serde_json::from_str(policy).unwrap());
    cluster.endpoints = endpoints.to_vec();
    cluster
}

/// So many endpoints in each place.
fn places(places: &[(&str, u16)]) -> Vec<Endpoint> {
    let all = places
        .iter()
        .flat_map(|(place, count)| (0..*count).map(move |_| place));
    let endpoints = (1..).zip(all).map(|(port, place)| Endpoint {
        locality: (*place).into(),
        ..endpoint(port)
    });
    endpoints.collect()
}

fn locality(setting: &str) -> LocalityBalancing {
    LocalityBalancing::Locality {
        setting: serde_json::from_str(setting).unwrap(),
        force: false,
    }
}

/// Ejects all endpoints that fail so often in a row.
fn eject_after(cluster: &mut Cluster, errors: u32) {
    let settings = format!(r#"{{"consecutive5xxErrors": {errors}, "maxEjectionPercent": 100}}"#);
    cluster.policy.outlier_detection = Some(serde_json::from_str(&settings).unwrap());
}

fn client(place: &str) -> Client {
    Client {
        locality: place.into(),
        ..Client::default()
    }
}

fn pick(balancer: &Balancer, now: Instant) -> host::Host {
    balancer.pick(&PickRequest::new(now), || 0).unwrap()
}

/// How many of a hundred requests go to each place.
fn shares(balancer: &Balancer, now: Instant) -> BTreeMap<String, u32> {
    shares_of(balancer, now, 0..100)
}

fn shares_of(
    balancer: &Balancer,
    now: Instant,
    numbers: impl Iterator<Item = u64>,
) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for number in numbers {
        let host = balancer.pick(&PickRequest::new(now), || number).unwrap();
        *shares.entry(host.endpoint().locality.clone()).or_default() += 1;
    }
    shares
}
