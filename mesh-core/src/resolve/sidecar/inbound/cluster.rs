//! The clusters of the application itself (`buildInboundClusters`).

use std::net::SocketAddr;

use crate::config::options::MeshOptions;
use crate::model::cluster::{Cluster, Discovery, Endpoint, EndpointAddress};
use crate::origin::Origin;
use crate::resolve::cluster::connections;
use crate::resolve::sidecar::Sidecar;
use crate::resolve::sidecar::inbound::PASSTHROUGH;
use crate::resolve::sidecar::inbound::ports::Port;
use crate::service::{ClusterName, Protocol};

/// Where the application of a port is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Upstream {
    /// Where the client connected to.
    OriginalDestination,
    /// At this socket.
    Socket(SocketAddr),
    /// At this Unix socket.
    Unix(String),
}

/// The cluster of a port.
pub(super) fn of_port(sidecar: &Sidecar<'_>, port: &Port) -> Cluster {
    let address = match &port.upstream {
        Upstream::OriginalDestination => None,
        Upstream::Socket(socket) => Some(EndpointAddress::Ip(*socket)),
        Upstream::Unix(path) => Some(EndpointAddress::Unix(path.clone())),
    };
    let mut cluster = new(ClusterName::inbound(port.number));
    cluster.protocol = port.protocol;
    cluster.origin = port.origin.clone();
    cluster.policy.connection_pool = port.connection_pool.clone();
    if let Some(address) = address {
        cluster.discovery = Discovery::Static;
        cluster.endpoints.push(Endpoint::new(address));
    }
    connections::settle(&mut cluster, options(sidecar));
    cluster
}

/// The cluster of ports that nobody declared.
pub(super) fn passthrough(sidecar: &Sidecar<'_>) -> Cluster {
    let mut cluster = new(ClusterName::from(PASSTHROUGH));
    cluster.protocol = Protocol::Unsupported;
    cluster.origin = Origin::synthetic("ports that no service leads to");
    cluster.policy.connection_pool = connections::default_pool(options(sidecar));
    connections::settle(&mut cluster, options(sidecar));
    cluster
}

fn new(name: ClusterName) -> Cluster {
    let mut cluster = Cluster::new(name);
    cluster.discovery = Discovery::OriginalDestination;
    cluster
}

fn options<'a>(sidecar: &Sidecar<'a>) -> &'a MeshOptions {
    sidecar.context.config.options()
}
