//! What every Kubernetes object says about itself.
//!
//! Field names are those of `ObjectMeta` (`k8s.io/apimachinery`, `meta/v1`).
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::metadata::Metadata;
//!
//! let metadata: Metadata =
//!     serde_json::from_str(r#"{"name": "reviews", "labels": {"app": "reviews"}}"#)?;
//! assert_eq!(metadata.labels["app"], "reviews");
//! assert_eq!(metadata.namespace_or("default"), "default");
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;
use super::value::Value;

/// Name, labels and history of an object.
///
/// Text fields are empty when they were not written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name, unique among the objects of its kind in its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Prefix from which a server makes the name, when it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Namespace as written; see [`namespace_or`](Self::namespace_or).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels, by which selectors choose the object.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, which selectors do not see.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When a server stored the object; the oldest of competing objects wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
    /// When the object will be deleted, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    /// Seconds that the object has to end before it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Identity of the object, unique in time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Opaque version of the object as stored.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Counts the changes of what the object asks for; status conditions refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Address of the object, which servers no longer write.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub self_link: String,
    /// Objects that this one is deleted with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Controllers that have to act before the object is deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Which client wrote which field; kept as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<Value>,
}

impl Metadata {
    /// The namespace, or `default` when none was written.
    pub fn namespace_or<'a>(&'a self, default: &'a str) -> &'a str {
        match self.namespace.as_str() {
            "" => default,
            namespace => namespace,
        }
    }
}

/// An object that owns another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// API group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner, which is in the same namespace or in none.
    pub name: String,
    /// Identity of the owner.
    pub uid: String,
    /// Whether the owner is the controller of this object. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether the owner stays until this object is gone. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_of_a_server_is_kept_whole() {
        let written = json!({
            "name": "reviews-v1-7b9-x", "generateName": "reviews-v1-7b9-", "namespace": "prod",
            "labels": {"app": "reviews"}, "annotations": {"a/b": "c"},
            "creationTimestamp": "2024-05-06T07:08:09Z",
            "deletionTimestamp": "2024-05-06T07:08:39Z", "deletionGracePeriodSeconds": 30,
            "uid": "1", "resourceVersion": "2", "generation": 3,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "reviews-v1-7b9",
                "uid": "4", "controller": true, "blockOwnerDeletion": true,
            }],
            "finalizers": ["example.com/wait"],
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        });
        let metadata: Metadata = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(metadata.namespace_or("default"), "prod");
        assert_eq!(serde_json::to_value(&metadata).unwrap(), written);
    }
}
