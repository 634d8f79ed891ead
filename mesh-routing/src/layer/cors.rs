//! Answer CORS preflights and complete the responses of cross-origin requests.
//!
//! [`CorsLayer`] applies the CORS policy of the matched route by the rules of
//! [`filter::cors`](crate::filter::cors). Only routes that forward have CORS, as in Envoy.
//!
//! # Differences from `tower_http::cors`
//!
//! The policy is the route's, not the layer's. A preflight is `OPTIONS` with `origin` *and*
//! `access-control-request-method`; other `OPTIONS` requests reach the application. `vary` is not
//! written.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::matcher::StringMatch;
//! use mesh_core::model::filter::CorsPolicy;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::origin::Origin;
//! use mesh_core::service::ClusterName;
//! use mesh_routing::layer::cors::CorsLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
//! route.cors = Some(Box::new(CorsPolicy {
//!     allow_origins: vec![StringMatch::exact("https://shop.example")],
//!     ..CorsPolicy::new(Origin::synthetic("example"))
//! }));
//!
//! let service = ServiceBuilder::new().layer(CorsLayer::new()).service(service_fn(
//!     |_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) },
//! ));
//! let request = Request::get("/")
//!     .header("origin", "https://shop.example")
//!     .extension(MatchedRoute::new(Arc::new(route), 0));
//! let response = service.oneshot(request.body(())?).await?;
//! assert_eq!(response.headers()["access-control-allow-origin"], "https://shop.example");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use http::{Request, Response};
use mesh_core::attributes::{MatchedRoute, ResponseDetails};
use mesh_core::model::route::RouteAction;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseFuture;
use super::finish::Finish;
use crate::filter::cors::{self, AllowedOrigin, Verdict};
use crate::request::RequestHead;

/// Layer that applies [`Cors`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorsLayer {
    _private: (),
}

impl CorsLayer {
    /// Applies the CORS policy of each request's route.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cors { inner }
    }
}

/// Middleware that applies the CORS policy of the matched route.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
}

impl<S> Cors<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Cors<S>
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
        let Some(matched) = request.extensions().get::<MatchedRoute>() else {
            return ResponseFuture::forwarded(self.inner.call(request), None);
        };
        match evaluate(matched, &RequestHead::from(&request)) {
            Ok(origin) => {
                let finish = Finish::cors(matched, origin);
                ResponseFuture::forwarded(self.inner.call(request), finish)
            }
            Err(preflight) => ResponseFuture::answered(preflight, None),
        }
    }
}

/// The origin that the route's policy allows, or the answer to a preflight.
pub(super) fn evaluate<ResBody: Default>(
    matched: &MatchedRoute,
    request: &RequestHead<'_>,
) -> Result<Option<AllowedOrigin>, Response<ResBody>> {
    let route = matched.route();
    let (RouteAction::Forward(_), Some(policy)) = (&route.action, &route.cors) else {
        return Ok(None);
    };
    match cors::evaluate(policy, request) {
        Verdict::Forward(origin) => Ok(origin),
        Verdict::Answer(fields) => {
            let mut response = Response::new(ResBody::default());
            *response.headers_mut() = fields;
            let details = ResponseDetails::new("cors_response");
            response.extensions_mut().insert(details);
            Err(response)
        }
    }
}
