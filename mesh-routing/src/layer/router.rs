//! Match each request to a route and apply the route's filters.
//!
//! [`RouterLayer`] is [`RoutingLayer`](super::RoutingLayer) and
//! [`FiltersLayer`] in one, for proxies: it looks at the request
//! once and adds one future. What is left to the inner service is to forward the request to the
//! destination of its [`MatchedRoute`] and, with a [`MirrorLayer`](super::mirror::MirrorLayer)
//! between, its copies. Faults have no place in it, since they lie between routing and filters:
//! who injects them uses the two layers.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{
//!     Forward, PathRewrite, Rewrite, Route, RouteAction, RouteConfiguration, RouteMatch,
//!     VirtualHost, WeightedDestination,
//! };
//! use mesh_core::service::ClusterName;
//! use mesh_routing::layer::router::RouterLayer;
//! use mesh_routing::table::RouteTable;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cart = WeightedDestination::new(ClusterName::outbound(80, "", "cart.example"));
//! let forward = Forward {
//!     rewrite: Rewrite {
//!         path: Some(PathRewrite::Prefix("/".into())),
//!         ..Rewrite::default()
//!     },
//!     ..Forward::to([cart])
//! };
//! let action = RouteAction::Forward(Box::new(forward));
//! let route = Route::new("cart", RouteMatch::prefix("/cart/"), action);
//! let table = RouteTable::compile(&RouteConfiguration {
//!     virtual_hosts: vec![VirtualHost::new("shop", ["shop.example"], [route])],
//!     ..RouteConfiguration::default()
//! })?;
//!
//! let upstream = service_fn(|request: Request<()>| async move {
//!     let route = request.extensions().get::<MatchedRoute>().expect("the router sets it");
//!     let cluster = route.cluster().expect("the route forwards");
//!     let text = format!("{} of {cluster}", request.uri().path());
//!     Ok::<_, Infallible>(Response::new(Bytes::from(text)))
//! });
//! let service = ServiceBuilder::new().layer(RouterLayer::new(table)).service(upstream);
//!
//! let request = Request::get("http://shop.example/cart/7").body(())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.body(), "/7 of outbound|80||cart.example");
//! # Ok(())
//! # }
//! ```
//!
//! [`MatchedRoute`]: mesh_core::attributes::MatchedRoute

use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::watch::Watch;
use tower_layer::Layer;
use tower_service::Service;

use super::filters::FiltersLayer;
use super::seams::Random;
use super::{ResponseFuture, filters, route};
use crate::table::RouteTable;

/// Layer that applies [`Router`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct RouterLayer {
    table: Watch<RouteTable>,
    random: Random,
    filters: FiltersLayer,
}

impl RouterLayer {
    /// Routes requests by `table`.
    ///
    /// Pass a [`Watch`] to replace the table while serving: each request is routed by the table
    /// that is current when it arrives.
    pub fn new(table: impl Into<Watch<RouteTable>>) -> Self {
        Self {
            table: table.into(),
            random: Random::default(),
            filters: FiltersLayer::new(),
        }
    }

    /// Draws destinations by numbers from `random`, which should be uniform over all values. The
    /// default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Random::new(random);
        Self { random, ..self }
    }

    /// Takes the time for `%START_TIME%` from `clock` instead of the system.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let filters = self.filters.with_clock(clock);
        Self { filters, ..self }
    }

    /// Sets whether the upstream is told what a rewrite has replaced, see
    /// [`FiltersLayer::with_original_headers`].
    #[must_use]
    pub fn with_original_headers(self, tells_originals: bool) -> Self {
        let filters = self.filters.with_original_headers(tells_originals);
        Self { filters, ..self }
    }
}

impl<S> Layer<S> for RouterLayer {
    type Service = Router<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Router {
            inner,
            table: self.table.clone(),
            random: self.random.clone(),
            filters: self.filters.clone(),
        }
    }
}

/// Middleware that routes each request and applies the filters of its route.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Router<S> {
    inner: S,
    table: Watch<RouteTable>,
    random: Random,
    filters: FiltersLayer,
}

impl<S> Router<S> {
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Router<S>
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
        let matched = match route(&self.table, &self.random, &request) {
            Ok(matched) => matched,
            Err(response) => return ResponseFuture::answered(response, None),
        };
        let (mut head, body) = request.into_parts();
        let (answer, finish) = filters::apply(&matched, &mut head, &self.filters);
        if let Some(response) = answer {
            return ResponseFuture::answered(response, finish);
        }
        head.extensions.insert(matched);
        let request = Request::from_parts(head, body);
        ResponseFuture::forwarded(self.inner.call(request), finish)
    }
}
