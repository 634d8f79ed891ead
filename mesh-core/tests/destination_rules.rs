//! Which DestinationRule applies to a call, and what it says.
#![cfg(feature = "yaml")]

mod support;

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::cluster::Cluster;
use mesh_core::resolve::resolve;
use mesh_core::resource::istio::destination_rule::SimpleLb;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::support::config;

const HOST: &str = "cart.shop.svc.cluster.local";

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: grpc, port: 90 }] }
";

/// A rule with one subset, called as its namespace and `name`.
fn rule(namespace: &str, name: &str, rest: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  subsets: [{{ name: {namespace}-{name} }}]
  {rest}
"
    )
}

/// The subsets of the rule that applies to calls of a workload in `namespace` to the cart.
fn subsets(config: &MeshConfig, client: &Workload) -> Vec<String> {
    let service = config
        .services()
        .lookup(HOST, "shop")
        .expect("it is declared");
    let rule = config.destination_rules().lookup(service, client);
    let subsets = rule.into_iter().flat_map(|rule| rule.subsets());
    subsets.map(|(subset, _)| subset.name.clone()).collect()
}

#[test]
fn the_first_namespace_with_any_rule_for_the_host_decides() {
    let client = rule("bank", "client", "host: '*.local'");
    let service = rule("shop", "service", "host: cart");
    let root = rule("istio-system", "root", &format!("host: {HOST}"));
    for (rules, from, expected) in [
        (vec![&client, &service, &root], "bank", "bank-client"),
        (vec![&client, &service, &root], "mint", "shop-service"),
        (vec![&client, &root], "mint", "istio-system-root"),
        (vec![&service, &root], "istio-system", "shop-service"),
        (vec![&root], "istio-system", "istio-system-root"),
    ] {
        let rules: String = rules.into_iter().map(String::as_str).collect();
        let found = subsets(&config(&format!("{CART}{rules}")), &Workload::sidecar(from));
        assert_eq!(found, [expected], "from {from}: {rules}");
    }
}

#[test]
fn clients_of_the_root_namespace_see_its_private_rules_first() {
    let private = rule(
        "istio-system",
        "private",
        &format!("host: {HOST}\n  exportTo: ['.']"),
    );
    let service = rule("shop", "service", "host: cart");
    let config = config(&format!("{CART}{private}{service}"));
    let found = |from| subsets(&config, &Workload::gateway(from));
    assert_eq!(found("istio-system"), ["istio-system-private"]);
    assert_eq!(found("bank"), ["shop-service"]);
}

#[test]
fn the_most_specific_host_of_a_namespace_decides() {
    let hosts = ["'*'", "'*.local'", "'*.shop.svc.cluster.local'", "cart"];
    for count in 1..=hosts.len() {
        let rules = hosts.iter().take(count).enumerate();
        let rules =
            rules.map(|(index, host)| rule("shop", &format!("r{index}"), &format!("host: {host}")));
        let config = config(&format!("{CART}{}", rules.collect::<String>()));
        let found = subsets(&config, &Workload::sidecar("shop"));
        assert_eq!(found, [format!("shop-r{}", count - 1)]);
    }
}

#[test]
fn a_rule_is_seen_where_it_is_exported_to() {
    for (export, from, seen) in [
        ("", "bank", true),
        ("exportTo: ['*']", "bank", true),
        ("exportTo: ['.']", "bank", false),
        ("exportTo: ['.']", "shop", true),
        ("exportTo: [bank]", "bank", true),
        ("exportTo: [bank]", "mint", false),
        ("exportTo: [bank]", "shop", false),
        ("exportTo: [bank, '.']", "shop", true),
    ] {
        let rule = rule("shop", "cart", &format!("host: cart\n  {export}"));
        let config = config(&format!("{CART}{rule}"));
        let found = subsets(&config, &Workload::sidecar(from));
        assert_eq!(!found.is_empty(), seen, "{export} from {from}");
    }
}

