use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use mesh_core::attributes::ClientAddress;
use mesh_policy::authz::Forwarding;
use mesh_policy::fault::FaultLayer;
use mesh_policy::rate_limit::envoy_filter::Place;
use mesh_policy::retry::RetryLayer;
use mesh_policy::retry::replay_body::ReplayBody;
use mesh_policy::telemetry::route::RecordRouteLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_policy::timeout::stream::{StreamTimeoutLayer, TimedBody};
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::mirror::{LocalTasks, MirrorBody, MirrorLayer, TeeBody};
use mesh_tls::connection;
use mesh_tls::digest::Sha256;
use mesh_tls::xfcc::layer::ForwardClientCertLayer;
use rustls::crypto::aws_lc_rs;
use tower::ServiceBuilder;
use tower_layer::Layer;
use tower_service::Service;

use super::early_route::EarlyRouteLayer;
use super::generation::Generation;
use super::limits::Limits;
use super::local_answers::LocalAnswersLayer;
use super::mirrors::Mirrors;
use super::optional::{Layered, bare, optional};
use super::served::{Served, Told, Uses};
use super::telemetry::Http;
use super::unrouted::UnroutedLayer;
use super::upstream::{self, Upstreams};
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
    requests: Pool<ReplayBody<Body>>,
    copies: Pool<MirrorBody>,
    tasks: LocalTasks,
    mirrors: Mirrors,
    sha256: Sha256,
}

impl Stack {
    /// Counts in `mirrors`, as do those of other threads.
    pub(super) fn new(mirrors: &Mirrors) -> Self {
        let sha256 = Sha256::of_provider(&aws_lc_rs::default_provider());
        Self {
            requests: Pool::new(PoolSettings::default()),
            copies: Pool::new(PoolSettings::default()),
            tasks: mirrors.tasks(),
            mirrors: mirrors.clone(),
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
            routes,
            tls,
            server_name: _,
            accepted: _,
        } = connection.clone();
        let served = generation.served(listener, routes.as_deref());
        let own = tls.as_ref().and_then(|tls| tls.own.clone());
        let (ends, scheme) = match tls {
            Some(tls) => (connection::Connection::tls(peer, local, tls), Scheme::Https),
            None => (connection::Connection::plaintext(peer, local), Scheme::Http),
        };
        let (peer, port, forwarding) = (peer.ip(), local.port(), served.forwarding);
        let headers = Rc::new(served.headers.clone());
        let (mode, details) = served.client_cert;
        let client_cert = ForwardClientCertLayer::new(mode, self.sha256)
            .with_details(details)
            .with_own_certificate(own);
        let is_inbound = served.is_guarded;
        let admitted = self.admit(generation, served);
        let telemetry = generation.telemetry();
        let admitted = telemetry.record(admitted, is_inbound);
        let refused = telemetry.refuse(is_inbound);
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
            .layer(
                HeaderPolicyLayer::new(headers, peer, scheme)
                    .with_port(port)
                    .with_refused(refused),
            )
            .layer(client_cert)
            .service(admitted)
    }

    /// Judges, limits, routes and sends requests.
    fn admit(&self, generation: &Arc<Generation>, served: Served) -> Layered<impl Http + use<>> {
        let policies = generation.policies_of(&served);
        let is_steered = served.is_steered();
        let Served {
            routes,
            limits,
            uses,
            told,
            is_guarded: is_inbound,
            ..
        } = served;
        let is_limited = limits.are_any();
        // What is decided before the route is chosen may depend on it all the same, and what is recorded
        // of it names the route.
        let is_changing = is_limited || (policies.are_any && uses.response_headers);
        let is_recorded = generation.telemetry().is_on(is_inbound);
        let is_early = is_changing || (policies.are_any && is_recorded);
        let answers = LocalAnswersLayer {
            is_limited,
            clusters: generation.upstreams().clone(),
        };
        let is_aborting = uses.response_headers && uses.faults;
        let below = (is_aborting && !is_changing).then(|| answers.clone());

        let sent = self.send(generation, &limits, (uses, is_steered, told));
        let recorded = is_recorded.then(RecordRouteLayer::new);
        let sent = optional(recorded, optional(below, sent));
        let routed = bare(RoutingLayer::new(routes.clone()).layer(sent));

        let (local, global) = limits.at(Place::Last);
        let unrouted = is_limited.then_some(UnroutedLayer { local, global });
        let judged = optional(policies.judge(), optional(unrouted, routed));
        let (local, global) = limits.at(Place::First);
        let first = optional(local, optional(global, policies.ask(judged)));
        let answers = is_changing.then(|| LocalAnswersLayer {
            is_limited: true,
            ..answers
        });
        let early = is_early.then(|| EarlyRouteLayer { routes });
        optional(early, optional(answers, first))
    }

    /// Does what the route says, and sends requests to an endpoint of its cluster.
    fn send(
        &self,
        generation: &Arc<Generation>,
        limits: &Limits,
        (uses, is_steered, told): (Uses, bool, Told),
    ) -> Layered<impl Http + use<>> {
        let upstreams = generation.upstreams();
        let mirror = uses.mirrors.then(|| {
            let copies = self.send_copies(upstreams, (is_steered, told));
            ServiceBuilder::new()
                .layer(MirrorLayer::new(copies).with_executor(self.tasks.clone()))
                .map_request(|request: Request<TeeBody<Body>>| request.map(Body::wrapped))
        });
        let budgets = generation.policies().budgets.clone();
        let retried = RetryLayer::<Infallible>::new()
            .with_budgets(budgets)
            .with_attempt_count(told.attempts)
            .with_trusted_headers(is_steered)
            .layer(upstream::dispatch(upstreams, &self.requests, told.debug));
        let sent = ServiceBuilder::new()
            .layer(FiltersLayer::new().with_original_headers(told.debug))
            .map_request(move |mut request: Request<Body>| {
                if is_steered {
                    router::remove_unread(request.headers_mut());
                }
                request
            })
            .map_response(|response: Response<TimedBody<Body>>| response.map(Body::timed))
            .layer(StreamTimeoutLayer::new())
            .layer(
                TimeoutLayer::new()
                    .with_envoy_headers(told.debug)
                    .with_trusted_headers(is_steered),
            )
            .service(optional(mirror, bare(retried)));
        let (local, global) = limits.at(Place::Last);
        let limited = optional(local, optional(global, bare(sent)));
        optional(uses.faults.then(FaultLayer::new), limited)
    }

    /// Sends mirrored requests to an endpoint of their cluster, within its limits: for as long as their
    /// originals may take, answer included, and once.
    fn send_copies(
        &self,
        upstreams: &Upstreams,
        (is_steered, told): (bool, Told),
    ) -> impl Service<
        Request<MirrorBody>,
        Response = Response<TimedBody<Body>>,
        Error = Infallible,
        Future: 'static,
    > + Clone
    + use<> {
        let mirrors = self.mirrors.clone();
        ServiceBuilder::new()
            .map_request(move |mut copy: Request<MirrorBody>| {
                if is_steered {
                    router::remove_steering(copy.headers_mut());
                }
                if told.attempts {
                    router::set_attempt_count(copy.headers_mut(), 1);
                }
                copy
            })
            .layer(StreamTimeoutLayer::new())
            .layer(
                TimeoutLayer::new()
                    .with_envoy_headers(told.debug)
                    .with_known_limits(true),
            )
            .map_response(move |response: Response<Body>| {
                mirrors.record(&response);
                response
            })
            .service(upstream::dispatch(upstreams, &self.copies, told.debug))
    }
}
