use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use mesh_core::attributes::ClientAddress;
use mesh_core::path::Normalization;
use mesh_policy::authn::layer::AuthenticationLayer;
use mesh_policy::authz::Forwarding;
use mesh_policy::authz::layer::AuthorizationLayer;
use mesh_policy::fault::FaultLayer;
use mesh_policy::rate_limit::LocalRateLimitLayer;
use mesh_policy::retry::RetryLayer;
use mesh_policy::retry::replay_body::ReplayBody;
use mesh_policy::telemetry::route::RecordRouteLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::mirror::{LocalTasks, MirrorBody, MirrorLayer, TeeBody};
use mesh_tls::connection;
use mesh_tls::digest::Sha256;
use mesh_tls::xfcc::layer::ForwardClientCertLayer;
use rustls::crypto::aws_lc_rs;
use tower::ServiceBuilder;
use tower_service::Service;

use super::generation::{Generation, Served};
use super::local_answers::LocalAnswers;
use super::telemetry::Http;
use super::upstream;
use crate::body::Body;
use crate::headers::{HeaderPolicyLayer, Scheme, router};
use crate::serve::Connection;
use crate::upstream::{Pool, PoolSettings};

/// The layers that requests pass, from the connection that they come by to an endpoint: in the
/// order of [`mesh_policy::stack`].
///
/// One for each thread, whose connections to endpoints it keeps. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    requests: Pool<ReplayBody<TeeBody<Body>>>,
    copies: Pool<MirrorBody>,
    tasks: LocalTasks,
    sha256: Sha256,
}

impl Stack {
    pub(super) fn new() -> Self {
        let sha256 = Sha256::of_provider(&aws_lc_rs::default_provider());
        Self {
            requests: Pool::new(PoolSettings::default()),
            copies: Pool::new(PoolSettings::default()),
            tasks: LocalTasks::default(),
            sha256: sha256.expect("the cryptography of aws-lc has SHA-256"),
        }
    }

    /// Serves the requests of `connection` by `generation`.
    pub(super) fn serve(
        &self,
        generation: &Arc<Generation>,
        connection: &Connection,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Body>,
        Error = Infallible,
        Future: 'static,
    > + Clone
    + use<> {
        let Connection {
            listener,
            peer,
            local,
            tls,
        } = connection.clone();
        let chain = tls.as_ref().map(|(chain, _)| &**chain);
        let served = generation.served(listener, chain);
        let (ends, scheme) = match tls {
            Some((_, tls)) => (connection::Connection::tls(peer, local, tls), Scheme::Https),
            None => (connection::Connection::plaintext(peer, local), Scheme::Http),
        };
        let (peer, forwarding) = (peer.ip(), served.forwarding);
        let headers = Rc::new(served.headers.clone());
        let client_cert = ForwardClientCertLayer::new(served.client_cert, self.sha256);
        let admitted = generation
            .telemetry()
            .record(self.admit(generation, served));
        ServiceBuilder::new()
            .map_request(move |request: Request<Incoming>| {
                let mut request = request.map(Body::from);
                if forwarding != Forwarding::edge(0) {
                    // The layers below find the header with the peer appended.
                    let client = ClientAddress(forwarding.client(peer, request.headers()));
                    request.extensions_mut().insert(client);
                }
                ends.attach(request.extensions_mut());
                request
            })
            .layer(HeaderPolicyLayer::new(headers, peer, scheme))
            .layer(client_cert)
            .service(admitted)
    }

    /// Judges, limits, routes and sends requests.
    fn admit(&self, generation: &Arc<Generation>, served: Served) -> impl Http + use<> {
        let policies = generation.policies();
        // Paths have been brought into their form when the request came.
        let authorization = AuthorizationLayer::new(policies.authorization.clone())
            .with_path_normalization(Normalization::None);
        let is_recorded = generation.telemetry().is_on();
        let is_limited = served.is_limited;
        ServiceBuilder::new()
            .layer(AuthenticationLayer::new(policies.authenticator.clone()))
            .layer(authorization)
            .layer(RoutingLayer::new(served.routes))
            .option_layer(is_recorded.then(RecordRouteLayer::new))
            .layer_fn(move |inner| LocalAnswers { inner, is_limited })
            .layer(LocalRateLimitLayer::new(served.limits))
            .service(self.send(generation))
    }

    /// Does what the route says, and sends requests to an endpoint of its cluster.
    fn send(&self, generation: &Arc<Generation>) -> impl Http + use<> {
        let clusters = generation.clusters();
        let client = ServiceBuilder::new()
            .map_request(|mut copy: Request<MirrorBody>| {
                router::set_attempt_count(copy.headers_mut(), 1);
                copy
            })
            .service(upstream::dispatch(clusters, &self.copies));
        let budgets = generation.policies().budgets.clone();
        ServiceBuilder::new()
            .layer(FaultLayer::new())
            .layer(FiltersLayer::new())
            .layer(TimeoutLayer::new())
            .layer(MirrorLayer::new(client).with_executor(self.tasks.clone()))
            .layer(RetryLayer::<Infallible>::new().with_budgets(budgets))
            .service(upstream::dispatch(clusters, &self.requests))
    }
}
