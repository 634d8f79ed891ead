//! The order of the layers, and why.
//!
//! Istio builds Envoy's HTTP filters in one order (`buildHTTPConnectionManager`), and it decides what
//! users see: whether a fault counts against a timeout, whether a refusal is counted. The layers of
//! this crate are made to stand in the same order, the first outermost. Routing, filters of routes
//! and balancing are those of other crates, or yours.
//!
//! | | layer | why there |
//! |---|---|---|
//! | 1 | [`TraceLayer`](crate::telemetry::trace::TraceLayer) | everything below has the request's identifier |
//! | 2 | [`AccessLogLayer`](crate::telemetry::access_log::AccessLogLayer) | sees the request as it came, and what the client gets |
//! | 3 | [`MetricsLayer`](crate::telemetry::metrics::MetricsLayer) | counts refusals, too |
//! | 4 | [`StreamTimeoutLayer`](crate::timeout::stream::StreamTimeoutLayer) | holds bodies to the deadline that the timeout below leaves |
//! | | [`IdleTimeoutLayer`](crate::timeout::idle::IdleTimeoutLayer) | sees the frames that the client sends and gets; its answer is recorded, and all that is under way below is given up |
//! | 5 | [`ConcurrencyLimitLayer`](crate::concurrency::ConcurrencyLimitLayer), [`LoadShedLayer`](crate::concurrency::LoadShedLayer) | refuse before anything is worked out |
//! | 6 | CUSTOM authorization (`ext_authz`) | before tokens are verified, so it cannot depend on them |
//! | 7 | request authentication (`authn`) | what follows reads the principal |
//! | 8 | authorization (`authz`) | a request that may not pass takes no token of a limit |
//! | 9 | [`LocalRateLimitLayer`](crate::rate_limit::LocalRateLimitLayer), then [`GlobalRateLimitLayer`](crate::rate_limit::global::GlobalRateLimitLayer) | the cheap limit first; rules of routes need routing above, where they are used |
//! | 10 | routing | what follows reads the matched route |
//! | | [`RecordRouteLayer`](crate::telemetry::route::RecordRouteLayer) | tells the telemetry above |
//! | 11 | [`FaultLayer`](crate::fault::FaultLayer) | a delay is not subject to the route's timeout, an abort not to its retries |
//! | 12 | CORS, redirects and header operations | as the route says |
//! | 13 | [`TimeoutLayer`](crate::timeout::TimeoutLayer) | covers all attempts |
//! | 14 | [`RetryLayer`](crate::retry::RetryLayer) | each attempt is balanced anew |
//! | | [`HedgeLayer`](crate::hedge::HedgeLayer) | in the place of retries, or below them: the timeout covers the attempts that overlap, and each is balanced and counted |
//! | 15 | [`CircuitBreakerLayer`](crate::circuit_breaker::CircuitBreakerLayer) | each attempt counts |
//! | 16 | balancing and the connection pool | |
//!
//! A server has 1 to 9, a client 1 to 3 and 10 to 16; a gateway has all.
//! [`ServerLayer`](crate::server::ServerLayer) is 3, 7, 8 and 9 together, compiled of what resources
//! say. Envoy inserts rate limits
//! where an EnvoyFilter says ([`Place`](crate::rate_limit::envoy_filter::Place)): Istio documents the
//! limit in process before all other filters, and the one that a service counts before the router,
//! below fault and CORS. With rules of routes routing has to stand above them.
//!
//! # Example
//!
//! The client's side, above a service that fails once:
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::retry::RetryPolicy;
//! use mesh_core::model::route::{Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
//! use mesh_policy::fault::FaultLayer;
//! use mesh_policy::retry::RetryLayer;
//! use mesh_policy::telemetry::PeerWorkload;
//! use mesh_policy::telemetry::access_log::{AccessLogLayer, LogFormat, Logger, channel};
//! use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Reporter};
//! use mesh_policy::telemetry::trace::TraceLayer;
//! use mesh_policy::timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let (sink, mut lines) = channel(100);
//! let format = LogFormat::text("%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER%")?;
//! let metrics = Arc::new(IstioMetrics::new(Reporter::Source, PeerWorkload::default()));
//! let attempts = Arc::new(AtomicU32::new(0));
//! let service = ServiceBuilder::new()
//!     .layer(TraceLayer::new())
//!     .layer(AccessLogLayer::new([Logger::new(format, sink)]))
//!     .layer(MetricsLayer::new(Arc::clone(&metrics)))
//!     .layer(FaultLayer::new())
//!     .layer(TimeoutLayer::new())
//!     .layer(RetryLayer::new())
//!     .layer(CircuitBreakerLayer::new(CircuitBreakers::default()))
//!     .service(service_fn(move |_| {
//!         let status = if attempts.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
//!         let body = Full::new(Bytes::from_static(b"hello"));
//!         let response = Response::builder().status(status).body(body);
//!         async { Ok::<_, Infallible>(response.expect("it is a valid response")) }
//!     }));
//!
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     let retry_on = vec!["5xx".to_owned()];
//!     forward.retry = Some(Arc::new(RetryPolicy { retry_on, ..RetryPolicy::default() }));
//! }
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let request = Request::get("/").extension(matched).body(Full::<Bytes>::default())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//!
//! assert_eq!(lines.recv().await.as_deref(), Some(&b"200 - cart\n"[..]));
//! assert!(metrics.encode().contains("response_code=\"200\""));
//! # Ok(())
//! # }
//! ```
