//! ListenerSet: listeners that another team adds to a Gateway.
//!
//! `apis/v1/listenerset_types.go`; the experimental `XListenerSet` of
//! `gateway.networking.x-k8s.io` has the same shape. The Gateway has to allow it, in
//! [`allowed_listeners`].
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::listener_set::ListenerSet;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let set: ListenerSet = serde_json::from_str(
//!     r#"{
//!         "parentRef": {"name": "edge", "namespace": "infra"},
//!         "listeners": [{"name": "shop", "port": 80, "protocol": "HTTP"}]
//!     }"#,
//! )?;
//! assert_eq!(set.parent_ref.group_kind(), ("gateway.networking.k8s.io", "Gateway"));
//! # Ok(())
//! # }
//! ```
//!
//! [`allowed_listeners`]: crate::resource::gateway_api::gateway::Gateway::allowed_listeners

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::listener::Listener;
use crate::resource::gateway_api::parent_reference::ParentGatewayReference;

/// The `spec` of a ListenerSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerSet {
    /// The Gateway to add to. Required.
    pub parent_ref: ParentGatewayReference,
    /// The listeners to add. Required, 1 to 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listener_set_keeps_all_its_fields() {
        let written = json!({
            "parentRef": {
                "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge",
                "namespace": "infra",
            },
            "listeners": [{
                "name": "shop", "hostname": "shop.example", "port": 443, "protocol": "HTTPS",
                "tls": {"certificateRefs": [{"name": "shop-cert"}]},
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }],
        });
        let set: ListenerSet = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(set.listeners[0].hostname.as_deref(), Some("shop.example"));
        assert_eq!(serde_json::to_value(&set).unwrap(), written);
    }
}
