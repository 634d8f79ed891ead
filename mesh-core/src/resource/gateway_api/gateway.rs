//! Gateway: listeners at the edge of the mesh, or a waypoint within it.
//!
//! `apis/v1/gateway_types.go`. The listeners of a Gateway are in [`listener`], and the TLS
//! settings that its listeners share in [`gateway_tls`].
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::gateway::Gateway;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let gateway: Gateway = serde_json::from_str(
//!     r#"{
//!         "gatewayClassName": "istio",
//!         "listeners": [
//!             {"name": "http", "port": 80, "protocol": "HTTP"},
//!             {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.shop.example",
//!              "tls": {"certificateRefs": [{"name": "shop-cert"}]}}
//!         ]
//!     }"#,
//! )?;
//! assert_eq!(gateway.listeners[0].hostname, None); // any host
//! assert_eq!(gateway.listeners[1].port, 443);
//! # Ok(())
//! # }
//! ```
//!
//! [`listener`]: crate::resource::gateway_api::listener
//! [`gateway_tls`]: crate::resource::gateway_api::gateway_tls

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::gateway_tls::GatewayTlsConfig;
use crate::resource::gateway_api::listener::Listener;
use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::resource::gateway_api::parent_reference::GatewayDefaultScope;
use crate::resource::kubernetes::label_selector::LabelSelector;

/// The `spec` of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Name of the GatewayClass. Required.
    pub gateway_class_name: String,
    /// Where the Gateway accepts connections, and of which kind. Required, 1 to 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Addresses asked for. Default: chosen by the implementation. With the type `Hostname`,
    /// Istio takes the value as the Service of a gateway that somebody else deploys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewayAddress>,
    /// Metadata and parameters of what is deployed for this Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Which ListenerSets may add listeners. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS settings that the listeners and the backends share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTlsConfig>,
    /// Whether routes that use the default Gateways attach to this one. Default: they do not.
    /// Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<GatewayDefaultScope>,
}

/// An address asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayAddress {
    /// `IPAddress`, `Hostname`, `NamedAddress` or a type with a domain prefix. Default:
    /// `IPAddress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The address. Default: any of the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Metadata and parameters of what is deployed for a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayInfrastructure {
    /// Labels to put on the resources deployed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on the resources deployed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Resource with parameters of this Gateway. Default: none but those of its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<LocalObjectReference>,
}

/// Which ListenerSets may add listeners to a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedListeners {
    /// Namespaces of those ListenerSets. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<ListenerNamespaces>,
}

/// Namespaces whose ListenerSets may be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerNamespaces {
    /// Which namespaces. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ListenersFrom>,
    /// Labels of the namespaces, where `from` is `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces' ListenerSets may be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenersFrom {
    /// All namespaces.
    All,
    /// No namespace.
    #[default]
    None,
    /// The Gateway's own namespace.
    Same,
    /// The namespaces that a selector chooses.
    Selector,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_keeps_all_its_fields() {
        let written = json!({
            "gatewayClassName": "istio",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}, {"type": "IPAddress"}],
            "infrastructure": {
                "labels": {"team": "shop"},
                "annotations": {"example.net/size": "small"},
                "parametersRef": {"group": "", "kind": "ConfigMap", "name": "options"},
            },
            "allowedListeners": {"namespaces": {
                "from": "Selector",
                "selector": {"matchLabels": {"team": "shop"}},
            }},
            "tls": {"backend": {"clientCertificateRef": {"name": "client"}}},
            "defaultScope": "None",
        });
        let gateway: Gateway = serde_json::from_value(written.clone()).unwrap();
        let namespaces = gateway
            .allowed_listeners
            .as_ref()
            .unwrap()
            .namespaces
            .as_ref();
        assert_eq!(namespaces.unwrap().from, Some(ListenersFrom::Selector));
        assert_eq!(gateway.addresses[1].value, None);
        assert_eq!(serde_json::to_value(&gateway).unwrap(), written);
    }
}
