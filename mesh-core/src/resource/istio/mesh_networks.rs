//! MeshNetworks: networks that do not reach each other but through gateways.
//!
//! Source: messages of `mesh/v1alpha1/network.proto`; the key `meshNetworks` of the config map
//! `istio`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::mesh_networks::MeshNetworks;
//!
//! let networks: MeshNetworks = serde_json::from_str(
//!     r#"{"networks": {"east": {
//!         "endpoints": [{"fromRegistry": "cluster-east"}],
//!         "gateways": [{"address": "1.1.1.1", "port": 15443}]
//!     }}}"#,
//! )?;
//!
//! assert_eq!(networks.networks["east"].gateways[0].port, 15443);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Networks, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshNetworks {
    /// The networks. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: BTreeMap<String, Network>,
}

/// A network: what belongs to it and how it is entered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// What belongs to it. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoints: Vec<NetworkEndpoints>,
    /// How it is entered from others. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<IstioNetworkGateway>,
}

/// Endpoints of a network. One of the members has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkEndpoints {
    /// Those within a subnet.
    #[serde(skip_serializing_if = "is_default")]
    pub from_cidr: Option<String>,
    /// Those of a registry, which is a cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub from_registry: Option<String>,
}

/// A gateway of a network. One of the first two members has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioNetworkGateway {
    /// Full name of the gateway's service.
    #[serde(skip_serializing_if = "is_default")]
    pub registry_service_name: Option<String>,
    /// Address or host name of the gateway.
    #[serde(skip_serializing_if = "is_default")]
    pub address: Option<String>,
    /// Port of the gateway. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Locality of the gateway, as `region/zone/subzone`.
    #[serde(skip_serializing_if = "is_default")]
    pub locality: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn networks_are_read_whole() {
        let networks: MeshNetworks = round_trip(&json!({
            "networks": {
                "east": {
                    "endpoints": [{"fromCidr": "192.168.0.0/16"}, {"fromRegistry": "east-1"}],
                    "gateways": [
                        {"registryServiceName": "gw.istio-system.svc.cluster.local", "port": 15443},
                        {"address": "gw.example.com", "port": 15443, "locality": "us-east-1a"},
                    ],
                },
            },
        }));

        let network = &networks.networks["east"];
        assert_eq!(
            network.endpoints[0].from_cidr.as_deref(),
            Some("192.168.0.0/16")
        );
        assert_eq!(network.gateways[1].locality, "us-east-1a");
    }
}
