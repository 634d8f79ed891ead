//! GatewayClass: which controller runs a Gateway, and with which parameters.
//!
//! `apis/v1/gatewayclass_types.go`. Istio's controllers are `istio.io/gateway-controller`,
//! `istio.io/unmanaged-gateway` and `istio.io/mesh-controller`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::gateway_class::GatewayClass;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let class: GatewayClass =
//!     serde_json::from_str(r#"{"controllerName": "istio.io/gateway-controller"}"#)?;
//! assert_eq!(class.parameters_ref, None);
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::object_reference::ObjectReference;

/// The `spec` of a GatewayClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayClass {
    /// Name of the controller: a domain, a slash and a path. Required.
    pub controller_name: String,
    /// Resource with the controller's parameters. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_ref: Option<ObjectReference>,
    /// Text for people, up to 64 characters. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_class_keeps_all_its_fields() {
        let written = json!({
            "controllerName": "istio.io/gateway-controller",
            "parametersRef": {
                "group": "", "kind": "ConfigMap", "name": "options", "namespace": "istio-system",
            },
            "description": "the edge",
        });
        let class: GatewayClass = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(class.parameters_ref.as_ref().unwrap().kind, "ConfigMap");
        assert_eq!(serde_json::to_value(&class).unwrap(), written);
    }
}
