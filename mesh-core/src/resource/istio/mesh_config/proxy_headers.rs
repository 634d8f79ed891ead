//! Headers that a proxy adds. Source: message `ProxyConfig.ProxyHeaders` of
//! `mesh/v1alpha1/proxy.proto`.

use serde::{Deserialize, Serialize};

use super::ForwardClientCertDetails;
use crate::resource::istio::is_default;

/// Headers that a proxy adds to requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyHeaders {
    /// What becomes of `x-forwarded-client-cert`. Default: a sidecar appends, a gateway sets.
    #[serde(skip_serializing_if = "is_default")]
    pub forwarded_client_cert: ForwardClientCertDetails,
    /// What `x-forwarded-client-cert` says about the client's certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub set_current_client_cert_details: Option<SetCurrentClientCertDetails>,
    /// `x-request-id`.
    #[serde(skip_serializing_if = "is_default")]
    pub request_id: Option<RequestId>,
    /// `server`.
    #[serde(skip_serializing_if = "is_default")]
    pub server: Option<ServerHeader>,
    /// `x-envoy-attempt-count`.
    #[serde(skip_serializing_if = "is_default")]
    pub attempt_count: Option<AttemptCount>,
    /// Other headers that begin with `x-envoy-`, such as `x-envoy-overloaded`.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_debug_headers: Option<EnvoyDebugHeaders>,
    /// `x-envoy-peer-metadata` and `x-envoy-peer-metadata-id`.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata_exchange_headers: Option<MetadataExchangeHeaders>,
    /// Whether HTTP/1 headers keep their case. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub preserve_http1_header_case: Option<bool>,
    /// `x-forwarded-host`.
    #[serde(skip_serializing_if = "is_default")]
    pub x_forwarded_host: Option<XForwardedHost>,
    /// `x-forwarded-port`.
    #[serde(skip_serializing_if = "is_default")]
    pub x_forwarded_port: Option<XForwardedPort>,
}

/// What `x-forwarded-client-cert` says about the client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetCurrentClientCertDetails {
    /// Its subject. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub subject: Option<bool>,
    /// The certificate itself. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub cert: Option<bool>,
    /// Its chain. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub chain: Option<bool>,
    /// Its DNS names. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Option<bool>,
    /// Its URI. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub uri: Option<bool>,
}

/// `x-request-id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestId {
    /// Leaves it as the client sent it. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
}

/// `server`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerHeader {
    /// Leaves it as the workload sent it. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    /// Its value. Default: `istio-envoy`.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// `x-envoy-attempt-count`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttemptCount {
    /// Leaves it out. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
}

/// Headers that begin with `x-envoy-`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyDebugHeaders {
    /// Leaves them out. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
}

/// `x-envoy-peer-metadata` and `x-envoy-peer-metadata-id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataExchangeHeaders {
    /// Where they are sent.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MetadataExchangeMode,
}

/// Where metadata headers are sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MetadataExchangeMode {
    /// Not said: everywhere.
    #[default]
    Undefined,
    /// Not to services outside the mesh.
    InMesh,
}

/// `x-forwarded-host`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct XForwardedHost {
    /// Holds the host that the rule of a VirtualService with a `rewrite`, or of a route with a
    /// URLRewrite, replaced. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
}

/// `x-forwarded-port`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct XForwardedPort {
    /// Holds the port that the client connected to, where a gateway is told no other by a proxy that
    /// it trusts. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
}
