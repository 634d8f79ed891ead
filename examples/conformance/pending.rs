//! Corpora of parts of the mesh that are not built yet: every case is counted, and unsupported.

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};

const ANALYZE: &str = "mesh-core: analysis is not built yet";
const AUTHENTICATION: &str = "mesh-policy: token verification is not built yet";
const AUTHORIZATION: &str = "mesh-policy: authorization is not built yet";
const CONVERSION: &str = "conversion of Gateway API to Istio resources is not built yet";
const H2SPEC: &str = "needs the program h2spec, which nothing here runs yet";
const INJECTION: &str = "mesh-policy: admission is not built yet";

/// Messages of `istioctl analyze`.
pub(crate) fn analyzers(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["analyzer_name", "name"], ANALYZE)
}

/// Whole policies, by the verdicts of an Envoy that runs Istio's golden output. Those without
/// verdicts are one case each.
pub(crate) fn authz_builder(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = id(&[text(case, "kind"), text(case, "name")]);
        verdicts(&mut cases, &name, case);
        if list(case, "verdicts").is_empty() {
            cases.push(name, Outcome::unsupported(AUTHORIZATION));
        }
    }
    cases.into_vec()
}

/// Requests of Istio's end-to-end security tests.
pub(crate) fn authz_integration(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let to = case.get("to").map_or("", |to| text(to, "service"));
        let request = case.get("request").unwrap_or(&Value::Null);
        let parts = [
            text(case, "test"),
            text(case, "case"),
            text(case, "policies"),
            to,
            text(request, "port_name"),
            text(request, "method"),
            text(request, "path").trim_start_matches('/'),
        ];
        cases.push(id(&parts), Outcome::unsupported(AUTHORIZATION));
    }
    cases.into_vec()
}

/// Single conditions of a policy, a case a verdict.
pub(crate) fn authz_leaves(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for (index, case) in list(document, "cases").iter().enumerate() {
        let name = format!("{}/{index}", text(case, "attribute"));
        verdicts(&mut cases, &name, case);
    }
    cases.into_vec()
}

fn verdicts(cases: &mut Cases, name: &str, case: &Value) {
    for index in 0..list(case, "verdicts").len() {
        cases.push(
            format!("{name}/{index}"),
            Outcome::unsupported(AUTHORIZATION),
        );
    }
}

/// Gateway API and Ingress resources, and what Istio makes of them.
pub(crate) fn gateway_conversion(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["suite", "name"], CONVERSION)
}

/// Tests of an HTTP/2 server.
pub(crate) fn h2spec(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["id"], H2SPEC)
}

/// Whether a pod gets a sidecar.
pub(crate) fn inject_required(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let pod = case.get("pod").map_or("", |pod| text(pod, "name"));
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        cases.push(id(&[pod, &line]), Outcome::unsupported(INJECTION));
    }
    cases.into_vec()
}

/// Pods before and after injection.
pub(crate) fn injector(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["suite", "in", "want"], INJECTION)
}

/// Tokens of Istio's tests.
pub(crate) fn istio_tokens(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "expected"), &["name"], AUTHENTICATION)
}

/// Tests of the verifier that Envoy embeds.
pub(crate) fn jwt_verify(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["op", "test"], AUTHENTICATION)
}

/// Wycheproof's test vectors.
pub(crate) fn wycheproof(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for group in list(document, "testGroups") {
        for test in list(group, "tests") {
            let number = test.get("tcId").map(Value::to_string).unwrap_or_default();
            let name = id(&[&number, text(group, "comment"), text(test, "comment")]);
            cases.push(name, Outcome::unsupported(AUTHENTICATION));
        }
    }
    cases.into_vec()
}

/// A case for each of `values`, named by the texts at `names`.
fn flat(values: &[Value], names: &[&str], why: &str) -> Vec<Case> {
    let mut cases = Cases::default();
    for value in values {
        let parts: Vec<&str> = names.iter().map(|name| text(value, name)).collect();
        cases.push(id(&parts), Outcome::unsupported(why));
    }
    cases.into_vec()
}
