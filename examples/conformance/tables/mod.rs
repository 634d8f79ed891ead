//! Rows of table tests, each run through the function of ours that means the same.
//!
//! The function is chosen by the test's name. A table that none of ours means is not mapped, and its
//! rows are unsupported.

mod hosts;
mod identities;
mod protocols;
mod strings;

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};

/// Runs one row. `None` if the row is not of the shape that the test has.
type Run = fn(&Row<'_>) -> Option<Outcome>;

/// Runs all tables of a file.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for table in list(document, "tables") {
        let (file, test) = (text(table, "file"), text(table, "test"));
        let run = mapped(file, test);
        for (index, row) in list(table, "rows").iter().enumerate() {
            let outcome = match run {
                None => Outcome::Unsupported(format!("not mapped: {file} {test}")),
                Some(run) => run(&Row(row)).unwrap_or_else(|| {
                    Outcome::unsupported("a row of another shape than its test")
                }),
            };
            let name = file.trim_end_matches("_test.go");
            cases.push(id(&[name, test, &index.to_string()]), outcome);
        }
    }
    cases.into_vec()
}

/// What runs the rows of a test.
fn mapped(file: &str, test: &str) -> Option<Run> {
    let file = file.rsplit_once('/').map_or(file, |(_, name)| name);
    hosts::mapped(file, test)
        .or_else(|| identities::mapped(file, test))
        .or_else(|| protocols::mapped(file, test))
        .or_else(|| strings::mapped(file, test))
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
