//! ReferenceGrant: permission to refer to objects of the grant's namespace from another one.
//!
//! `apis/v1/referencegrant_types.go`. Any of `from` may refer to any of `to`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::reference_grant::ReferenceGrant;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let grant: ReferenceGrant = serde_json::from_str(
//!     r#"{
//!         "from": [{
//!             "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"
//!         }],
//!         "to": [{"group": "", "kind": "Service"}]
//!     }"#,
//! )?;
//! assert_eq!(grant.to[0].name, None); // every Service of the namespace
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// The `spec` of a ReferenceGrant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrant {
    /// What may refer to the objects. Required, 1 to 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<ReferenceGrantFrom>,
    /// The objects that may be referred to. Required, 1 to 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<ReferenceGrantTo>,
}

/// Resources that may refer to the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrantFrom {
    /// API group of the resources; empty is the core group. Required.
    pub group: String,
    /// Kind of the resources. Required.
    pub kind: String,
    /// Namespace of the resources. Required.
    pub namespace: String,
}

/// Objects that may be referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReferenceGrantTo {
    /// API group of the objects; empty is the core group. Required.
    pub group: String,
    /// Kind of the objects. Required.
    pub kind: String,
    /// Name of the object. Default: all objects of the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_keeps_all_its_fields() {
        let written = json!({
            "from": [{
                "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge",
            }],
            "to": [{"group": "", "kind": "Secret", "name": "shop-cert"}],
        });
        let grant: ReferenceGrant = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(grant.to[0].name.as_deref(), Some("shop-cert"));
        assert_eq!(serde_json::to_value(&grant).unwrap(), written);
    }
}
