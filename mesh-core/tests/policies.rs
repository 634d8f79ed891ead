//! The policies that are attached to a workload.
#![cfg(feature = "yaml")]

mod support;

use mesh_core::model::Model;
use mesh_core::model::policy::MtlsMode;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::support::config;

fn peer(namespace: &str, name: &str, spec: &str) -> String {
    policy("PeerAuthentication", namespace, name, spec)
}

fn policy(kind: &str, namespace: &str, name: &str, spec: &str) -> String {
    let group = if kind == "Telemetry" {
        "telemetry"
    } else {
        "security"
    };
    let day = name.len();
    format!(
        "
apiVersion: {group}.istio.io/v1
kind: {kind}
metadata: {{ name: {name}, namespace: {namespace}, creationTimestamp: '2020-01-0{day}T00:00:00Z' }}
spec: {{ {spec} }}
---
"
    )
}

fn web() -> Workload {
    Workload::sidecar("shop").with_label("app", "web")
}

fn model(texts: &[String], workload: &Workload) -> Model {
    resolve(&config(&texts.concat()), workload)
}

#[test]
fn peer_modes_are_inherited_from_mesh_to_namespace_to_workload() {
    let selector = "selector: { matchLabels: { app: web } }";
    let mesh = |mode: &str| peer("istio-system", "m", &format!("mtls: {{ mode: {mode} }}"));
    let namespace = |mode: &str| peer("shop", "ns", &format!("mtls: {{ mode: {mode} }}"));
    let workload = |mode: &str| {
        peer(
            "shop",
            "w",
            &format!("{selector}, mtls: {{ mode: {mode} }}"),
        )
    };
    for (texts, expected) in [
        (vec![], MtlsMode::Permissive),
        (vec![mesh("STRICT")], MtlsMode::Strict),
        (
            vec![mesh("STRICT"), namespace("DISABLE")],
            MtlsMode::Disable,
        ),
        (vec![mesh("STRICT"), namespace("UNSET")], MtlsMode::Strict),
        (
            vec![namespace("DISABLE"), workload("STRICT")],
            MtlsMode::Strict,
        ),
        (
            vec![namespace("DISABLE"), workload("UNSET")],
            MtlsMode::Disable,
        ),
        (
            vec![workload("STRICT").replace("web", "other")],
            MtlsMode::Permissive,
        ),
        (
            vec![workload("STRICT").replace("namespace: shop", "namespace: bank")],
            MtlsMode::Permissive,
        ),
        (
            vec![workload("STRICT").replace("namespace: shop", "namespace: istio-system")],
            MtlsMode::Permissive,
        ),
    ] {
        let found = model(&texts, &web()).policies.peer.mode;
        assert_eq!(found, expected, "{texts:?}");
    }
}

#[test]
fn the_oldest_policy_of_a_level_counts() {
    let texts = [
        peer("shop", "younger", "mtls: { mode: STRICT }"),
        peer("shop", "old", "mtls: { mode: DISABLE }"),
    ];
    let model = model(&texts, &web());
    assert_eq!(model.policies.peer.mode, MtlsMode::Disable);
    assert_eq!(model.policies.peer.origins[0].name(), "old");
    assert_eq!(model.notices.len(), 1);
    assert_eq!(model.notices[0].origin.name(), "younger");
}

#[test]
fn ports_are_those_of_the_workload_and_inherit_its_mode() {
    let ports = "portLevelMtls: { 8080: { mode: DISABLE }, 9090: { mode: UNSET } }";
    let selecting = peer(
        "shop",
        "w",
        &format!("selector: {{ matchLabels: {{ app: web }} }}, mtls: {{ mode: STRICT }}, {ports}"),
    );
    let peer_policy = model(&[selecting], &web()).policies.peer;
    for (port, expected) in [
        (8080, MtlsMode::Disable),
        (9090, MtlsMode::Strict),
        (7070, MtlsMode::Strict),
    ] {
        assert_eq!(peer_policy.mode_of(port), expected, "{port}");
    }
    let for_all = peer("shop", "ns", ports);
    let peer_policy = model(&[for_all], &web()).policies.peer;
    assert_eq!(peer_policy.mode_of(8080), MtlsMode::Permissive);
}

