//! Rules of MeshNetworks (`ValidateMeshNetworks`).
//!
//! ```
//! use mesh_core::resource::istio::MeshNetworks;
//! use mesh_core::validate::{Report, mesh_networks};
//!
//! let networks: MeshNetworks = serde_json::from_str(
//!     r#"{"networks": {"east": {"gateways": [{"address": "gw.example.com"}]}}}"#,
//! )?;
//! let report = Report::default();
//! mesh_networks::validate(&networks, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "networks[east].gateways[0].port");
//! # Ok::<(), serde_json::Error>(())
//! ```

use super::address::is_ip;
use super::{At, address, port};
use crate::dns;
use crate::resource::istio::mesh_networks::{
    IstioNetworkGateway, MeshNetworks, Network, NetworkEndpoints,
};

/// Checks the networks of a mesh.
pub fn validate(networks: &MeshNetworks, at: At<'_>) {
    let MeshNetworks { networks } = networks;
    at.field("networks").each_entry(networks, |_, network, at| {
        let Network {
            endpoints,
            gateways,
        } = network;
        at.field("endpoints").each(endpoints, validate_endpoints);
        at.field("gateways").each(gateways, validate_gateway);
    });
}

fn validate_endpoints(endpoints: &NetworkEndpoints, at: At<'_>) {
    let NetworkEndpoints {
        from_cidr,
        from_registry,
    } = endpoints;
    at.at_most_one(&[
        ("fromCidr", from_cidr.is_some()),
        ("fromRegistry", from_registry.is_some()),
    ]);
    if let Some(cidr) = from_cidr {
        address::validate_subnet(cidr, at.field("fromCidr"));
    }
    if let Some(registry) = from_registry {
        at.field("fromRegistry")
            .check(dns::validate_label(registry));
    }
}

fn validate_gateway(gateway: &IstioNetworkGateway, at: At<'_>) {
    let IstioNetworkGateway {
        registry_service_name,
        address,
        port,
        locality: _,
    } = gateway;
    at.at_most_one(&[
        ("registryServiceName", registry_service_name.is_some()),
        ("address", address.is_some()),
    ]);
    if let Some(name) = registry_service_name {
        at.field("registryServiceName")
            .check(dns::validate_fqdn(name));
    }
    if let Some(address) = address.as_deref().filter(|address| !is_ip(address)) {
        at.field("address").check(dns::validate_fqdn(address));
    }
    port::validate_number(*port, at.field("port"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn networks_have_valid_endpoints_and_gateways() {
        let cases = [
            (
                json!({"endpoints": [{"fromRegistry": "Kubernetes"}, {"fromCidr": "10.0.0.0/8"}]}),
                0,
            ),
            (
                json!({"endpoints": [{"fromRegistry": "a b"}, {"fromCidr": "10.0.0.0/33"}]}),
                2,
            ),
            (
                json!({"gateways": [{"registryServiceName": "a.b", "port": 80}]}),
                0,
            ),
            (
                json!({"gateways": [{"registryServiceName": "a b", "port": 0}]}),
                2,
            ),
            (
                json!({"gateways": [{"address": "10.0.0.1", "port": 80}]}),
                0,
            ),
            (
                json!({"gateways": [{"address": "gw.example.com", "port": 80}]}),
                0,
            ),
            (
                json!({"gateways": [{"address": "10.0.0.300", "port": 80}]}),
                1,
            ),
        ];
        for (network, errors) in cases {
            let networks = read(json!({"networks": {"a": network}}));
            assert_errors(&network.to_string(), errors, |at| validate(&networks, at));
        }
    }
}
