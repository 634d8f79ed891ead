//! A configuration as a whole: mesh-wide settings, duplicates, and what is found by name.
#![cfg(feature = "yaml")]

mod support;

use mesh_core::config::MeshConfig;
use mesh_core::diagnostic::Severity;
use mesh_core::labels::Labels;
use mesh_core::model::listener::{HttpConnection, NetworkFilter};
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::support::config;

#[test]
fn mesh_wide_settings_are_taken_from_the_config_map_of_the_root_namespace() {
    let map = |namespace: &str| {
        format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: {namespace} }}
data:
  mesh: |
    trustDomain: shop.example
  meshNetworks: |
    networks: {{ east: {{ endpoints: [{{ fromCidr: 10.0.0.0/8 }}] }} }}
"
        )
    };
    for (namespace, trust_domain, networks) in [
        ("istio-system", "shop.example", 1),
        ("other", "cluster.local", 0),
    ] {
        let parsed = parse("mesh.yaml", &map(namespace), &Limits::default());
        let builder = MeshConfig::builder().extend(parsed.objects);
        let (builder, found) = builder.options_from_config_map().unwrap();
        assert_eq!(found, []);
        let config = builder.build(1).unwrap();
        assert_eq!(config.options().trust_domain(), trust_domain, "{namespace}");
        assert_eq!(config.networks().networks.len(), networks, "{namespace}");
    }
}

#[test]
fn a_config_map_that_does_not_parse_is_refused() {
    let text = "
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: 'trustDomian: typo' }
";
    let parsed = parse("mesh.yaml", text, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let problems = builder.options_from_config_map().unwrap_err();
    assert_eq!(&*problems[0].file, "mesh.yaml#mesh");
}

#[test]
fn a_config_map_with_invalid_settings_is_refused_with_all_of_them() {
    let text = "
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    connectTimeout: 2h
    tlsDefaults: { ecdhCurves: [P-0] }
  meshNetworks: |
    networks: { east: { endpoints: [{ fromCidr: 10.0.0.0/99 }] } }
";
    let parsed = parse("mesh.yaml", text, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let found = builder.options_from_config_map().unwrap_err();
    let found: Vec<_> = found
        .iter()
        .map(|found| (&*found.file, found.label.as_str(), found.severity))
        .collect();
    let error = |file, label| (file, label, Severity::Error);
    let curve = (
        "mesh.yaml#mesh",
        "tlsDefaults.ecdhCurves[0]",
        Severity::Warning,
    );
    let cidr = "networks[east].endpoints[0].fromCidr";
    let timeout = error("mesh.yaml#mesh", "connectTimeout");
    assert_eq!(
        found,
        [timeout, curve, error("mesh.yaml#meshNetworks", cidr)]
    );
}

#[test]
fn two_objects_of_the_same_name_are_refused_with_both_places() {
    let gateway = |namespace: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: public{namespace} }}
spec: {{ servers: [] }}
---
"
        )
    };
    let text = format!(
        "{}{}{}",
        gateway(""),
        gateway(", namespace: default"),
        gateway(", namespace: other")
    );
    let parsed = parse("mesh.yaml", &text, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let errors = builder.build(1).unwrap_err();
    let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "`Gateway default/public (mesh.yaml:8:1)` is declared already, \
             as `Gateway default/public (mesh.yaml:2:1)`"
        ]
    );
}

#[test]
fn objects_of_the_cluster_have_no_namespace() {
    let config = config(
        "
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { tier: shared } }
---
apiVersion: v1
kind: Secret
metadata: { name: credential }
",
    );
    let resources = config.resources();
    assert_eq!(resources.namespace("shop").unwrap().metadata.namespace, "");
    assert!(resources.secret("default", "credential").is_some());
    let expected = [("kubernetes.io/metadata.name", "shop"), ("tier", "shared")];
    assert_eq!(
        resources.namespace_labels("shop"),
        Labels::from_iter(expected)
    );
    assert_eq!(resources.namespace_labels("other").len(), 1);
}

