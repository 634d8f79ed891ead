//! Envoy's own tests: requests by route configuration, configurations that it refuses, and vectors
//! of paths, hashes and retries.

mod action;
mod config;
mod convert;
mod expectation;
mod hashing;
mod headers;
mod matches;
mod refusal;
mod replay;
mod retry;
mod rewrite;
mod uri_template;
mod vectors;

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::envoy::refusal::Refusal;
use crate::envoy::replay::Table;
use crate::yaml;

pub(crate) use crate::envoy::vectors::run as vectors;

/// Requests and the routes that Envoy gives them, then configurations that it refuses.
pub(crate) fn routes(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for suite in list(document, "suites") {
        let config = suite.get("route_config").unwrap_or(&Value::Null);
        let table = match suite.get("uses_mocks").and_then(Value::as_bool) {
            Some(true) => Table::compile_with_mocks(config),
            Some(false) | None => Table::compile(config),
        };
        for (index, test) in list(suite, "tests").iter().enumerate() {
            let number = index.to_string();
            let name = if text(test, "name").is_empty() {
                &number
            } else {
                text(test, "name")
            };
            let outcome = match &table {
                Ok(table) => table.replay(test),
                Err(Refusal::Inexpressible(why)) => Outcome::unsupported(why),
                Err(Refusal::Invalid(why)) => Outcome::Failed(format!("refused: {why}")),
            };
            cases.push(id(&[text(suite, "name"), name]), outcome);
        }
    }
    for config in list(document, "invalid_configs") {
        let line = text(config, "source")
            .rsplit(':')
            .next()
            .unwrap_or_default();
        let name = id(&["invalid", text(config, "test"), line]);
        cases.push(name, invalid(config));
    }
    cases.into_vec()
}

/// Whether a configuration that Envoy refuses is refused.
fn invalid(case: &Value) -> Outcome {
    if text(case, "error").starts_with("route: unknown ") {
        return Outcome::unsupported("needs the list of clusters that exist");
    }
    let document = match yaml::parse(text(case, "yaml")) {
        Ok(document) => document,
        Err(problems) => return Outcome::Unsupported(format!("not read as YAML: {problems}")),
    };
    match Table::compile(&document) {
        Err(Refusal::Invalid(_)) => Outcome::Passed,
        Err(Refusal::Inexpressible(why)) => Outcome::unsupported(why),
        Ok(table) => match table.first_inexpressible() {
            Some(why) => Outcome::unsupported(why),
            None if has_metadata(&document) => Outcome::unsupported("the model has no metadata"),
            None => Outcome::failed("accepted, expected a refusal"),
        },
    }
}

/// Whether a route carries metadata, which extensions of Envoy may refuse.
fn has_metadata(document: &Value) -> bool {
    let hosts = list(document, "virtual_hosts").iter();
    let mut routes = hosts.flat_map(|host| list(host, "routes"));
    routes.any(|route| route.get("metadata").is_some())
}
