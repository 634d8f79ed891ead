#![cfg(feature = "yaml")]

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::model::Notice;
use crate::model::cluster::{Endpoint, EndpointAddress};
use crate::model::listener::{FilterChain, Listener, NetworkFilter};
use crate::model::route::{Route, RouteConfiguration, RouteMatch, VirtualHost};
use crate::parse::{Limits, parse};
use crate::workload::Workload;

use super::*;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  clusterIP: 10.0.0.1
  ports: [{ name: http, port: 80 }, { name: dns, port: 53, protocol: UDP }]
---
apiVersion: v1
kind: Service
metadata: { name: basket, namespace: shop }
spec: { type: ExternalName, externalName: cart.shop.svc.cluster.local }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec: { host: cart, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example]
  ports: [{ number: 80, name: http, protocol: HTTP }]
";

fn resolve_parts(parts: &Parts) -> (Clusters, Vec<Notice>) {
    let parsed = parse("mesh.yaml", SERVICES, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let config = builder.build(1).unwrap();
    let workload = Workload::gateway("istio-system");
    let context = Context::new(&config, &workload);
    let mut notices = Vec::new();
    let clusters = resolve(&context, parts, &mut notices);
    (clusters, notices)
}

/// A route configuration that forwards to `name`.
fn route_to(name: ClusterName) -> Parts {
    let route = Route::forward("route", RouteMatch::prefix("/"), name);
    let configuration = RouteConfiguration {
        virtual_hosts: vec![VirtualHost::new("host", ["*"], [route])],
        ..RouteConfiguration::default()
    };
    let mut parts = Parts::default();
    let configurations = &mut parts.route_configurations;
    configurations.insert("http.80".into(), Arc::new(configuration));
    parts
}

#[test]
fn a_gateway_has_the_clusters_that_its_routes_name() {
    for subset in ["", "v1"] {
        let name = ClusterName::outbound(80, subset, "cart.shop.svc.cluster.local");
        let (clusters, notices) = resolve_parts(&route_to(name.clone()));
        assert!(clusters.contains_key(&name), "{name}");
        assert_eq!(clusters.len(), 2, "{name}");
        assert_eq!(notices, [], "{name}");
    }
}

#[test]
fn a_cluster_that_cannot_be_is_left_out_and_noticed_with_the_reason() {
    let cart = "cart.shop.svc.cluster.local";
    let basket = "basket.shop.svc.cluster.local";
    for (name, reason) in [
        (
            ClusterName::outbound(80, "", "ghost.example"),
            "no service `ghost.example` is visible",
        ),
        (
            ClusterName::outbound(81, "", cart),
            "the service `cart.shop.svc.cluster.local` has no port 81",
        ),
        (
            ClusterName::outbound(80, "v2", cart),
            "no DestinationRule has the subset `v2`",
        ),
        (
            ClusterName::outbound(53, "", cart),
            "port 53 of the service `cart.shop.svc.cluster.local` is UDP",
        ),
        (
            ClusterName::outbound(80, "", basket),
            "`basket.shop.svc.cluster.local` is another name of `cart.shop.svc.cluster.local`",
        ),
        (ClusterName::inbound(80), "it stands for no service"),
    ] {
        let (clusters, notices) = resolve_parts(&route_to(name.clone()));
        assert!(!clusters.contains_key(&name), "{name}");
        let messages: Vec<_> = notices.iter().map(|notice| &*notice.message).collect();
        assert_eq!(
            messages,
            [format!("the cluster `{name}` does not exist: {reason}")]
        );
    }
}

#[test]
fn a_listener_that_goes_by_server_name_has_plaintext_clusters_of_mesh_services() {
    let chain = FilterChain::new(NetworkFilter::SniCluster);
    let mut parts = Parts::default();
    parts
        .listeners
        .push(Listener::new("0.0.0.0_15443", 15443, [chain]));
    let (clusters, _) = resolve_parts(&parts);
    let names: Vec<_> = clusters.keys().map(ClusterName::as_str).collect();
    assert_eq!(
        names,
        [
            "BlackHoleCluster",
            "outbound_.80_._.cart.shop.svc.cluster.local",
            "outbound_.80_.v1_.cart.shop.svc.cluster.local",
        ]
    );
    let tls: Vec<_> = clusters.values().map(|cluster| &cluster.tls).collect();
    assert!(
        tls.iter().all(|tls| **tls == UpstreamTls::Plaintext),
        "{tls:?}"
    );
}

#[test]
fn clusters_of_the_workload_itself_are_kept() {
    let mut parts = route_to(ClusterName::inbound(8080));
    parts
        .clusters
        .push(Cluster::new(ClusterName::inbound(8080)));
    let (clusters, notices) = resolve_parts(&parts);
    assert!(clusters.contains_key(&ClusterName::inbound(8080)));
    assert_eq!(notices, []);
}

#[test]
fn a_gateway_has_the_clusters_that_it_calls_itself() {
    let text = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: authz, namespace: shop }
spec:
  hosts: [authz.example, limits.example]
  ports: [{ number: 9000, name: grpc, protocol: GRPC }]
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: limits, namespace: istio-system }
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    patch:
      operation: INSERT_BEFORE
      value:
        typed_config:
          rate_limit_service:
            grpc_service: { envoy_grpc: { cluster_name: outbound|9000||limits.example } }
