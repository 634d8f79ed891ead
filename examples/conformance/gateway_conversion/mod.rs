//! Gateway API resources, and what Istio makes of them: the status, which is compared whole and to
//! the letter, and resources of its own, which are not made here.

mod environment;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mesh_core::analyze::status::{StatusOptions, statuses};
use mesh_core::config::MeshConfig;
use mesh_core::model::Notice;
use mesh_core::parse::{self, Limits};
use mesh_core::resource::kind::Kind;
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::{joined, parse_value};
use crate::yaml;

const CONVERSION: &str =
    "resources are resolved to the model of a workload, not converted to Istio's";
/// The reason of conditions of values that are not supported.
const UNSUPPORTED: &str = "UnsupportedValue";
/// Suffix of the names of Services.
const DOMAIN: &str = "domain.suffix";

/// Runs the cases: one of the resources for each, and one of the status where that is given.
pub(crate) fn run(document: &Value, directory: &Path) -> Vec<Case> {
    let directory = directory.join("gateway-conversion");
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = [text(case, "suite"), text(case, "name")];
        cases.push(id(&name), Outcome::unsupported(CONVERSION));
        if !text(case, "status_golden").is_empty() {
            let outcome = status(case, &directory).unwrap_or_else(Outcome::Failed);
            cases.push(id(&[name[0], name[1], "status"]), outcome);
        }
    }
    cases.into_vec()
}

/// Whether all resources have the status that is expected of them, and no others have one.
fn status(case: &Value, directory: &Path) -> Result<Outcome, String> {
    let read = |field| {
        let file = directory.join(text(case, field));
        fs::read_to_string(&file).map_err(|error| format!("`{}`: {error}", file.display()))
    };
    let written = read("input")?;
    let inputs = documents(&written)?;
    if let Some(kind) = inputs.iter().find_map(unknown_kind) {
        let why = format!("resources of the kind `{kind}` are not read");
        return Ok(Outcome::Unsupported(why));
    }
    let golden = documents(&read("status_golden")?)?;
    let mut objects = Vec::new();
    let parsed = parse::parse(text(case, "input"), &written, &Limits::default());
    if !parsed.problems.is_empty() {
        return Err(joined(&parsed.problems));
    }
    objects.extend(parsed.objects);
    for resource in environment::resources(&inputs, &golden) {
        objects.extend(parse_value(&resource)?.objects);
    }
    let config = MeshConfig::builder().domain(DOMAIN).extend(objects);
    let config = config.build(1).map_err(|duplicates| joined(&duplicates))?;
    let statuses = statuses(&config, &StatusOptions::default());
    let found = serde_json::to_value(&statuses).map_err(|error| error.to_string())?;
    let found = by_name(found.as_array().map_or(&[][..], Vec::as_slice));
    Ok(compare(&by_name(&golden), &found, &statuses.notices))
}

/// Statuses by what identifies the resource.
type ByName = BTreeMap<String, Value>;

fn by_name(documents: &[Value]) -> ByName {
    let documents = documents.iter().map(|document| {
        let metadata = document.get("metadata").unwrap_or(&Value::Null);
        let (kind, name) = (text(document, "kind"), text(metadata, "name"));
        let name = id(&[kind, text(metadata, "namespace"), name]);
        let mut status = document.get("status").cloned().unwrap_or_default();
        forget_times(&mut status);
        (name, status)
    });
    documents.collect()
}

/// The times of transitions are not those of any clock.
fn forget_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            fields.values_mut().for_each(forget_times);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is refused, of a Gateway by a notice or of a route by its status, is not supported.
fn compare(expected: &ByName, found: &ByName, notices: &[Notice]) -> Outcome {
    for (name, status) in expected {
        let notice = notices.iter().find(|notice| {
            let origin = &notice.origin;
            id(&[origin.kind(), origin.namespace(), origin.name()]) == *name
        });
        match (found.get(name), notice) {
            (Some(found), _) if found == status => {}
            (Some(found), _) if found.to_string().contains(UNSUPPORTED) => {
                return Outcome::Unsupported(format!("{name}: {found}"));
            }
            (Some(found), _) => {
                return Outcome::Failed(format!("{name}: expected {status}, got {found}"));
            }
            (None, Some(notice)) => return Outcome::unsupported(&*notice.message),
            (None, None) => return Outcome::Failed(format!("{name} has no status")),
        }
    }
    match found.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Outcome::Failed(format!("{name} has a status, and none is expected")),
        None => Outcome::Passed,
    }
}

/// The kind of a resource, if it is none that is read.
fn unknown_kind(document: &Value) -> Option<&str> {
    let (group, _) = text(document, "apiVersion").split_once('/')?;
    let kind = text(document, "kind");
    Kind::find(group, kind).is_none().then_some(kind)
}

/// The documents of a text.
fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        match documents.last_mut() {
            Some(last) if line != "---" => {
                last.push_str(line);
                last.push('\n');
            }
            _ => documents.push(String::new()),
        }
    }
    let is_empty = |document: &String| {
        let mut lines = document.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#'))
    };
    let documents = documents.iter().filter(|document| !is_empty(document));
    documents.map(|document| yaml::parse(document)).collect()
}