fn names<S>(policies: &[std::sync::Arc<mesh_core::resource::Resource<S>>]) -> Vec<String> {
    let names = policies
        .iter()
        .map(|policy| format!("{}/{}", policy.metadata.namespace, policy.metadata.name));
    names.collect()
}

#[test]
fn policies_of_the_root_and_the_own_namespace_apply_together() {
    let kinds = ["AuthorizationPolicy", "RequestAuthentication"];
    let texts = kinds.map(|kind| {
        [
            policy(kind, "shop", "b", ""),
            policy(
                kind,
                "shop",
                "aa",
                "selector: { matchLabels: { app: web } }",
            ),
            policy(
                kind,
                "shop",
                "ccc",
                "selector: { matchLabels: { app: other } }",
            ),
            policy(kind, "bank", "d", ""),
            policy(
                kind,
                "istio-system",
                "e",
                "selector: { matchLabels: { app: web } }",
            ),
        ]
        .concat()
    });
    let policies = model(&texts, &web()).policies;
    assert_eq!(
        names(&policies.authorization),
        ["istio-system/e", "shop/b", "shop/aa"]
    );
    assert_eq!(
        names(&policies.request_authentication),
        ["shop/b", "shop/aa", "istio-system/e"]
    );
}

#[test]
fn policies_with_references_are_for_the_gateway_that_they_name() {
    let reference = |namespace: &str, name: &str, kind: &str, target: &str| {
        let spec = format!(
            "targetRefs: [{{ group: gateway.networking.k8s.io, kind: {kind}, name: {target} }}]"
        );
        policy("AuthorizationPolicy", namespace, name, &spec)
    };
    let texts = [
        reference("shop", "a", "Gateway", "public"),
        reference("shop", "b", "Gateway", "private"),
        reference("shop", "c", "GatewayClass", "public"),
        reference("istio-system", "d", "Gateway", "public"),
        policy(
            "AuthorizationPolicy",
            "shop",
            "ee",
            "selector: { matchLabels: { app: web } }",
        ),
        policy(
            "AuthorizationPolicy",
            "shop",
            "fff",
            "targetRef: { group: gateway.networking.k8s.io, kind: Gateway, name: public }",
        ),
    ];
    let key = "gateway.networking.k8s.io/gateway-name";
    let gateway = Workload::gateway("shop")
        .with_label("app", "web")
        .with_label(key, "public");
    let found = names(&model(&texts, &gateway).policies.authorization);
    assert_eq!(found, ["shop/a", "shop/ee", "shop/fff"]);
    let found = names(&model(&texts, &web()).policies.authorization);
    assert_eq!(found, ["shop/ee"]);
}

#[test]
fn one_telemetry_of_the_mesh_and_one_of_the_namespace_precede_the_selecting_ones() {
    let texts = [
        policy("Telemetry", "istio-system", "m", ""),
        policy("Telemetry", "istio-system", "mm", ""),
        policy(
            "Telemetry",
            "istio-system",
            "s",
            "selector: { matchLabels: { app: web } }",
        ),
        policy("Telemetry", "shop", "nn", ""),
        policy(
            "Telemetry",
            "shop",
            "w",
            "selector: { matchLabels: { app: web } }",
        ),
        policy(
            "Telemetry",
            "shop",
            "o",
            "selector: { matchLabels: { app: other } }",
        ),
    ];
    let model = model(&texts, &web());
    assert_eq!(
        names(&model.policies.telemetry),
        ["istio-system/m", "shop/nn", "shop/w"]
    );
    let noticed: Vec<_> = model
        .notices
        .iter()
        .map(|notice| notice.origin.name())
        .collect();
    assert_eq!(noticed, ["mm", "s"]);
}
