//! Where a route sends its traffic.
//!
//! `BackendObjectReference` in `apis/v1/object_reference_types.go`, `BackendRef` in
//! `apis/v1/shared_types.go`. Istio accepts, beside Services, the kind `Hostname` of
//! `networking.istio.io`, whose name is a host of the mesh.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::backend_reference::BackendRef;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let backend: BackendRef = serde_json::from_str(r#"{"name": "cart", "port": 8080}"#)?;
//! assert_eq!(backend.group_kind(), ("", "Service"));
//! assert_eq!(backend.weight, None); // one part of the traffic
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// Reference to a backend that takes all traffic of its kind, such as a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendObjectReference {
    /// API group of the backend; empty is the core group. Default: empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the backend. Default: `Service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the backend. Required.
    pub name: String,
    /// Namespace of the backend. Default: the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of the backend: of a Service, the service port. Required for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl BackendObjectReference {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

/// Reference to a backend that takes a part of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendRef {
    /// API group of the backend; empty is the core group. Default: empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the backend. Default: `Service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the backend. Required.
    pub name: String,
    /// Namespace of the backend. Default: the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of the backend: of a Service, the service port. Required for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Part of the traffic, relative to the sum of the rule's weights. Default: 1; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl BackendRef {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

/// Applies the defaults that all references to backends share.
pub(super) fn group_kind<'a>(group: Option<&'a str>, kind: Option<&'a str>) -> (&'a str, &'a str) {
    (group.unwrap_or_default(), kind.unwrap_or("Service"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backend_of_another_group_is_kept_as_written() {
        let written = json!({
            "group": "networking.istio.io", "kind": "Hostname", "name": "api.example",
            "namespace": "shop", "port": 443, "weight": 0,
        });
        let backend: BackendRef = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(backend.group_kind(), ("networking.istio.io", "Hostname"));
        assert_eq!(backend.weight, Some(0));
        assert_eq!(serde_json::to_value(&backend).unwrap(), written);
    }

    #[test]
    fn a_port_outside_the_range_is_refused() {
        for port in [-1, 65_536] {
            let backend = json!({"name": "cart", "port": port});
            let read = serde_json::from_value::<BackendObjectReference>(backend);
            assert!(read.is_err(), "{port}");
        }
    }
}
