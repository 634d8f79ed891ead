//! Endpoints that are kept up with are those of a configuration built anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::model::cluster::{Cluster, Discovery};
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::resource::Object;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use mesh_discovery::registry::{Change, ClusterEndpoints, Debounce, Registry};
use mesh_discovery::source::{ObjectName, Update};
use proptest::prelude::*;
use proptest::sample::select;

/// Services of all sorts, a rule with subsets, policies, a gateway that forwards mesh mTLS, and
/// nodes: what does not change.
const FIXED: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: cross, namespace: istio-system }
spec:
  selector: { istio: cross }
  servers:
  - port: { number: 15443, name: tls, protocol: TLS }
    hosts: ['*']
    tls: { mode: AUTO_PASSTHROUGH }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: text, namespace: a }
spec: { selector: { matchLabels: { version: v1 } }, portLevelMtls: { 8080: { mode: DISABLE } } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: all, namespace: b }
spec: { mtls: { mode: DISABLE } }
---
apiVersion: v1
kind: Service
metadata: { name: sliced, namespace: a }
spec: { selector: { app: red }, ports: [{ name: http, port: 80, targetPort: web }] }
---
apiVersion: v1
kind: Service
metadata: { name: selecting, namespace: a }
spec: { selector: { app: blue }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: zoned, namespace: a }
spec:
  selector: { app: red, topology.kubernetes.io/zone: z1 }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: local, namespace: a }
spec:
  internalTrafficPolicy: Local
  selector: { app: red }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: panicking, namespace: a }
spec: { selector: { app: red }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: panicking, namespace: a }
spec: { host: panicking, trafficPolicy: { outlierDetection: { minHealthPercent: 50 } } }
---
apiVersion: v1
kind: Service
metadata: { name: headless, namespace: a }
spec: { clusterIP: None, selector: { app: red }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: passed, namespace: a }
spec: { selector: { app: blue }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: passed, namespace: a }
spec: { host: passed, trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } } }
---
apiVersion: v1
kind: Service
metadata: { name: dns, namespace: a }
spec:
  selector: { app: red }
  ports:
  - { name: dns, port: 53, protocol: UDP, targetPort: 5353 }
  - { name: dns-tcp, port: 53, targetPort: 5354 }
---
apiVersion: v1
kind: Service
metadata: { name: manual, namespace: b }
spec: { ports: [{ name: http, port: 80 }], publishNotReadyAddresses: true }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: entry, namespace: a }
spec:
  hosts: [one.example, two.example]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{ number: 80, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: red } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: listed, namespace: a }
spec:
  hosts: [Two.example, three.example]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.0.2.1 }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: selected, namespace: a }
spec:
  hosts: [three.example]
  resolution: STATIC
  ports: [{ number: 81, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: blue } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: named, namespace: b }
spec:
  hosts: [named.example]
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: red } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: sliced, namespace: a }
spec:
  host: sliced
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: v1
kind: Node
metadata: { name: n1, labels: { topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z1 } }
---
apiVersion: v1
kind: Node
metadata: { name: n2, labels: { topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z2 } }
";

fn pod() -> impl Strategy<Value = String> {
    let place = (select(vec!["a", "b"]), 1..4u8, 1..4u8);
    let labels = (select(vec!["red", "blue"]), select(vec!["v1", "v2"]));
    (
        place,
        labels,
        select(vec!["n1", "n2"]),
        select(vec!["True", "False"]),
        (
            select(vec![
                ", security.istio.io/tlsMode: istio",
                ", security.istio.io/tlsMode: disabled",
                "",
            ]),
            select(vec!["one", "two"]),
        ),
    )
        .prop_map(
            |((namespace, name, ip), (app, version), node, ready, (tls, account))| {
                format!(
                    "
apiVersion: v1
kind: Pod
metadata:
  name: p{name}
  namespace: {namespace}
  labels: {{ app: {app}, version: {version}{tls} }}
spec:
  nodeName: {node}
  serviceAccountName: {account}
  containers: [{{ name: c, ports: [{{ name: web, containerPort: 8080 }}] }}]
status: {{ podIP: 10.0.0.{ip}, conditions: [{{ type: Ready, status: '{ready}' }}] }}
"
                )
            },
        )
}

fn slice() -> impl Strategy<Value = String> {
    let service = select(vec![("a", "sliced"), ("b", "manual"), ("a", "absent")]);
    let conditions = select(vec![
        "ready: true",
        "ready: false",
        "ready: false, terminating: false",
        "ready: false, terminating: true",
    ]);
    let endpoint = (1..5u8, conditions, 0..4u8);
    let endpoints = proptest::collection::vec(endpoint, 0..3);
    (service, 1..3u8, endpoints).prop_map(|((namespace, service), number, endpoints)| {
        let endpoint = |(ip, conditions, pod): (u8, &str, u8)| {
            let target = match pod {
                0 => String::new(),
                pod => format!(", targetRef: {{ kind: Pod, name: p{pod} }}"),
            };
            format!("{{ addresses: [10.0.0.{ip}], conditions: {{ {conditions} }}{target} }}")
        };
        let endpoints: Vec<_> = endpoints.into_iter().map(endpoint).collect();
        format!(
            "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}-{number}
  namespace: {namespace}
  labels: {{ kubernetes.io/service-name: {service} }}
addressType: IPv4
ports: [{{ name: http, port: 8080 }}]
endpoints: [{}]
",
            endpoints.join(", ")
        )
    })
}

