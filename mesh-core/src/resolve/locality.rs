//! Where a workload is, and where its replicas are.

use std::collections::HashSet;

use crate::config::services::{Service, Services, pod_locality};
use crate::labels::Labels;
use crate::model::cluster::{Endpoint, EndpointAddress, NODE_LABEL};
use crate::workload::Workload;

/// Labels of the generation of a Deployment, or of a Rollout of Argo, that a pod is of.
const GENERATION: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];

/// The workload with its locality and its node: as it says itself, else as the registry does, else as
/// its labels do.
pub(super) fn located(services: &Services, workload: &Workload) -> Workload {
    let mut located = workload.clone();
    let services = services.iter().map(|service| &**service);
    let own = endpoints(services, workload).find(|endpoint| is_at(endpoint, workload));
    if located.locality.is_empty() {
        let known = own.map(|own| own.locality.clone());
        let known = known.filter(|locality| !locality.is_empty());
        let labelled = || pod_locality(&workload.labels);
        located.locality = known.unwrap_or_else(labelled);
    }
    let node = own.and_then(|own| own.labels.value(NODE_LABEL));
    if let Some(node) = node.filter(|_| workload.labels.value(NODE_LABEL).is_none()) {
        located.labels.insert(NODE_LABEL, node);
    }
    located
}

/// Where the replicas of a workload are, itself included, an entry each: the healthy endpoints of the
/// services that it is behind, in its region, but those of another generation of its Deployment
/// (`filterIstioEndpoint`).
pub(super) fn replicas<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    workload: &Workload,
) -> Vec<String> {
    let all: Vec<&Endpoint> = endpoints(services, workload).collect();
    let own = all.iter().find(|endpoint| is_at(endpoint, workload));
    let place = match (workload.locality.as_str(), own) {
        ("", Some(own)) => &own.locality,
        (place, _) => place,
    };
    let is_near = |other: &str| place.is_empty() || region(other) == region(place);
    let mut seen = HashSet::new();
    let replicas = all.into_iter().filter(|endpoint| {
        let counts = endpoint.healthy && !endpoint.is_draining();
        counts && is_near(&endpoint.locality) && is_replica(&endpoint.labels, &workload.labels)
    });
    replicas
        .filter(|endpoint| seen.insert(host(&endpoint.address)))
        .map(|endpoint| endpoint.locality.clone())
        .collect()
}

fn region(place: &str) -> &str {
    place.split_once('/').map_or(place, |(region, _)| region)
}

/// The endpoints of those of `services` that a workload is behind, as often as they have ports.
fn endpoints<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    workload: &Workload,
) -> impl Iterator<Item = &'a Endpoint> {
    let services = services.into_iter();
    let targets = services.flat_map(|service| service.targets(workload));
    targets.flat_map(|target| target.service.endpoints(target.port))
}

fn is_at(endpoint: &Endpoint, workload: &Workload) -> bool {
    match &endpoint.address {
        EndpointAddress::Ip(address) => workload.addresses.contains(&address.ip()),
        EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => false,
    }
}

/// Whether an endpoint is of the same generation. A workload that knows of none has replicas in all.
fn is_replica(labels: &Labels, own: &Labels) -> bool {
    let is_same = |key| own.value(key).is_none() || labels.value(key) == own.value(key);
    GENERATION.into_iter().all(is_same)
}

/// An address without port.
fn host(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Dns { host, .. } => host.clone(),
        EndpointAddress::Ip(address) => address.ip().to_string(),
        EndpointAddress::Unix(path) => path.clone(),
    }
}

#[cfg(test)]
#[cfg(feature = "yaml")]
mod tests {
    use crate::config::MeshConfig;
    use crate::parse::{Limits, parse};
    use crate::resolve::resolve;

    use super::*;

    /// Two generations of a Deployment, in two zones, a pod that is not ready, one in another region,
    /// and one that is draining.
    fn config() -> MeshConfig {
        config_of("pod-template-hash")
    }

