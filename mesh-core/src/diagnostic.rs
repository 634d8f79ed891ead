//! One finding about a configuration, as shown to its author.
//!
//! Parsing, validation and analysis find problems of their own types; a [`Diagnostic`] is the form
//! that they share for display. Its `Display` is one line; `parse::render` (feature `yaml`) draws
//! it under an excerpt of the file.
//!
//! # Example
//!
//! ```
//! use mesh_core::diagnostic::{Diagnostic, Severity};
//! use mesh_core::origin::Position;
//!
//! let diagnostic = Diagnostic {
//!     position: Position::new(12, 5),
//!     ..Diagnostic::new(Severity::Error, "mesh.yaml", "unknown field `htttp`")
//! };
//! assert_eq!(diagnostic.to_string(), "mesh.yaml:12:5: error: unknown field `htttp`");
//! ```

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::origin::{Origin, Position};

/// How much a finding matters, least first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong; the author may want to know.
    Info,
    /// The configuration is accepted, and probably does not do what its author wants.
    Warning,
    /// The configuration is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A finding, with the place that it is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Code of the finding, such as `IST0101`; empty when it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What was found: lower case, no full stop.
    pub message: String,
    /// File that it is about; empty when unknown.
    #[serde(serialize_with = "text")]
    pub file: Arc<str>,
    /// Place in the file.
    pub position: Position,
    /// Short text shown at the place itself; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What the author can do about it; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Diagnostic {
    /// A finding about what was written at `origin`, labelled with its path.
    pub fn at(origin: &Origin, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            position: origin.position(),
            label: origin.path().to_owned(),
            ..Self::new(severity, origin.file(), message)
        }
    }

    /// A finding about `file`, with no code, place, label or help.
    pub fn new(severity: Severity, file: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: String::new(),
            message: message.into(),
            file: file.into(),
            position: Position::default(),
            label: String::new(),
            help: String::new(),
        }
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.position.is_known() {
                write!(f, "{}:", self.position)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}", self.severity)?;
        if !self.code.is_empty() {
            write!(f, "[{}]", self.code)?;
        }
        write!(f, ": {}", self.message)
    }
}
