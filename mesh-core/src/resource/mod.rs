//! Configuration resources, as the user wrote them.
//!
//! The types of the submodules say what was written, field by field, and check nothing; a
//! [`Resource`] adds the metadata and the positions, and an [`Object`] is a resource of any
//! [kind](kind::Kind). Text becomes objects in `parse` (feature `yaml`).
//!
//! # Example
//!
//! ```
//! use mesh_core::origin::Source;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::kubernetes::secret::Secret;
//! use mesh_core::resource::metadata::Metadata;
//!
//! let resource = Resource {
//!     metadata: Metadata { name: "credential".into(), ..Metadata::default() },
//!     spec: Secret::default(),
//!     status: None,
//!     source: Source::unknown(),
//! };
//! assert_eq!(resource.origin().to_string(), "Secret credential");
//! ```

use serde::{Serialize, Serializer};

use crate::origin::{Origin, Source};

#[cfg(feature = "gateway-api")]
pub mod gateway_api;
pub mod istio;
pub mod kind;
pub mod kubernetes;
pub mod metadata;
pub mod object;
pub mod timestamp;
pub mod value;

pub use metadata::Metadata;
pub use object::Object;
pub use value::Value;

use kind::Kind;

/// A resource of one kind: what it says about itself, what it asks for, and where both were
/// written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource<S> {
    /// Name, namespace, labels and the like.
    pub metadata: Metadata,
    /// The `spec` of a kind of Istio or the Gateway API. Of a Kubernetes kind, the document without
    /// metadata.
    pub spec: S,
    /// The `status` of a kind of Istio or the Gateway API, as controllers wrote it.
    pub status: Option<Value>,
    /// Positions of all values in the document, `spec` being a field of it.
    pub source: Source,
}

/// The content of a resource of a known kind.
pub trait Spec {
    /// The kind of the resource.
    const KIND: Kind;
}

impl<S: Spec> Resource<S> {
    /// The kind of this resource.
    pub const fn kind(&self) -> Kind {
        S::KIND
    }

    /// The whole resource as the origin of something; its namespace is as written.
    pub fn origin(&self) -> Origin {
        let Metadata {
            name, namespace, ..
        } = &self.metadata;
        Origin::new(S::KIND.name(), namespace, name, &self.source)
    }
}

/// Writes the document as Kubernetes has it, in the newest version of its kind and without
/// positions.
impl<S: Spec + Serialize> Serialize for Resource<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let (spec, content) = if S::KIND.has_spec() {
            (Some(&self.spec), None)
        } else {
            (None, Some(&self.spec))
        };
        let document = Document {
            api_version: S::KIND.api_version(),
            kind: S::KIND,
            metadata: &self.metadata,
            spec,
            content,
            status: self.status.as_ref(),
        };
        document.serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, S> {
    api_version: String,
    kind: Kind,
    metadata: &'a Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a S>,
    #[serde(flatten)]
    content: Option<&'a S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::sidecar::Sidecar;
    use crate::resource::kubernetes::config_map::ConfigMap;

    #[test]
    fn a_resource_is_written_as_kubernetes_has_it() {
        let mut sidecar = Resource::<Sidecar>::default();
        sidecar.metadata.name = "default".to_owned();
        assert_eq!(
            serde_json::to_value(&sidecar).unwrap(),
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
                "metadata": {"name": "default"}, "spec": {},
            })
        );
        let mut config = Resource::<ConfigMap>::default();
        config.metadata.name = "istio".to_owned();
        config.spec.data.insert("mesh".to_owned(), "{}".to_owned());
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "istio"}, "data": {"mesh": "{}"},
            })
        );
    }
}
