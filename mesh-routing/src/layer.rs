//! Match each request to a route before it is forwarded.
//!
//! [`RoutingLayer`] looks the request up in a [`RouteTable`] and records the result as a
//! [`MatchedRoute`] extension, which the services below it (balancing, policy, telemetry) read
//! instead of matching again. A request that no route matches is answered with `404 Not Found`
//! and never reaches the inner service. The answer carries [`NoRoute`] in its extensions, so that
//! it can be told from a `404` sent by the application. A request without TLS to a host that
//! demands TLS is answered with `301` to the same place by `https`, and one with several `Host` fields
//! with `400` ([`SeveralHosts`]).
//!
//! The inner service's error type is unchanged, and no future is allocated.
//!
//! What the route says beside the destination is the work of the other layers, one a module. They
//! read [`MatchedRoute`], pass requests on that have none, and stand below routing in this order:
//!
//! | layer | does |
//! |---|---|
//! | a layer of your own | injects the route's faults, which this crate carries as data |
//! | [`cors::CorsLayer`] | answers preflights, completes responses |
//! | [`headers::HeadersLayer`] | writes header fields of requests and responses |
//! | [`redirect::RedirectLayer`], [`direct_response::DirectResponseLayer`] | answer routes that do not forward |
//! | [`rewrite::RewriteLayer`] | changes path and authority |
//! | [`mirror::MirrorLayer`] | sends copies |
//!
//! [`filters::FiltersLayer`] does what all but the first and the last do, at the cost of one.
//! [`router::RouterLayer`] does routing as well; it leaves no room for faults.
//!
//! # Readiness
//!
//! A layer is ready when its inner service is. When a request is answered without the inner
//! service, the readiness that it granted is left to the next request.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response, StatusCode};
//! use mesh_routing::layer::RoutingLayer;
//! use mesh_routing::table::RouteTable;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = RouteTable::builder().prefix("cart", "shop.example", "/cart").compile()?;
//! let service = ServiceBuilder::new()
//!     .layer(RoutingLayer::new(table))
//!     .service(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
//!
//! let request = Request::get("http://shop.example/cart/7").body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! let request = Request::get("http://shop.example/admin").body(())?;
//! assert_eq!(service.oneshot(request).await?.status(), StatusCode::NOT_FOUND);
//! # Ok(())
//! # }
//! ```

pub mod cors;
pub mod direct_response;
pub mod filters;
pub mod headers;
pub mod mirror;
pub mod redirect;
pub mod rewrite;
pub mod router;

mod finish;
mod future;
mod seams;
#[cfg(test)]
mod tests;

use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::reply::{self, Caller};
use mesh_core::watch::Watch;
use tower_layer::Layer;
use tower_service::Service;

pub use self::future::ResponseFuture;
use self::seams::Random;
use crate::filter::redirect as redirect_filter;
use crate::request::RequestHead;
use crate::table::{Lookup, RouteTable};

/// Layer that applies [`Routing`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct RoutingLayer {
    table: Watch<RouteTable>,
    random: Random,
}

impl RoutingLayer {
    /// Routes requests by `table`.
    ///
    /// Pass a [`Watch`] to replace the table while serving: each request is routed by the table
    /// that is current when it arrives.
    pub fn new(table: impl Into<Watch<RouteTable>>) -> Self {
        Self {
            table: table.into(),
            random: Random::default(),
        }
    }

    /// Draws destinations by numbers from `random`, which should be uniform over all values. The
    /// default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Random::new(random);
        Self { random, ..self }
    }
}

impl<S> Layer<S> for RoutingLayer {
    type Service = Routing<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Routing {
            inner,
            table: self.table.clone(),
            random: self.random.clone(),
        }
    }
}

/// Middleware that records the route of each request.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Routing<S> {
    inner: S,
    table: Watch<RouteTable>,
    random: Random,
}

impl<S> Routing<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Routing<S>
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match route(&self.table, &self.random, &request) {
            Ok(matched) => {
                request.extensions_mut().insert(matched);
                ResponseFuture::forwarded(self.inner.call(request), None)
            }
            Err(response) => ResponseFuture::answered(response, None),
        }
    }
}

/// Looks up the route of a request, or answers a request that has none or may not have one.
fn route<ReqBody, ResBody: Default>(
    table: &Watch<RouteTable>,
    random: &Random,
    request: &Request<ReqBody>,
) -> Result<MatchedRoute, Response<ResBody>> {
    let head = RequestHead::from(request);
    if head.has_several_hosts() {
        let caller = Caller::of(request.headers());
        return Err(reply::local(caller, StatusCode::BAD_REQUEST, SeveralHosts));
    }
    match table.load().lookup(&head, random.draw()) {
        Lookup::Matched(matched) => Ok(matched),
        Lookup::TlsRedirect => Err(redirect_filter::respond_tls_required(&head)),
        Lookup::NoRoute | Lookup::NoVirtualHost => {
            let caller = Caller::of(request.headers());
            Err(reply::local(caller, StatusCode::NOT_FOUND, NoRoute))
        }
    }
}

/// Marks a `404` as sent because no route matched the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no route matches the request")]
#[non_exhaustive]
pub struct NoRoute;

impl reply::Reason for NoRoute {
    const FLAG: ResponseFlag = ResponseFlag::NoRouteFound;
}

/// Marks a `400` as sent because the request had several `Host` fields (RFC 9112 section 3.2). Envoy
/// joins them with commas, so that no virtual host but `*` takes the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request has more than one host field")]
#[non_exhaustive]
pub struct SeveralHosts;

impl reply::Reason for SeveralHosts {
    const FLAG: ResponseFlag = ResponseFlag::DownstreamProtocolError;
}
