//! TLS settings that belong to a whole Gateway: client certificates, in both directions.
//!
//! `GatewayTLSConfig` in `apis/v1/gateway_types.go` (GEP-91 and GEP-3155).
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::gateway_tls::{FrontendValidationMode, GatewayTlsConfig};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let tls: GatewayTlsConfig = serde_json::from_str(
//!     r#"{"frontend": {"default": {"validation": {
//!         "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "client-ca"}]
//!     }}}}"#,
//! )?;
//! let validation = tls.frontend.and_then(|frontend| frontend.default.validation);
//! let mode = validation.unwrap_or_default().mode.unwrap_or_default();
//! assert_eq!(mode, FrontendValidationMode::AllowValidOnly);
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::object_reference::ObjectReference;
use crate::resource::gateway_api::object_reference::SecretObjectReference;

/// TLS settings of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTlsConfig {
    /// Connections from the Gateway to backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<GatewayBackendTls>,
    /// Connections from clients to the Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<FrontendTlsConfig>,
}

/// How a Gateway introduces itself to backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayBackendTls {
    /// Client certificate and its key. Default: none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// How a Gateway checks the certificates of clients, on its HTTPS listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTlsConfig {
    /// The listeners whose port is not in `per_port`. Required.
    pub default: FrontendTls,
    /// The listeners of single ports, in place of `default`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_port: Vec<PortTls>,
}

/// How the certificates of clients are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTls {
    /// What a client certificate is checked against. Default: clients are not asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<FrontendTlsValidation>,
}

/// How the certificates of the clients of one port are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTls {
    /// Port of the listeners. Required.
    pub port: u16,
    /// The checks. Required.
    pub tls: FrontendTls,
}

/// What the certificates of clients are checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTlsValidation {
    /// Certificates of the authorities to trust, by ConfigMaps with a key `ca.crt`. Required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// What happens to a client without a valid certificate. Default: it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FrontendValidationMode>,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrontendValidationMode {
    /// It is let in all the same.
    AllowInsecureFallback,
    /// It is refused.
    #[default]
    AllowValidOnly,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_directions_are_kept() {
        let written = json!({
            "backend": {"clientCertificateRef": {"name": "client", "namespace": "certs"}},
            "frontend": {
                "default": {},
                "perPort": [{"port": 8443, "tls": {"validation": {
                    "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
                    "mode": "AllowInsecureFallback",
                }}}],
            },
        });
        let tls: GatewayTlsConfig = serde_json::from_value(written.clone()).unwrap();
        let frontend = tls.frontend.as_ref().unwrap();
        assert_eq!(frontend.default.validation, None);
        assert_eq!(frontend.per_port[0].port, 8443);
        assert_eq!(serde_json::to_value(&tls).unwrap(), written);
    }
}
