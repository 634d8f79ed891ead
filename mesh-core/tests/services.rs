//! Services and their endpoints, read from YAML.
#![cfg(feature = "yaml")]

mod support;

use std::net::IpAddr;

use mesh_core::config::MeshConfig;
use mesh_core::config::services::{Service, TrafficDistribution};
use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};
use mesh_core::resolve::resolve;
use mesh_core::service::{ClusterName, Protocol};
use mesh_core::workload::Workload;

use crate::support::{config, config_of};

fn service<'a>(config: &'a MeshConfig, host: &str) -> &'a Service {
    config
        .services()
        .lookup(host, "shop")
        .expect("the service is declared")
}

/// The endpoints of the service's port, `address` or `address (unhealthy)`.
fn endpoints(service: &Service, port: u16) -> Vec<String> {
    let describe = |endpoint: &Endpoint| {
        let address = match &endpoint.address {
            EndpointAddress::Dns { host, port } => {
                format!("{host}:{port}")
            }
            EndpointAddress::Ip(socket) => socket.to_string(),
            EndpointAddress::Unix(path) => path.clone(),
        };
        if endpoint.healthy {
            address
        } else {
            format!("{address} (unhealthy)")
        }
    };
    let port = service.port(port).expect("the port is declared");
    service.endpoints(port).iter().map(describe).collect()
}

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  clusterIP: 10.0.0.1
  selector: { app: cart }
  ports:
  - { name: http, port: 80, targetPort: web }
  - { name: metrics, port: 90, targetPort: 9090, appProtocol: kubernetes.io/h2c }
---
apiVersion: v1
kind: Pod
metadata:
  name: cart-0
  namespace: shop
  labels: { app: cart, security.istio.io/tlsMode: istio }
spec:
  nodeName: node-a
  serviceAccountName: cart
  containers: [{ name: cart, ports: [{ name: web, containerPort: 8080 }] }]
status: { podIP: 10.1.0.1, conditions: [{ type: Ready, status: 'True' }] }
---
apiVersion: v1
kind: Pod
metadata: { name: cart-1, namespace: shop, labels: { app: cart } }
spec: { containers: [{ name: cart, ports: [{ name: web, containerPort: 8081 }] }] }
status: { podIP: 10.1.0.2, conditions: [{ type: Ready, status: 'False' }] }
---
apiVersion: v1
kind: Node
metadata:
  name: node-a
  labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-a }
---
";

#[test]
fn a_service_without_slices_is_backed_by_the_pods_it_selects() {
    let config = config(CART);
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(cart.discovery, Discovery::Static);
    assert_eq!(cart.ports[1].protocol, Protocol::Http2);
    assert_eq!(
        endpoints(cart, 80),
        ["10.1.0.1:8080", "10.1.0.2:8081 (unhealthy)"]
    );
    assert_eq!(
        endpoints(cart, 90),
        ["10.1.0.1:9090", "10.1.0.2:9090 (unhealthy)"]
    );

    let first = &cart.endpoints(&cart.ports[0])[0];
    assert_eq!(first.locality, "eu/eu-a");
    assert_eq!(first.service_account, "cart");
    assert_eq!(first.namespace, "shop");
    assert_eq!(
        first.labels.value("topology.kubernetes.io/zone"),
        Some("eu-a")
    );
    assert!(first.mesh_tls);
}

#[test]
fn slices_come_before_endpoints_and_pods() {
    let slices = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: cart-1
  namespace: shop
  labels: { kubernetes.io/service-name: cart }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints:
- addresses: [10.1.0.1]
  targetRef: { kind: Pod, name: cart-0 }
- addresses: [10.1.0.9]
  zone: eu-b
- addresses: [10.1.0.8]
  conditions: { ready: false }
---
apiVersion: v1
kind: Endpoints
metadata: { name: cart, namespace: shop }
subsets:
- addresses: [{ ip: 10.1.0.7 }]
  ports: [{ name: http, port: 8080 }]
";
    let config = config(&format!("{CART}{slices}"));
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(
        endpoints(cart, 80),
        [
            "10.1.0.1:8080",
            "10.1.0.9:8080",
            "10.1.0.8:8080 (unhealthy)"
        ]
    );
    assert!(endpoints(cart, 90).is_empty());
    let found = cart.endpoints(&cart.ports[0]);
    assert!(found[0].mesh_tls, "the pod is found by its reference");
    assert_eq!(found[1].locality, "/eu-b");
}

