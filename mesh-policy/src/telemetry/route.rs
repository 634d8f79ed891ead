//! Tell the telemetry above where a request went.
//!
//! Routing stands below telemetry, so that requests without a route are recorded, too. What it finds
//! travels down in the request; [`RecordRouteLayer`], right below routing, passes it up: it puts the
//! [`MatchedRoute`] into the extensions of the response, where metrics and access logs look for it,
//! and into the [`Progress`] of the request, where they look if no response comes from below.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::telemetry::route::RecordRouteLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(RecordRouteLayer::new())
//!     .service(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
//! let route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let response = service.oneshot(Request::get("/").extension(matched).body(())?).await?;
//! assert_eq!(response.extensions().get::<MatchedRoute>().map(MatchedRoute::name), Some("cart"));
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use mesh_core::attributes::{MatchedRoute, Progress};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Layer that applies [`RecordRoute`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordRouteLayer {
    _private: (),
}

impl RecordRouteLayer {
    /// Puts the route of each request into the extensions of its response.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for RecordRouteLayer {
    type Service = RecordRoute<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordRoute { inner }
    }
}

/// Middleware that passes the matched route up.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct RecordRoute<S> {
    inner: S,
}

impl<S> RecordRoute<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RecordRoute<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let extensions = request.extensions();
        let matched = extensions.get::<MatchedRoute>().cloned();
        if let (Some(progress), Some(matched)) = (extensions.get::<Progress>(), &matched) {
            progress.routed_by(matched);
        }
        let response = self.inner.call(request);
        ResponseFuture { response, matched }
    }
}

pin_project! {
    /// Response future of [`RecordRoute`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        matched: Option<MatchedRoute>,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(cx))?;
        if let Some(matched) = this.matched.take() {
            response.extensions_mut().insert(matched);
        }
        Poll::Ready(Ok(response))
    }
}
