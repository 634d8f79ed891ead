//! Answer the requests whose route or destination says how.
//!
//! [`DirectResponseLayer`] answers for routes with a direct response, and for destinations that
//! cannot be resolved and have a status instead, by the rules of
//! [`filter::direct_response`](crate::filter::direct_response). All other requests are forwarded.
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
//! use mesh_routing::layer::direct_response::DirectResponseLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let closed = DirectResponse {
//!     status: 503,
//!     body: Some(Bytes::from_static(b"closed")),
//! };
//! let action = RouteAction::DirectResponse(Box::new(closed));
//! let route = Arc::new(Route::new("closed", RouteMatch::prefix("/"), action));
//!
//! let service = ServiceBuilder::new().layer(DirectResponseLayer::new()).service(service_fn(
//!     |_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) },
//! ));
//! let request = Request::get("/").extension(MatchedRoute::new(route, 0)).body(())?;
//! assert_eq!(service.oneshot(request).await?.body(), "closed");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::RouteAction;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use crate::filter::direct_response;
use crate::request::RequestHead;

/// Layer that applies [`Responding`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectResponseLayer {
    _private: (),
}

impl DirectResponseLayer {
    /// Answers the requests whose route or destination says how.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for DirectResponseLayer {
    type Service = Responding<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Responding { inner }
    }
}

/// Middleware that answers the requests whose route or destination says how.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Responding<S> {
    inner: S,
}

impl<S> Responding<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Responding<S>
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
        match respond(&request) {
            Some(response) => ResponseFuture::answered(response, None),
            None => ResponseFuture::forwarded(self.inner.call(request), None),
        }
    }
}

fn respond<ReqBody, ResBody>(request: &Request<ReqBody>) -> Option<Response<ResBody>>
where
    ResBody: Default + From<Bytes>,
{
    let matched = request.extensions().get::<MatchedRoute>()?;
    let head = RequestHead::from(request);
    match &matched.route().action {
        RouteAction::DirectResponse(direct) => Some(direct_response::respond(direct, &head)),
        RouteAction::Forward(_) => direct_response::respond_refused(matched, &head),
        RouteAction::Redirect(_) => None,
    }
}
