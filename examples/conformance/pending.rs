//! Corpora of parts of the mesh that are not built yet: every case is counted, and unsupported.

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};

const CONVERSION: &str = "conversion of Gateway API to Istio resources is not built yet";
const H2SPEC: &str = "needs the program h2spec, which nothing here runs yet";

/// Gateway API and Ingress resources, and what Istio makes of them.
pub(crate) fn gateway_conversion(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["suite", "name"], CONVERSION)
}

/// Tests of an HTTP/2 server.
pub(crate) fn h2spec(document: &Value, _: &Path) -> Vec<Case> {
    flat(list(document, "cases"), &["id"], H2SPEC)
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
