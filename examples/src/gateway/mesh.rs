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
use mesh_tls::resolve::LiveIdentity;
use tower::{ServiceBuilder, ServiceExt};

use super::balancing::Balancing;
use super::generation::{CALLERS, CALLS, Generation};
use super::handshakes::Handshakes;
use super::tls::Tls;
use super::{PublishError, upstream};
use crate::body::Body;
use crate::serve::FilterChains;
use crate::upstream::{Pool, PoolSettings};

/// What a sidecar would do beside a service, in its own process: it routes the calls to others, and
/// tells callers apart. Cheap to clone.
///
/// Until a configuration is published, every call is answered with `404`.
#[derive(Clone, Debug)]
pub struct Mesh {
    generation: Watch<Generation>,
    publishing: Arc<Mutex<Publishing>>,
}

#[derive(Debug)]
struct Publishing {
    generations: Publisher<Generation>,
    tls: Tls,
    balancing: Balancing,
}

impl Mesh {
    /// A mesh without routes, in which `identity` is proven.
    pub fn new(identity: LiveIdentity) -> Self {
        let (generations, generation) = watch::channel(Generation::empty());
        let publishing = Publishing {
            generations,
            tls: Tls::new(Some(identity), Handshakes::new(None)),
            balancing: Balancing::new(),
        };
        Self {
            generation,
            publishing: Arc::new(Mutex::new(publishing)),
        }
    }

    /// Routes calls to `port`, and tells callers apart, by the sidecar's `model`; and returns what of
    /// it is not followed.
    ///
    /// # Errors
    ///
    /// Routes or filter chains cannot be compiled, or the system refuses the thread that resolves
    /// names.
    pub fn publish(&self, model: &Model, port: u16) -> Result<Vec<String>, PublishError> {
        let mut publishing = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Publishing {
            generations,
            tls,
            balancing,
        } = &mut *publishing;
        let last = self.generation.load_full();
        let (generation, warnings) =
            Generation::in_process(model, &port.to_string(), (tls, balancing), &last)?;
        generations.publish(generation);
        tls.keep();
        Ok(warnings)
    }

    /// The filter chains of the connections to the workload, by the port that they were made to.
    /// `None` until a configuration is published: nobody may call yet.
    pub fn callers(&self) -> Option<Arc<FilterChains>> {
        self.generation.load().chains(CALLERS)
    }

    /// A client for the calls of one worker's thread.
    pub fn client(&self) -> MeshClient {
        MeshClient {
            generation: self.generation.clone(),
            pool: Pool::new(PoolSettings::default()),
        }
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
            .layer(RoutingLayer::new(generation.served(CALLS, None).routes))
            .layer(FaultLayer::new())
            .layer(FiltersLayer::new())
            .layer(TimeoutLayer::new())
            .layer(RetryLayer::<Infallible>::new().with_budgets(budgets))
            .service(upstream::dispatch(generation.upstreams(), &self.pool, true));
        match service.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
