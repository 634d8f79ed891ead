use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::origin::Position;

/// Something in a file that keeps a document from being read.
///
/// Displayed as `mesh.yaml:12:5: unknown field …`; as a [`Diagnostic`] it also carries a remedy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Name of the file, as given to the parser.
    pub file: Arc<str>,
    /// Place of the key or value that is wrong.
    pub position: Position,
    /// Path of the field, such as `spec.http[0].timeout`; empty for the document or the file.
    pub path: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a value, a document or a file.
///
/// Text of the file in these messages is cut after 80 characters.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is not YAML, or uses a part of it that Kubernetes does not.
    #[error("{message}")]
    Syntax {
        /// What the parser expected or found.
        message: String,
    },
    /// One of the [`Limits`](super::Limits) is exceeded.
    #[error("more than {limit} {what}")]
    Limit {
        /// The limit.
        limit: usize,
        /// What it limits, in the plural.
        what: &'static str,
    },
    /// A mapping has a key twice.
    #[error("duplicate key `{key}`, first written at {first}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it is written first.
        first: Position,
    },
    /// A key of a mapping is not text.
    #[error("`{key}` is {found} and cannot be a key")]
    UnsupportedKey {
        /// The key as written.
        key: String,
        /// What it is instead.
        found: &'static str,
    },
    /// A tag that has no meaning in configuration.
    #[error("unsupported tag `{tag}`")]
    UnsupportedTag {
        /// The tag.
        tag: String,
    },
    /// The schema has no such field.
    #[error("unknown field `{field}` in {parent}{}", did_you_mean(.nearest.as_deref()))]
    UnknownField {
        /// The key as written.
        field: String,
        /// What it was written in, such as `VirtualService spec.http[0]`.
        parent: String,
        /// The field that was probably meant.
        nearest: Option<String>,
        /// All fields that the object has.
        known: &'static [&'static str],
    },
    /// The field has a closed list of values, and this is none of them.
    #[error("unknown value `{value}`{}", did_you_mean(.nearest.as_deref()))]
    UnknownValue {
        /// The value as written.
        value: String,
        /// The value that was probably meant.
        nearest: Option<String>,
        /// All values that the field takes.
        known: &'static [&'static str],
    },
    /// The value has another type than the field.
    #[error("expected {expected}, found {found}{}", in_backticks(.value))]
    WrongType {
        /// What the field takes.
        expected: &'static str,
        /// What was written.
        found: &'static str,
        /// The value as written; empty for a list or an object.
        value: String,
    },
    /// A number that YAML 1.1 and YAML 1.2 read differently, or that nothing can hold.
    #[error("the number `{value}` is ambiguous")]
    AmbiguousNumber {
        /// The value as written.
        value: String,
    },
    /// An integer that the field cannot hold.
    #[error("`{value}` is out of range, expected {min} to {max}")]
    OutOfRange {
        /// The value as written.
        value: String,
        /// Least value of the field.
        min: i128,
        /// Greatest value of the field.
        max: i128,
    },
    /// The value has the right type, and the field's own syntax refuses it.
    #[error("{message}")]
    Invalid {
        /// Why.
        message: String,
    },
    /// A required field is absent.
    #[error("missing field `{field}`{}", of_kind(.of))]
    Missing {
        /// Path of the field.
        field: &'static str,
        /// Kind of the resource; empty when unknown.
        of: String,
    },
    /// A document has so many problems that not all were looked for.
    #[error("there may be more problems, which show once these are solved")]
    Incomplete,
    /// An API group of ours has no such kind.
    #[error("unknown kind `{kind}` in `{api_version}`{}", did_you_mean(*.nearest))]
    UnknownKind {
        /// Kind as written.
        kind: String,
        /// API group and version as written.
        api_version: String,
        /// The kind that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A kind of ours in an API group that there is not.
    #[error("unknown API group of {kind} in `{api_version}` (did you mean `{nearest}`?)")]
    UnknownGroup {
        /// The kind.
        kind: String,
        /// API group and version as written.
        api_version: String,
        /// The group that was probably meant.
        nearest: &'static str,
    },
    /// The kind is known, and not in this version.
    #[error("unsupported apiVersion `{api_version}` of {kind}")]
    UnsupportedVersion {
        /// API group and version as written.
        api_version: String,
        /// The kind.
        kind: &'static str,
        /// The versions that are read.
        accepted: &'static [&'static str],
        /// Group of the kind.
        group: &'static str,
    },
}

impl ProblemKind {
    /// What the author can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownField { known, .. } => Some(format!("known fields: {}", list(known))),
            Self::UnknownValue { known, .. } => Some(format!("known values: {}", list(known))),
            Self::WrongType {
                expected: "a string",
                found: "an integer",
                value,
            } => Some(format!(
                "quote it: \"{value}\"; a duration has a unit, too: \"{value}s\""
            )),
            Self::WrongType {
                expected: "a string",
                value,
                ..
            } if !value.is_empty() => Some(format!("quote it: \"{value}\"")),
            Self::WrongType {
                found: "a string",
                value,
                ..
            } => unquoted(value),
            Self::AmbiguousNumber { value } => Some(format!(
                "quote it if it is text (\"{value}\"), else write it without a leading zero and \
                 without `_`"
            )),
            Self::UnsupportedKey { key, .. } => Some(format!("quote it: \"{key}\"")),
            Self::UnsupportedVersion {
                accepted, group, ..
            } => {
                let accepted: Vec<_> = accepted
                    .iter()
                    .map(|version| match *group {
                        "" => format!("`{version}`"),
                        group => format!("`{group}/{version}`"),
                    })
                    .collect();
                Some(format!("accepted: {}", accepted.join(", ")))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.position.is_known() {
            write!(f, "{}:", self.position)?;
        }
        write!(f, " {}", self.kind)?;
        match self.kind {
            // These name the place already, or have none.
            ProblemKind::UnknownField { .. } | ProblemKind::Limit { .. } => Ok(()),
            _ if self.path.is_empty() => Ok(()),
            _ => write!(f, " at `{}`", self.path),
        }
    }
}

impl std::error::Error for Problem {}

impl From<&Problem> for Diagnostic {
    fn from(problem: &Problem) -> Self {
        Self {
            position: problem.position,
            label: problem.path.clone(),
            help: problem.kind.help().unwrap_or_default(),
            ..Self::new(
                Severity::Error,
                Arc::clone(&problem.file),
                problem.kind.to_string(),
            )
        }
    }
}

/// Sorts problems by their place; those that have none come last.
pub(super) fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| (!problem.position.is_known(), problem.position));
}

/// Cuts text of the file to what a message can show.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn in_backticks(value: &str) -> String {
    match value {
        "" => String::new(),
        value => format!(" `{value}`"),
    }
}

fn of_kind(kind: &str) -> String {
    match kind {
        "" => String::new(),
        kind => format!(" of {kind}"),
    }
}

fn list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn unquoted(value: &str) -> Option<String> {
    use super::scalar::Meaning;

    let number = matches!(
        Meaning::of(value),
        Meaning::Bool(_) | Meaning::Integer(_) | Meaning::Float(_)
    );
    number.then(|| format!("remove the quotes: {value}"))
}
