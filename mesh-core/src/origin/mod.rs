//! Where a rule was written: resource, field and place in a file.
//!
//! An [`Origin`] travels with every rule of the resolved model into explanations, diagnostics and
//! errors. It is made from the [`Source`] of a resource, which knows the [`Position`] of every
//! value by its [`FieldPath`].
//!
//! # Example
//!
//! ```
//! use mesh_core::origin::{FieldPath, Origin, Position, Positions, Source};
//!
//! let mut positions = Positions::new(Position::new(1, 1));
//! positions.add_fields(0, [("spec", Position::new(6, 3))]);
//! let source = Source::new("mesh.yaml", positions);
//!
//! let reviews = Origin::new("VirtualService", "default", "reviews", &source);
//! assert_eq!(reviews.to_string(), "VirtualService default/reviews (mesh.yaml:1:1)");
//! let rule = reviews.at(&FieldPath::root().field("spec"), &source);
//! assert_eq!(rule.to_string(), "VirtualService default/reviews spec (mesh.yaml:6:3)");
//!
//! assert_eq!(Origin::synthetic("default route").to_string(), "default route");
//! ```

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

mod field_path;
mod position;
mod source;

pub use field_path::FieldPath;
pub use position::Position;
pub use source::{Positions, Source};

/// The resource, field and place in a file that a rule comes from.
///
/// Rules that no resource wrote (a default route, say) have a [`synthetic`](Self::synthetic)
/// origin. Cheap to clone: the resource and the path are shared.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    resource: Arc<OriginResource>,
    path: Option<Arc<str>>,
    position: Position,
}

#[derive(Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct OriginResource {
    // For a synthetic origin the kind is its text, and the rest is empty.
    kind: Box<str>,
    namespace: Box<str>,
    name: Box<str>,
    file: Arc<str>,
}

impl Origin {
    /// The whole resource `kind` `namespace`/`name`, read from `source`.
    ///
    /// `namespace` is empty for a resource of the cluster.
    pub fn new(kind: &str, namespace: &str, name: &str, source: &Source) -> Self {
        let resource = OriginResource {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            file: Arc::clone(source.file()),
        };
        Self {
            resource: Arc::new(resource),
            path: None,
            position: source.position(&FieldPath::root()),
        }
    }

    /// The origin of something that no resource wrote, described by `text`.
    pub fn synthetic(text: &str) -> Self {
        Self::new(text, "", "", &Source::unknown())
    }

    /// The value at `path` of the same resource, whose positions are in `source`.
    #[must_use]
    pub fn at(&self, path: &FieldPath<'_>, source: &Source) -> Self {
        Self {
            resource: Arc::clone(&self.resource),
            path: (!path.is_root()).then(|| path.to_string().into()),
            position: source.position(path),
        }
    }

    /// Kind of the resource, such as `VirtualService`; the text of a synthetic origin.
    pub fn kind(&self) -> &str {
        &self.resource.kind
    }

    /// Namespace of the resource; empty for a resource of the cluster.
    pub fn namespace(&self) -> &str {
        &self.resource.namespace
    }

    /// Name of the resource; empty when synthetic.
    pub fn name(&self) -> &str {
        &self.resource.name
    }

    /// Path of the field, such as `spec.http[0]`; empty for the whole resource.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }

    /// File that the resource was read from; empty when it was not read from a file.
    pub fn file(&self) -> &str {
        &self.resource.file
    }

    /// Place in the file.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether no resource wrote this.
    pub fn is_synthetic(&self) -> bool {
        self.resource.name.is_empty()
    }
}

/// Something that nobody is known to have written.
impl Default for Origin {
    fn default() -> Self {
        Self::synthetic("unknown")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if self.is_synthetic() {
            return Ok(());
        }
        match self.namespace() {
            "" => write!(f, " {}", self.name())?,
            namespace => write!(f, " {namespace}/{}", self.name())?,
        }
        if let Some(path) = &self.path {
            write!(f, " {path}")?;
        }
        match (self.file(), self.position) {
            ("", _) => Ok(()),
            (file, position) if position.is_known() => write!(f, " ({file}:{position})"),
            (file, _) => write!(f, " ({file})"),
        }
    }
}

/// Writes `kind`, `namespace`, `name`, `path`, `file`, `line` and `column`; a synthetic origin has
/// its text as `kind` and no more.
impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Origin", 7)?;
        fields.serialize_field("kind", self.kind())?;
        for (key, value) in [
            ("namespace", self.namespace()),
            ("name", self.name()),
            ("path", self.path()),
            ("file", self.file()),
        ] {
            match value {
                "" => fields.skip_field(key)?,
                value => fields.serialize_field(key, value)?,
            }
        }
        if self.position.is_known() {
            fields.serialize_field("line", &self.position.line)?;
            fields.serialize_field("column", &self.position.column)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_without_a_file_is_displayed_without_a_place() {
        let origin = Origin::new("Namespace", "", "prod", &Source::unknown());
        assert_eq!(origin.to_string(), "Namespace prod");
    }

    #[test]
    fn serializes_only_what_is_known() {
        let source = Source::new("a.yaml", Positions::new(Position::new(2, 1)));
        let origin = Origin::new("Gateway", "istio-system", "public", &source);
        assert_eq!(
            serde_json::to_value(&origin).unwrap(),
            serde_json::json!({
                "kind": "Gateway", "namespace": "istio-system", "name": "public",
                "file": "a.yaml", "line": 2, "column": 1,
            })
        );
        assert_eq!(
            serde_json::to_value(Origin::synthetic("default route")).unwrap(),
            serde_json::json!({ "kind": "default route" })
        );
    }
}