#[test]
fn endpoints_come_before_pods() {
    let text = "
apiVersion: v1
kind: Endpoints
metadata: { name: cart, namespace: shop }
subsets:
- addresses: [{ ip: 10.1.0.7 }]
  notReadyAddresses: [{ ip: 10.1.0.6 }]
  ports: [{ name: http, port: 8080 }]
";
    let config = config(&format!("{CART}{text}"));
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(
        endpoints(cart, 80),
        ["10.1.0.7:8080", "10.1.0.6:8080 (unhealthy)"]
    );
}

#[test]
fn addresses_that_are_not_ready_are_published_on_demand() {
    let text = CART.replace(
        "spec:\n  clusterIP",
        "spec:\n  publishNotReadyAddresses: true\n  clusterIP",
    );
    let text = text
        + "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: vm
  namespace: shop
  labels: { app: cart }
  annotations: { proxy.istio.io/health-checks-enabled: 'true' }
spec: { address: 192.0.2.2, ports: { web: 80 } }
";
    let config = config(&text);
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(
        endpoints(cart, 80),
        ["10.1.0.1:8080", "10.1.0.2:8081", "192.0.2.2:80 (unhealthy)"],
        "probes of its own say whether a WorkloadEntry is"
    );
}

#[test]
fn workload_entries_back_kubernetes_services_and_entries() {
    let text = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm, namespace: shop, labels: { app: cart } }
spec:
  address: 192.0.2.1
  ports: { http: 7000, web: 7001 }
  locality: us/us-a
  weight: 3
  serviceAccount: vm
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: vm-2
  namespace: shop
  labels: { app: cart }
  annotations: { proxy.istio.io/health-checks-enabled: 'true' }
spec: { address: 192.0.2.2 }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: carts, namespace: shop }
spec:
  hosts: [Carts.example]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: { labels: { app: cart } }
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8000 }]
";
    let config = config(&format!("{CART}{text}"));
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(
        endpoints(cart, 80)[2..],
        ["192.0.2.1:7001"],
        "a named target port needs a port of that name"
    );
    assert_eq!(
        endpoints(cart, 90)[2..],
        ["192.0.2.1:9090", "192.0.2.2:9090 (unhealthy)"]
    );

    let carts = service(&config, "carts.example");
    assert_eq!(
        endpoints(carts, 80),
        [
            "10.1.0.1:8000",
            "10.1.0.2:8000 (unhealthy)",
            "192.0.2.1:7000",
            "192.0.2.2:8000 (unhealthy)"
        ]
    );
    let vm = &carts.endpoints(&carts.ports[0])[2];
    assert_eq!((vm.weight, vm.locality.as_str()), (3, "us/us-a"));
    assert!(
        vm.mesh_tls,
        "a service account tells that the workload speaks mesh mTLS"
    );
}

#[test]
fn workload_entries_are_not_behind_headless_kubernetes_services() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm, namespace: shop, labels: { app: cart } }
spec: { address: 192.0.2.1 }
";
    let headless = CART.replace("clusterIP: 10.0.0.1", "clusterIP: None");
    for (text, count) in [(CART, 3), (headless.as_str(), 2)] {
        let config = config(&format!("{text}{entry}"));
        let cart = service(&config, "cart.shop.svc.cluster.local");
        assert_eq!(endpoints(cart, 90).len(), count);
    }
}

#[test]
fn an_entry_resolved_by_dns_is_its_own_endpoint() {
    let entry = |resolution: &str, rest: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: api, namespace: shop }}
spec:
  hosts: [api.example]
  resolution: {resolution}
  ports: [{{ number: 443, name: tls, protocol: TLS, targetPort: 8443 }}]
  {rest}
"
        )
    };
    for (resolution, rest, discovery, expected) in [
        ("DNS", "", Discovery::StrictDns, &["api.example:8443"][..]),
        (
            "DNS_ROUND_ROBIN",
            "endpoints: [{ address: eu.api.example, ports: { tls: 444 } }]",
            Discovery::LogicalDns,
            &["eu.api.example:444"],
        ),
        (
            "STATIC",
            "endpoints: [{ address: 'unix:///run/api' }]",
            Discovery::Static,
            &["/run/api"],
        ),
        ("NONE", "", Discovery::OriginalDestination, &[]),
    ] {
        let config = config(&entry(resolution, rest));
        let api = service(&config, "api.example");
        assert_eq!(api.discovery, discovery, "{resolution}");
        assert_eq!(endpoints(api, 443), expected, "{resolution}");
        assert!(api.external, "{resolution}");
    }
}

