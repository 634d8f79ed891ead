//! EndpointSlice: some of the addresses behind a Service.
//!
//! `EndpointSlice` of `discovery/v1`. The label `kubernetes.io/service-name` tells the Service;
//! its endpoints are those of all its slices.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::endpoint_slice::EndpointSlice;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let slice: EndpointSlice = serde_json::from_str(
//!     r#"{
//!         "addressType": "IPv4",
//!         "endpoints": [{"addresses": ["10.1.0.4"], "conditions": {"ready": true}}],
//!         "ports": [{"name": "http", "port": 8080}]
//!     }"#,
//! )?;
//! assert_eq!(slice.endpoints[0].addresses, ["10.1.0.4"]);
//! assert_eq!(slice.endpoints[0].conditions.ready, Some(true));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// An EndpointSlice without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// What the addresses are. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_type: Option<AddressType>,
    /// The endpoints; `null`, which Kubernetes writes when there are none, is read as none.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoints: Vec<Endpoint>,
    /// The ports, which all endpoints have; `null` is read as none.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ports: Vec<EndpointPort>,
}

/// What the addresses of a slice are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressType {
    /// DNS names.
    #[serde(rename = "FQDN")]
    Fqdn,
    /// IPv4 addresses.
    #[serde(rename = "IPv4")]
    Ipv4,
    /// IPv6 addresses.
    #[serde(rename = "IPv6")]
    Ipv6,
}

/// One of the places behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Its addresses, all of them equivalent; clients use the first. Required.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub addresses: Vec<String>,
    /// Its state.
    pub conditions: EndpointConditions,
    /// Name of its own within the Service, for headless Services. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of its node. Default: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Zone of its node. Default: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The object that it is, as a rule a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetReference>,
    /// Which clients should prefer it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hints: Option<EndpointHints>,
    /// Topology as `discovery/v1beta1` had it, where `v1` has no field for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub deprecated_topology: BTreeMap<String, String>,
}

/// The state of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Whether it takes new traffic. Default: unknown, which counts as ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Whether it would take traffic, terminating or not. Default: `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// Whether it is about to end. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// The object that an endpoint is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetReference {
    /// Kind of the object, as a rule `Pod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Unique id of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// Which clients should prefer an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHints {
    /// Zones of those clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub for_zones: Vec<TopologyName>,
    /// Nodes of those clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub for_nodes: Vec<TopologyName>,
}

/// A zone or a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopologyName {
    /// Its name. Required.
    pub name: String,
}

/// A port of all endpoints of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name of the Service's port that it belongs to. Default: the one without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Transport protocol: `TCP`, `UDP` or `SCTP`. Default: `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Number of the port. Default: all ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Application protocol, as in the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Reads `null` as it would read nothing.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_keeps_all_that_is_read() {
        let written = json!({
            "addressType": "IPv6",
            "endpoints": [{
                "addresses": ["fd00::4"],
                "conditions": {"ready": false, "serving": true, "terminating": true},
                "hostname": "cart-0",
                "nodeName": "node-a",
                "zone": "zone-a",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "cart-0", "uid": "1"},
                "hints": {"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "node-a"}]},
                "deprecatedTopology": {"topology.kubernetes.io/region": "region-1"},
            }],
            "ports": [
                {"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"},
            ],
        });
        let slice: EndpointSlice = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(slice.address_type, Some(AddressType::Ipv6));
        assert_eq!(serde_json::to_value(&slice).unwrap(), written);
    }

    #[test]
    fn a_slice_without_endpoints_may_say_null() {
        let written = json!({"addressType": "IPv4", "endpoints": null, "ports": null});
        let slice: EndpointSlice = serde_json::from_value(written).unwrap();
        assert!(slice.endpoints.is_empty() && slice.ports.is_empty());
    }
}
