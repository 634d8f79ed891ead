//! A case and what became of it, and how cases are read from JSON.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;

/// What became of a case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The libraries did what the case expects.
    Passed,
    /// They did something else.
    Failed(String),
    /// They refuse what the case needs, or it is not built yet.
    Unsupported(String),
}

impl Outcome {
    /// Something else than expected.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// Refused, with the message.
    pub(crate) fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported(why.into())
    }

    /// Passed if `actual` is what is expected.
    pub(crate) fn equal<T: std::fmt::Debug + PartialEq>(expected: &T, actual: &T) -> Self {
        if expected == actual {
            Self::Passed
        } else {
            Self::Failed(format!("expected {expected:?}, got {actual:?}"))
        }
    }

    /// Passed if whether `result` is an error is what is expected.
    pub(crate) fn refusal<T, E: Display>(expected: bool, result: &Result<T, E>) -> Self {
        match (expected, result) {
            (true, Err(_)) | (false, Ok(_)) => Self::Passed,
            (true, Ok(_)) => Self::failed("accepted, expected a refusal"),
            (false, Err(error)) => Self::Failed(format!("refused: {error}")),
        }
    }
}

/// A case that was run.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Names it within its corpus; unique and the same in every run.
    pub(crate) id: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// The cases of a corpus, each with an id of its own.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    cases: Vec<Case>,
    seen: HashMap<String, usize>,
}

impl Cases {
    /// Adds a case. The second of the same id gets `#2` appended, and so on.
    pub(crate) fn push(&mut self, id: impl Into<String>, outcome: Outcome) {
        let id = id.into();
        let count = self.seen.entry(id.clone()).or_default();
        *count += 1;
        let id = if *count == 1 {
            id
        } else {
            format!("{id}#{count}")
        };
        self.cases.push(Case { id, outcome });
    }

    /// The cases, in the order in which they were added.
    pub(crate) fn into_vec(self) -> Vec<Case> {
        self.cases
    }
}

/// The elements of the list at `field`; none if there is no list.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The text at `field`; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The parts of an id that are there, joined by `/`.
pub(crate) fn id(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("/")
}
