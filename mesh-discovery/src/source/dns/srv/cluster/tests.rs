use std::net::IpAddr;
use std::time::Duration;

use mesh_core::model::cluster::{EndpointAddress, LocalityBalancing};
use mesh_core::service::ClusterName;
use tower::discover::Change;

use super::super::super::Backoff;
use super::*;
use crate::balance::{Balancer, PickRequest};
use crate::locality::Client;

const SERVICE: &str = "_sip._tcp.example";
const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(30);

fn start() -> (SrvCluster, Instant) {
    let now = tokio::time::Instant::now().into_std();
    let backoff = Backoff {
        base: 2 * SECOND,
        max: 8 * SECOND,
    };
    let settings = RefreshSettings {
        backoff: Some(backoff),
        ..RefreshSettings::default()
    };
    let cluster = Arc::new(Cluster::new(ClusterName::from("sip")));
    let mut machine = SrvCluster::new(cluster, SERVICE, settings, now);
    assert_eq!(machine.take_due(now), [SrvLookup::Service(SERVICE.into())]);
    (machine, now)
}

/// Targets of these hosts and priorities.
fn targets(targets: &[(&str, u16)], ttl: Duration) -> SrvAnswer {
    let targets = targets.iter().map(|(host, priority)| SrvTarget {
        host: (*host).into(),
        port: 5060,
        priority: *priority,
        weight: 1,
    });
    SrvAnswer::Targets {
        targets: targets.collect(),
        ttl,
    }
}

fn found(last: u8, ttl: Duration) -> Answer {
    Answer::Addresses {
        addresses: vec![ip(last)],
        ttl,
    }
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// The last parts of the addresses of a cluster.
fn addresses(cluster: Option<Arc<Cluster>>) -> Option<Vec<u8>> {
    let last = |endpoint: &Endpoint| match endpoint.address {
        EndpointAddress::Ip(std::net::SocketAddr::V4(address)) => address.ip().octets()[3],
        _ => panic!("{endpoint:?}"),
    };
    Some(cluster?.endpoints.iter().map(last).collect())
}

#[test]
fn targets_of_a_later_priority_are_used_once_those_of_the_first_are_ill() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("c", 30), ("a", 10), ("b", 20)], TTL), now, 0);
    for (host, last) in [("a", 1), ("c", 3)] {
        assert!(
            machine
                .handle_answer(host, found(last, TTL), now, 0)
                .is_none()
        );
    }
    let cluster = machine.handle_answer("b", found(2, TTL), now, 0).unwrap();
    assert_eq!(addresses(Some(Arc::clone(&cluster))), Some(vec![1, 2, 3]));

    let balancer = Balancer::new(Arc::clone(&cluster), Client::default(), now, 0);
    for endpoint in &cluster.endpoints {
        for number in 0..100 {
            let picked = balancer.pick(&PickRequest::new(now), || number).unwrap();
            assert_eq!(picked.endpoint().address, endpoint.address);
        }
        let ill = Endpoint {
            healthy: false,
            ..endpoint.clone()
        };
        balancer.apply([Change::Insert(ill.address.clone(), Arc::new(ill))], now);
    }
}

#[test]
fn one_priority_leaves_it_to_the_cluster_how_places_count() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("a", 10)], TTL), now, 0);
    let cluster = machine.handle_answer("a", found(1, TTL), now, 0).unwrap();
    assert_eq!(cluster.locality, LocalityBalancing::Off);
    assert!(cluster.endpoints[0].labels.is_empty());
}

#[test]
fn the_service_and_each_host_are_looked_up_when_their_own_answer_expires() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("a", 1), ("b", 1)], 10 * SECOND), now, 0);
    assert_eq!(machine.deadline(), Some(now), "hosts are new");
    machine.take_due(now);
    machine.handle_answer("a", found(1, 5 * SECOND), now, 0);
    machine.handle_answer("b", found(2, 20 * SECOND), now, 0);
    for (seconds, due) in [
        (5, SrvLookup::Host("a".into())),
        (10, SrvLookup::Service(SERVICE.into())),
        (20, SrvLookup::Host("b".into())),
    ] {
        let time = now + seconds * SECOND;
        assert_eq!(machine.deadline(), Some(time));
        assert_eq!(machine.take_due(time), [due]);
    }
}

