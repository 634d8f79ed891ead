//! What a route attaches to: a Gateway, a listener of it, or a Service of the mesh.
//!
//! `ParentReference`, `ParentGatewayReference` and `GatewayDefaultScope` in
//! `apis/v1/shared_types.go`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::parent_reference::ParentReference;
//!
//! let edge = ParentReference {
//!     name: "edge".to_owned(),
//!     ..ParentReference::default()
//! };
//! assert_eq!(edge.group_kind(), ("gateway.networking.k8s.io", "Gateway"));
//!
//! // The core group is written as an empty string, which is not the same as leaving it out.
//! let cart = ParentReference {
//!     group: Some(String::new()),
//!     kind: Some("Service".to_owned()),
//!     name: "cart".to_owned(),
//!     ..ParentReference::default()
//! };
//! assert_eq!(cart.group_kind(), ("", "Service"));
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::GROUP;

/// Reference from a route to the resource it wants to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentReference {
    /// API group of the parent; empty is the core group. Default: `gateway.networking.k8s.io`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the parent: `Gateway`, `ListenerSet` or `Service`. Default: `Gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace of the parent. Default: the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the parent. Required.
    pub name: String,
    /// Listener of a Gateway, or port of a Service, by name. Default: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Port of the listener or of the Service. Default: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ParentReference {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

/// Reference from a ListenerSet to the Gateway it adds listeners to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentGatewayReference {
    /// API group of the parent. Default: `gateway.networking.k8s.io`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the parent. Default: `Gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the parent. Required.
    pub name: String,
    /// Namespace of the parent. Default: the ListenerSet's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl ParentGatewayReference {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

/// Whether a Gateway is a default one, and whether a route uses the default Gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GatewayDefaultScope {
    /// All default Gateways.
    All,
    /// No default Gateway.
    #[default]
    None,
}

fn group_kind<'a>(group: Option<&'a str>, kind: Option<&'a str>) -> (&'a str, &'a str) {
    (group.unwrap_or(GROUP), kind.unwrap_or("Gateway"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parent_reference_keeps_all_its_fields() {
        let written = json!({
            "group": "", "kind": "Service", "namespace": "shop", "name": "cart",
            "sectionName": "http", "port": 8080,
        });
        let parent: ParentReference = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(parent.section_name.as_deref(), Some("http"));
        assert_eq!(parent.port, Some(8080));
        assert_eq!(serde_json::to_value(&parent).unwrap(), written);
    }

    #[test]
    fn a_parent_gateway_is_a_gateway_by_default() {
        let parent: ParentGatewayReference =
            serde_json::from_value(json!({"name": "edge"})).unwrap();
        assert_eq!(parent.group_kind(), (GROUP, "Gateway"));
    }
}
