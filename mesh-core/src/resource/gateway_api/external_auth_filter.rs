//! Authorization of requests by another service.
//!
//! `HTTPExternalAuthFilter` in `apis/v1/httproute_types.go` (GEP-1494). Experimental.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::external_auth_filter::{
//!     ExternalAuthProtocol, HttpExternalAuthFilter,
//! };
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let filter: HttpExternalAuthFilter = serde_json::from_str(
//!     r#"{"protocol": "HTTP", "backendRef": {"name": "auth", "port": 8080}}"#,
//! )?;
//! assert_eq!(filter.protocol, Some(ExternalAuthProtocol::Http));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::backend_reference::BackendObjectReference;

/// A service that is asked whether a request may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpExternalAuthFilter {
    /// How the service is asked. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ExternalAuthProtocol>,
    /// The service. Required.
    pub backend_ref: BackendObjectReference,
    /// What is sent over gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAuthConfig>,
    /// What is sent over HTTP, and what is taken from the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAuthConfig>,
    /// Whether the body is sent, and how much of it. Default: none of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_body: Option<ForwardBodyConfig>,
}

/// How an authorization service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExternalAuthProtocol {
    /// Envoy's `envoy.service.auth.v3.Authorization`.
    Grpc,
    /// An HTTP request; status 200 lets the request pass.
    Http,
}

/// What is sent to an authorization service over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAuthConfig {
    /// Names of the request headers to send. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
}

/// What is sent to an authorization service over HTTP, and what is taken from its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpAuthConfig {
    /// Prefix for the path of the request. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Names of the request headers to send beside `Host`, `Method`, `Path`, `Content-Length` and
    /// `Authorization`. Default: no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
    /// Names of the headers to copy from the answer to the request. Default: all but `Host` and
    /// `Authority`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_response_headers: Vec<String>,
}

/// How much of the body is sent to an authorization service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardBodyConfig {
    /// Most bytes to send; the rest is cut off. Default: 0, which sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_external_auth_filter_keeps_all_its_fields() {
        let written = json!({
            "protocol": "HTTP",
            "backendRef": {"name": "auth", "namespace": "security", "port": 8080},
            "grpc": {"allowedHeaders": ["authorization"]},
            "http": {
                "path": "/check",
                "allowedHeaders": ["cookie"],
                "allowedResponseHeaders": ["x-user"],
            },
            "forwardBody": {"maxSize": 4096},
        });
        let filter: HttpExternalAuthFilter = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(filter.forward_body.unwrap().max_size, Some(4096));
        assert_eq!(serde_json::to_value(&filter).unwrap(), written);
    }
}
