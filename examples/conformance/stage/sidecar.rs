//! Sidecars: what their listeners do with connections to one destination.
//!
//! The kernel of a pod redirects connections to its sidecar, which learns from it where they were
//! made to. Here each destination has a proxy of its own, that is told of it when it starts.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::Direction;
use mesh_core::model::policy::Policies;
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use super::network::Network;
use super::proxy::Proxy;

/// The proxy between others and the application of a pod at `address`.
pub(super) fn inbound(network: &Arc<Network>, address: SocketAddr) -> Result<Proxy, String> {
    let workload = network.pods.workload_at(address.ip());
    let workload = workload.ok_or_else(|| format!("no pod has the address {address}"))?;
    let mut model = resolve(&network.config, &workload);
    model.clusters.retain(|name, _| is_own(name));
    network.connect_own(&mut model, address);
    Proxy::sidecar(network, &model, Direction::Inbound, address)
}

/// The proxy between a workload and what it calls at `destination`.
pub(super) fn outbound(
    network: &Arc<Network>,
    workload: &Workload,
    destination: SocketAddr,
) -> Result<Proxy, String> {
    let mut model = resolve(&network.config, workload);
    // What the workload demands of its callers is no concern of those that it calls.
    model.policies = Policies::default();
    model.clusters.retain(|name, _| !is_own(name));
    let is_outbound = |direction| direction == Direction::Outbound;
    model
        .listeners
        .retain(|listener| is_outbound(listener.direction));
    network.connect(&mut model, Some(destination));
    Proxy::sidecar(network, &model, Direction::Outbound, destination)
}

/// Whether a cluster is the workload's own application.
fn is_own(name: &ClusterName) -> bool {
    let name = name.as_str();
    name.starts_with("inbound|") || name == "InboundPassthroughCluster"
}
