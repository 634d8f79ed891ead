//! Which endpoints of a service are of a workload's cluster.
#![cfg(feature = "yaml")]

mod support;

use std::net::SocketAddr;

use mesh_core::model::Model;
use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::support::config;

const HOST: &str = "cart.shop.svc.cluster.local";

/// A service with endpoints of all sorts, whose last numbers say which.
const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { selector: { app: cart }, ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: cart-x, namespace: shop, labels: { kubernetes.io/service-name: cart } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints:
- { addresses: [10.1.0.1], conditions: { ready: true, terminating: false } }
- { addresses: [10.1.0.2], conditions: { ready: false, terminating: false } }
- { addresses: [10.1.0.3], conditions: { ready: false, terminating: true } }
- { addresses: [10.1.0.4], conditions: { ready: false } }
- { addresses: [10.1.0.5] }
---
";

fn rule(policy: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: cart, namespace: shop }}
spec: {{ host: cart, trafficPolicy: {policy} }}
---
"
    )
}

fn model(text: &str) -> Model {
    resolve(&config(text), &Workload::sidecar("shop"))
}

/// The endpoints of a cluster: the last number of each, and whether it is healthy.
fn endpoints(model: &Model, port: u16, host: &str) -> Vec<(u8, bool)> {
    let last = |endpoint: &Endpoint| match endpoint.address {
        EndpointAddress::Ip(SocketAddr::V4(socket)) => socket.ip().octets()[3],
        _ => panic!("{endpoint:?}"),
    };
    let cluster = &model.clusters[&ClusterName::outbound(port, "", host)];
    let all = cluster.endpoints.iter();
    all.map(|endpoint| (last(endpoint), endpoint.healthy))
        .collect()
}

#[test]
fn endpoints_that_are_not_ready_count_unless_health_may_cease_to() {
    let all = &[(1, true), (2, false), (5, true)][..];
    let ready = &[(1, true), (5, true)][..];
    let detects = rule("{ outlierDetection: { consecutive5xxErrors: 5 } }");
    let panics = rule("{ outlierDetection: { minHealthPercent: 30 } }");
    let of_port = rule(
        "{ portLevelSettings: [{ port: { number: 80 }, outlierDetection: { minHealthPercent: 30 } }] }",
    );
    let of_other = rule(
        "{ portLevelSettings: [{ port: { number: 81 }, outlierDetection: { minHealthPercent: 30 } }] }",
    );
    let near = CART.replace("selector:", "trafficDistribution: PreferClose, selector:");
    for (text, expected, threshold) in [
        (CART.to_owned(), all, 0),
        (format!("{CART}{detects}"), all, 0),
        (format!("{CART}{panics}"), ready, 30),
        (format!("{CART}{of_port}"), ready, 30),
        (format!("{CART}{of_other}"), all, 0),
        (near.clone(), all, 0),
        (format!("{near}{panics}"), all, 0),
    ] {
        let model = model(&text);
        assert_eq!(endpoints(&model, 80, HOST), expected, "{text}");
        let cluster = &model.clusters[&ClusterName::outbound(80, "", HOST)];
        assert_eq!(cluster.panic_threshold(), threshold, "{text}");
    }
}

#[test]
fn addresses_that_are_published_whether_ready_or_not_all_count_as_ready() {
    let text = CART.replace("selector:", "publishNotReadyAddresses: true, selector:");
    let found = endpoints(&model(&text), 80, HOST);
    assert_eq!(found, [1, 2, 3, 4, 5].map(|number| (number, true)));
}

#[test]
fn draining_workloads_get_no_requests_from_anybody() {
    let entry = |labels: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints:
  - {{ address: 10.1.0.1 }}
  - {{ address: 10.1.0.2, labels: {{ {labels} }} }}
"
        )
    };
    for (labels, expected) in [
        ("istio.io/draining: 'true'", &[1][..]),
        ("istio.io/draining: 'false'", &[1]),
        ("istio.io/draining: ''", &[1, 2]),
        ("app: cart", &[1, 2]),
    ] {
        let found = endpoints(&model(&entry(labels)), 80, "cart.example");
        let expected: Vec<_> = expected.iter().map(|number| (*number, true)).collect();
        assert_eq!(found, expected, "{labels}");
    }
}

