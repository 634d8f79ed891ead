//! Where the gateway and its endpoints are.

use std::collections::BTreeSet;

use examples::gateway::MeshWide;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::balancing::{REPLICAS, Replicas, body};
use crate::scene::{Scene, config_of};

#[test]
fn load_is_distributed_by_the_place_of_the_gateway() {
    let places = ["eu/a/1", "us/b/1"];
    let distribute = "loadBalancer: { localityLbSetting: { distribute: [\
         { from: 'eu/*', to: { 'us/*': 100 } }, { from: 'us/*', to: { 'eu/*': 100 } }] } }";
    for (place, expected) in [
        ("eu/a/1", &["replica 1"][..]),
        ("us/c", &["replica 0"]),
        ("asia", &["replica 0", "replica 1"]),
    ] {
        let mut edge = Edge::open(&places, distribute);
        edge.publish(&at(place), "");
        assert_eq!(edge.answers(), expected, "from {place}");
    }
}

#[test]
fn labels_of_the_gateway_say_where_it_is() {
    let places = ["eu/a/1", "us/b/1"];
    let nearby = "outlierDetection: { consecutive5xxErrors: 5 }";
    for (label, value, expected) in [
        ("istio-locality", "us.b.1", "replica 1"),
        ("topology.istio.io/locality", "eu.a.1", "replica 0"),
        ("topology.kubernetes.io/region", "us", "replica 1"),
    ] {
        let mut edge = Edge::open(&places, nearby);
        edge.publish(&at("").with_label(label, value), "");
        assert_eq!(edge.answers(), [expected], "{label}: {value}");
    }
}

#[test]
fn zones_count_as_long_as_the_gateway_has_replicas_in_several() {
    let zones = "loadBalancer: { zoneAwareLbSetting: { minClusterSize: 2 } }";
    let mut edge = Edge::open(&["eu/a", "eu/b"], zones);
    edge.publish(&at("eu/a"), &gateways(&["eu/a", "eu/b"]));
    assert_eq!(edge.answers(), ["replica 0"], "a half serves a half");
    edge.publish(&at("eu/a"), &gateways(&["eu/a"]));
    assert_eq!(
        edge.answers(),
        ["replica 0", "replica 1"],
        "nobody else is left"
    );
}

/// A gateway in front of replicas.
struct Edge {
    scene: Scene,
    rule: String,
    _replicas: Replicas,
}

impl Edge {
    /// Replicas at these places, and a traffic policy for them.
    fn open(places: &[&str], policy: &str) -> Self {
        let replicas = Replicas::open(&vec![200; places.len()]);
        Self {
            scene: Scene::new(REPLICAS),
            rule: replicas.yaml_at(places, policy),
            _replicas: replicas,
        }
    }

    fn publish(&mut self, gateway: &Workload, more: &str) {
        let yaml = format!("{}---{}---{more}", self.scene.yaml(REPLICAS), self.rule);
        let config = config_of(&yaml);
        let model = resolve(&config, gateway);
        let warnings = self
            .scene
            .gateway
            .publish_in(&model, &MeshWide::of(&config));
        assert_eq!(warnings.unwrap(), [""; 0]);
    }

    /// What answers of 40 requests: each of two that share them misses all once in 2^39 times.
    fn answers(&self) -> Vec<String> {
        let answers = (0..40).map(|_| body(&self.scene.get("/", "")));
        answers.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn at(locality: &str) -> Workload {
    Workload {
        locality: locality.to_owned(),
        ..Workload::gateway("istio-system").with_label("istio", "ingressgateway")
    }
}

/// The service of the gateway, with a replica at each of these places.
fn gateways(places: &[&str]) -> String {
    let replicas = places.iter().enumerate().map(|(number, place)| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{ name: gateway-{number}, namespace: istio-system }}
spec:
  address: 192.0.2.{number}
  locality: {place}
  labels: {{ istio: ingressgateway }}
"
        )
    });
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: gateways, namespace: istio-system }}
spec:
  hosts: [gateways.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  workloadSelector: {{ labels: {{ istio: ingressgateway }} }}
{}",
        replicas.collect::<String>()
    )
}