    /// As [`config`], with the label of generations.
    fn config_of(label: &str) -> MeshConfig {
        let mut text = String::from(
            "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  selector: { app: cart }
  ports: [{ name: http, port: 80 }, { name: admin, port: 81 }]
",
        );
        for (index, region, zone, generation, is_ready) in [
            (1, "eu", "a", "old", "True"),
            (2, "eu", "b", "old", "True"),
            (3, "eu", "b", "new", "True"),
            (4, "eu", "b", "old", "False"),
            (5, "us", "a", "old", "True"),
            (6, "eu", "a", "old, istio.io/draining: soon", "True"),
        ] {
            text += &format!(
                "---
apiVersion: v1
kind: Node
metadata:
  name: node-{index}
  labels: {{ topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone} }}
---
apiVersion: v1
kind: Pod
metadata:
  name: cart-{index}
  namespace: shop
  labels: {{ app: cart, {label}: {generation} }}
spec: {{ nodeName: node-{index} }}
status:
  phase: Running
  podIP: 10.1.0.{index}
  conditions: [{{ type: Ready, status: '{is_ready}' }}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: cart-{index}
  namespace: shop
  labels: {{ kubernetes.io/service-name: cart }}
addressType: IPv4
ports: [{{ name: http, port: 8080 }}, {{ name: admin, port: 8081 }}]
endpoints:
- addresses: [10.1.0.{index}]
  conditions: {{ ready: {} }}
  targetRef: {{ kind: Pod, name: cart-{index}, namespace: shop }}
",
                is_ready.to_lowercase()
            );
        }
        let parsed = parse("cart.yaml", &text, &Limits::default());
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let builder = MeshConfig::builder().extend(parsed.objects);
        builder.build(1).unwrap()
    }

    fn cart() -> Workload {
        Workload::sidecar("shop").with_label("app", "cart")
    }

    #[test]
    fn a_workload_is_on_the_node_of_the_pod_with_its_address() {
        let workload = Workload {
            addresses: vec![[10, 1, 0, 2].into()],
            ..cart()
        };
        let located = resolve(&config(), &workload).workload;
        assert_eq!(located.locality, "eu/b");
        assert_eq!(located.labels.value(NODE_LABEL), Some("node-2"));
    }

    #[test]
    fn what_a_workload_says_of_its_place_counts_more_than_the_registry() {
        let workload = Workload {
            addresses: vec![[10, 1, 0, 2].into()],
            locality: "us/c".into(),
            ..cart()
        };
        assert_eq!(resolve(&config(), &workload).workload.locality, "us/c");
    }

    #[test]
    fn a_workload_that_the_registry_does_not_know_is_where_its_labels_say() {
        let workload = cart().with_label("istio-locality", "us.c");
        assert_eq!(resolve(&config(), &workload).workload.locality, "us/c");
        assert_eq!(resolve(&config(), &cart()).workload.locality, "");
    }

    #[test]
    fn replicas_are_the_healthy_endpoints_of_the_same_generation_and_region() {
        let old = cart().with_label("pod-template-hash", "old");
        assert_eq!(resolve(&config(), &old).replicas, ["eu/a", "eu/b", "us/a"]);
        let all = ["eu/a", "eu/b", "eu/b", "us/a"];
        assert_eq!(resolve(&config(), &cart()).replicas, all);
        let known = Workload {
            addresses: vec![[10, 1, 0, 2].into()],
            ..old.clone()
        };
        assert_eq!(resolve(&config(), &known).replicas, ["eu/a", "eu/b"]);
        let told = Workload {
            locality: "us".into(),
            ..old
        };
        assert_eq!(resolve(&config(), &told).replicas, ["us/a"]);
        let stranger = Workload::sidecar("shop").with_label("app", "books");
        assert_eq!(resolve(&config(), &stranger).replicas, [""; 0]);
    }

    #[test]
    fn pods_of_a_rollout_have_generations_as_those_of_a_deployment_have() {
        let label = "rollouts-pod-template-hash";
        let config = config_of(label);
        let old = cart().with_label(label, "old");
        assert_eq!(resolve(&config, &old).replicas, ["eu/a", "eu/b", "us/a"]);
        let new = cart().with_label(label, "new");
        assert_eq!(resolve(&config, &new).replicas, ["eu/b"]);
    }
}