#[test]
fn the_own_namespace_then_kubernetes_then_age_decides_between_services() {
    let entry = |namespace: &str, day: u8| {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: squat, namespace: {namespace}, creationTimestamp: '2020-01-0{day}T00:00:00Z' }}
spec:
  hosts: [cart.shop.svc.cluster.local, api.example]
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
"
        )
    };
    let text = format!("{CART}{}{}", entry("bank", 2), entry("mint", 1));
    let config = config(&text);
    let owner = |host: &str, from: &str| {
        let found = config.services().lookup(host, from).unwrap();
        (found.namespace.clone(), found.name.clone())
    };
    let cart = "cart.shop.svc.cluster.local";
    assert_eq!(owner(cart, "other"), ("shop".into(), "cart".into()));
    assert_eq!(owner(cart, "bank"), ("bank".into(), "squat".into()));
    assert_eq!(
        owner("api.example", "other"),
        ("mint".into(), "squat".into())
    );
    assert_eq!(
        owner("api.example", "bank"),
        ("bank".into(), "squat".into())
    );
}

#[test]
fn what_is_not_exported_is_not_found() {
    let text = "
apiVersion: v1
kind: Service
metadata: { name: own, namespace: shop, annotations: { networking.istio.io/exportTo: '., bank' } }
spec: { ports: [{ port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: nobody, namespace: shop }
spec: { hosts: [nobody.example], exportTo: ['~'], ports: [{ number: 80, name: http, protocol: HTTP }] }
";
    let config = config(text);
    for (host, namespace, found) in [
        ("own.shop.svc.cluster.local", "shop", true),
        ("own.shop.svc.cluster.local", "bank", true),
        ("own.shop.svc.cluster.local", "mint", false),
        ("nobody.example", "shop", false),
    ] {
        let service = config.services().lookup(host, namespace);
        assert_eq!(service.is_some(), found, "{host} from {namespace}");
    }
}

#[test]
fn headless_and_aliased_services_are_told_apart() {
    let text = "
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, ports: [{ name: tcp, port: 5432 }] }
---
apiVersion: v1
kind: Service
metadata: { name: store, namespace: shop }
spec: { type: ExternalName, externalName: alias.shop.svc.cluster.local }
---
apiVersion: v1
kind: Service
metadata: { name: alias, namespace: shop }
spec: { type: ExternalName, externalName: db.shop.svc.cluster.local }
---
apiVersion: v1
kind: Service
metadata:
  name: written-by-hand
  namespace: shop
  annotations: { networking.istio.io/traffic-distribution: PreferClose }
spec: { ports: [{ port: 80 }] }
";
    let config = config(text);
    let db = service(&config, "db.shop.svc.cluster.local");
    assert!(db.headless);
    assert_eq!(db.discovery, Discovery::OriginalDestination);
    let aliases: Vec<_> = db
        .aliases
        .iter()
        .map(|alias| alias.hostname.as_str())
        .collect();
    assert_eq!(
        aliases,
        [
            "alias.shop.svc.cluster.local",
            "store.shop.svc.cluster.local"
        ]
    );
    let store = service(&config, "store.shop.svc.cluster.local");
    assert_eq!(store.alias_of.as_deref(), Some("db.shop.svc.cluster.local"));

    let by_hand = service(&config, "written-by-hand.shop.svc.cluster.local");
    assert!(!by_hand.headless, "an address is given by the cluster");
    assert_eq!(by_hand.ports[0].protocol, Protocol::Unsupported);
    assert_eq!(
        by_hand.traffic_distribution,
        TrafficDistribution::PreferSameZone
    );
}

#[test]
fn an_entry_lends_its_names_to_the_kubernetes_service_of_the_same_host() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: cart-names, namespace: shop }
spec:
  hosts: [cart.shop.svc.cluster.local]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/cart']
";
    let config = config(&format!("{CART}{text}"));
    let cart = service(&config, "cart.shop.svc.cluster.local");
    assert_eq!(
        cart.subject_alt_names,
        ["spiffe://cluster.local/ns/shop/sa/cart"]
    );
}

