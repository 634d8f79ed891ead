//! WorkloadEntry: an endpoint that is not a pod.
//!
//! Source: `networking/v1alpha3/workload_entry.proto`; `networking.istio.io/v1`, `v1beta1` and
//! `v1alpha3`. A ServiceEntry lists its endpoints in the same form.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::workload_entry::WorkloadEntry;
//!
//! let spec: WorkloadEntry = serde_json::from_str(
//!     r#"{"address": "10.0.0.7", "ports": {"http": 8080}, "labels": {"app": "legacy"}}"#,
//! )?;
//!
//! assert_eq!(spec.ports["http"], 8080);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// An endpoint: where it is and what it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// Address: an IP address, a host name where the service is resolved by DNS, or
    /// `unix:///path`. May be empty if `network` is set.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// Ports by the name that the service gives them. Default: the target port of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: BTreeMap<String, u32>,
    /// Labels, for subsets, selectors and policies.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Network that the address belongs to. Default: that of the control plane.
    #[serde(skip_serializing_if = "is_default")]
    pub network: String,
    /// Locality, as `region/zone/subzone`.
    #[serde(skip_serializing_if = "is_default")]
    pub locality: String,
    /// Share of the load, relative to other endpoints. Default, and 0: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Service account that the workload runs as.
    #[serde(skip_serializing_if = "is_default")]
    pub service_account: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn an_entry_is_read_whole() {
        let spec: WorkloadEntry = round_trip(&json!({
            "address": "vm1.example.com",
            "ports": {"grpc": 3550, "http": 8080},
            "labels": {"app": "details", "version": "v1"},
            "network": "vm-net",
            "locality": "us-west/zone1/rack2",
            "weight": 3,
            "serviceAccount": "details",
        }));

        assert_eq!(spec.ports["grpc"], 3550);
        assert_eq!(spec.weight, 3);
        assert_eq!(spec.service_account, "details");
    }
}
