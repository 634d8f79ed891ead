//! Endpoints that are listed and not ready.

use super::*;

#[test]
fn load_moves_on_where_most_endpoints_of_a_zone_are_not_ready() {
    let start = now();
    let mut endpoints = places(&[("eu/a/1", 10), ("eu/b/1", 10)]);
    for endpoint in &mut endpoints[1..10] {
        endpoint.healthy = false;
    }
    let mut cluster = cluster(r#"{"simple": "RANDOM"}"#, &endpoints);
    cluster.by_readiness = true;
    let LocalityBalancing::Locality { setting, .. } = locality("{}") else {
        panic!("places count");
    };
    cluster.locality = LocalityBalancing::Locality {
        setting,
        force: true,
    };
    let balancer = Balancer::new(Arc::new(cluster), client("eu/a/1"), start, 0);
    // A tenth of the endpoints, which with a factor of 1.4 is enough for 14 %.
    let expected = BTreeMap::from([("eu/a/1".into(), 14), ("eu/b/1".into(), 86)]);
    assert_eq!(shares(&balancer, start), expected);
}

#[test]
fn a_place_where_some_are_not_ready_gets_less_and_no_whole_number_of_its_weight() {
    let start = now();
    let mut endpoints = places(&[("eu/a/1", 3), ("eu/b/1", 3)]);
    for endpoint in &mut endpoints[1..3] {
        endpoint.healthy = false;
    }
    let mut cluster = cluster(ROUND_ROBIN, &endpoints);
    eject_after(&mut cluster, 1);
    cluster.locality = locality(r#"{"failover": [{"from": "us", "to": "eu"}]}"#);
    let balancer = Balancer::new(Arc::new(cluster), client("us/a/1"), start, 0);
    // A third of the endpoints, which with a factor of 1.4 is a weight of 1.4 beside one of 3.
    let found = shares_of(&balancer, start, 0..4400);
    assert!(found["eu/a/1"].abs_diff(1400) < 5, "{found:?}");
}

#[test]
fn what_is_not_ready_is_not_picked_however_few_are() {
    let start = now();
    let mut endpoints: Vec<Endpoint> = (1..=5).map(endpoint).collect();
    for endpoint in &mut endpoints[1..] {
        endpoint.healthy = false;
    }
    let balancer = Balancer::new(
        Arc::new(cluster("{}", &endpoints)),
        Client::default(),
        start,
        0,
    );
    for number in 0..20 {
        let host = balancer.pick(&PickRequest::new(start), || number).unwrap();
        assert_eq!(host.endpoint().address.port(), Some(1));
    }
    let gone = unready(1);
    balancer.apply([Change::Insert(gone.address.clone(), gone)], start);
    assert!(balancer.pick(&PickRequest::new(start), || 0).is_none());
}

#[test]
fn an_endpoint_is_new_when_it_is_ready_for_the_first_time() {
    let start = now();
    let later = |seconds| start + Duration::from_secs(seconds);
    let cluster = cluster("{}", &[]);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    let put = |endpoint: Arc<Endpoint>, at: Instant| {
        balancer.apply([Change::Insert(endpoint.address.clone(), endpoint)], at);
    };
    put(unready(1), start);
    put(Arc::new(endpoint(1)), later(60));
    let host = pick(&balancer, later(60));
    assert_eq!(host.state().since(), later(60));
    let _active = host.begin();

    put(unready(1), later(70));
    put(Arc::new(endpoint(1)), later(80));
    let host = pick(&balancer, later(80));
    assert_eq!(host.state().since(), later(60), "it was known");
    assert_eq!(host.state().active(), 1);
}

fn unready(port: u16) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        healthy: false,
        ..endpoint(port)
    })
}
