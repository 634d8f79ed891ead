//! Choice of an endpoint. Source: messages `LoadBalancerSettings` and `WarmupConfiguration`.

use serde::{Deserialize, Serialize};

use super::{LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting};
use crate::duration::Duration;
use crate::resource::istio::is_default;

/// How an endpoint is chosen. At most one of `simple`, `consistent_hash` and
/// `backend_utilization` may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerSettings {
    /// An algorithm without settings.
    #[serde(skip_serializing_if = "is_default")]
    pub simple: Option<SimpleLb>,
    /// The same endpoint for the same key, as far as possible.
    #[serde(skip_serializing_if = "is_default")]
    pub consistent_hash: Option<ConsistentHashLb>,
    /// More requests for endpoints that report less load.
    #[serde(skip_serializing_if = "is_default")]
    pub backend_utilization: Option<BackendUtilizationLb>,
    /// Preference by locality, in place of the mesh's.
    #[serde(skip_serializing_if = "is_default")]
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Preference for the client's zone. Exclusive with `locality_lb_setting`.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// How long a new endpoint is warmed up. Deprecated: `warmup` takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub warmup_duration_secs: Option<Duration>,
    /// How load on a new endpoint grows. Default: it gets its full share at once.
    #[serde(skip_serializing_if = "is_default")]
    pub warmup: Option<WarmupConfiguration>,
}

/// An algorithm without settings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    /// Not said: least request.
    #[default]
    Unspecified,
    /// Least request. Deprecated name.
    LeastConn,
    /// Any endpoint, at random.
    Random,
    /// The address that the client connected to.
    Passthrough,
    /// One endpoint after the other.
    RoundRobin,
    /// Of two endpoints drawn at random the one with fewer requests under way.
    LeastRequest,
}

/// Balancing by a hash. One key has to be set, and at most one algorithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsistentHashLb {
    /// Key: the value of this request header.
    #[serde(skip_serializing_if = "is_default")]
    pub http_header_name: Option<String>,
    /// Key: the value of a cookie.
    #[serde(skip_serializing_if = "is_default")]
    pub http_cookie: Option<HttpCookie>,
    /// Key: the address of the client.
    #[serde(skip_serializing_if = "is_default")]
    pub use_source_ip: Option<bool>,
    /// Key: the value of this query parameter.
    #[serde(skip_serializing_if = "is_default")]
    pub http_query_parameter_name: Option<String>,
    /// Algorithm: a ring of hashes. The default.
    #[serde(skip_serializing_if = "is_default")]
    pub ring_hash: Option<RingHash>,
    /// Algorithm: a Maglev table.
    #[serde(skip_serializing_if = "is_default")]
    pub maglev: Option<MagLev>,
    /// Fewest entries of the ring. Deprecated: `ring_hash` takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub minimum_ring_size: u64,
}

/// Ketama's ring of hashes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RingHash {
    /// Fewest entries of the ring. Default: 1024.
    #[serde(skip_serializing_if = "is_default")]
    pub minimum_ring_size: u64,
}

/// Maglev's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MagLev {
    /// Entries of the table, a prime number. Default: 65537.
    #[serde(skip_serializing_if = "is_default")]
    pub table_size: u64,
}

/// A cookie that is hashed, and that the proxy sets if it has a lifetime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    /// Name of the cookie. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Path of the cookie that the proxy sets.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// Lifetime of the cookie that the proxy sets; zero is that of the session. Default: the proxy
    /// sets none.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: Option<Duration>,
    /// Further attributes of the cookie that the proxy sets.
    #[serde(skip_serializing_if = "is_default")]
    pub attributes: Vec<HttpCookieAttribute>,
}

/// An attribute of a cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookieAttribute {
    /// Name of the attribute. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its value. Default: it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// Weights by the load that endpoints report, as Open Request Cost Aggregation (ORCA) has it.
/// Came with Istio 1.32; Envoy calls it `client_side_weighted_round_robin`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendUtilizationLb {
    /// How long after its first report an endpoint's weight counts. Default: 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_stabilization_period: Option<Duration>,
    /// How long an endpoint's weight counts without a further report.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_expiration_period: Option<Duration>,
    /// Time between computations of the weights.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_update_period: Option<Duration>,
    /// Load that is added for errors, as a percentage of the load.
    #[serde(skip_serializing_if = "is_default")]
    pub error_utilization_penalty_percent: Option<u32>,
    /// Names of reported metrics that make up the load. Default: that of the application or CPU.
    #[serde(skip_serializing_if = "is_default")]
    pub metric_names_for_computing_utilization: Vec<String>,
}

/// Slow start of new endpoints, with round robin and least request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmupConfiguration {
    /// How long an endpoint is warmed up. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub duration: Option<Duration>,
    /// Share of its load that it begins with, as a percentage. Default: 10.
    #[serde(skip_serializing_if = "is_default")]
    pub minimum_percent: Option<f64>,
    /// Speed of the growth; with 1 it is linear. Default: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub aggression: Option<f64>,
}