#[test]
fn short_names_have_the_domain_that_the_configuration_gives_them() {
    let builder = MeshConfig::builder;
    for (builder, expected) in [
        (builder(), "reviews.shop.svc.cluster.local"),
        (
            builder().domain("mesh.example"),
            "reviews.shop.svc.mesh.example",
        ),
        (builder().config_domain(""), "reviews.shop"),
        (
            builder().domain("a.example").config_domain("b.example"),
            "reviews.shop.svc.b.example",
        ),
    ] {
        let config = builder.build(1).unwrap();
        assert_eq!(config.resolve_host("Reviews", "shop"), expected);
        assert_eq!(config.resolve_host("reviews.prod", "shop"), "reviews.prod");
    }
}

#[test]
fn proxies_write_the_headers_that_the_mesh_says() {
    let text = "
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    defaultConfig:
      proxyHeaders:
        server: { value: shop }
        requestId: { disabled: true }
        attemptCount: { disabled: true }
        envoyDebugHeaders: { disabled: true }
        xForwardedPort: { enabled: true }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: {}
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  clusterIP: 10.0.0.1
  selector: { app: cart }
  ports: [{ name: http, port: 80 }]
";
    let parsed = parse("mesh.yaml", text, &Limits::default());
    let builder = MeshConfig::builder().extend(parsed.objects);
    let (builder, _) = builder.options_from_config_map().unwrap();
    let config = builder.build(1).unwrap();
    let sidecar = Workload::sidecar("shop").with_label("app", "cart");
    for workload in [Workload::gateway("istio-system"), sidecar] {
        let model = resolve(&config, &workload);
        let connections: Vec<&HttpConnection> = model
            .listeners
            .iter()
            .flat_map(|listener| {
                let default = listener.default_filter_chain.as_deref();
                listener.filter_chains.iter().chain(default)
            })
            .filter_map(|chain| match &chain.filter {
                NetworkFilter::Http(connection) => Some(connection),
                _ => None,
            })
            .collect();
        assert!(!connections.is_empty(), "{workload:?}");
        for connection in connections {
            assert_eq!(connection.server_name.as_deref(), Some("shop"));
            assert!(!connection.generate_request_id && !connection.count_attempts);
            assert!(!connection.envoy_debug_headers && connection.append_forwarded_port);
        }
    }
}

#[test]
fn rules_that_rewrite_keep_the_host_they_replace_if_the_mesh_says_so() {
    let text = |is_enabled: bool| {
        format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data:
  mesh: 'defaultConfig: {{ proxyHeaders: {{ xForwardedHost: {{ enabled: {is_enabled} }} }} }}'
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{}}
  servers: [{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: ['*'] }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*']
  gateways: [shop]
  http:
  - match: [{{ uri: {{ prefix: /new }} }}]
    rewrite: {{ authority: new.example }}
    route: [{{ destination: {{ host: cart.example }} }}]
  - headers: {{ request: {{ set: {{ host: other.example }} }} }}
    route: [{{ destination: {{ host: cart.example }} }}]
"
        )
    };
    for is_enabled in [false, true] {
        let parsed = parse("mesh.yaml", &text(is_enabled), &Limits::default());
        let builder = MeshConfig::builder().extend(parsed.objects);
        let (builder, _) = builder.options_from_config_map().unwrap();
        let config = builder.build(1).unwrap();
        let model = resolve(&config, &Workload::gateway("istio-system"));
        let hosts = &model.route_configurations["http.80"].virtual_hosts;
        let routes = hosts.iter().flat_map(|host| host.routes.iter());
        let rewrites: Vec<_> = routes
            .filter_map(|route| route.forward_to())
            .map(|forward| {
                let rewrite = &forward.rewrite;
                (rewrite.authority.as_deref(), rewrite.append_forwarded_host)
            })
            .collect();
        // Another way to write the host is no rewrite.
        let expected = [
            (Some("new.example"), is_enabled),
            (Some("other.example"), false),
        ];
        assert_eq!(rewrites, expected);
    }
}
