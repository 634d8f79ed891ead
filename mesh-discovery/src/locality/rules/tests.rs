use mesh_core::model::cluster::EndpointAddress;
use mesh_core::service::ClusterName;

use super::*;

#[test]
fn without_outlier_detection_near_endpoints_are_not_preferred() {
    let mut cluster = cluster("{}", false);
    cluster.policy.outlier_detection = None;
    let priorities = priorities(&cluster, &["eu/a/1", "us/a/1"]);
    assert_eq!(priorities, [Some(0), Some(0)]);
}

#[test]
fn traffic_distribution_prefers_near_endpoints_without_outlier_detection() {
    let mut cluster = cluster(
        r#"{"failoverPriority": ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]}"#,
        true,
    );
    cluster.policy.outlier_detection = None;
    let priorities = priorities(&cluster, &["eu/a/1", "eu/b/1", "us/a/1"]);
    assert_eq!(priorities, [Some(0), Some(1), Some(2)]);
}

#[test]
fn distance_decides_by_default() {
    let cluster = cluster("{}", false);
    let priorities = priorities(&cluster, &["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", ""]);
    assert_eq!(priorities, [0, 1, 2, 3, 3].map(Some));
}

#[test]
fn a_failover_puts_its_region_before_the_others() {
    let cluster = cluster(r#"{"failover": [{"from": "eu", "to": "us"}]}"#, false);
    let priorities = priorities(&cluster, &["eu/a/1", "us/a/1", "asia/a/1"]);
    assert_eq!(priorities, [0, 3, 4].map(Some));
}

#[test]
fn labels_count_from_the_first_that_differs() {
    let cluster = cluster(
        r#"{"failoverPriority": ["app", "version=v1", "rack"]}"#,
        false,
    );
    let rules = LocalityRules::compile(&cluster, &client());
    let cases: [(&[(&str, &str)], u32); 5] = [
        (&[("app", "shop"), ("version", "v1")], 0),
        (&[("app", "shop"), ("version", "v1"), ("rack", "7")], 1),
        (&[("app", "shop"), ("version", "v2")], 2),
        (&[("version", "v1")], 3),
        (&[], 3),
    ];
    for (labels, expected) in cases {
        let mut endpoint = endpoint("us/a/1");
        endpoint.labels = labels.iter().copied().collect();
        assert_eq!(rules.priority(&endpoint), Some(expected), "{labels:?}");
    }
}

#[test]
fn labels_and_failover_compose() {
    let cluster = cluster(
        r#"{"failoverPriority": ["app"], "failover": [{"from": "eu", "to": "us"}]}"#,
        false,
    );
    let rules = LocalityRules::compile(&cluster, &client());
    let priority = |app: &str, place| {
        let mut endpoint = endpoint(place);
        endpoint.labels.insert("app", app);
        rules.priority(&endpoint)
    };
    assert_eq!(priority("shop", "asia/a/1"), Some(4));
    assert_eq!(
        priority("other", "eu/a/1"),
        Some(5),
        "the label is more important"
    );
}

#[test]
fn another_network_comes_after_all_of_the_same() {
    let cluster = cluster(
        r#"{"failoverPriority": ["topology.istio.io/network", "topology.kubernetes.io/region"]}"#,
        false,
    );
    let rules = LocalityRules::compile(&cluster, &client());
    let priority = |network: &str, place| {
        let mut endpoint = endpoint(place);
        endpoint.network = network.into();
        rules.priority(&endpoint)
    };
    let found = [
        priority("one", "eu/a/1"),
        priority("one", "us/a/1"),
        priority("two", "eu/a/1"),
        priority("two", "us/a/1"),
    ];
    assert_eq!(found, [0, 1, 2, 3].map(Some));
}

#[test]
fn distribute_gives_nothing_to_places_it_does_not_name() {
    let cluster = cluster(
        r#"{"distribute": [
            {"from": "us/*", "to": {"us/*": 100}},
            {"from": "eu/*", "to": {"eu/a/*": 70, "eu/b/*": 30}}
        ]}"#,
        false,
    );
    let found = priorities(&cluster, &["eu/a/1", "eu/b/2", "eu/c/1", "us/a/1"]);
    assert_eq!(found, [Some(0), Some(0), None, None]);

    let rules = LocalityRules::compile(&cluster, &client());
    let places = [("eu/a/1", 1), ("eu/a/2", 2), ("eu/b/2", 5)];
    let places = places.map(|(place, weight)| (Locality::from(place), weight));
    // 70 is divided 1 to 2, and rounded up.
    assert_eq!(rules.weights(&places), Some(vec![24, 47, 30]));
}

