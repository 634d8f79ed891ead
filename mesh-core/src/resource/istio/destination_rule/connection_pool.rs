//! Limits on connections and requests. Source: message `ConnectionPoolSettings`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;

/// Limits on connections and requests, for each client proxy by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPoolSettings {
    /// Limits on connections.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp: Option<TcpSettings>,
    /// Limits on HTTP.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Option<HttpSettings>,
}

/// Limits on connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSettings {
    /// Most connections at once. Default, and 0: 2³² − 1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_connections: i32,
    /// How long a connection may take to be made. Default: 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
    /// Probes on idle connections. Default: that of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How long a connection may last. Default: for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub max_connection_duration: Option<Duration>,
    /// How long a connection may carry nothing; zero is for ever. Default: 1 h.
    #[serde(skip_serializing_if = "is_default")]
    pub idle_timeout: Option<Duration>,
}

/// Probes on idle connections. Defaults are those of the operating system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// Probes without an answer after which the connection is dead.
    #[serde(skip_serializing_if = "is_default")]
    pub probes: u32,
    /// How long a connection is idle before it is probed.
    #[serde(skip_serializing_if = "is_default")]
    pub time: Option<Duration>,
    /// Time between probes.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
}

/// Limits on HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// Most requests that wait for a connection. Default, and 0: 2³² − 1.
    #[serde(skip_serializing_if = "is_default")]
    pub http1_max_pending_requests: i32,
    /// Most requests under way, with any version of HTTP. Default, and 0: 2³² − 1.
    #[serde(skip_serializing_if = "is_default")]
    pub http2_max_requests: i32,
    /// Most requests on one connection; 1 disables keep-alive. Default, and 0: no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_requests_per_connection: i32,
    /// Most retries under way. Default, and 0: 2³² − 1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_retries: i32,
    /// How long a connection may have no request. Default: 1 h.
    #[serde(skip_serializing_if = "is_default")]
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 connections are made HTTP/2.
    #[serde(skip_serializing_if = "is_default")]
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Uses the version of HTTP that the client uses. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub use_client_protocol: bool,
    /// Most streams at once on an HTTP/2 connection. Default, and 0: 2³¹ − 1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_concurrent_streams: i32,
    /// Pings on HTTP/2 connections. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub http2_keep_alive: Option<ConnectionKeepalive>,
}

/// Whether HTTP/1.1 connections are made HTTP/2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// As the mesh says, which is no.
    #[default]
    Default,
    /// No.
    DoNotUpgrade,
    /// Yes, even where the port is not known to be HTTP.
    Upgrade,
}

/// Pings on HTTP/2 connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionKeepalive {
    /// Time between pings.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
    /// How long the answer to a ping may take before the connection is closed.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
}
