//! May a request pass, how often, how many times, and what is recorded of it?
//!
//! Policies as tower layers, for services, clients and proxies. They read what stands before them
//! has found, such as the [`MatchedRoute`](mesh_core::attributes::MatchedRoute) and the
//! [`PeerIdentity`](mesh_core::attributes::PeerIdentity), from the extensions of requests. This
//! crate neither routes nor balances, opens no connections of its own, and has no configuration of
//! its own: what applies to a workload or a route is resolved by mesh-core.
//!
//! A refusal is a response: layers keep the error type of the service that they wrap.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "full")] {
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::fault::FaultLayer;
//! use mesh_policy::timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(FaultLayer::new())
//!     .layer(TimeoutLayer::new())
//!     .service(service_fn(|_: Request<()>| async {
//!         std::future::pending::<()>().await;
//!         Ok::<_, Infallible>(Response::new(Bytes::new()))
//!     }));
//!
//! let mut route = Route::forward("slow", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     forward.timeout = Some(Duration::from_secs(3));
//! }
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let response = service.oneshot(Request::get("/").extension(matched).body(())?).await?;
//! assert_eq!(response.status(), 504);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `access-log` | `telemetry`: Envoy's access log | no |
//! | `admission` | `admission`: sidecar injection and validation, as webhooks do | no |
//! | `authn` | `authn`: tokens, by RequestAuthentication | no |
//! | `authz` | `authz`: who may do what, by AuthorizationPolicy | yes |
//! | `cel` | expressions of CEL in access log filters and tags of metrics | no |
//! | `circuit-breaker` | `circuit_breaker`, `concurrency`: limits on what is under way | no |
//! | `ext-authz` | `ext_authz`: ask a server who may do what | no |
//! | `fault` | `fault`: injected delays and aborts | no |
//! | `global-rate-limit` | `rate_limit`: ask a server for rate limits | no |
//! | `metrics` | `telemetry`: Istio's standard metrics | no |
//! | `otel` | `telemetry::trace::otlp`: spans to a collector of OpenTelemetry | no |
//! | `rate-limit` | `rate_limit`: token buckets in process | yes |
//! | `retry` | `retry`: try again, by the policies of routes; `hedge`: ask twice | no |
//! | `server` | `server`: tokens, authorization, rate limits and metrics as one layer | no |
//! | `timeout` | `timeout`: the timeouts of routes | no |
//! | `trace` | `telemetry`: propagation and sampling of traces | no |
//! | `full` | all of them | no |
//!
//! # Minimum supported Rust version
//!
//! 1.89, as the whole workspace; it is always at least six months old when it is raised.

#[cfg(any(
    feature = "access-log",
    feature = "authn",
    feature = "authz",
    feature = "circuit-breaker",
    feature = "ext-authz",
    feature = "fault",
    feature = "global-rate-limit",
    feature = "metrics",
    feature = "rate-limit",
    feature = "retry",
    feature = "timeout",
    feature = "trace"
))]
#[macro_use]
mod inner;

#[cfg(feature = "admission")]
pub mod admission;
#[cfg(feature = "authn")]
pub mod authn;
#[cfg(feature = "authz")]
pub mod authz;
#[cfg(feature = "circuit-breaker")]
pub mod circuit_breaker;
#[cfg(feature = "layers")]
pub mod clock;
#[cfg(feature = "circuit-breaker")]
pub mod concurrency;
#[cfg(any(feature = "authn", feature = "metrics", feature = "trace"))]
mod cut;
#[cfg(feature = "ext-authz")]
pub mod ext_authz;
#[cfg(feature = "fault")]
pub mod fault;
#[cfg(feature = "retry")]
pub mod hedge;
#[cfg(feature = "circuit-breaker")]
mod permits;
#[cfg(any(feature = "ext-authz", feature = "retry"))]
mod pieces;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "full")]
pub mod stack;
#[cfg(any(feature = "access-log", feature = "metrics", feature = "trace"))]
pub mod telemetry;
#[cfg(feature = "timeout")]
pub mod timeout;
#[cfg(any(
    feature = "ext-authz",
    feature = "fault",
    feature = "global-rate-limit"
))]
mod unready;

/// Why a body fails, whatever its own error is.
#[cfg(any(
    feature = "access-log",
    feature = "metrics",
    feature = "retry",
    feature = "timeout",
    feature = "trace"
))]
type BoxError = Box<dyn std::error::Error + Send + Sync>;
