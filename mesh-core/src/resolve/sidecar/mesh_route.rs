//! Routes that take the requests of services, in the way of the Gateway API for the mesh (GAMMA).

use std::sync::Arc;

use crate::model::route::Route;
use crate::origin::Origin;
use crate::resource::Metadata;

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
