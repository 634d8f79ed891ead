//! Write the header fields that the matched route asks for.
//!
//! [`HeadersLayer`] applies the operations on requests before it forwards them and the operations
//! on responses to whatever comes back, answers of other layers included, by the rules of
//! [`filter::headers`](crate::filter::headers). Requests of routes that do not forward are left as
//! they are. In values for responses, `%REQ(…)%` is the request as this layer forwards it, before a
//! [`RewriteLayer`](super::rewrite::RewriteLayer) below; in
//! [`FiltersLayer`](super::filters::FiltersLayer), as in Envoy, it is the request as rewritten.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use http::{HeaderName, Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::filter::HeaderOption;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_routing::layer::headers::HeadersLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
//! let name = HeaderName::from_static("x-route");
//! route.headers.response.options = vec![HeaderOption::overwrite(name, "%ROUTE_NAME%".parse()?)];
//!
//! let service = ServiceBuilder::new().layer(HeadersLayer::new()).service(service_fn(
//!     |_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) },
//! ));
//! let request = Request::get("/").extension(MatchedRoute::new(Arc::new(route), 0)).body(())?;
//! assert_eq!(service.oneshot(request).await?.headers()["x-route"], "cart");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};
use std::time::SystemTime;

use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use super::finish::{self, Finish};
use super::seams::Clock;
use crate::filter::headers;

/// Layer that applies [`Headers`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug, Default)]
pub struct HeadersLayer {
    clock: Clock,
}

impl HeadersLayer {
    /// Applies the header operations of each request's route.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the time for `%START_TIME%` from `clock` instead of the system.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let clock = Clock::new(clock);
        Self { clock }
    }
}

impl<S> Layer<S> for HeadersLayer {
    type Service = Headers<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let clock = self.clock.clone();
        Headers { inner, clock }
    }
}

/// Middleware that applies the header operations of the matched route.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Headers<S> {
    inner: S,
    clock: Clock,
}

impl<S> Headers<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Headers<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
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
        let start = finish::start(&matched, &self.clock);
        let mut original = None;
        if matched.forward().is_some() {
            original = finish::original(&matched, &head);
            headers::apply_to_request(&matched, &mut head, start);
        }
        let finish = Finish::all(&matched, None, (&head, original), start);
        let request = Request::from_parts(head, body);
        ResponseFuture::forwarded(self.inner.call(request), finish)
    }
}
