//! Injection: whether pods get a sidecar, and what is added to them.
//!
//! What istiod's template adds is compared by name (containers, volumes, labels and annotations),
//! in the order of the containers, and not byte for byte.

mod settings;
mod summary;

use std::path::Path;

use mesh_core::labels::Labels;
use mesh_policy::admission::decision::{Candidate, INJECT, InjectionPolicy};
use mesh_policy::admission::{Pod, inject_object};
use serde_json::{Value, json};

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::yaml;

/// Whether a pod gets a sidecar.
pub(crate) fn decisions(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let pod = case.get("pod").map_or("", |pod| text(pod, "name"));
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        let outcome = decide(case, document).unwrap_or_else(Outcome::Unsupported);
        cases.push(id(&[pod, &line]), outcome);
    }
    cases.into_vec()
}

fn decide(case: &Value, document: &Value) -> Result<Outcome, String> {
    let mut config = case.get("config").cloned().unwrap_or_default();
    for field in ["alwaysInjectSelector", "neverInjectSelector"] {
        for selector in config
            .get_mut(field)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            written_out(selector)?;
        }
    }
    config["ignoredNamespaces"] = document
        .get("ignored_namespaces")
        .cloned()
        .unwrap_or_default();
    let policy: InjectionPolicy =
        serde_json::from_value(config).map_err(|error| error.to_string())?;
    let pod = Pod::new(json!({ "metadata": case.get("pod") }));
    let labels: Labels = pod.labels();
    let verdict = policy.decide(&Candidate {
        namespace: pod.metadata("namespace").unwrap_or_default(),
        labels: &labels,
        annotation: pod.annotation(INJECT),
        host_network: case.get("host_network") == Some(&Value::Bool(true)),
    });
    let expected = case.get("injected") == Some(&Value::Bool(true));
    Ok(Outcome::equal(&expected, &verdict.inject))
}

/// The corpus writes some selectors in kubectl's language, of which a key alone means that the
/// label is there.
fn written_out(selector: &mut Value) -> Result<(), String> {
    let Some(key) = selector.get("labelSelectorString").and_then(Value::as_str) else {
        return Ok(());
    };
    if key.contains(['=', '!', ' ', ',']) {
        return Err(format!("the selector `{key}` is not read here"));
    }
    *selector = json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
    Ok(())
}

/// Pods before and after injection.
pub(crate) fn pairs(document: &Value, directory: &Path) -> Vec<Case> {
    let directory = directory.join("injector/testdata");
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = id(&[text(case, "suite"), text(case, "in"), text(case, "want")]);
        let outcome = inject(case, &directory).unwrap_or_else(Outcome::Unsupported);
        cases.push(name, outcome);
    }
    cases.into_vec()
}

/// The pair of a suite that has these files, injected.
pub(crate) fn pair(suite: &str, files: [&str; 2], corpora: &Path) -> Option<Outcome> {
    let text_of = std::fs::read(corpora.join("injector/cases.json")).ok()?;
    let document: Value = serde_json::from_slice(&text_of).ok()?;
    let case = list(&document, "cases").iter().find(|case| {
        text(case, "suite") == suite && ["in", "want"].map(|name| text(case, name)) == files
    })?;
    let outcome = inject(case, &corpora.join("injector/testdata"));
    Some(outcome.unwrap_or_else(Outcome::Unsupported))
}

fn inject(case: &Value, directory: &Path) -> Result<Outcome, String> {
    let injector = settings::injector(case, directory)?;
    let input = std::fs::read_to_string(directory.join(text(case, "in")));
    let input = input.map_err(|error| error.to_string())?;
    let refused = case.get("expected_error").is_some();
    let mut actual = Vec::new();
    for text in input.split("\n---") {
        let before = yaml::parse(text)?;
        let mut after = before.clone();
        let injected = inject_object(&injector, &InjectionPolicy::default(), &mut after);
        match injected {
            Err(_) if refused => return Ok(Outcome::Passed),
            Err(error) => return Ok(Outcome::failed(error.to_string())),
            Ok(_) => actual.extend(summary::pods(&before, &after)),
        }
    }
    if refused {
        return Ok(Outcome::failed("accepted, expected a refusal"));
    }
    let expected = case.get("summary").cloned().unwrap_or_default();
    Ok(Outcome::equal(&expected, &Value::Array(actual)))
}
