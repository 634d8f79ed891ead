//! TLSRoute: TLS connections by their SNI, and the backends that take them.
//!
//! `apis/v1/tlsroute_types.go`. There is exactly one rule.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::tls_route::TlsRoute;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let route: TlsRoute = serde_json::from_str(
//!     r#"{
//!         "parentRefs": [{"name": "edge", "sectionName": "tls"}],
//!         "hostnames": ["shop.example"],
//!         "rules": [{"backendRefs": [{"name": "cart", "port": 9000}]}]
//!     }"#,
//! )?;
//! assert_eq!(route.rules[0].backend_refs[0].port, Some(9000));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::backend_reference::BackendRef;
use crate::resource::gateway_api::parent_reference::{GatewayDefaultScope, ParentReference};

/// The `spec` of a TLSRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Gateways, listeners or Services to attach to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the route attaches to the default Gateways too. Default: it does not.
    /// Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Names of the SNI: hosts, or `*.` and a host. Required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The rule. Required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TlsRouteRule>,
}

/// Where the connections go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRouteRule {
    /// Name of the rule. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The backends. Required, 1 to 16; connections of a backend that does not exist are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_keeps_all_its_fields() {
        let written = json!({
            "parentRefs": [{"name": "edge", "port": 443}],
            "useDefaultGateways": "All",
            "hostnames": ["shop.example", "*.shop.example"],
            "rules": [{
                "name": "cart",
                "backendRefs": [
                    {"name": "cart-v1", "port": 9000, "weight": 9},
                    {"name": "cart-v2", "port": 9000, "weight": 1},
                ],
            }],
        });
        let route: TlsRoute = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(route.rules[0].backend_refs[0].weight, Some(9));
        assert_eq!(serde_json::to_value(&route).unwrap(), written);
    }
}
