use serde_json::json;

use crate::config::MeshConfig;
use crate::parse::{Limits, parse};
use crate::resource::istio::destination_rule::TrafficPolicy;
use crate::resource::istio::mesh_config::MeshConfig as MeshOptions;
use crate::workload::Workload;

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: cart, namespace: shop, creationTimestamp: 2025-01-01T00:00:00Z }
spec:
  targetRefs: [{ group: '', kind: Service, name: cart }]
  validation: { hostname: cart.example, wellKnownCACertificates: System }
";

/// A DestinationRule for `cart`, older or newer than the policy.
fn rule(name: &str, year: u16, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{ name: {name}, namespace: shop, creationTimestamp: {year}-01-01T00:00:00Z }}\n\
         spec: {{ host: cart, {spec} }}\n"
    )
}

fn config(text: &str) -> MeshConfig {
    config_with(text, MeshOptions::default())
}

fn config_with(text: &str, options: MeshOptions) -> MeshConfig {
    let parsed = parse("test.yaml", &format!("{CART}{text}"), &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder().mesh(options).extend(parsed.objects);
    config.build(1).expect("no object is there twice")
}

/// What holds for calls of `client` to `cart`.
fn policy(text: &str, client: &Workload) -> TrafficPolicy {
    policy_of(&config(text), client)
}

fn policy_of(config: &MeshConfig, client: &Workload) -> TrafficPolicy {
    let host = "cart.shop.svc.cluster.local";
    let cart = config.services().lookup(host, &client.namespace);
    let cart = cart.expect("the client sees the service");
    let rule = config.destination_rules().lookup(cart, client);
    let policy = rule.and_then(|rule| rule.traffic_policy());
    policy.map(|(policy, _)| policy.clone()).unwrap_or_default()
}

const POOL: &str = "trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } }";

#[test]
fn a_policy_holds_for_all_clients_beside_a_rule_that_only_some_see() {
    let bank = "exportTo: [bank]";
    let private = "exportTo: ['.']";
    let selective = "workloadSelector: { matchLabels: { app: web } }";
    for (narrowed, namespace, has_pool) in [
        (private, "istio-ingress", false),
        (private, "shop", true),
        (bank, "istio-ingress", false),
        (bank, "bank", true),
        (bank, "shop", false),
        (selective, "istio-ingress", false),
        (selective, "shop", false),
    ] {
        for year in [2024, 2026] {
            let text = rule("cart", year, &format!("{narrowed}, {POOL}"));
            let policy = policy(&text, &Workload::sidecar(namespace));
            let case = format!("{narrowed} of {year}, called from {namespace}");
            assert!(policy.tls.is_some(), "{case}");
            assert_eq!(policy.connection_pool.is_some(), has_pool, "{case}");
        }
    }
}

#[test]
fn a_policy_holds_for_the_workloads_that_a_rule_selects() {
    let selective = "workloadSelector: { matchLabels: { app: web } }";
    let text = rule("cart", 2024, &format!("{selective}, {POOL}"));
    let web = Workload::sidecar("shop").with_label("app", "web");
    let policy = policy(&text, &web);
    assert!(policy.tls.is_some() && policy.connection_pool.is_some());
}

#[test]
fn a_policy_is_put_into_a_rule_that_everybody_sees() {
    let subsets = "subsets: [{ name: v1, labels: { version: v1 } }]";
    for export_to in ["exportTo: []", "exportTo: ['*']"] {
        for year in [2024, 2026] {
            let text = rule("cart", year, &format!("{export_to}, {subsets}"));
            let config = config(&text);
            let host = "cart.shop.svc.cluster.local";
            let cart = config.services().lookup(host, "bank").unwrap();
            let client = Workload::sidecar("bank");
            let rule = config.destination_rules().lookup(cart, &client).unwrap();
            let case = format!("{export_to} of {year}");
            assert!(rule.subset("v1").is_some(), "{case}");
            let (policy, _) = rule.traffic_policy().expect(&case);
            assert!(policy.tls.is_some(), "{case}");
        }
    }
}

#[test]
fn the_traffic_policy_of_merged_rules_stays() {
    let subsets = "subsets: [{ name: v1, labels: { version: v1 } }]";
    let text = rule("old", 2023, subsets) + &rule("new", 2024, POOL);
    let policy = policy(&text, &Workload::gateway("istio-ingress"));
    assert!(policy.tls.is_some() && policy.connection_pool.is_some());
}

#[test]
fn a_policy_holds_for_all_where_rules_are_private_by_default() {
    let options = json!({ "defaultDestinationRuleExportTo": ["."] });
    let options = serde_json::from_value(options).unwrap();
    let config = config_with(&rule("cart", 2024, POOL), options);
    let gateway = policy_of(&config, &Workload::gateway("istio-ingress"));
    assert!(gateway.tls.is_some() && gateway.connection_pool.is_none());
    let own = policy_of(&config, &Workload::sidecar("shop"));
    assert!(own.tls.is_some() && own.connection_pool.is_some());
}
