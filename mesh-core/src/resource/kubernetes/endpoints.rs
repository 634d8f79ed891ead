//! Endpoints: the addresses behind a Service, before there were EndpointSlices.
//!
//! `Endpoints` of `core/v1`; the object has the name of its Service.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::endpoints::Endpoints;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let endpoints: Endpoints = serde_json::from_str(
//!     r#"{"subsets": [{
//!         "addresses": [{"ip": "10.1.0.4"}],
//!         "ports": [{"name": "http", "port": 8080}]
//!     }]}"#,
//! )?;
//! assert_eq!(endpoints.subsets[0].addresses[0].ip, "10.1.0.4");
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::kubernetes::endpoint_slice::TargetReference;

/// An Endpoints object without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// Addresses, grouped by the ports that they have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<EndpointSubset>,
}

/// Addresses that have the same ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// Addresses that take traffic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<EndpointAddress>,
    /// Addresses that do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<EndpointAddress>,
    /// Ports of all these addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<SubsetPort>,
}

/// An address behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointAddress {
    /// The address. Required.
    pub ip: String,
    /// Name of its own within the Service, for headless Services. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of its node. Default: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The object that it is, as a rule a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetReference>,
}

/// A port of all addresses of a subset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubsetPort {
    /// Name of the Service's port that it belongs to. Default: the one without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number of the port. Required.
    pub port: u16,
    /// Transport protocol: `TCP`, `UDP` or `SCTP`. Default: `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Application protocol, as in the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_keep_all_that_is_read() {
        let written = json!({"subsets": [{
            "addresses": [{
                "ip": "10.1.0.4", "hostname": "cart-0", "nodeName": "node-a",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "cart-0"},
            }],
            "notReadyAddresses": [{"ip": "10.1.0.5"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
        }]});
        let endpoints: Endpoints = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(endpoints.subsets[0].not_ready_addresses[0].ip, "10.1.0.5");
        assert_eq!(serde_json::to_value(&endpoints).unwrap(), written);
    }
}
