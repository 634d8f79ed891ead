//! Access logs. Source: messages within `MeshConfig.ExtensionProvider`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::Value;
use crate::resource::istio::is_default;

/// A file that requests are logged to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyFileAccessLogProvider {
    /// Path of the file. Default: `/dev/stdout`.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// Format of an entry. Default: Istio's.
    #[serde(skip_serializing_if = "is_default")]
    pub log_format: Option<LogFormat>,
    /// Leaves out what has no value. Default: false, a hyphen stands for it.
    #[serde(skip_serializing_if = "is_default")]
    pub omit_empty_values: bool,
}

/// Format of an entry, with Envoy's `%…%` operators. One member has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFormat {
    /// A line of text.
    #[serde(skip_serializing_if = "is_default")]
    pub text: Option<String>,
    /// An object in JSON. Empty: Istio's default one.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Option<BTreeMap<String, Value>>,
}

/// Envoy's access log service, for HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyHttpGrpcV3LogProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Name of the log. Default: `http_envoy_accesslog`.
    #[serde(skip_serializing_if = "is_default")]
    pub log_name: String,
    /// Filter state to log, by key.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_state_objects_to_log: Vec<String>,
    /// Headers of the request to log.
    #[serde(skip_serializing_if = "is_default")]
    pub additional_request_headers_to_log: Vec<String>,
    /// Headers of the response to log.
    #[serde(skip_serializing_if = "is_default")]
    pub additional_response_headers_to_log: Vec<String>,
    /// Trailers of the response to log.
    #[serde(skip_serializing_if = "is_default")]
    pub additional_response_trailers_to_log: Vec<String>,
}

/// Envoy's access log service, for TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyTcpGrpcV3LogProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Name of the log. Default: `tcp_envoy_accesslog`.
    #[serde(skip_serializing_if = "is_default")]
    pub log_name: String,
    /// Filter state to log, by key.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_state_objects_to_log: Vec<String>,
}

/// A log with OpenTelemetry's protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyOpenTelemetryLogProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Name of the log. Default: `otel_envoy_accesslog`.
    #[serde(skip_serializing_if = "is_default")]
    pub log_name: String,
    /// Format of an entry. Default: Istio's.
    #[serde(skip_serializing_if = "is_default")]
    pub log_format: Option<OpenTelemetryLogFormat>,
}

/// Format of an entry, with Envoy's `%…%` operators. Both members may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryLogFormat {
    /// The body of the entry.
    #[serde(skip_serializing_if = "is_default")]
    pub text: String,
    /// Attributes of the entry.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Option<BTreeMap<String, Value>>,
}
