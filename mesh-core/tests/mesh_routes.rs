//! Routes that are attached to services, for a sidecar whose Sidecar does not list everything.
#![cfg(all(feature = "yaml", feature = "gateway-api"))]

#[path = "support/sidecar.rs"]
mod sidecar;
mod support;

use mesh_core::model::Model;
use mesh_core::service::ClusterName;

use crate::sidecar::{chain_cluster, first_clusters, listener, model, service, sidecar};

/// `cart` and `books` of the shop, and `vault` of the bank, with ports for requests and connections.
fn services() -> String {
    let spec = |address: u8| {
        format!(
            "{{ clusterIP: 10.0.0.{address}, ports: [{{ name: http, port: 80 }}, \
             {{ name: tcp, port: 90 }}, {{ name: tls, port: 91 }}] }}"
        )
    };
    service("cart", "shop", &spec(1))
        + &service("books", "shop", &spec(2))
        + &service("vault", "bank", &spec(3))
}

/// A route of `namespace`, attached to a port of the Service `parent`, with its only rule.
fn route(kind: &str, namespace: &str, parent: &str, port: u16, rule: &str) -> String {
    let (name, of) = parent.split_once('.').expect("a name and a namespace");
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{ name: route, namespace: {namespace} }}
spec:
  parentRefs: [{{ group: '', kind: Service, name: {name}, namespace: {of}, port: {port} }}]
  rules: [{rule}]
---
"
    )
}

fn imports(hosts: &str) -> String {
    sidecar(&format!("{{ egress: [{{ hosts: {hosts} }}] }}"))
}

/// Where requests to the port 80 of `host` go by its first route.
fn requests_to(model: &Model, host: &str) -> Option<String> {
    let clusters = first_clusters(&model.route_configurations["80"]);
    let mut own = clusters.into_iter().filter(|(domain, _)| *domain == host);
    own.next().map(|(_, cluster)| cluster)
}

/// Where connections to a listener go, by chain.
fn connections_to<'m>(model: &'m Model, name: &str) -> Vec<&'m str> {
    let chains = listener(model, name).filter_chains.iter();
    chains.map(chain_cluster).collect()
}

const CART: &str = "cart.shop.svc.cluster.local";
const VAULT: &str = "vault.bank.svc.cluster.local";

fn outbound(port: u16, host: &str) -> String {
    ClusterName::outbound(port, "", host).to_string()
}

#[test]
fn a_sidecar_sees_the_backends_of_the_routes_that_it_imports() {
    let books = "books.shop.svc.cluster.local";
    let to = |port: u16| format!("{{ backendRefs: [{{ name: books, port: {port} }}] }}");
    for kind in ["HTTPRoute", "GRPCRoute"] {
        let text = services() + &route(kind, "shop", "cart.shop", 80, &to(80));
        let model = model(&(text + &imports(&format!("[./{CART}]"))));
        assert_eq!(
            requests_to(&model, CART),
            Some(outbound(80, books)),
            "{kind}"
        );
        let cluster = ClusterName::outbound(80, "", books);
        assert!(model.clusters.contains_key(&cluster), "{kind}");
        assert!(
            !model
                .clusters
                .contains_key(&ClusterName::outbound(90, "", books))
        );
    }
    for (kind, port) in [("TCPRoute", 90), ("TLSRoute", 91)] {
        let text = services() + &route(kind, "shop", "cart.shop", port, &to(90));
        let model = model(&(text + &imports(&format!("[./{CART}]"))));
        let found = connections_to(&model, &format!("10.0.0.1_{port}"));
        assert_eq!(found, [outbound(90, books)], "{kind}");
        let cluster = ClusterName::outbound(90, "", books);
        assert!(model.clusters.contains_key(&cluster), "{kind}");
    }
}

#[test]
fn a_sidecar_sees_where_copies_of_requests_go_and_no_backend_without_a_share() {
    let rule = "{ filters: [{ type: RequestMirror, requestMirror: { backendRef: \
                { name: vault, namespace: bank, port: 80 } } }], \
                backendRefs: [{ name: cart, port: 80 }, { name: books, port: 80, weight: 0 }] }";
    let text = services() + &route("HTTPRoute", "shop", "cart.shop", 80, rule);
    let model = model(&(text + &imports(&format!("[./{CART}]"))));
    let hosts = model.clusters.keys().filter_map(ClusterName::host);
    let hosts: std::collections::BTreeSet<_> = hosts.collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), [CART, VAULT]);
}

#[test]
fn a_route_that_is_not_imported_leads_nowhere() {
    let rule = "{ backendRefs: [{ name: books, port: 80 }] }";
    let text = services() + &route("HTTPRoute", "shop", "vault.bank", 80, rule);
    let model = model(&(text + &imports(&format!("[bank/{VAULT}]"))));
    let hosts = model.clusters.keys().filter_map(ClusterName::host);
    assert!(hosts.into_iter().all(|host| host == VAULT));
}

