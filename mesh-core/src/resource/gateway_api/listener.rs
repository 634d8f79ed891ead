//! A listener of a Gateway or of a ListenerSet, and the routes it allows.
//!
//! `Listener`, `ListenerTLSConfig` and `AllowedRoutes` in `apis/v1/gateway_types.go`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::listener::{Listener, RoutesFrom, TlsMode};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let listener: Listener = serde_json::from_str(
//!     r#"{"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}"#,
//! )?;
//! assert_eq!(listener.tls.and_then(|tls| tls.mode), Some(TlsMode::Passthrough));
//!
//! let namespaces = listener.allowed_routes.unwrap_or_default().namespaces.unwrap_or_default();
//! assert_eq!(namespaces.from.unwrap_or_default(), RoutesFrom::Same);
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::GROUP;
use crate::resource::gateway_api::object_reference::SecretObjectReference;
use crate::resource::kubernetes::label_selector::LabelSelector;

/// A port and host at which connections are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// Name, unique in the resource; routes refer to it as `sectionName`. Required.
    pub name: String,
    /// Host, or `*.` and a name, of the requests (HTTP), of the SNI (TLS). Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Port to listen on. Required. Istio takes it as a port of the gateway's Service.
    pub port: u16,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, Istio's `HBONE`, or a name with a domain prefix.
    /// Required.
    pub protocol: String,
    /// TLS settings. Required for `HTTPS` and `TLS`, and for no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTlsConfig>,
    /// Which routes may be attached. Default: those of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTlsConfig {
    /// Whether the gateway decrypts. Default: it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// Certificates to choose from, with their keys. Required to terminate, unless `options`
    /// have another source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// Settings that an implementation defines.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Where a TLS session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsMode {
    /// At the backend; the gateway routes by SNI and decrypts nothing.
    Passthrough,
    /// At the gateway.
    #[default]
    Terminate,
}

/// Which routes may be attached to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedRoutes {
    /// Namespaces of those routes. Default: the listener's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<RouteNamespaces>,
    /// Kinds of those routes. Default: the kinds that the protocol admits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces whose routes may be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteNamespaces {
    /// Which namespaces. Default: the listener's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<RoutesFrom>,
    /// Labels of the namespaces, where `from` is `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces' routes may be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutesFrom {
    /// All namespaces.
    All,
    /// The namespace of the Gateway or of the ListenerSet.
    #[default]
    Same,
    /// The namespaces that a selector chooses.
    Selector,
}

/// A kind of route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteGroupKind {
    /// API group of the route. Default: `gateway.networking.k8s.io`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the route. Required.
    pub kind: String,
}

impl RouteGroupKind {
    /// The group and the kind, with the default applied.
    pub fn group_kind(&self) -> (&str, &str) {
        (self.group.as_deref().unwrap_or(GROUP), &self.kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listener_keeps_all_its_fields() {
        let written = json!({
            "name": "https",
            "hostname": "*.shop.example",
            "port": 443,
            "protocol": "HTTPS",
            "tls": {
                "mode": "Terminate",
                "certificateRefs": [{"group": "", "kind": "Secret", "name": "shop-cert"}],
                "options": {"gateway.istio.io/tls-terminate-mode": "MUTUAL"},
            },
            "allowedRoutes": {
                "namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
                "kinds": [{"kind": "HTTPRoute"}],
            },
        });
        let listener: Listener = serde_json::from_value(written.clone()).unwrap();
        let allowed = listener.allowed_routes.as_ref().unwrap();
        assert_eq!(allowed.kinds[0].group_kind(), (GROUP, "HTTPRoute"));
        assert_eq!(serde_json::to_value(&listener).unwrap(), written);
    }

    #[test]
    fn a_protocol_of_an_implementation_is_kept() {
        for protocol in ["HBONE", "example.net/quic"] {
            let written = json!({"name": "x", "port": 1, "protocol": protocol});
            let listener: Listener = serde_json::from_value(written).unwrap();
            assert_eq!(listener.protocol, protocol);
        }
    }

    #[test]
    fn a_listener_cannot_exclude_the_routes_of_all_namespaces() {
        let namespaces = json!({"from": "None"});
        assert!(serde_json::from_value::<RouteNamespaces>(namespaces).is_err());
    }
}
