//! What connections say of their clients before everything else (the PROXY protocol).

use std::io;
use std::net::SocketAddr;

use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
use mesh_discovery::connect::Stream;
use mesh_discovery::proxy_protocol::{Addresses, Header, send};
use mesh_discovery::service::Target;

/// A header of the PROXY protocol. Connections that begin with different ones are not shared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Preface {
    version: ProxyProtocolVersion,
    /// The client, and what it connected to; `None` if the connection is of the sender itself.
    client: Option<(SocketAddr, SocketAddr)>,
}

impl Preface {
    /// What connections to a target begin with, if its DestinationRule asks for it
    /// (`trafficPolicy.proxyProtocol`).
    pub fn of(target: &Target) -> Option<Self> {
        let wanted = target.cluster.policy.proxy_protocol.as_ref()?;
        Some(Self {
            version: wanted.version,
            client: target.downstream.map(|client| (client.peer, client.local)),
        })
    }

    pub(super) async fn send(&self, stream: &mut Stream) -> io::Result<()> {
        let header = match self.client {
            Some((peer, local)) => Header::tcp(peer, local),
            None => Header::from(Addresses::Local),
        };
        send(stream, self.version, &header).await
    }
}
