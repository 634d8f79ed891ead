use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::origin::Origin;

/// Something that analysis found about a resource.
///
/// Displayed as `istioctl analyze` does, with the place of the field:
/// `Error [IST0101] (Gateway shop/public gateway.yaml:6) Referenced selector not found: "app=x"`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// What it is about.
    pub code: Code,
    /// The resource, and the field if it is about one.
    pub origin: Origin,
    /// What was found.
    pub text: String,
}

impl Message {
    /// How much it matters.
    pub const fn level(&self) -> Severity {
        self.code.level()
    }

    /// The resource as `Kind namespace/name`, or `Kind name` if it has no namespace.
    pub fn resource(&self) -> String {
        let origin = &self.origin;
        match origin.namespace() {
            "" => format!("{} {}", origin.kind(), origin.name()),
            namespace => format!("{} {namespace}/{}", origin.kind(), origin.name()),
        }
    }

    /// The namespace that the message belongs to: that of the resource, or the namespace that it
    /// is.
    pub fn namespace(&self) -> &str {
        match self.origin.kind() {
            "Namespace" => self.origin.name(),
            _ => self.origin.namespace(),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level() {
            Severity::Error => "Error",
            Severity::Info => "Info",
            Severity::Warning => "Warning",
        };
        write!(f, "{level} [{}] ({}", self.code, self.resource())?;
        match (self.origin.file(), self.origin.position()) {
            ("", _) => {}
            (file, position) if position.is_known() => write!(f, " {file}:{}", position.line)?,
            (file, _) => write!(f, " {file}")?,
        }
        write!(f, ") {}", self.text)
    }
}

/// Writes `code`, `level`, `origin` and `message`.
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Message", 4)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("level", &self.level())?;
        fields.serialize_field("origin", &self.origin)?;
        fields.serialize_field("message", &self.text)?;
        fields.end()
    }
}

impl From<&Message> for Diagnostic {
    fn from(message: &Message) -> Self {
        let origin = &message.origin;
        Self {
            code: message.code.as_str().to_owned(),
            position: origin.position(),
            label: origin.path().to_owned(),
            ..Self::new(message.level(), origin.file(), message.text.clone())
        }
    }
}
