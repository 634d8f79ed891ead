//! ServiceEntries that declare the same host.
#![cfg(feature = "yaml")]

mod support;

use mesh_core::config::MeshConfig;
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::support::{config, config_of};

/// An entry for `api.example`, made on this day: its port and name, its resolution and addresses.
fn entry(name: &str, day: u8, port: (u16, &str), resolution: &str, addresses: &str) -> String {
    let (number, port) = port;
    let endpoints = addresses.split_whitespace();
    let endpoints: Vec<_> = endpoints
        .map(|address| format!("{{ address: {address} }}"))
        .collect();
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop, creationTimestamp: '2026-01-0{day}T00:00:00Z' }}
spec:
  hosts: [api.example]
  ports: [{{ number: {number}, name: {port}, protocol: HTTP }}]
  resolution: {resolution}
  endpoints: [{}]
---
",
        endpoints.join(", ")
    )
}

/// The hosts of the endpoints of port 80 of `api.example`, to a sidecar.
fn endpoints(text: &str) -> Vec<String> {
    let model = resolve(&config(text), &Workload::sidecar("shop"));
    let cluster = &model.clusters[&ClusterName::outbound(80, "", "api.example")];
    let host = |address: &EndpointAddress| match address {
        EndpointAddress::Ip(address) => address.to_string(),
        EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
        EndpointAddress::Unix(path) => path.clone(),
    };
    let endpoints = cluster.endpoints.iter();
    endpoints.map(|endpoint| host(&endpoint.address)).collect()
}

const HTTP: (u16, &str) = (80, "http");

#[test]
fn entries_of_one_host_have_the_endpoints_of_all_the_older_first() {
    let text =
        entry("a", 2, HTTP, "STATIC", "192.0.2.2") + &entry("b", 1, HTTP, "STATIC", "192.0.2.1");
    assert_eq!(endpoints(&text), ["192.0.2.1:80", "192.0.2.2:80"]);
}

#[test]
fn an_entry_of_another_namespace_has_its_own() {
    let other = entry("b", 2, HTTP, "STATIC", "192.0.2.2");
    let other = other.replace("namespace: shop", "namespace: other");
    let text = entry("a", 1, HTTP, "STATIC", "192.0.2.1") + &other;
    assert_eq!(endpoints(&text), ["192.0.2.1:80"]);
}

#[test]
fn an_entry_whose_ports_alone_are_not_seen_adds_its_endpoints_too() {
    let hidden = entry("b", 2, HTTP, "STATIC", "192.0.2.2");
    let hidden = hidden.replace("  resolution", "  exportTo: [elsewhere]\n  resolution");
    let text = entry("a", 1, HTTP, "STATIC", "192.0.2.1") + &hidden;
    assert_eq!(endpoints(&text), ["192.0.2.1:80", "192.0.2.2:80"]);
}

#[test]
fn ports_are_the_same_by_name_where_endpoints_are_listed() {
    let first = entry("a", 1, HTTP, "STATIC", "192.0.2.1");
    let same_name = entry("b", 2, (81, "http"), "STATIC", "192.0.2.2");
    let same_number = entry("c", 3, (80, "web"), "STATIC", "192.0.2.3");
    let text = first + &same_name + &same_number;
    assert_eq!(endpoints(&text), ["192.0.2.1:80", "192.0.2.2:81"]);
}

#[test]
fn ports_are_the_same_by_number_where_names_are_resolved() {
    let first = entry("a", 1, HTTP, "DNS", "a.example");
    let same_name = entry("b", 2, (81, "http"), "DNS", "b.example");
    let same_number = entry("c", 3, (80, "web"), "STATIC", "192.0.2.3");
    let text = first + &same_name + &same_number;
    assert_eq!(endpoints(&text), ["a.example:80", "192.0.2.3:80"]);
}

#[test]
fn names_are_no_endpoints_of_a_list() {
    let text =
        entry("a", 1, HTTP, "STATIC", "192.0.2.1") + &entry("b", 2, HTTP, "DNS", "b.example");
    assert_eq!(endpoints(&text), ["192.0.2.1:80"]);
}

