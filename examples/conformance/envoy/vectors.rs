//! Vectors: paths, URI templates, hashes, hash rings and retries.

use std::path::Path;

use mesh_core::path;
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::envoy::{hashing, retry, uri_template};

/// Runs all vectors.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for group in ["xxhash64", "murmur2", "maglev", "ring_hash"] {
        named(&mut cases, group, list(document, group));
    }
    for vector in list(document, "retry") {
        cases.push(id(&["retry", text(vector, "test")]), retry::run(vector));
    }
    groups(&mut cases, "path", document, path_vector);
    if let Some(vectors) = document.get("uri_template") {
        uri_template::run(&mut cases, vectors);
    }
    cases.into_vec()
}

/// A case for each vector, named by its test or its place.
fn named(cases: &mut Cases, group: &str, vectors: &[Value]) {
    for (index, vector) in vectors.iter().enumerate() {
        let index = index.to_string();
        let name = if text(vector, "test").is_empty() {
            &index
        } else {
            text(vector, "test")
        };
        cases.push(id(&[group, name]), hashing::run(group, vector));
    }
}

/// A case for each vector of each list at `name`; suites have theirs at `values`.
fn groups(cases: &mut Cases, name: &str, document: &Value, run: fn(&str, &Value) -> Outcome) {
    let groups = document.get(name).and_then(Value::as_object);
    for (group, vectors) in groups.into_iter().flatten() {
        for (index, vector) in vectors.as_array().into_iter().flatten().enumerate() {
            let suite = text(vector, "suite");
            let index = index.to_string();
            if suite.is_empty() {
                cases.push(id(&[name, group, &index]), run(group, vector));
                continue;
            }
            for (index, value) in list(vector, "values").iter().enumerate() {
                cases.push(id(&[name, suite, &index.to_string()]), run(group, value));
            }
        }
    }
}

/// Runs a function on a path.
fn path_vector(group: &str, vector: &Value) -> Outcome {
    let (input, output) = (text(vector, "in"), text(vector, "out"));
    match group {
        "normalize" => match path::normalize(input) {
            Ok(normal) => Outcome::equal(&output, &&*normal),
            Err(error) => Outcome::Failed(format!("refused: {error}")),
        },
        "normalize_invalid" => {
            Outcome::refusal(true, &path::normalize(vector.as_str().unwrap_or_default()))
        }
        "merge_slashes" => Outcome::equal(&output, &&*path::merge_slashes(input)),
        "remove_query_and_fragment" => {
            Outcome::equal(&output, &path::without_query_and_fragment(input))
        }
        "unescape_slashes" => Outcome::equal(&output, &&*path::unescape_slashes(input)),
        _ => Outcome::Unsupported(format!("there is no `{group}` of paths")),
    }
}
