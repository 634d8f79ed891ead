//! References to objects that are not routes: certificates, parameters, filters, policy targets.
//!
//! `apis/v1/object_reference_types.go` and `apis/v1/policy_types.go`. A reference that leaves its
//! namespace needs a [`ReferenceGrant`] there.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::object_reference::SecretObjectReference;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let certificate: SecretObjectReference =
//!     serde_json::from_str(r#"{"name": "shop-cert", "namespace": "certs"}"#)?;
//! assert_eq!(certificate.group_kind(), ("", "Secret"));
//! # Ok(())
//! # }
//! ```
//!
//! [`ReferenceGrant`]: crate::resource::gateway_api::reference_grant::ReferenceGrant

use serde::{Deserialize, Serialize};

/// Reference to an object in the namespace of the resource that refers to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalObjectReference {
    /// API group of the object; empty is the core group. Required.
    pub group: String,
    /// Kind of the object. Required.
    pub kind: String,
    /// Name of the object. Required.
    pub name: String,
}

/// Reference to an object in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// API group of the object; empty is the core group. Required.
    pub group: String,
    /// Kind of the object. Required.
    pub kind: String,
    /// Name of the object. Required.
    pub name: String,
    /// Namespace of the object. Default: that of the resource that refers to it. For the
    /// parameters of a GatewayClass, absent means that the object has no namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Reference to a Secret, or to another kind that holds a certificate and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretObjectReference {
    /// API group of the object; empty is the core group. Default: empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the object. Default: `Secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the object. Required.
    pub name: String,
    /// Namespace of the object. Default: that of the resource that refers to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl SecretObjectReference {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        (
            self.group.as_deref().unwrap_or_default(),
            self.kind.as_deref().unwrap_or("Secret"),
        )
    }
}

/// Reference from a policy to a resource of its namespace, or to a part of one.
///
/// Gateway API's `LocalPolicyTargetReferenceWithSectionName`. The reference without a section
/// is a [`LocalObjectReference`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPolicyTargetReference {
    /// API group of the target; empty is the core group. Required.
    pub group: String,
    /// Kind of the target. Required.
    pub kind: String,
    /// Name of the target. Required.
    pub name: String,
    /// Part of the target: listener of a Gateway, rule of a route, port name of a Service.
    /// Default: all of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_reference_may_leave_its_namespace() {
        let written = json!({"group": "", "kind": "ConfigMap", "name": "ca", "namespace": "certs"});
        let object: ObjectReference = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(object.namespace.as_deref(), Some("certs"));
        assert_eq!(serde_json::to_value(&object).unwrap(), written);
    }

    #[test]
    fn a_policy_target_may_name_a_section() {
        let written =
            json!({"group": "", "kind": "Service", "name": "cart", "sectionName": "https"});
        let target: LocalPolicyTargetReference = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(target.section_name.as_deref(), Some("https"));
        assert_eq!(serde_json::to_value(&target).unwrap(), written);
    }
}