#[test]
fn of_names_that_take_turns_the_oldest_counts() {
    let first = entry("a", 1, HTTP, "DNS_ROUND_ROBIN", "a.example");
    let second = entry("b", 2, HTTP, "DNS_ROUND_ROBIN", "b.example");
    assert_eq!(endpoints(&(first + &second)), ["a.example:80"]);
}

#[test]
fn an_entry_that_asks_for_a_race_of_its_addresses_is_told_that_there_is_none() {
    let text = entry("a", 1, HTTP, "DNS", "api.example");
    let annotated = |strategy: &str| {
        let annotations = format!("annotations: {{ istio.io/connect-strategy: {strategy} }} }}");
        text.replace("T00:00:00Z' }", &format!("T00:00:00Z', {annotations}"))
    };
    let racing = annotated("race_first_tcp_connect");
    let hidden = racing.replace("spec:", "spec:\n  exportTo: ['.']");
    for (text, namespace, is_told) in [
        (&racing, "shop", true),
        (&racing, "bank", true),
        (&hidden, "shop", true),
        (&hidden, "bank", false),
        (&annotated("DEFAULT"), "shop", false),
        (&racing.replace("DNS", "STATIC"), "shop", false),
        (&text, "shop", false),
    ] {
        let model = resolve(&config(text), &Workload::sidecar(namespace));
        let mut notices = model.notices.iter();
        let found = notices.any(|notice| notice.message.contains("connect-strategy"));
        assert_eq!(found, is_told, "{namespace} and {text}");
    }
}

#[test]
fn the_mesh_narrows_who_sees_entries_where_that_is_for_sidecars() {
    let namespaces = "
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: shop } }
---
";
    let text = namespaces.to_owned() + &entry("a", 1, HTTP, "STATIC", "192.0.2.1");
    let matching = r#"[{"visibility": "NAMESPACE", "matchingRules": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}]"#;
    let other = matching.replace(r#""team": "shop""#, r#""team": "bank""#);
    // Selectors that Istio does not take match nothing.
    let refused = |expression: &str| {
        format!(
            r#"{{"applyToSidecars": true, "defaultVisibility": "NONE", "policies": [{{"visibility": "PUBLIC",
            "matchingRules": [{{"namespaceSelector": {{"matchExpressions": [{expression}]}}}}]}}]}}"#
        )
    };
    for (settings, seen_by) in [
        ("{}".to_owned(), &["shop", "bank"][..]),
        (
            r#"{"defaultVisibility": "NAMESPACE"}"#.to_owned(),
            &["shop", "bank"],
        ),
        (
            r#"{"applyToSidecars": true, "defaultVisibility": "NAMESPACE"}"#.to_owned(),
            &["shop"],
        ),
        (
            r#"{"applyToSidecars": true, "defaultVisibility": "NONE"}"#.to_owned(),
            &[],
        ),
        (
            format!(r#"{{"applyToSidecars": true, "policies": {matching}}}"#),
            &["shop"],
        ),
        (
            format!(
                r#"{{"applyToSidecars": true, "defaultVisibility": "NONE", "policies": {other}}}"#
            ),
            &[],
        ),
        (refused(r#"{"key": "team", "operator": "NotIn"}"#), &[]),
        (
            refused(r#"{"key": "team", "operator": "Exists", "values": ["shop"]}"#),
            &[],
        ),
        (
            refused(r#"{"key": "not a key", "operator": "DoesNotExist"}"#),
            &[],
        ),
    ] {
        let written = format!(r#"{{"serviceEntryVisibility": {settings}}}"#);
        let mesh = serde_json::from_str(&written).unwrap();
        let config = config_of(MeshConfig::builder().mesh(mesh), &text);
        let sees = |namespace: &&str| {
            let model = resolve(&config, &Workload::sidecar(*namespace));
            let name = ClusterName::outbound(80, "", "api.example");
            model.clusters.contains_key(&name)
        };
        let found: Vec<_> = ["shop", "bank"].into_iter().filter(sees).collect();
        assert_eq!(found, seen_by, "{settings}");
    }
}
