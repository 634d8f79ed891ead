//! Networks of the mesh.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::mesh_networks::{
    IstioNetworkGateway, MeshNetworks, Network, NetworkEndpoints,
};

const REGISTRY: Support = Support::NotApplicable("services are those of one Kubernetes cluster");

const GATEWAYS: Support = Support::never("endpoints of other networks are connected to directly");

impl Classify for MeshNetworks {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { networks } = self;
        fields.nest("networks", networks);
    }
}

impl Classify for Network {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            endpoints,
            gateways,
        } = self;
        fields.nest("endpoints", endpoints);
        fields.nest_as("gateways", gateways, GATEWAYS);
    }
}

impl Classify for NetworkEndpoints {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            from_cidr,
            from_registry,
        } = self;
        fields.leaf("fromCidr", from_cidr, Capability::Discovery);
        fields.leaf("fromRegistry", from_registry, REGISTRY);
    }
}

impl Classify for IstioNetworkGateway {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            registry_service_name,
            address,
            port,
            locality,
        } = self;
        fields.leaf(
            "registryServiceName",
            registry_service_name,
            Capability::Discovery,
        );
        fields.leaf("address", address, Capability::Discovery);
        fields.leaf("port", port, Capability::Discovery);
        fields.leaf("locality", locality, Capability::Discovery);
    }
}