#[test]
fn rules_that_are_private_by_default_are_seen_in_their_namespace() {
    let options = serde_json::from_str(r#"{"defaultDestinationRuleExportTo": ["."]}"#).unwrap();
    let text = format!("{CART}{}", rule("shop", "cart", "host: cart"));
    let config = support::config_of(MeshConfig::builder().mesh(options), &text);
    assert!(subsets(&config, &Workload::sidecar("bank")).is_empty());
    assert!(!subsets(&config, &Workload::sidecar("shop")).is_empty());
}

#[test]
fn a_rule_that_selects_the_client_comes_before_one_that_selects_nobody() {
    let selective = rule(
        "bank",
        "selective",
        &format!("host: {HOST}\n  workloadSelector: {{ matchLabels: {{ app: teller }} }}"),
    );
    let general = rule("bank", "general", &format!("host: {HOST}"));
    let config = config(&format!("{CART}{general}{selective}"));
    let teller = Workload::sidecar("bank").with_label("app", "teller");
    assert_eq!(subsets(&config, &teller), ["bank-selective"]);
    assert_eq!(
        subsets(&config, &Workload::sidecar("bank")),
        ["bank-general"]
    );
}

#[test]
fn rules_for_the_same_host_are_put_together_and_the_oldest_policy_is_kept() {
    let text = format!(
        "{CART}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: young, namespace: shop, creationTimestamp: '2022-01-01T00:00:00Z' }}
spec:
  host: {HOST}
  trafficPolicy: {{ loadBalancer: {{ simple: RANDOM }} }}
  subsets: [{{ name: v1, labels: {{ version: other }} }}, {{ name: v2 }}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: old, namespace: shop, creationTimestamp: '2021-01-01T00:00:00Z' }}
spec:
  host: cart
  trafficPolicy: {{ loadBalancer: {{ simple: ROUND_ROBIN }} }}
  subsets: [{{ name: v1, labels: {{ version: v1 }} }}]
"
    );
    let config = config(&text);
    let client = Workload::sidecar("shop");
    assert_eq!(subsets(&config, &client), ["v1", "v2"]);
    let model = resolve(&config, &client);
    assert_eq!(
        load_balancer(cluster(&model, 80, "")),
        Some(SimpleLb::RoundRobin)
    );
    let notices: Vec<_> = model
        .notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    assert_eq!(
        notices,
        [
            "an older rule for the same host already has a traffic policy",
            "an older rule for the same host already has the subset `v1`",
        ]
    );
}

fn cluster<'a>(model: &'a Model, port: u16, subset: &str) -> &'a Cluster {
    let name = ClusterName::outbound(port, subset, HOST);
    model.clusters.get(&name).expect("the cluster exists")
}

fn load_balancer(cluster: &Cluster) -> Option<SimpleLb> {
    cluster.policy.load_balancer.as_ref()?.simple
}

fn retries(cluster: &Cluster) -> Option<i32> {
    let pool = cluster.policy.connection_pool.as_ref()?;
    Some(pool.http.as_ref()?.max_retries)
}

#[test]
fn blocks_replace_each_other_whole_from_rule_to_port_to_subset() {
    let text = format!(
        "{CART}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: cart, namespace: shop }}
spec:
  host: cart
  trafficPolicy:
    loadBalancer: {{ simple: ROUND_ROBIN }}
    connectionPool: {{ http: {{ maxRetries: 1 }} }}
    retryBudget: {{ minRetryConcurrency: 5 }}
    portLevelSettings: [{{ port: {{ number: 90 }}, loadBalancer: {{ simple: RANDOM }} }}]
  subsets:
  - name: none
  - name: block
    trafficPolicy: {{ connectionPool: {{ http: {{ maxRetries: 2 }} }} }}
  - name: port
    trafficPolicy:
      connectionPool: {{ http: {{ maxRetries: 3 }} }}
      portLevelSettings: [{{ port: {{ number: 90 }}, connectionPool: {{ http: {{ maxRetries: 4 }} }} }}]
"
    );
    let model = resolve(&config(&text), &Workload::sidecar("shop"));
    for (port, subset, expected_lb, expected_retries, budget) in [
        (80, "", Some(SimpleLb::RoundRobin), Some(1), true),
        (80, "none", Some(SimpleLb::RoundRobin), Some(1), true),
        (80, "block", Some(SimpleLb::RoundRobin), Some(2), true),
        (80, "port", Some(SimpleLb::RoundRobin), Some(3), true),
        (90, "", Some(SimpleLb::Random), None, false),
        (90, "none", Some(SimpleLb::Random), None, false),
        (90, "block", Some(SimpleLb::Random), Some(2), false),
        (90, "port", None, Some(4), false),
    ] {
        let cluster = cluster(&model, port, subset);
        let case = format!("port {port} subset `{subset}`");
        assert_eq!(load_balancer(cluster), expected_lb, "{case}");
        assert_eq!(retries(cluster), expected_retries, "{case}");
        assert_eq!(cluster.policy.retry_budget.is_some(), budget, "{case}");
    }
    let origin = cluster(&model, 80, "block").policy_origin.as_ref().unwrap();
    assert_eq!(origin.path(), "spec.subsets[1]");
}

#[test]
fn the_mesh_fills_blocks_that_the_rule_leaves_out() {
    let options = serde_json::from_str(
        r#"{"defaultTrafficPolicy": {
            "connectionPool": {"http": {"maxRetries": 7}},
            "outlierDetection": {"consecutive5xxErrors": 3}
        }}"#,
    )
    .unwrap();
    let rest = "host: cart\n  trafficPolicy: { connectionPool: { http: { maxRetries: 1 } } }";
    let text = format!("{CART}{}", rule("shop", "cart", rest));
    let config = support::config_of(MeshConfig::builder().mesh(options), &text);
    let model = resolve(&config, &Workload::sidecar("shop"));
    let cluster = cluster(&model, 80, "");
    assert_eq!(retries(cluster), Some(1));
    let detection = cluster.policy.outlier_detection.as_ref().unwrap();
    assert_eq!(detection.consecutive_5xx_errors, Some(3));
    let passthrough = &model.clusters[&ClusterName::passthrough()];
    assert_eq!(retries(passthrough), Some(7));
    assert!(passthrough.policy.outlier_detection.is_none());
}