#[test]
fn distribute_without_an_entry_for_the_client_does_nothing() {
    let cluster = cluster(
        r#"{"distribute": [{"from": "us/*", "to": {"us/*": 100}}]}"#,
        false,
    );
    assert_eq!(
        priorities(&cluster, &["eu/a/1", "asia"]),
        [Some(0), Some(0)]
    );
}

#[test]
fn localities_share_by_weight_only_where_istio_says_so() {
    let places = [(Locality::from("eu/a/1"), 3)];
    let weights = |setting| {
        let cluster = cluster(setting, false);
        LocalityRules::compile(&cluster, &client()).weights(&places)
    };
    assert_eq!(weights("{}"), None);
    assert_eq!(
        weights(r#"{"failover": [{"from": "eu", "to": "us"}]}"#),
        Some(vec![3])
    );
}

#[test]
fn zones_share_within_their_region_even_where_nothing_ejects_endpoints() {
    let mut cluster = cluster("{}", false);
    cluster.policy.outlier_detection = None;
    let places = ["eu/a/1", "eu/b/1", "us/a/1", "asia/a/1", ""];
    let cases = [
        ("{}", [0, 0, 2, 2, 2].map(Some)),
        (
            r#"{"failover": [{"from": "eu", "to": "us"}]}"#,
            [0, 0, 1, 2, 2].map(Some),
        ),
        (r#"{"enabled": false}"#, [Some(0); 5]),
    ];
    for (setting, expected) in cases {
        cluster.locality = LocalityBalancing::ZoneAware(serde_json::from_str(setting).unwrap());
        assert_eq!(priorities(&cluster, &places), expected, "{setting}");
    }
}

#[test]
fn in_a_zone_aware_cluster_labels_come_before_regions() {
    let mut cluster = cluster("{}", false);
    let setting = serde_json::from_str(r#"{"failoverPriority": ["app"]}"#).unwrap();
    cluster.locality = LocalityBalancing::ZoneAware(setting);
    let rules = LocalityRules::compile(&cluster, &client());
    let priority = |app: &str, place| {
        let mut endpoint = endpoint(place);
        endpoint.labels.insert("app", app);
        rules.priority(&endpoint)
    };
    assert_eq!(priority("shop", "us/a/1"), Some(2));
    assert_eq!(priority("other", "eu/a/1"), Some(3));
}

fn priorities(cluster: &Cluster, places: &[&str]) -> Vec<Option<u32>> {
    let rules = LocalityRules::compile(cluster, &client());
    let places = places.iter();
    places
        .map(|place| rules.priority(&endpoint(place)))
        .collect()
}

/// A cluster with outlier detection and this `localityLbSetting`.
fn cluster(setting: &str, force: bool) -> Cluster {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.outlier_detection = Some(Box::default());
    cluster.locality = LocalityBalancing::Locality {
        setting: serde_json::from_str(setting).unwrap(),
        force,
    };
    cluster
}

fn endpoint(place: &str) -> Endpoint {
    Endpoint {
        locality: place.into(),
        ..Endpoint::new(EndpointAddress::Unix("cart".into()))
    }
}

/// In `eu/a/1`, network `one`, with the label `app=shop`.
fn client() -> Client {
    Client {
        locality: "eu/a/1".into(),
        labels: Labels::from_iter([("app", "shop")]),
        network: "one".into(),
        replicas: Vec::new(),
    }
}
