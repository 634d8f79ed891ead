use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_policy::rate_limit::LocalRateLimitLayer;
use mesh_policy::rate_limit::global::GlobalRateLimitLayer;
use tower_layer::Layer;
use tower_service::Service;

use super::optional::{Erased, bare, optional};
use super::telemetry::Http;
use crate::body::Body;

/// Layer that applies [`Unrouted`].
#[derive(Clone, Debug)]
pub(super) struct UnroutedLayer {
    pub(super) local: Option<LocalRateLimitLayer>,
    pub(super) global: Option<GlobalRateLimitLayer>,
}

impl<S: Http> Layer<S> for UnroutedLayer {
    type Service = Unrouted;

    fn layer(&self, inner: S) -> Unrouted {
        let global = optional(self.global.clone(), bare(inner.clone()));
        Unrouted {
            limited: Erased::new(optional(self.local.clone(), global)),
            free: Erased::new(inner),
        }
    }
}

/// Middleware that limits requests for which no route was found early, before routing answers them:
/// an Envoy counts these as all others. Those that have a route are limited below it.
#[derive(Clone, Debug)]
pub(super) struct Unrouted {
    limited: Erased,
    free: Erased,
}

impl Service<Request<Body>> for Unrouted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        ready!(self.limited.poll_ready(cx))?;
        self.free.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.extensions().get::<MatchedRoute>() {
            Some(_) => self.free.call(request),
            None => self.limited.call(request),
        }
    }
}
