use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use mesh_core::model::Model;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_policy::fault::FaultLayer;
use mesh_policy::retry::RetryLayer;
use mesh_policy::retry::replay_body::ReplayBody;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use tower::{ServiceBuilder, ServiceExt};

use super::balancing::Balancing;
use super::generation::Generation;
use super::{PublishError, upstream};
use crate::body::Body;
use crate::upstream::{Pool, PoolSettings};

/// Calls to other services, routed in process: what a sidecar would do beside the service.
///
/// Until a configuration is published, every call is answered with `404`.
#[derive(Clone, Debug)]
pub struct Mesh {
    generation: Watch<Generation>,
    publisher: Arc<Mutex<(Publisher<Generation>, Balancing)>>,
}

impl Mesh {
    /// A mesh without routes.
    pub fn new() -> Self {
        let (publisher, generation) = watch::channel(Generation::empty());
        Self {
            generation,
            publisher: Arc::new(Mutex::new((publisher, Balancing::new()))),
        }
    }

    /// Routes calls to `port` by the sidecar's `model`.
    ///
    /// # Errors
    ///
    /// The routes cannot be compiled, or the system refuses the thread that resolves names.
    pub fn publish(&self, model: &Model, port: u16) -> Result<(), PublishError> {
        let mut publisher = self
            .publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (publisher, balancing) = &mut *publisher;
        publisher.publish(Generation::of_routes(model, &port.to_string(), balancing)?);
        Ok(())
    }

    /// A client for the calls of one worker's thread.
    pub fn client(&self) -> MeshClient {
        MeshClient {
            generation: self.generation.clone(),
            pool: Pool::new(PoolSettings::default()),
        }
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls other services from one thread, whose connections it keeps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MeshClient {
    generation: Watch<Generation>,
    pool: Pool<ReplayBody<Body>>,
}

impl MeshClient {
    /// Sends a request where its route says.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let generation = self.generation.load_full();
        let budgets = generation.policies().budgets.clone();
        let service = ServiceBuilder::new()
            .layer(RoutingLayer::new(generation.served(0, None).routes))
            .layer(FaultLayer::new())
            .layer(FiltersLayer::new())
            .layer(TimeoutLayer::new())
            .layer(RetryLayer::<Infallible>::new().with_budgets(budgets))
            .service(upstream::dispatch(generation.clusters(), &self.pool));
        match service.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
