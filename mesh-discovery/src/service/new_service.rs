use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::cluster::{Cluster, Endpoint};

use crate::circuit_breaker::Breakers;

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// The cluster it was picked from, which says how it is connected to.
    pub cluster: Arc<Cluster>,
    /// What is under way to the cluster.
    pub breakers: Arc<Breakers>,
    /// Whose connections are made, where the cluster's `proxyProtocol` has them say so: then clients
    /// share none.
    pub downstream: Option<Downstream>,
}

/// The addresses of a connection from a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Downstream {
    /// Address of the client, or of the proxy before us.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
}

/// Makes services for endpoints.
///
/// A service is made for each request, so it should be cheap: a handle of a pool of connections.
/// Any function of a [`Target`] is a `NewService`.
pub trait NewService {
    /// The service of an endpoint.
    type Service;

    /// Makes the service of an endpoint.
    fn new_service(&self, target: &Target) -> Self::Service;
}

impl<F, S> NewService for F
where
    F: Fn(&Target) -> S,
{
    type Service = S;

    fn new_service(&self, target: &Target) -> S {
        self(target)
    }
}

/// Writes a `NewService` that has no better name.
pub(super) struct Opaque;

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