fn endpoints() -> impl Strategy<Value = String> {
    (1..5u8, select(vec!["addresses", "notReadyAddresses"])).prop_map(|(ip, field)| {
        format!(
            "
apiVersion: v1
kind: Endpoints
metadata: {{ name: manual, namespace: b }}
subsets: [{{ ports: [{{ name: http, port: 9090 }}], {field}: [{{ ip: 10.0.0.{ip} }}] }}]
"
        )
    })
}

fn workload_entry() -> impl Strategy<Value = String> {
    let address = select(vec!["10.0.1.1", "10.0.1.2", "vm.example"]);
    let place = (select(vec!["a", "b"]), 1..3u8);
    (place, address, select(vec!["red", "blue"]), 1..3u8).prop_map(
        |((namespace, name), address, app, weight)| {
            format!(
                "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{ name: w{name}, namespace: {namespace} }}
spec: {{ address: {address}, labels: {{ app: {app} }}, weight: {weight} }}
"
            )
        },
    )
}

fn operation() -> impl Strategy<Value = (String, bool)> {
    let document = prop_oneof![pod(), slice(), endpoints(), workload_entry()];
    (document, prop::bool::weighted(0.75))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn endpoints_that_are_kept_up_with_are_those_of_a_new_configuration(
        operations in proptest::collection::vec(operation(), 1..24),
    ) {
        let now = tokio::time::Instant::now().into_std();
        let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
        let source = registry.add_source("test");
        let mut all: BTreeMap<ObjectName, Object> = BTreeMap::new();
        all.extend(objects(FIXED).into_iter().map(|object| (ObjectName::of(&object), object)));
        let update = Update::All(all.values().cloned().collect());
        registry.handle_update(source, update, now);
        let mut clusters = ClusterEndpoints::default();
        let mut rebuilt = 0;
        for (document, is_applied) in operations {
            let object = objects(&document).remove(0);
            let name = ObjectName::of(&object);
            let update = if is_applied {
                all.insert(name, object.clone());
                Update::Changes { applied: vec![object], removed: Vec::new() }
            } else {
                all.remove(&name);
                Update::Changes { applied: Vec::new(), removed: vec![name] }
            };
            registry.handle_update(source, update, now);
            match registry.poll(now) {
                Some(Change::Config(config)) => {
                    rebuilt += 1;
                    clusters = ClusterEndpoints::new(resolved(&config));
                }
                Some(Change::Endpoints(updates)) => {
                    clusters.apply(&updates);
                }
                None => {}
            }
            let config = MeshConfig::builder().extend(all.values().cloned()).build(1).unwrap();
            let expected = resolved(&config);
            prop_assert_eq!(clusters.clusters().len(), expected.len());
            for (name, cluster) in &expected {
                let followed = &clusters.clusters()[name];
                prop_assert_eq!(&followed.endpoints, &cluster.endpoints, "{} after {}", name, document);
                // While there is no endpoint, it does not matter who it would have to be.
                if is_served(&config, cluster) {
                    prop_assert_eq!(&followed.tls, &cluster.tls, "{} after {}", name, document);
                }
            }
        }
        prop_assert!(rebuilt >= 1, "the first change is a configuration");
    }
}

/// Whether a cluster has endpoints: of one that does not list them, by its service.
fn is_served(config: &MeshConfig, cluster: &Cluster) -> bool {
    if cluster.discovery != Discovery::OriginalDestination {
        return !cluster.endpoints.is_empty();
    }
    let service = || {
        let host = cluster.name.host()?;
        let service = config.services().lookup(host, "a")?;
        Some(service.endpoints(service.port(cluster.name.port()?)?))
    };
    service().is_some_and(|endpoints| !endpoints.is_empty())
}

/// The clusters of a sidecar, and those of a gateway between networks, which have other names.
fn resolved(config: &MeshConfig) -> BTreeMap<ClusterName, Arc<Cluster>> {
    let gateway = Workload::gateway("istio-system").with_label("istio", "cross");
    let mut clusters = resolve(config, &gateway).clusters;
    assert!(
        clusters
            .keys()
            .any(|name| ClusterName::from_sni(name.as_str()).is_some())
    );
    let sidecar = Workload::sidecar("a").with_label("kubernetes.io/hostname", "n1");
    clusters.extend(resolve(config, &sidecar).clusters);
    clusters
}

fn objects(text: &str) -> Vec<Object> {
    let parsed = parse("test.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.objects
}
