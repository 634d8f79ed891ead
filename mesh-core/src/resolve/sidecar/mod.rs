//! Listeners and routes of a sidecar.
//!
//! [`outbound`] is what the application calls: listeners for the ports and addresses of the
//! services that it sees, and for each HTTP port the [`virtual_hosts`] of these services.
//! [`inbound`] is how the application is called.

mod candidates;
mod capture;
mod chains;
mod claims;
mod domains;
mod entries;
mod inbound;
mod l4;
mod l4_rules;
pub(super) mod mesh_route;
mod outbound;
mod registry;
mod route_names;
mod unmatched;
mod virtual_hosts;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::MESH_GATEWAY;
use crate::resolve::context::{Context, Parts};
use crate::resolve::sidecar::mesh_route::MeshRoutes;
use crate::resolve::virtual_service::{Delegates, RouteContext};

/// Where Istio's sidecars tell whether they are ready, and their statistics.
const STATUS_PORTS: [u16; 2] = [15021, 15090];

/// What the parts of the resolution of a sidecar share.
struct Sidecar<'a> {
    context: &'a Context<'a>,
    mesh_routes: MeshRoutes<'a>,
    delegates: Delegates<'a>,
}

/// Resolves a sidecar. Services that `mesh_routes` are for do not get their default routes.
pub(super) fn resolve<'a>(context: &'a Context<'a>, mesh_routes: MeshRoutes<'a>) -> Parts {
    let sidecar = Sidecar {
        context,
        mesh_routes,
        delegates: Delegates::new(context.config),
    };
    let mut parts = Parts::default();
    inbound::resolve(&sidecar, &mut parts);
    outbound::resolve(&sidecar, &mut parts);
    parts
}

impl<'a> Sidecar<'a> {
    /// How rules of VirtualServices see the listener of `port`.
    fn routes_at(&'a self, port: u16) -> RouteContext<'a> {
        RouteContext {
            config: self.context.config,
            workload: self.context.workload,
            delegates: &self.delegates,
            gateways: &[MESH_GATEWAY],
            port,
            tls: false,
        }
    }

    /// The address that stands for all of the workload's family. IPv4 unless all of its addresses
    /// are IPv6.
    fn wildcard(&self) -> IpAddr {
        let addresses = &self.context.workload.addresses;
        match addresses.is_empty() || addresses.iter().any(IpAddr::is_ipv4) {
            true => Ipv4Addr::UNSPECIFIED.into(),
            false => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The loopback address of the workload's family.
    fn localhost(&self) -> IpAddr {
        match self.wildcard() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// The port that captured outbound connections are sent to.
    fn outbound_port(&self) -> u16 {
        let options = self.context.config.options().as_written();
        Self::mesh_port(options.proxy_listen_port, 15001)
    }

    /// The port that captured inbound connections are sent to.
    fn inbound_port(&self) -> u16 {
        let options = self.context.config.options().as_written();
        Self::mesh_port(options.proxy_inbound_listen_port, 15006)
    }

    /// Whether the proxy itself listens on `port` of all addresses, so that nothing else can
    /// (`conflictWithReservedListener`).
    fn is_own_port(&self, port: u16) -> bool {
        let captured = [self.outbound_port(), self.inbound_port()];
        captured.contains(&port) || STATUS_PORTS.contains(&port)
    }

    /// A port of the mesh-wide settings, or its default.
    fn mesh_port(written: Option<i32>, default: u16) -> u16 {
        let written = written.and_then(|port| u16::try_from(port).ok());
        written.filter(|port| *port != 0).unwrap_or(default)
    }
}