/// Pods that are ready, are not, and are about to end, ready or not; and a WorkloadEntry whose probes
/// fail.
const WORKLOADS: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { selector: { app: cart }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: carts, namespace: shop }
spec:
  hosts: [carts.example]
  resolution: STATIC
  workloadSelector: { labels: { app: cart } }
  ports: [{ number: 80, name: http, protocol: HTTP }]
---
apiVersion: v1
kind: Pod
metadata: { name: pod-1, namespace: shop, labels: { app: cart } }
status: { podIP: 10.1.0.1, conditions: [{ type: Ready, status: 'True' }] }
---
apiVersion: v1
kind: Pod
metadata: { name: pod-2, namespace: shop, labels: { app: cart } }
status: { podIP: 10.1.0.2, conditions: [{ type: Ready, status: 'False' }] }
---
apiVersion: v1
kind: Pod
metadata:
  name: pod-3
  namespace: shop
  labels: { app: cart }
  deletionTimestamp: '2024-05-06T07:08:39Z'
status: { podIP: 10.1.0.3, conditions: [{ type: Ready, status: 'False' }] }
---
apiVersion: v1
kind: Pod
metadata:
  name: pod-5
  namespace: shop
  labels: { app: cart }
  deletionTimestamp: '2024-05-06T07:08:39Z'
status: { podIP: 10.1.0.5, conditions: [{ type: Ready, status: 'True' }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: vm
  namespace: shop
  labels: { app: cart }
  annotations: { proxy.istio.io/health-checks-enabled: 'true' }
spec: { address: 192.0.2.4 }
";

#[test]
fn what_is_not_ready_counts_behind_a_kubernetes_service_and_ends_elsewhere() {
    let model = model(WORKLOADS);
    assert_eq!(endpoints(&model, 80, HOST), [(1, true), (2, false)]);
    assert_eq!(endpoints(&model, 80, "carts.example"), [(1, true)]);
}

/// Pods on two nodes, behind a service for callers on the same node, and an address without a pod.
fn local() -> String {
    let pods = [(1, "a"), (2, "b"), (3, "a")].map(|(number, node)| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{ name: pod-{number}, namespace: shop, labels: {{ app: cart }} }}
spec: {{ nodeName: node-{node} }}
status: {{ podIP: 10.1.0.{number}, conditions: [{{ type: Ready, status: 'True' }}] }}
---
"
        )
    });
    let service = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  internalTrafficPolicy: Local
  selector: { app: cart }
  ports: [{ name: http, port: 80 }]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm, namespace: shop, labels: { app: cart } }
spec: { address: 192.0.2.4 }
---
";
    service.to_owned() + &pods.concat()
}

#[test]
fn a_local_service_is_called_on_the_own_node_alone() {
    let config = config(&local());
    let labelled = Workload::sidecar("shop").with_label("kubernetes.io/hostname", "node-b");
    assert_eq!(
        endpoints(&resolve(&config, &labelled), 80, HOST),
        [(2, true)]
    );

    let mut own = Workload::sidecar("shop").with_label("app", "cart");
    own.addresses = vec![[10, 1, 0, 3].into()];
    let model = resolve(&config, &own);
    assert_eq!(endpoints(&model, 80, HOST), [(1, true), (3, true)]);
    assert_eq!(model.notices, []);
}

#[test]
fn a_workload_whose_node_is_not_known_is_told_so_and_calls_no_other_node() {
    let model = model(&local());
    assert_eq!(endpoints(&model, 80, HOST), [(4, true)]);
    let messages: Vec<_> = model.notices.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        messages[0].contains("`internalTrafficPolicy: Local`"),
        "{messages:?}"
    );
}
