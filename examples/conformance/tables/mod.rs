//! Rows of table tests, each run through the function of ours that means the same.
//!
//! The function is chosen by the test's name. A table that none of ours means is not mapped, and its
//! rows are unsupported.

mod authorization;
mod certificates;
mod connections;
mod destination_rules;
mod gateways;
mod go;
mod hosts;
mod identities;
mod injection;
mod protocols;
mod reasons;
mod services;
mod sidecars;
mod spiffe;
mod strings;
mod telemetry;
mod tokens;
mod virtual_services;
mod world;

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};

/// Runs one row. `None` if the row is not of the shape that the test has.
type Run = fn(&Row<'_>) -> Option<Outcome>;

/// Runs one row that names files below the directory of the corpora.
type RunWithFiles = fn(&Row<'_>, &Path) -> Option<Outcome>;

/// Runs all tables of a file.
pub(crate) fn run(document: &Value, corpora: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for table in list(document, "tables") {
        let (file, test) = (text(table, "file"), text(table, "test"));
        for (index, row) in list(table, "rows").iter().enumerate() {
            let outcome = outcome(file, test, entry(row), corpora);
            let name = file.trim_end_matches("_test.go");
            cases.push(id(&[name, test, &index.to_string()]), outcome);
        }
    }
    cases.into_vec()
}

fn outcome(file: &str, test: &str, row: Row<'_>, corpora: &Path) -> Outcome {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    let outcome = match (mapped(name, test), mapped_with_files(file, test)) {
        (Some(run), _) => run(&row),
        (None, Some(run)) => run(&row, corpora),
        (None, None) => {
            return Outcome::unsupported(match reasons::why(name, test) {
                Some(why) => why.to_owned(),
                None => format!("not mapped: {file} {test}"),
            });
        }
    };
    outcome.unwrap_or_else(|| Outcome::unsupported("a row of another shape than its test"))
}

/// A row of a table that is a map of Go has a key and a value.
fn entry(row: &Value) -> Row<'_> {
    match (row.get("key"), row.get("value")) {
        (Some(Value::String(_)), Some(value @ Value::Object(_))) => Row(value),
        _ => Row(row),
    }
}

/// What runs the rows of a test that names files.
fn mapped_with_files(file: &str, test: &str) -> Option<RunWithFiles> {
    match (file, test) {
        ("pkg/kube/inject/inject_test.go", "TestInjectionOlderVersion") => Some(injection::older),
        _ => spiffe::mapped(file, test),
    }
}

/// What runs the rows of a test.
fn mapped(file: &str, test: &str) -> Option<Run> {
    let modules = [
        authorization::mapped,
        certificates::mapped,
        connections::mapped,
        destination_rules::mapped,
        gateways::mapped,
        hosts::mapped,
        identities::mapped,
        injection::mapped,
        protocols::mapped,
        services::mapped,
        sidecars::mapped,
        strings::mapped,
        telemetry::mapped,
        tokens::mapped,
        virtual_services::mapped,
    ];
    modules.into_iter().find_map(|mapped| mapped(file, test))
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a>(pub(crate) &'a Value);

impl<'a> Row<'a> {
    /// The value of a field. Go's tables leave out what is zero.
    pub(crate) fn field(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; empty where it is left out. `None` if it is something else.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        match self.field(name) {
            None => Some(""),
            Some(value) => value.as_str(),
        }
    }

    /// A boolean; false where it is left out. `None` if it is something else.
    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        match self.field(name) {
            None => Some(false),
            Some(value) => value.as_bool(),
        }
    }

    /// A number; zero where it is left out. `None` if it is something else.
    pub(crate) fn number(self, name: &str) -> Option<u64> {
        match self.field(name) {
            None => Some(0),
            Some(value) => value.as_u64(),
        }
    }

    /// A list of texts; empty where it is left out. `None` if it is something else.
    pub(crate) fn texts(self, name: &str) -> Option<Vec<&'a str>> {
        let Some(value) = self.field(name) else {
            return Some(Vec::new());
        };
        let items = value.get("_pos").unwrap_or(value).as_array()?;
        items.iter().map(Value::as_str).collect()
    }
}
