//! Apply all filters of the matched route.
//!
//! [`FiltersLayer`] does what the layers of its sibling modules do one by one, except for mirrors
//! (see [`mirror`](super::mirror)), and does it faster: the request is looked at once, and there is
//! one future. It stands below [`RoutingLayer`](super::RoutingLayer) and, if there is one, a layer
//! that injects faults.
//!
//! Redirects, direct responses, preflights and destinations that cannot be resolved are answered
//! without the inner service, whose error type is unchanged.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{DirectResponse, Route, RouteAction, RouteMatch};
//! use mesh_routing::layer::filters::FiltersLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let teapot = DirectResponse { status: 418, body: None };
//! let action = RouteAction::DirectResponse(Box::new(teapot));
//! let route = Arc::new(Route::new("tea", RouteMatch::prefix("/tea"), action));
//!
//! let service = ServiceBuilder::new().layer(FiltersLayer::new()).service(service_fn(
//!     |_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) },
//! ));
//! let request = Request::get("/tea").extension(MatchedRoute::new(route, 0)).body(())?;
//! assert_eq!(service.oneshot(request).await?.status(), 418);
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::RouteAction;
use mesh_core::reply::{self, Caller};
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use super::cors::evaluate;
use super::finish::{self, Finish};
use super::seams::Clock;
use crate::filter::{direct_response, headers, redirect, rewrite};
use crate::request::RequestHead;

/// Layer that applies [`Filters`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct FiltersLayer {
    clock: Clock,
    tells_originals: bool,
}

impl FiltersLayer {
    /// Applies the filters of each request's route.
    pub fn new() -> Self {
        Self {
            clock: Clock::default(),
            tells_originals: true,
        }
    }

    /// Takes the time for `%START_TIME%` from `clock` instead of the system.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let clock = Clock::new(clock);
        Self { clock, ..self }
    }

    /// Sets whether the upstream is told what a rewrite has replaced, in `x-envoy-original-path` and
    /// `x-envoy-original-host`. Default: yes, as Envoy does.
    #[must_use]
    pub fn with_original_headers(self, tells_originals: bool) -> Self {
        Self {
            tells_originals,
            ..self
        }
    }
}

impl Default for FiltersLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for FiltersLayer {
    type Service = Filters<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Filters { inner, layer }
    }
}

/// Middleware that applies the filters of the matched route.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Filters<S> {
    inner: S,
    layer: FiltersLayer,
}

impl<S> Filters<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, which may be changed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the middleware.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Filters<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let Some(matched) = request.extensions().get::<MatchedRoute>().cloned() else {
            return ResponseFuture::forwarded(self.inner.call(request), None);
        };
        let (mut head, body) = request.into_parts();
        let (answer, finish) = apply(&matched, &mut head, &self.layer);
        match answer {
            Some(response) => ResponseFuture::answered(response, finish),
            None => {
                let request = Request::from_parts(head, body);
                ResponseFuture::forwarded(self.inner.call(request), finish)
            }
        }
    }
}

/// An answer in the inner service's place, if there is one; and what is left to do with the
/// response.
type Applied<ResBody> = (Option<Response<ResBody>>, Option<Box<Finish>>);

/// Applies the filters of a route to a request.
pub(super) fn apply<ResBody>(
    matched: &MatchedRoute,
    request: &mut Parts,
    layer: &FiltersLayer,
) -> Applied<ResBody>
where
    ResBody: Default + From<Bytes>,
{
    let start = finish::start(matched, &layer.clock);
    let head = RequestHead::from(&*request);
    let answer = match &matched.route().action {
        RouteAction::Forward(_) => return apply_forward(matched, request, (start, layer)),
        RouteAction::DirectResponse(direct) => direct_response::respond(direct, &head),
        RouteAction::Redirect(to) => redirect::respond(to, &matched.route().matches, &head),
    };
    let finish = Finish::all(matched, None, (request, None), start);
    (Some(answer), finish)
}

fn apply_forward<ResBody: Default>(
    matched: &MatchedRoute,
    request: &mut Parts,
    (start, layer): (SystemTime, &FiltersLayer),
) -> Applied<ResBody> {
    let head = RequestHead::from(&*request);
    let origin = match evaluate(matched, &head) {
        Ok(origin) => origin,
        Err(preflight) => return (Some(preflight), None),
    };
    let mut answer = direct_response::respond_refused(matched, &head);
    let original = finish::original(matched, request);
    if answer.is_none() {
        headers::apply_to_request(matched, request, start);
        answer = rewrite_or_answer(matched, request, layer.tells_originals);
    }
    let finish = Finish::all(matched, origin, (request, original), start);
    (answer, finish)
}

/// Rewrites a request, or answers one that cannot be rewritten.
pub(super) fn rewrite_or_answer<ResBody: Default>(
    matched: &MatchedRoute,
    request: &mut Parts,
    tells_originals: bool,
) -> Option<Response<ResBody>> {
    let error = rewrite::rewrite(matched, request, tells_originals).err()?;
    Some(reply::local(
        Caller::of(&request.headers),
        error.status(),
        error,
    ))
}
