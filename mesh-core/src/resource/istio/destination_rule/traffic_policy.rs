//! Policies for a service, a port or a subset. Source: message `TrafficPolicy`.

use serde::{Deserialize, Serialize};

use super::{ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection};
use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::port::PortSelector;

/// How connections to a service are made and used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen. Default: least request.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits on connections and requests.
    #[serde(skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is left alone for a while.
    #[serde(skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the service. Default: mutual TLS where both sides are in the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ClientTlsSettings>,
    /// Policies of single ports, which take the place of the four blocks above as a whole.
    #[serde(skip_serializing_if = "is_default")]
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// Tunnels connections through the service to another host.
    #[serde(skip_serializing_if = "is_default")]
    pub tunnel: Option<TunnelSettings>,
    /// Begins connections with a PROXY protocol header. Exclusive with `tunnel`.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limit on the retries under way.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_budget: Option<RetryBudget>,
}

/// The policy of one port. What it leaves out is Istio's default, not that of the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    /// Port of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits on connections and requests.
    #[serde(skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is left alone for a while.
    #[serde(skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the service.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ClientTlsSettings>,
}

/// A tunnel over HTTP, for TCP and TLS routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSettings {
    /// Method that opens the tunnel, `CONNECT` or `POST`. Default: `CONNECT`.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    /// Host at the far end of the tunnel, a name or an address. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub target_host: String,
    /// Port at the far end of the tunnel. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// PROXY protocol towards the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Version of the header.
    #[serde(skip_serializing_if = "is_default")]
    pub version: ProxyProtocolVersion,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProxyProtocolVersion {
    /// The header is a line of text.
    #[default]
    V1,
    /// The header is binary.
    V2,
}

/// A limit on retries in proportion to the requests under way; takes the place of `maxRetries`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Retries allowed, as a percentage of active and pending requests. Default: 20.
    #[serde(skip_serializing_if = "is_default")]
    pub percent: Option<f64>,
    /// Retries that are always allowed. Default: 3.
    #[serde(skip_serializing_if = "is_default")]
    pub min_retry_concurrency: u32,
    /// How long a new request counts. Default: 0, only while it is under way.
    #[serde(skip_serializing_if = "is_default")]
    pub budget_interval: Option<Duration>,
}
