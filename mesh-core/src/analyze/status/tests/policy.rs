use super::*;

fn policy(name: &str, target: &str, validation: &str) -> String {
    object(
        "BackendTLSPolicy",
        name,
        &format!(
            "spec: {{ targetRefs: [{target}], validation: {{ hostname: a.example, {validation} }} }}"
        ),
    )
}

#[test]
fn a_policy_has_the_status_of_its_targets_and_gateways() {
    let cart = "{ group: '', kind: Service, name: cart }";
    let system = "wellKnownCACertificates: System";
    let none = "caCertificateRefs: [{ group: '', kind: ConfigMap, name: none }]";
    let kind = "caCertificateRefs: [{ group: a.example, kind: B, name: c }]";
    let accepted = "Accepted=true Accepted";
    let resolved = "ResolvedRefs=true ResolvedRefs";
    for (target, validation, expected) in [
        (cart, system, [accepted, resolved]),
        (
            cart,
            none,
            [
                "Accepted=false NoValidCACertificate",
                "ResolvedRefs=false InvalidCACertificateRef",
            ],
        ),
        (
            cart,
            kind,
            [
                "Accepted=false NoValidCACertificate",
                "ResolvedRefs=false InvalidKind",
            ],
        ),
        (
            cart,
            "wellKnownCACertificates: a.example/b",
            ["Accepted=false Invalid", resolved],
        ),
        (
            "{ group: '', kind: Service, name: none }",
            system,
            ["Accepted=false TargetNotFound", resolved],
        ),
        (
            "{ group: '', kind: Service, name: cart, sectionName: none }",
            system,
            ["Accepted=false TargetNotFound", resolved],
        ),
    ] {
        let text = gateway(&[HTTP], "")
            + &route("HTTPRoute", EDGE, TO_CART)
            + &policy("policy", target, validation);
        let statuses = statuses_of(&text);
        let ancestors = &statuses.backend_tls_policies[0].status.ancestors.own;
        assert_eq!(
            words(&ancestors[0].conditions),
            expected,
            "{target} {validation}"
        );
        assert_eq!(ancestors[0].controller_name, "istio.io/mesh-controller");
        if target == cart {
            let gateway = &ancestors[1];
            assert_eq!(gateway.ancestor_ref.name, "edge");
            assert_eq!(gateway.controller_name, "istio.io/gateway-controller");
            assert_eq!(words(&gateway.conditions), expected);
        }
    }
}

#[test]
fn a_policy_without_its_target_is_told_at_the_target_alone() {
    let none = "{ group: '', kind: Service, name: none }";
    let to_none = ", rules: [{ backendRefs: [{ name: none, port: 80 }] }]";
    let text = gateway(&[HTTP], "")
        + &route("HTTPRoute", EDGE, to_none)
        + &policy("policy", none, "wellKnownCACertificates: System");
    let statuses = statuses_of(&text);
    let ancestors = &statuses.backend_tls_policies[0].status.ancestors.own;
    let controllers = ancestors.iter().map(|found| &*found.controller_name);
    assert_eq!(Vec::from_iter(controllers), ["istio.io/mesh-controller"]);
}

#[test]
fn authorities_are_under_either_key_and_else_invalid() {
    let cart = "{ group: '', kind: Service, name: cart }";
    let refs = "caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }]";
    let text = policy("policy", cart, refs);
    let message = |data: &str| {
        let map = format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: ca, namespace: shop }}\n\
             data: {{ {data} }}\n"
        );
        let statuses = statuses_of(&(text.clone() + &map));
        let ancestors = &statuses.backend_tls_policies[0].status.ancestors.own;
        ancestors[0].conditions[1].message.clone()
    };
    for key in ["cacert", "ca.crt"] {
        let data = format!("{key}: '-----BEGIN CERTIFICATE-----'");
        assert_eq!(message(&data), "Configuration is valid", "{key}");
    }
    let found = message("other: text");
    assert!(found.starts_with("Certificate invalid: "), "{found}");
}

#[test]
fn of_two_policies_for_a_target_the_older_has_it() {
    let cart = "{ group: '', kind: Service, name: cart }";
    let system = "wellKnownCACertificates: System";
    let old = policy("b", cart, system).replace(
        "generation",
        "creationTimestamp: 2024-01-01T00:00:00Z, generation",
    );
    let new = policy("a", cart, system).replace(
        "generation",
        "creationTimestamp: 2024-01-02T00:00:00Z, generation",
    );
    let statuses = statuses_of(&(new + &old));
    let words: Vec<_> = statuses
        .backend_tls_policies
        .iter()
        .map(|found| {
            let accepted = &found.status.ancestors.own[0].conditions[0];
            (found.origin.name(), accepted.status, accepted.reason)
        })
        .collect();
    assert_eq!(
        words,
        [
            ("b", true, Reason::Accepted),
            ("a", false, Reason::Conflicted)
        ]
    );
}

#[test]
fn a_policy_that_is_to_be_ignored_is() {
    let text = policy(
        "a",
        "{ group: '', kind: Service, name: cart }",
        "wellKnownCACertificates: System",
    )
    .replace(
        "generation",
        "annotations: { istio.io/ignore-policy-attachment: 'true' }, generation",
    );
    let statuses = statuses_of(&text);
    let ancestors = &statuses.backend_tls_policies[0].status.ancestors.own;
    assert_eq!(
        words(&ancestors[0].conditions),
        ["Accepted=false IgnoredByIstio"]
    );
}
