use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use mesh_core::model::Model;
use mesh_core::watch::Publisher;
use mesh_core::watch::{self, Watch};
use mesh_policy::fault::FaultLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::table::RouteTable;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::upstream::{self, Clusters};
use super::{PublishError, no_routes};
use crate::body::Body;
use crate::upstream::{Pool, PoolSettings};

/// Calls to other services, routed in process: what a sidecar would do beside the service.
///
/// Until a configuration is published, every call is answered with `404`.
#[derive(Clone, Debug)]
pub struct Mesh {
    table: Watch<RouteTable>,
    clusters: Watch<Clusters>,
    publishers: Arc<Mutex<(Publisher<RouteTable>, Publisher<Clusters>)>>,
}

impl Default for Mesh {
    fn default() -> Self {
        let (routes, table) = watch::channel(no_routes());
        let (endpoints, clusters) = watch::channel(Clusters::default());
        Self {
            table,
            clusters,
            publishers: Arc::new(Mutex::new((routes, endpoints))),
        }
    }
}

impl Mesh {
    /// Routes calls to `port` by the sidecar's `model`.
    ///
    /// # Errors
    ///
    /// The routes cannot be compiled.
    pub fn publish(&self, model: &Model, port: u16) -> Result<(), PublishError> {
        let routes = model.route_configurations.get(&port.to_string());
        let table = RouteTable::compile(&routes.map(Arc::as_ref).cloned().unwrap_or_default())?;
        let publishers = self
            .publishers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        publishers.1.publish(Clusters::new(&model.clusters).0);
        publishers.0.publish(table);
        Ok(())
    }

    /// A client for the calls of one worker's thread.
    pub fn client(&self) -> MeshClient {
        MeshClient {
            table: self.table.clone(),
            clusters: self.clusters.clone(),
            pool: Pool::new(PoolSettings::default()),
        }
    }
}

/// Calls other services from one thread, whose connections it keeps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeshClient {
    table: Watch<RouteTable>,
    clusters: Watch<Clusters>,
    pool: Pool<Body>,
}

impl MeshClient {
    /// Sends a request where its route says.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (clusters, pool) = (self.clusters.clone(), self.pool.clone());
        let service = ServiceBuilder::new()
            .layer(RoutingLayer::new(self.table.clone()))
            .layer(FaultLayer::new())
            .layer(FiltersLayer::new())
            .layer(TimeoutLayer::new())
            .service(service_fn(move |request| {
                upstream::forward(&clusters, &pool, request)
            }));
        match service.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
