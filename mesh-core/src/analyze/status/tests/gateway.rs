use serde_json::json;

use super::*;

#[test]
fn a_class_of_the_controller_is_accepted_and_another_is_left_alone() {
    let class = |name, controller| {
        object(
            "GatewayClass",
            name,
            &format!("spec: {{ controllerName: {controller} }}"),
        )
        .replace("namespace: shop, ", "")
    };
    let text = class("ours", "istio.io/gateway-controller")
        + &class("remote", "istio.io/unmanaged-gateway")
        + &class("theirs", "example.net/controller");
    let statuses = statuses_of(&text);
    let names: Vec<_> = statuses
        .gateway_classes
        .iter()
        .map(|found| found.origin.name())
        .collect();
    assert_eq!(names, ["ours", "remote"]);
    let conditions = &statuses.gateway_classes[0].status.conditions;
    assert_eq!(words(conditions), ["Accepted=true Accepted"]);
}

#[test]
fn a_gateway_is_written_as_kubernetes_has_it() {
    let statuses = statuses_of(&(gateway(&[HTTP], "") + &route("HTTPRoute", EDGE, TO_CART)));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": 3,
        })
    };
    let fine = "No errors found";
    assert_eq!(
        serde_json::to_value(&statuses.gateways[0]).unwrap(),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "shop"},
            "status": {
                "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
                "conditions": [
                    condition("Accepted", "True", "Accepted", "Resource accepted"),
                    condition("Programmed", "True", "Programmed", "Resource programmed"),
                    condition("ResolvedRefs", "True", "ResolvedRefs", "All references resolved"),
                ],
                "listeners": [{
                    "name": "http",
                    "attachedRoutes": 1,
                    "supportedKinds": [
                        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"},
                        {"group": "gateway.networking.k8s.io", "kind": "GRPCRoute"},
                    ],
                    "conditions": [
                        condition("Accepted", "True", "Accepted", fine),
                        condition("Conflicted", "False", "NoConflicts", fine),
                        condition("Programmed", "True", "Programmed", fine),
                        condition("ResolvedRefs", "True", "ResolvedRefs", fine),
                    ],
                }],
            },
        })
    );
    // With all other resources in one list.
    let all = serde_json::to_value(&statuses).unwrap();
    let kinds: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["kind"])
        .collect();
    assert_eq!(kinds, ["Gateway", "HTTPRoute"]);
}

#[test]
fn a_gateway_that_lets_anybody_in_says_so() {
    let tls = ", tls: { frontend: { default: {}, perPort: [{ port: 443, tls: { validation: \
               { mode: AllowInsecureFallback } } }] } }";
    let status = gateway_status(&gateway(&[HTTP], tls));
    assert_eq!(
        words(&status.conditions)[1],
        "InsecureFrontendValidationMode=true ConfigurationChanged"
    );
}

#[test]
fn the_client_certificate_of_a_gateway_is_one_of_its_references() {
    for (reference, expected) in [
        (
            "{ name: none }",
            "ResolvedRefs=false InvalidClientCertificateRef",
        ),
        (
            "{ kind: A, name: credential }",
            "ResolvedRefs=false InvalidClientCertificateRef",
        ),
        (
            "{ name: none, namespace: bank }",
            "ResolvedRefs=false RefNotPermitted",
        ),
        ("{ name: credential }", "ResolvedRefs=true ResolvedRefs"),
    ] {
        let tls = format!(", tls: {{ backend: {{ clientCertificateRef: {reference} }} }}");
        let secret = object("Secret", "credential", &format!("stringData: {{ {PEM} }}"));
        let status = gateway_status(&(gateway(&[HTTP], &tls) + &secret));
        assert_eq!(words(&status.conditions)[2], expected, "{reference}");
    }
}

#[test]
fn a_remote_gateway_is_only_declared() {
    let text = gateway(&[HTTP], ", addresses: [{ value: 192.0.2.9 }]")
        .replace("gatewayClassName: istio", "gatewayClassName: istio-remote")
        + &route("HTTPRoute", EDGE, TO_CART);
    let statuses = statuses_of(&text);
    let status = &statuses.gateways[0].status;
    assert_eq!(
        words(&status.conditions),
        ["Accepted=true Accepted", "Programmed=true Programmed"]
    );
    assert_eq!(status.addresses[0].value, "192.0.2.9");
    assert_eq!(statuses.http_routes[0].status.parents.own, []);
}
