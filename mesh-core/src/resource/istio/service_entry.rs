//! ServiceEntry: a service that Kubernetes does not know.
//!
//! Source: messages of `networking/v1alpha3/service_entry.proto`; `networking.istio.io/v1`,
//! `v1beta1` and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::service_entry::{Resolution, ServiceEntry};
//!
//! let spec: ServiceEntry = serde_json::from_str(
//!     r#"{
//!         "hosts": ["api.example.com"],
//!         "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
//!         "resolution": "DNS"
//!     }"#,
//! )?;
//!
//! assert_eq!(spec.ports[0].number, 443);
//! assert_eq!(spec.resolution, Resolution::Dns);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::Value;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::NetworkingWorkloadSelector;
use crate::resource::istio::status::{IstioCondition, generation};
use crate::resource::istio::workload_entry::WorkloadEntry;

/// A service, its ports, and how its endpoints are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Names of the service; may be wildcards. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    /// Virtual addresses or subnets of the service. Default: HTTP is told by its host, TLS by its
    /// server name, and TCP by its port alone.
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<String>,
    /// Ports of the service.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<ServicePort>,
    /// Whether the service is part of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub location: Location,
    /// How endpoints are found.
    #[serde(skip_serializing_if = "is_default")]
    pub resolution: Resolution,
    /// Endpoints. Exclusive with `workload_selector`.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoints: Vec<WorkloadEntry>,
    /// Workload entries and pods of this namespace that are the endpoints.
    #[serde(skip_serializing_if = "is_default")]
    pub workload_selector: Option<NetworkingWorkloadSelector>,
    /// Namespaces that see this resource: names, `.` for its own, `*` for all, `~` for none.
    /// Default: that of the mesh, which is `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
    /// Names of which the server's certificate has to have one, unless a destination rule says.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Number of the port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    /// What the port carries, such as `HTTP` or `TLS`. Default: it is detected.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    /// Name of the port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Port of the endpoints. Default: `number`.
    #[serde(skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// Whether a service is part of the mesh.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// It is not: no mutual TLS.
    #[default]
    MeshExternal,
    /// It is.
    MeshInternal,
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// Connections go to the address that the client connected to.
    #[default]
    None,
    /// The endpoints are listed or selected.
    Static,
    /// All addresses that the names of the endpoints, or of the service, resolve to.
    Dns,
    /// The first address of the name, looked up for each new connection.
    DnsRoundRobin,
    /// The name that the client asks for, looked up when it asks; for wildcard hosts.
    DynamicDns,
}

/// What istiod writes back to a service entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryStatus {
    /// State of the resource.
    #[serde(skip_serializing_if = "is_default")]
    pub conditions: Vec<IstioCondition>,
    /// What Istio's analysis found, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub validation_messages: Vec<Value>,
    /// Generation of the resource that the status is about.
    #[serde(deserialize_with = "generation", skip_serializing_if = "is_default")]
    pub observed_generation: i64,
    /// Addresses that were allocated, since the resource names none.
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<ServiceEntryAddress>,
}

/// An address that was allocated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntryAddress {
    /// The address.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
    /// Host that it stands for.
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_static_entry_is_read_whole() {
        let spec: ServiceEntry = round_trip(&json!({
            "hosts": ["mongo.example.com"],
            "addresses": ["192.192.192.192/24"],
            "ports": [{"number": 27018, "name": "mongo", "protocol": "MONGO", "targetPort": 27017}],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": [{"address": "2.2.2.2", "ports": {"mongo": 7777}, "weight": 5}],
            "exportTo": ["~"],
            "subjectAltNames": ["spiffe://cluster.local/ns/db/sa/mongo"],
        }));

        assert_eq!(spec.location, Location::MeshInternal);
        assert_eq!(spec.ports[0].target_port, 27017);
        assert_eq!(spec.endpoints[0].ports["mongo"], 7777);
    }

    #[test]
    fn an_empty_selector_is_not_an_absent_one() {
        let spec: ServiceEntry = round_trip(&json!({"hosts": ["a"], "workloadSelector": {}}));
        assert!(spec.workload_selector.is_some());
    }

    #[test]
    fn every_resolution_is_read() {
        for (written, resolution) in [
            ("NONE", Resolution::None),
            ("STATIC", Resolution::Static),
            ("DNS", Resolution::Dns),
            ("DNS_ROUND_ROBIN", Resolution::DnsRoundRobin),
            ("DYNAMIC_DNS", Resolution::DynamicDns),
        ] {
            assert_eq!(
                round_trip::<Resolution>(&json!(written)),
                resolution,
                "{written}"
            );
        }
    }

    #[test]
    fn allocated_addresses_are_read_from_the_status() {
        let status: ServiceEntryStatus = round_trip(&json!({
            "addresses": [{"value": "240.240.0.1", "host": "api.example.com"}],
        }));
        assert_eq!(status.addresses[0].value, "240.240.0.1");
    }
}
