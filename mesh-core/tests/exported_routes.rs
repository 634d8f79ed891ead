//! For whom routes of the Gateway API are, where VirtualServices are not for everybody.
#![cfg(all(feature = "yaml", feature = "gateway-api"))]

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::listener::NetworkFilter;
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

/// Two Services, and a Gateway that takes routes of all namespaces.
const SCENE: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: tcp, port: 90 }, { name: tls, port: 91 }] }
---
apiVersion: v1
kind: Service
metadata: { name: books, namespace: shop }
spec: { clusterIP: 10.0.0.2, ports: [{ name: http, port: 80 }, { name: tcp, port: 90 }, { name: tls, port: 91 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gateway, namespace: edge }
spec:
  gatewayClassName: istio
  listeners:
  - { name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All } } }
  - { name: tcp, port: 90, protocol: TCP, allowedRoutes: { namespaces: { from: All } } }
  - name: tls
    port: 91
    protocol: TLS
    tls: { mode: Passthrough }
    allowedRoutes: { namespaces: { from: All } }
---
";

/// Kinds of routes, each with a port for them.
const KINDS: [(&str, u16); 4] = [
    ("HTTPRoute", 80),
    ("GRPCRoute", 80),
    ("TCPRoute", 90),
    ("TLSRoute", 91),
];

/// What `workload` makes of a route of `shop` to `books`, where VirtualServices are seen by
/// `default`.
fn model((kind, port): (&str, u16), parent: &str, default: &str, workload: &Workload) -> Model {
    let route = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{ name: route, namespace: shop }}
spec:
  parentRefs: [{parent}]
  rules: [{{ backendRefs: [{{ name: books, port: {port} }}] }}]
"
    );
    model_of(&format!("{SCENE}{route}"), default, workload)
}

fn model_of(text: &str, default: &str, workload: &Workload) -> Model {
    let options = format!(r#"{{"defaultVirtualServiceExportTo": ["{default}"]}}"#);
    let options = serde_json::from_str(&options).expect("options of a mesh");
    let parsed = parse("mesh.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let builder = MeshConfig::builder().mesh(options).extend(parsed.objects);
    let config = builder.build(1).expect("no object is there twice");
    resolve(&config, workload)
}

/// Whether requests for `domain`, or connections to `listener`, go to `books`.
fn is_routed(model: &Model, domain: &str, listener: &str) -> bool {
    let tables = model.route_configurations.values();
    let hosts = tables.flat_map(|table| &table.virtual_hosts);
    let mut own = hosts.filter(|host| host.domains.iter().any(|own| own == domain));
    let requests = own.find_map(|host| host.routes.first()?.forward_to());
    let mut listeners = model.listeners.iter();
    let listener = listeners.find(|found| found.name == listener);
    let chains = listener.map_or(&[][..], |listener| &listener.filter_chains);
    let proxies = chains.iter().filter_map(|chain| match &chain.filter {
        NetworkFilter::Tcp(proxy) => Some(&proxy.destinations),
        _ => None,
    });
    let mut destinations = proxies
        .chain(requests.map(|forward| &forward.destinations))
        .flatten();
    destinations.any(|destination| match &destination.cluster {
        ClusterSpecifier::Name(name) => name.host() == Some("books.shop.svc.cluster.local"),
        _ => false,
    })
}

#[test]
fn a_gateway_has_no_routes_of_namespaces_that_keep_theirs_to_themselves() {
    let label = "gateway.networking.k8s.io/gateway-name";
    let edge = Workload::gateway("edge").with_label(label, "gateway");
    for kind in KINDS {
        for (default, served) in [("*", true), ("edge", true), (".", false), ("~", false)] {
            let parent = "{ name: gateway, namespace: edge }";
            let model = model(kind, parent, default, &edge);
            let is_served = is_routed(&model, "*", &format!("0.0.0.0_{}", kind.1));
            assert_eq!(is_served, served, "{kind:?} {default}");
            let mut notices = model.notices.iter();
            let is_told =
                notices.any(|notice| notice.message.contains("it is not exported to `edge`"));
            assert_eq!(is_told, !served, "{kind:?} {default}");
        }
    }
}

#[test]
fn clients_elsewhere_have_no_routes_of_namespaces_that_keep_theirs_to_themselves() {
    for kind in KINDS {
        for (default, in_shop, in_bank) in [
            ("*", true, true),
            (".", true, false),
            ("~", false, false),
            ("bank", false, true),
        ] {
            for (namespace, expected) in [("shop", in_shop), ("bank", in_bank)] {
                let (cart, port) = ("cart.shop.svc.cluster.local", kind.1);
                let parent = format!("{{ group: '', kind: Service, name: cart, port: {port} }}");
                let model = model(kind, &parent, default, &Workload::sidecar(namespace));
                let found = is_routed(&model, cart, &format!("10.0.0.1_{port}"));
                assert_eq!(found, expected, "{kind:?} {default} in {namespace}");
                // Those who wrote it are told.
                let mut notices = model.notices.iter();
                let is_told =
                    notices.any(|notice| notice.message.contains("it is not exported to `shop`"));
                let is_own = namespace == "shop";
                assert_eq!(
                    is_told,
                    is_own && !in_shop,
                    "{kind:?} {default} in {namespace}"
                );
            }
        }
    }
}

#[test]
fn a_route_of_the_client_s_namespace_stands_before_virtual_services_whoever_sees_them() {
    let text = format!(
        "{SCENE}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: cart, namespace: shop }}
spec: {{ hosts: [cart], http: [{{ route: [{{ destination: {{ host: cart }} }}] }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: route, namespace: shop }}
spec:
  parentRefs: [{{ group: '', kind: Service, name: cart }}]
  rules: [{{ backendRefs: [{{ name: books, port: 80 }}] }}]
"
    );
    for default in ["*", ".", "shop"] {
        let model = model_of(&text, default, &Workload::sidecar("shop"));
        let cart = "cart.shop.svc.cluster.local";
        assert!(is_routed(&model, cart, ""), "{default}");
    }
}
