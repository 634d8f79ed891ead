//! DestinationRule: how a service is reached once it has been chosen.
//!
//! A destination rule names the subsets of a service and says, for the whole service, for a port
//! and for a subset, how load is balanced, how many connections are made, when an endpoint is left
//! alone, and how TLS is begun.
//!
//! Source: messages of `networking/v1alpha3/destination_rule.proto`; `networking.istio.io/v1`,
//! `v1beta1` and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::destination_rule::{DestinationRule, SimpleLb};
//!
//! let spec: DestinationRule = serde_json::from_str(
//!     r#"{
//!         "host": "ratings",
//!         "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}},
//!         "subsets": [{"name": "v1", "labels": {"version": "v1"}}]
//!     }"#,
//! )?;
//!
//! let balancer = spec.traffic_policy.and_then(|policy| policy.load_balancer);
//! assert_eq!(balancer.and_then(|balancer| balancer.simple), Some(SimpleLb::LeastRequest));
//! assert_eq!(spec.subsets[0].labels["version"], "v1");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod client_tls;
mod connection_pool;
mod load_balancer;
mod locality;
mod outlier_detection;
#[cfg(test)]
mod tests;
mod traffic_policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::client_tls::{ClientTlsMode, ClientTlsSettings};
pub use self::connection_pool::{
    ConnectionKeepalive, ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, TcpKeepalive,
    TcpSettings,
};
pub use self::load_balancer::{
    BackendUtilizationLb, ConsistentHashLb, HttpCookie, HttpCookieAttribute, LoadBalancerSettings,
    MagLev, RingHash, SimpleLb, WarmupConfiguration,
};
pub use self::locality::{
    Distribute, Failover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting,
};
pub use self::outlier_detection::OutlierDetection;
pub use self::traffic_policy::{
    PortTrafficPolicy, ProxyProtocol, ProxyProtocolVersion, RetryBudget, TrafficPolicy,
    TunnelSettings,
};
use crate::resource::istio::is_default;
use crate::resource::istio::selector::WorkloadSelector;

/// How a service, or each service that a wildcard matches, is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    /// Name of the service in the registry; may be short or a wildcard. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    /// Policy for the whole service.
    #[serde(skip_serializing_if = "is_default")]
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named parts of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub subsets: Vec<Subset>,
    /// Namespaces that see this resource: names, `.` for its own, `*` for all. Default: that of
    /// the mesh, which is `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
    /// Client workloads of this namespace that obey the rule. Default: all that see it.
    #[serde(skip_serializing_if = "is_default")]
    pub workload_selector: Option<WorkloadSelector>,
}

/// A named part of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Name, by which routes refer to it. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Labels that an endpoint has to have, all of them. Empty: every endpoint.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Policy for this part; what it sets takes the place of the service's, block by block.
    #[serde(skip_serializing_if = "is_default")]
    pub traffic_policy: Option<TrafficPolicy>,
}