#[test]
fn a_workload_is_behind_the_services_that_select_it_or_list_its_address() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: listed, namespace: shop }
spec:
  hosts: [listed.example]
  resolution: STATIC
  endpoints: [{ address: 10.1.0.1, ports: { http: 8088 } }]
  ports: [{ number: 80, name: http, protocol: HTTP }]
";
    let config = config(&format!("{CART}{text}"));
    let targets = |workload: &Workload| -> Vec<(String, u16, u16)> {
        let targets = config.services().targets(workload);
        let describe = targets.iter().map(|target| {
            (
                target.service.name.clone(),
                target.port.number,
                target.target_port,
            )
        });
        describe.collect()
    };
    let by_labels = Workload::sidecar("shop").with_label("app", "cart");
    assert_eq!(
        targets(&by_labels),
        [("cart".into(), 80, 8080), ("cart".into(), 90, 9090)]
    );
    let mut by_address = Workload::sidecar("shop");
    by_address.addresses = vec!["10.1.0.1".parse::<IpAddr>().unwrap()];
    assert_eq!(
        targets(&by_address),
        [
            ("cart".into(), 80, 8080),
            ("cart".into(), 90, 9090),
            ("listed".into(), 80, 8088)
        ]
    );
    let elsewhere = Workload::sidecar("bank").with_label("app", "cart");
    assert!(targets(&elsewhere).is_empty());
}

#[test]
fn allocated_addresses_are_those_of_the_host() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: two, namespace: shop }
spec:
  hosts: [a.example, b.example]
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
status:
  addresses:
  - { host: a.example, value: 240.240.0.1 }
  - { host: b.example, value: 240.240.0.2 }
";
    let config = config(text);
    let allocated = &service(&config, "b.example").allocated_addresses;
    assert_eq!(*allocated, ["240.240.0.2".parse::<IpAddr>().unwrap()]);
}

#[test]
fn networks_are_found_by_label_then_root_namespace_then_range() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:
  - { address: 192.0.2.1, network: written }
  - { address: 192.0.2.2, labels: { topology.istio.io/network: labelled } }
  - { address: 192.0.2.3 }
  - { address: 198.51.100.1 }
";
    let networks = serde_json::from_value(serde_json::json!({"networks": {
        "wide": {"endpoints": [{"fromCidr": "192.0.0.0/8"}]},
        "narrow": {"endpoints": [{"fromCidr": "192.0.2.0/24"}]},
    }}))
    .unwrap();
    let config = config_of(MeshConfig::builder().networks(networks), text);
    let api = service(&config, "api.example");
    let endpoints = api.endpoints(&api.ports[0]).iter();
    let networks: Vec<_> = endpoints
        .map(|endpoint| endpoint.network.as_str())
        .collect();
    assert_eq!(networks, ["written", "labelled", "narrow", ""]);
}

#[test]
fn of_two_ports_of_one_number_that_for_tcp_is_meant_with_its_own_endpoints() {
    let udp = "{ name: dns, port: 53, protocol: UDP, targetPort: 5353 }";
    let tcp = "{ name: dns-tcp, port: 53, targetPort: 5354 }";
    for ports in [[udp, tcp], [tcp, udp]] {
        let [first, second] = ports;
        let text = format!(
            "
apiVersion: v1
kind: Service
metadata: {{ name: kube-dns, namespace: kube-system }}
spec: {{ clusterIP: 10.0.0.10, ports: [{first}, {second}] }}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns-x
  namespace: kube-system
  labels: {{ kubernetes.io/service-name: kube-dns }}
addressType: IPv4
ports: [{{ name: dns, port: 5353, protocol: UDP }}, {{ name: dns-tcp, port: 5354 }}]
endpoints: [{{ addresses: [10.1.0.1] }}]
"
        );
        let config = config(&text);
        let host = "kube-dns.kube-system.svc.cluster.local";
        let service = config.services().lookup(host, "shop").unwrap();
        assert_eq!(service.port(53).unwrap().name, "dns-tcp", "{first}");
        let of = |name| {
            let port = service.ports.iter().find(|port| port.name == name).unwrap();
            service.endpoints(port)[0].address.port()
        };
        assert_eq!((of("dns"), of("dns-tcp")), (Some(5353), Some(5354)));
        let model = resolve(&config, &Workload::sidecar("shop"));
        let cluster = &model.clusters[&ClusterName::outbound(53, "", host)];
        assert_eq!(cluster.endpoints[0].address.port(), Some(5354), "{first}");
    }
}
