//! Answer the requests of routes that redirect.
//!
//! [`RedirectLayer`] answers by the rules of [`filter::redirect`](crate::filter::redirect), and
//! forwards the requests of all other routes.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Redirect, Route, RouteAction, RouteMatch};
//! use mesh_routing::layer::redirect::RedirectLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let action = RouteAction::Redirect(Box::new(Redirect {
//!     status: 301,
//!     scheme: Some("https".into()),
//!     host: None,
//!     port: None,
//!     path: None,
//!     strip_query: false,
//! }));
//! let route = Arc::new(Route::new("to-https", RouteMatch::prefix("/"), action));
//!
//! let service = ServiceBuilder::new().layer(RedirectLayer::new()).service(service_fn(
//!     |_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) },
//! ));
//! let request = Request::get("/cart")
//!     .header("host", "shop.example")
//!     .extension(MatchedRoute::new(route, 0));
//! let response = service.oneshot(request.body(())?).await?;
//! assert_eq!(response.headers()["location"], "https://shop.example/cart");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::RouteAction;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use crate::filter::redirect;
use crate::request::RequestHead;

/// Layer that applies [`Redirecting`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedirectLayer {
    _private: (),
}

impl RedirectLayer {
    /// Answers the requests whose route redirects.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for RedirectLayer {
    type Service = Redirecting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Redirecting { inner }
    }
}

/// Middleware that answers the requests of routes that redirect.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Redirecting<S> {
    inner: S,
}

impl<S> Redirecting<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Redirecting<S>
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
        match respond(&request) {
            Some(response) => ResponseFuture::answered(response, None),
            None => ResponseFuture::forwarded(self.inner.call(request), None),
        }
    }
}

fn respond<ReqBody, ResBody: Default>(request: &Request<ReqBody>) -> Option<Response<ResBody>> {
    let route = request.extensions().get::<MatchedRoute>()?.route();
    let RouteAction::Redirect(to) = &route.action else {
        return None;
    };
    Some(redirect::respond(
        to,
        &route.matches,
        &RequestHead::from(request),
    ))
}
