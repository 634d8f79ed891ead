//! A workload on the way of a request, with the layers that its policies make.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};
use mesh_core::duration::Duration;
use mesh_core::identity::TrustDomains;
use mesh_core::model::Model;
use mesh_policy::authn::layer::AuthenticationLayer;
use mesh_policy::authn::{Authenticator, Fetch, FetchError, KeyStore};
use mesh_policy::authz::layer::AuthorizationLayer;
use mesh_policy::authz::{Forwarding, PolicySet};
use mesh_policy::ext_authz::layer::ExtAuthzLayer;
use mesh_policy::ext_authz::{
    Answer, Authorize, Check, CheckFuture, PrefixedBody, Provider, Providers, Settings,
};
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::table::RouteTable;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::backend::Backend;
use crate::jose::algorithms;

/// Where the keys of all issuers are.
pub(super) const KEYS: &str = "https://keys.example";

/// Serves the keys, after the delay that the query asks for.
struct Keys<'a>(&'a str);

impl Fetch for Keys<'_> {
    async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
        let Some(query) = uri.strip_prefix(KEYS) else {
            return Err(FetchError::new("there is no such document"));
        };
        if let Some(delay) = query.strip_prefix("?delay=") {
            let delay = delay.parse::<Duration>().map_err(FetchError::new)?;
            tokio::time::sleep(delay.as_std().unwrap_or_default()).await;
        }
        Ok(Bytes::copy_from_slice(self.0.as_bytes()))
    }
}

/// The authorizer of Istio's samples: allows what has the header `x-ext-authz: allow`.
struct Sample;

impl Authorize for Sample {
    fn check(&self, check: Check) -> CheckFuture<'_> {
        let header = check.headers.get("x-ext-authz");
        let answer = if header.is_some_and(|value| value == "allow") {
            Answer::allow()
        } else {
            Answer::deny(StatusCode::FORBIDDEN)
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// A workload on the way.
#[derive(Debug)]
pub(super) struct Hop {
    authenticator: Authenticator,
    policies: PolicySet,
    forwarding: Forwarding,
    /// Of a gateway.
    routes: Option<RouteTable>,
}

/// From where a request comes to a workload.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) connection: ConnectionInfo,
    pub(super) peer: Option<PeerIdentity>,
}

impl Hop {
    /// The workload that `model` is of; all keys are those of `jwks`.
    pub(super) async fn new(model: &Model, jwks: &str) -> Result<Self, String> {
        let policies = &model.policies;
        let authenticator = Authenticator::compile(
            &policies.request_authentication,
            &KeyStore::default(),
            algorithms(),
        );
        for keys in authenticator.remote_keys() {
            // Without keys, no token is accepted; that is for the case to expect.
            _ = keys.refresh(&Keys(jwks)).await;
        }
        let local = "cluster.local"
            .parse()
            .map_err(|error| format!("{error}"))?;
        let domains = TrustDomains::new(local);
        Ok(Self {
            authenticator,
            policies: PolicySet::compile(&policies.authorization, &domains),
            forwarding: Forwarding::sidecar(),
            routes: None,
        })
    }

    /// Adds the routes of a gateway.
    pub(super) fn with_routes(mut self, routes: RouteTable) -> Self {
        self.routes = Some(routes);
        self.forwarding = Forwarding::edge(1);
        self
    }

    /// The policies.
    pub(super) fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// Sends a request through the layers, and gives what comes out at their end, if it does.
    pub(super) async fn send(
        self,
        mut request: Request<()>,
        arrival: Arrival,
    ) -> Result<Request<()>, Response<Bytes>> {
        let Arrival { connection, peer } = arrival;
        request.extensions_mut().insert(connection);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let (passed, mut receiver) = tokio::sync::mpsc::channel(1);
        let end = service_fn(move |request: Request<()>| {
            let passed = passed.clone();
            async move {
                // The receiver is there until the response is.
                _ = passed.send(request).await;
                Ok::<_, Infallible>(Response::new(Bytes::new()))
            }
        });
        let routed = match self.routes {
            Some(routes) => ServiceBuilder::new()
                .layer(RoutingLayer::new(routes))
                .layer(FiltersLayer::new())
                .service(end)
                .boxed_clone(),
            None => end.boxed_clone(),
        };
        let providers =
            Providers::default().with("ext-authz", Provider::new(Sample, Settings::default()));
        let inner = ServiceBuilder::new()
            .layer(AuthenticationLayer::new(self.authenticator))
            .layer(AuthorizationLayer::new(self.policies.clone()).with_forwarding(self.forwarding))
            .service(routed)
            .map_request(|request: Request<PrefixedBody<Empty<Bytes>>>| request.map(drop));
        let service = ServiceBuilder::new()
            .layer(ExtAuthzLayer::new(self.policies, providers).with_forwarding(self.forwarding))
            .service(inner);
        let Ok(response) = service.oneshot(request.map(|()| Empty::new())).await;
        receiver.try_recv().map_err(|_| response)
    }
}

/// Ends at the application.
pub(super) fn arrive(backend: &Backend, request: &Request<()>) -> Response<Bytes> {
    let Ok(response) = backend.answer(request);
    response
}
