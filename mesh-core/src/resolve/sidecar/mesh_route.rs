//! Routes that take the requests of services, in the way of the Gateway API for the mesh (GAMMA).

use std::sync::Arc;

use crate::model::listener::TcpProxy;
use crate::model::route::Route;
use crate::origin::Origin;
use crate::resource::Metadata;

/// What is attached to services, for their clients.
#[derive(Clone, Debug, Default)]
pub(in crate::resolve) struct MeshRoutes<'a> {
    /// Routes of requests.
    pub(in crate::resolve) requests: Vec<MeshRoute<'a>>,
    /// Routes of connections; of those for one port the first counts.
    pub(in crate::resolve) connections: Vec<MeshConnections<'a>>,
}

/// Where the routes of one namespace lead that are attached to a service.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct MeshDestinations<'a> {
    /// The namespace of the routes.
    pub(in crate::resolve) namespace: &'a str,
    /// Whole name of the service that they are attached to.
    pub(in crate::resolve) host: &'a str,
    /// Whole names and ports of the services that they lead to.
    pub(in crate::resolve) to: Vec<(String, u16)>,
}

/// A TCPRoute or a TLSRoute at a port of a service.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct MeshConnections<'a> {
    /// Metadata of the route.
    pub(in crate::resolve) metadata: &'a Metadata,
    /// Whole name of the service.
    pub(in crate::resolve) host: &'a str,
    /// The port of the service.
    pub(in crate::resolve) port: u16,
    /// The server names of the connections. `None` is of connections that are told by none.
    pub(in crate::resolve) server_names: Option<Vec<String>>,
    /// Where the connections go.
    pub(in crate::resolve) proxy: TcpProxy,
    /// What asked for it.
    pub(in crate::resolve) origin: Origin,
}

/// The routes of one namespace for services that are parents of HTTPRoutes or GRPCRoutes.
///
/// They are for callers in the same namespace, and if it is that of the service, for all callers.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct MeshRoute<'a> {
    /// Metadata of the resource, of several the oldest. It orders routes that compete.
    pub(in crate::resolve) metadata: &'a Metadata,
    /// Whole names of the services.
    pub(in crate::resolve) hosts: Vec<String>,
    /// The port of the services. `None` is every port.
    pub(in crate::resolve) port: Option<u16>,
    /// Tried in order.
    pub(in crate::resolve) routes: Vec<Arc<Route>>,
    /// What asked for them.
    pub(in crate::resolve) origin: Origin,
}