"#;
    let parsed = parse("mesh.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty());
    let options = serde_json::from_value(serde_json::json!({"extensionProviders": [
        {"name": "a", "envoyExtAuthzGrpc": {"service": "shop/authz.example", "port": 9000}},
        {"name": "b", "envoyExtAuthzHttp": {"service": "nowhere.example", "port": 80}},
    ]}));
    let builder = MeshConfig::builder().extend(parsed.objects);
    let config = builder.mesh(options.unwrap()).build(1).unwrap();
    let workload = Workload::gateway("istio-system");
    let context = Context::new(&config, &workload);
    let mut notices = Vec::new();
    let clusters = resolve(&context, &Parts::default(), &mut notices);
    let names: Vec<_> = clusters.keys().map(ClusterName::as_str).collect();
    assert_eq!(
        names,
        [
            "BlackHoleCluster",
            "outbound|9000||authz.example",
            "outbound|9000||limits.example",
        ]
    );
    assert!(notices.is_empty(), "{notices:?}");
}

/// A service of a workload that speaks mesh mTLS, one that does not, and one that a
/// PeerAuthentication has take plain text at its port.
const MIXED: &str = "
apiVersion: v1
kind: Service
metadata: { name: mixed, namespace: shop }
spec: { selector: { app: mixed }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: mesh, namespace: shop, labels: { app: mixed, security.istio.io/tlsMode: istio } }
status: { podIP: 10.1.0.1 }
---
apiVersion: v1
kind: Pod
metadata: { name: plain, namespace: shop, labels: { app: mixed } }
status: { podIP: 10.1.0.2 }
---
apiVersion: v1
kind: Pod
metadata:
  name: disabled
  namespace: shop
  labels: { app: mixed, takes: text, security.istio.io/tlsMode: istio }
status: { podIP: 10.1.0.3 }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: text, namespace: shop }
spec:
  selector: { matchLabels: { takes: text } }
  mtls: { mode: STRICT }
  portLevelMtls: { 8080: { mode: DISABLE } }
";

/// The last numbers of the addresses that a gateway forwards TLS for `mixed` to.
fn forwarded_to(rest: &str, subset: &str) -> Vec<u8> {
    let text = format!("{MIXED}---\n{rest}");
    let parsed = parse("mesh.yaml", &text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder().extend(parsed.objects).build(1);
    let workload = Workload::gateway("istio-system");
    let config = config.unwrap();
    let context = Context::new(&config, &workload);
    let chain = FilterChain::new(NetworkFilter::SniCluster);
    let mut parts = Parts::default();
    parts.listeners.push(Listener::new("tls", 15443, [chain]));
    let clusters = resolve(&context, &parts, &mut Vec::new());
    let name = ClusterName::outbound(80, subset, "mixed.shop.svc.cluster.local");
    let cluster = &clusters[&ClusterName::from(name.to_sni().unwrap())];
    let last = |endpoint: &Endpoint| match endpoint.address {
        EndpointAddress::Ip(SocketAddr::V4(socket)) => socket.ip().octets()[3],
        _ => panic!("{endpoint:?}"),
    };
    let mut found: Vec<u8> = cluster.endpoints.iter().map(last).collect();
    found.sort_unstable();
    found
}

#[test]
fn tls_is_forwarded_to_endpoints_that_mesh_mtls_is_sent_to_and_no_others() {
    let rule = |spec: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: mixed, namespace: shop }}
spec: {{ host: mixed, {spec} }}
"
        )
    };
    let peers = |namespace: &str, mode: &str| {
        format!(
            "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: all, namespace: {namespace} }}
spec: {{ mtls: {{ mode: {mode} }} }}
"
        )
    };
    let mutual = "trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }";
    let none = "trafficPolicy: { tls: { mode: DISABLE } }";
    let simple = "trafficPolicy: { tls: { mode: SIMPLE } }";
    let of_port = "trafficPolicy: { portLevelSettings: [
        { port: { number: 80 }, tls: { mode: ISTIO_MUTUAL } }], tls: { mode: DISABLE } }";
    let left_out = "trafficPolicy: { portLevelSettings: [
        { port: { number: 80 }, loadBalancer: { simple: RANDOM } }], tls: { mode: DISABLE } }";
    let subset = format!("subsets: [{{ name: v1, labels: {{ app: mixed }} }}], {none}");
    let own = format!("subsets: [{{ name: v1, labels: {{ app: mixed }}, {mutual} }}], {none}");
    for (rest, subset, expected) in [
        (String::new(), "", &[1][..]),
        (peers("shop", "DISABLE"), "", &[]),
        (peers("istio-system", "DISABLE"), "", &[]),
        (peers("bank", "DISABLE"), "", &[1]),
        (rule(mutual), "", &[1, 2, 3]),
        (rule(none), "", &[]),
        (rule(simple), "", &[]),
        (rule(of_port), "", &[1, 2, 3]),
        (rule(left_out), "", &[]),
        (rule(&subset), "v1", &[]),
        (rule(&own), "v1", &[1, 2, 3]),
    ] {
        assert_eq!(forwarded_to(&rest, subset), expected, "{rest}");
    }
}

#[test]
fn mesh_mtls_is_sent_to_no_workload_that_takes_plain_text_alone() {
    let parsed = parse("mesh.yaml", MIXED, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let config = builder.build(1).unwrap();
    let model = crate::resolve::resolve(&config, &Workload::sidecar("shop"));
    let name = ClusterName::outbound(80, "", "mixed.shop.svc.cluster.local");
    let endpoints = model.clusters[&name].endpoints.iter();
    let sent: Vec<_> = endpoints.map(|endpoint| endpoint.mesh_tls).collect();
    // By name: `disabled`, `mesh`, `plain`.
    assert_eq!(sent, [false, true, false]);
}
