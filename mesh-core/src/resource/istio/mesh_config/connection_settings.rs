//! Limits on connections from clients. Source: message `ProxyConfig.ConnectionSettings` of
//! `mesh/v1alpha1/proxy.proto`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;

/// Limits on connections from clients. The profile says what holds for fields that are not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionSettings {
    /// Where the defaults come from.
    #[serde(skip_serializing_if = "is_default")]
    pub profile: ConnectionSettingsProfile,
    /// Bytes that are buffered for a client, as a soft limit.
    #[serde(skip_serializing_if = "is_default")]
    pub listener_per_connection_buffer_limit_bytes: Option<i32>,
    /// Bytes that are buffered for an endpoint, as a soft limit.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_per_connection_buffer_limit_bytes: Option<i32>,
    /// How long a connection may have no request.
    #[serde(skip_serializing_if = "is_default")]
    pub http_idle_timeout: Option<Duration>,
    /// How long a connection may last.
    #[serde(skip_serializing_if = "is_default")]
    pub http_max_connection_duration: Option<Duration>,
    /// Time between the first and the last notice that an HTTP/2 connection ends.
    #[serde(skip_serializing_if = "is_default")]
    pub http_drain_timeout: Option<Duration>,
    /// How long a client may take to send a request.
    #[serde(skip_serializing_if = "is_default")]
    pub http_request_timeout: Option<Duration>,
    /// How long a client may take to send the headers of a request.
    #[serde(skip_serializing_if = "is_default")]
    pub http_request_headers_timeout: Option<Duration>,
    /// How long a request may be without anything happening.
    #[serde(skip_serializing_if = "is_default")]
    pub http_stream_idle_timeout: Option<Duration>,
    /// How long a request may take.
    #[serde(skip_serializing_if = "is_default")]
    pub http_max_stream_duration: Option<Duration>,
    /// Most requests at once on an HTTP/2 connection.
    #[serde(skip_serializing_if = "is_default")]
    pub http_max_concurrent_streams: Option<i32>,
    /// Bytes that a client may send for an HTTP/2 request before it has to wait.
    #[serde(skip_serializing_if = "is_default")]
    pub http2_initial_stream_window_size: Option<i32>,
    /// Bytes that a client may send on an HTTP/2 connection before it has to wait.
    #[serde(skip_serializing_if = "is_default")]
    pub http2_initial_connection_window_size: Option<i32>,
    /// What becomes of headers with underscores in their name.
    #[serde(skip_serializing_if = "is_default")]
    pub http_headers_with_underscores_action: HeadersWithUnderscoresAction,
    /// Whether slashes in a row are made one.
    #[serde(skip_serializing_if = "is_default")]
    pub http_merge_slashes: Option<bool>,
    /// What becomes of paths with slashes in percent encoding.
    #[serde(skip_serializing_if = "is_default")]
    pub http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction,
    /// Most connections of a listener.
    #[serde(skip_serializing_if = "is_default")]
    pub listener_connection_limit: Option<i32>,
    /// Most connections of all listeners.
    #[serde(skip_serializing_if = "is_default")]
    pub global_downstream_connection_limit: Option<i32>,
}

/// Where the defaults of connection settings come from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionSettingsProfile {
    /// Envoy's own, as a sidecar has them.
    #[default]
    Sidecar,
    /// Envoy's advice for the edge: buffers of 32 KiB, 1 h without a request, 5 min for a request,
    /// 100 streams, windows of 64 KiB and 1 MiB, and the strict choice of the rest.
    Edge,
}

/// What becomes of headers with underscores in their name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HeadersWithUnderscoresAction {
    /// Not said: the edge refuses them, a sidecar allows them.
    #[default]
    HeadersWithUnderscoresUnspecified,
    /// They are allowed.
    HeadersWithUnderscoresAllow,
    /// The request is answered with 400.
    HeadersWithUnderscoresRejectRequest,
    /// They are dropped.
    HeadersWithUnderscoresDropHeader,
}

/// What becomes of paths with slashes in percent encoding.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PathWithEscapedSlashesAction {
    /// Not said: the edge redirects, a sidecar leaves them.
    #[default]
    PathWithEscapedSlashesUnspecified,
    /// They stay as they are.
    KeepUnchanged,
    /// The request is answered with 400.
    RejectRequest,
    /// They are decoded, and the client redirected.
    UnescapeAndRedirect,
    /// They are decoded, and the request forwarded.
    UnescapeAndForward,
}
