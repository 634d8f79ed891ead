use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};
use crate::origin::Origin;

/// A rule that a resource breaks, or a part of it that has no effect.
///
/// Resources with an [`Error`](Severity::Error) are refused, those with warnings are not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// Whether the resource is refused.
    pub severity: Severity,
    /// Which rule it is.
    pub kind: ViolationKind,
    /// Resource, field and place in the file.
    pub origin: Origin,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it. Empty when the message says all there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Violation {
    /// Whether the resource is refused because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The code of this finding among the messages of `istioctl analyze`, such as `IST0106`.
    pub const fn code(&self) -> &'static str {
        match (self.kind, self.severity) {
            (ViolationKind::UnreachableRule, _) => "IST0130",
            (ViolationKind::IneffectiveMatch, _) => "IST0131",
            (ViolationKind::Schema, Severity::Error) => "IST0106",
            (ViolationKind::Schema, Severity::Warning | Severity::Info) => "IST0133",
        }
    }
}

/// The family of a rule, where callers treat one differently.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ViolationKind {
    /// A match of a VirtualService that an earlier match covers (`IST0131`).
    IneffectiveMatch,
    /// What values a field may have.
    #[default]
    Schema,
    /// A rule of a VirtualService that no request gets to (`IST0130`).
    UnreachableRule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.severity, self.message)
    }
}

impl From<&Violation> for Diagnostic {
    fn from(violation: &Violation) -> Self {
        let origin = &violation.origin;
        Self {
            severity: violation.severity,
            code: violation.code().to_owned(),
            message: violation.message.clone(),
            file: Arc::from(origin.file()),
            position: origin.position(),
            label: origin.path().to_owned(),
            help: violation.help.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Position, Positions, Source};

    #[test]
    fn a_violation_becomes_a_diagnostic_at_its_place() {
        let source = Source::new("a.yaml", Positions::new(Position::new(3, 1)));
        let violation = Violation {
            severity: Severity::Warning,
            kind: ViolationKind::UnreachableRule,
            origin: Origin::new("VirtualService", "prod", "reviews", &source),
            message: "rule `#2` is never used".to_owned(),
            help: String::new(),
        };
        assert_eq!(
            Diagnostic::from(&violation).to_string(),
            "a.yaml:3:1: warning[IST0130]: rule `#2` is never used"
        );
    }
}
