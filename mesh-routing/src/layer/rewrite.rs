//! Rewrite path and authority of requests before they are forwarded.
//!
//! [`RewriteLayer`] applies the rewrite of the matched route by the rules of
//! [`filter::rewrite`](crate::filter::rewrite). A request that cannot be rewritten, because its path
//! would become too long, is answered with `414` and a [`RewriteError`] in the extensions.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{PathRewrite, Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_routing::layer::rewrite::RewriteLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/v1"), cluster);
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     forward.rewrite.path = Some(PathRewrite::Prefix("/api".into()));
//! }
//!
//! let echo = service_fn(|request: Request<()>| async move {
//!     Ok::<_, Infallible>(Response::new(request.uri().to_string()))
//! });
//! let service = ServiceBuilder::new().layer(RewriteLayer::new()).service(echo);
//! let request = Request::get("/v1/cart").extension(MatchedRoute::new(Arc::new(route), 0));
//! assert_eq!(service.oneshot(request.body(())?).await?.body(), "/api/cart");
//! # Ok(())
//! # }
//! ```
//!
//! [`RewriteError`]: crate::filter::rewrite::RewriteError

use std::task::{Context, Poll};

use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use super::filters::rewrite_or_answer;

/// Layer that applies [`Rewriting`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct RewriteLayer {
    _private: (),
}

impl RewriteLayer {
    /// Rewrites each request by its route.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for RewriteLayer {
    type Service = Rewriting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Rewriting { inner }
    }
}

/// Middleware that rewrites path and authority by the matched route.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Rewriting<S> {
    inner: S,
}

impl<S> Rewriting<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Rewriting<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
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
        match rewrite_or_answer(&matched, &mut head, true) {
            Some(response) => ResponseFuture::answered(response, None),
            None => {
                let request = Request::from_parts(head, body);
                ResponseFuture::forwarded(self.inner.call(request), None)
            }
        }
    }
}