#[test]
fn a_service_that_is_none_has_no_endpoints_for_as_long_as_its_zone_says() {
    let (mut machine, now) = start();
    for (ttl, pause) in [(7 * SECOND, 7 * SECOND), (Duration::ZERO, 60 * SECOND)] {
        machine.handle_targets(targets(&[("a", 1)], TTL), now, 0);
        machine.handle_answer("a", found(1, TTL), now, 0);
        let gone = machine.handle_targets(targets(&[], ttl), now, 0);
        assert_eq!(addresses(gone), Some(vec![]));
        assert_eq!(machine.deadline(), Some(now + pause), "{ttl:?}");
    }
}

#[test]
fn a_look_up_that_fails_changes_nothing_and_is_made_again_later_and_later() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("a", 1)], TTL), now, 0);
    machine.handle_answer("a", found(1, 100 * TTL), now, 0);
    // Half of the most that may be drawn.
    let half = 1 << 63;
    for seconds in [1, 2, 4, 4] {
        let failed = machine.handle_targets(SrvAnswer::Failed, now, half);
        assert!(failed.is_none());
        assert_eq!(machine.deadline(), Some(now + seconds * SECOND));
    }
    assert_eq!(machine.failures(), 4);
    assert!(machine.handle_answer("a", Answer::Failed, now, 0).is_none());
    assert_eq!(machine.host("a").unwrap().addresses, [ip(1)]);

    machine.handle_targets(targets(&[("a", 1)], TTL), now, half);
    assert_eq!(machine.failures(), 0);
}

#[test]
fn new_targets_take_the_place_of_others_once_each_was_looked_up() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("a", 1)], TTL), now, 0);
    machine.handle_answer("a", found(1, TTL), now, 0);
    let told = machine.handle_targets(targets(&[("b", 1), ("c", 1)], TTL), now, 0);
    assert!(told.is_none());
    assert!(machine.handle_answer("b", found(2, TTL), now, 0).is_none());
    let told = machine.handle_answer("c", Answer::Failed, now, 0);
    assert_eq!(addresses(told), Some(vec![2]));
    let told = machine.handle_answer("c", found(3, TTL), now, 0);
    assert_eq!(addresses(told), Some(vec![2, 3]));
    let told = machine.handle_answer("b", Answer::NoAddress, now, 0);
    assert_eq!(addresses(told), Some(vec![3]));
}

#[test]
fn where_no_new_target_can_be_looked_up_those_before_stay() {
    let (mut machine, now) = start();
    machine.handle_targets(targets(&[("a", 1)], TTL), now, 0);
    machine.handle_answer("a", found(1, TTL), now, 0);
    machine.handle_targets(targets(&[("b", 1)], TTL), now, 0);
    assert!(machine.handle_answer("b", Answer::Failed, now, 0).is_none());
    let told = machine.handle_answer("b", Answer::NoAddress, now, 0);
    assert_eq!(addresses(told), Some(vec![]), "that is an answer");
}

#[test]
fn another_version_of_the_cluster_has_the_endpoints_that_are_known() {
    let (mut machine, now) = start();
    let other = || Arc::new(Cluster::new(ClusterName::from("other")));
    assert!(machine.replace(other()).is_none(), "nothing is known");
    machine.handle_targets(targets(&[("a", 1)], TTL), now, 0);
    machine.handle_answer("a", found(1, TTL), now, 0);
    let replaced = machine.replace(other()).unwrap();
    assert_eq!(replaced.name, ClusterName::from("other"));
    assert_eq!(addresses(Some(replaced)), Some(vec![1]));
}