#[test]
fn routes_of_the_caller_s_namespace_count_where_its_sidecar_imports_them() {
    let to = |port: u16| format!("{{ backendRefs: [{{ name: cart, port: {port} }}] }}");
    let text = services()
        + &route("HTTPRoute", "shop", "vault.bank", 80, &to(80))
        + &route("TCPRoute", "shop", "vault.bank", 90, &to(90));
    for (hosts, expected) in [
        ("['bank/*']", VAULT),
        ("['bank/*', './cart.shop.svc.cluster.local']", VAULT),
        ("['bank/*', './*']", CART),
        ("['bank/*', 'shop/*.bank.svc.cluster.local']", CART),
        ("['bank/*', './*', '~shop/*.bank.svc.cluster.local']", VAULT),
        ("['*/*']", CART),
    ] {
        let model = model(&(text.clone() + &imports(hosts)));
        assert_eq!(
            requests_to(&model, VAULT),
            Some(outbound(80, expected)),
            "{hosts}"
        );
        let connections = connections_to(&model, "10.0.0.3_90");
        assert_eq!(connections, [outbound(90, expected)], "{hosts}");
    }
}

#[test]
fn of_several_backends_that_hash_none_keeps_retries_on_its_host() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec: { host: cart, trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user } } } }
---
";
    for (backends, avoids) in [
        ("[{ name: cart, port: 80 }]", false),
        (
            "[{ name: cart, port: 80 }, { name: books, port: 80, weight: 0 }]",
            false,
        ),
        (
            "[{ name: cart, port: 80 }, { name: books, port: 80 }]",
            true,
        ),
    ] {
        let rules = format!("{{ backendRefs: {backends} }}");
        let route = route("HTTPRoute", "shop", "cart.shop", 80, &rules);
        let model = model(&(services() + rule + &route));
        let hosts = &model.route_configurations["80"].virtual_hosts;
        let host = hosts.iter().find(|host| host.domains[0] == CART).unwrap();
        let forward = host.routes[0].forward_to().unwrap();
        assert_eq!(forward.hash_policies.len(), 1, "{backends}");
        let retry = forward.retry.as_ref().unwrap();
        assert_eq!(retry.avoid_previous_hosts, avoids, "{backends}");
    }
}

#[test]
fn routes_of_a_service_with_a_waypoint_of_another_controller_are_left_to_it() {
    let waypoint = |controller: &str, elsewhere: &str| {
        format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{ name: shop, labels: {{ istio.io/use-waypoint: waypoint{elsewhere} }} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: waypoint, namespace: shop }}
spec: {{ gatewayClassName: theirs, listeners: [{{ name: a, port: 80, protocol: HTTP }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{ name: theirs }}
spec: {{ controllerName: {controller} }}
---
"
        )
    };
    let books = "books.shop.svc.cluster.local";
    let to = |port: u16| format!("{{ backendRefs: [{{ name: books, port: {port} }}] }}");
    let routes = route("HTTPRoute", "shop", "cart.shop", 80, &to(80))
        + &route("TCPRoute", "shop", "cart.shop", 90, &to(90));
    let at = |namespace: &str| format!(", istio.io/use-waypoint-namespace: {namespace}");
    for (controller, elsewhere, is_left) in [
        ("example.net/waypoint", "", true),
        ("example.net/waypoint", &at("shop"), true),
        ("example.net/waypoint", &at("bank"), false),
        ("istio.io/gateway-controller", "", false),
        ("istio.io/mesh-controller", "", false),
    ] {
        let text = services() + &waypoint(controller, elsewhere) + &routes;
        let model = model(&(text + &imports(&format!("[./{CART}]"))));
        let to = if is_left { CART } else { books };
        assert_eq!(requests_to(&model, CART), Some(outbound(80, to)));
        let connections = connections_to(&model, "10.0.0.1_90");
        assert_eq!(connections, [outbound(90, to)], "{controller}");
        let cluster = ClusterName::outbound(80, "", books);
        assert_eq!(model.clusters.contains_key(&cluster), !is_left);
        let mut notices = model.notices.iter();
        let is_told = notices.any(|notice| notice.message.contains("left to it"));
        assert_eq!(is_told, is_left, "{controller}");
    }
}

#[test]
fn of_rules_for_connections_routes_of_the_caller_s_namespace_stand_before_older_ones_for_everybody()
{
    let rule = |export: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: older, namespace: shop }}
spec: {{ {export} hosts: [cart], tcp: [{{ route: [{{ destination: {{ host: cart }} }}] }}] }}
---
"
        )
    };
    let books = "books.shop.svc.cluster.local";
    let to = "{ backendRefs: [{ name: books, port: 90 }] }";
    let route = route("TCPRoute", "shop", "cart.shop", 90, to);
    for (export, expected) in [("", books), ("exportTo: ['.'],", CART)] {
        let model = model(&(services() + &rule(export) + &route));
        let connections = connections_to(&model, "10.0.0.1_90");
        assert_eq!(connections, [outbound(90, expected)], "{export}");
    }
}
