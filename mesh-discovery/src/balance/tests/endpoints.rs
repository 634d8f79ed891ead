//! Endpoints that come without a configuration, and configurations that come after.

use super::*;

#[test]
fn what_a_cluster_resolves_to_survives_a_configuration_with_the_same_names() {
    let start = now();
    for discovery in [Discovery::LogicalDns, Discovery::StrictDns] {
        let mut cluster = cluster(ROUND_ROBIN, &[endpoint(1)]);
        cluster.discovery = discovery;
        let balancer = Balancer::new(Arc::new(cluster.clone()), Client::default(), start, 0);
        balancer.replace_endpoints([endpoint(2)], start);
        balancer.replace(Arc::new(cluster.clone()), start);
        assert_eq!(ports(&balancer), [2], "{discovery:?}");

        cluster.endpoints = vec![endpoint(3)];
        balancer.replace(Arc::new(cluster.clone()), start);
        assert_eq!(ports(&balancer), [3], "{discovery:?}");
    }
}

#[test]
fn a_configuration_removes_what_came_since_the_one_before_and_it_does_not_list() {
    let start = now();
    let cluster = cluster(ROUND_ROBIN, &[endpoint(1)]);
    let balancer = Balancer::new(Arc::new(cluster.clone()), Client::default(), start, 0);
    let added = Arc::new(endpoint(2));
    balancer.apply([Change::Insert(added.address.clone(), added)], start);
    balancer.replace(Arc::new(cluster.clone()), start);
    assert_eq!(ports(&balancer), [1]);

    balancer.apply([Change::Remove(endpoint(1).address)], start);
    balancer.replace(Arc::new(cluster.clone()), start);
    assert_eq!(ports(&balancer), [1]);

    balancer.replace_endpoints([endpoint(2)], start);
    balancer.replace(Arc::new(cluster), start);
    assert_eq!(ports(&balancer), [1]);
}

#[test]
fn addresses_that_were_found_are_none_of_a_cluster_that_lists_its_own() {
    let start = now();
    let mut cluster = cluster(ROUND_ROBIN, &[endpoint(1)]);
    cluster.discovery = Discovery::StrictDns;
    let balancer = Balancer::new(Arc::new(cluster.clone()), Client::default(), start, 0);
    balancer.replace_endpoints([endpoint(2)], start);
    cluster.discovery = Discovery::Static;
    balancer.replace(Arc::new(cluster), start);
    assert_eq!(ports(&balancer), [1]);
}

#[test]
fn for_another_client_or_by_another_policy_the_endpoints_are_those_of_before() {
    let start = now();
    let cluster = cluster(ROUND_ROBIN, &[endpoint(1)]);
    let balancer = Balancer::new(Arc::new(cluster), Client::default(), start, 0);
    balancer.replace_endpoints([endpoint(2)], start);
    balancer.set_client(&client("eu/a/1"), start);
    assert_eq!(ports(&balancer), [2]);
    let balancer = balancer.with_policy(policy::Policy::Random, start).unwrap();
    assert_eq!(ports(&balancer), [2]);
}

fn ports(balancer: &Balancer) -> Vec<u16> {
    let endpoints = balancer.endpoints().into_iter();
    let mut ports: Vec<u16> = endpoints
        .filter_map(|endpoint| endpoint.address.port())
        .collect();
    ports.sort_unstable();
    ports
}
