//! Preference for near endpoints. Source: messages `LocalityLoadBalancerSetting` and
//! `ZoneAwareLoadBalancerSetting`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Balancing by locality, which is written `region/zone/subzone`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLoadBalancerSetting {
    /// How load is divided among localities. Exclusive with `failover`.
    #[serde(skip_serializing_if = "is_default")]
    pub distribute: Vec<Distribute>,
    /// Which region takes over from which; needs outlier detection.
    #[serde(skip_serializing_if = "is_default")]
    pub failover: Vec<Failover>,
    /// Labels, most important first, whose agreement with the client's makes an endpoint
    /// preferred: `key` or `key=value`. Needs outlier detection.
    #[serde(skip_serializing_if = "is_default")]
    pub failover_priority: Vec<String>,
    /// Whether locality counts at all. Default: that of the mesh, which is true.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
}

/// How load from a locality is divided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Distribute {
    /// Locality of the client, `/` between its parts; may end in `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    /// Percentage of the load by locality. The sum has to be 100.
    #[serde(skip_serializing_if = "is_default")]
    pub to: BTreeMap<String, u32>,
}

/// Which region takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// Region of the client.
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    /// Region that is preferred once that of the client has no healthy endpoints.
    #[serde(skip_serializing_if = "is_default")]
    pub to: String,
}

/// Balancing that keeps load within the client's zone as far as the zone's capacity goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAwareLoadBalancerSetting {
    /// Whether zones count at all. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
    /// Which region takes over from which.
    #[serde(skip_serializing_if = "is_default")]
    pub failover: Vec<Failover>,
    /// Labels, most important first, whose agreement with the client's makes an endpoint
    /// preferred: `key` or `key=value`. Region, zone and subzone may not be among them.
    #[serde(skip_serializing_if = "is_default")]
    pub failover_priority: Vec<String>,
    /// Fewest endpoints in the client's region for zones to count. Default: 6.
    #[serde(skip_serializing_if = "is_default")]
    pub min_cluster_size: Option<u64>,
}
