//! Try requests again that failed.
//!
//! [`RetryLayer`] reads the [`RetryPolicy`](mesh_core::model::retry::RetryPolicy) of each request's
//! [`MatchedRoute`](mesh_core::attributes::MatchedRoute) and decides as Envoy's router does: by the
//! status and headers of a response, or by the
//! [`UpstreamReset`](mesh_core::attributes::UpstreamReset) that stands for one. The decision falls
//! when the head of the response is there; a response that has begun is never taken back.
//!
//! | module | what it decides |
//! |---|---|
//! | [`condition`] | whether an outcome is one to try again |
//! | [`state`] | whether a request has a further attempt, and when |
//! | [`backoff`] | how long to wait |
//! | [`budget`] | whether the cluster bears a further retry |
//! | [`replay_body`] | how the body is sent again |
//!
//! What is particular:
//!
//! - Waiting is 25 ms times a random share, doubled for each attempt up to ten times that, or what
//!   the upstream asks for in a [reset header](backoff::ResetHeader).
//! - The endpoint of an attempt is named to balancing as one of the
//!   [`PreviousEndpoints`](mesh_core::attributes::PreviousEndpoints) of the next: the one that answered
//!   ([`SelectedEndpoint`](mesh_core::attributes::SelectedEndpoint) of the response), or that which has
//!   been silent for too long ([`Progress`](mesh_core::attributes::Progress) of the request).
//! - A body is kept as it passes, without copying. One that outgrows the limit is sent on, and the
//!   request is not tried again. Nothing is kept once the response has begun.
//! - An attempt that takes longer than the route's `perTryTimeout` counts as a reset; the last is
//!   answered with `504`, `upstream request timeout` and the flag `UT`. The time runs from when the
//!   request has come whole, as in Envoy, whether the upstream reads it or not: of a body, as much is read
//!   ahead as is kept. Before that it begins anew with all that the client sends or the upstream reads, so
//!   that a slow upload is not cut. An attempt ends whose upstream does not read for so long what is too long
//!   to be kept, where it does not in Envoy; none ends whose upstream waits for the client.
//! - When the attempts are used up, the last response is passed on and flagged `URX`.
//! - Every attempt says which it is, in `x-envoy-attempt-count`.
//! - The inner service is called only when it is ready: the first attempt uses the readiness that
//!   was granted to this layer, each further one asks again.
//!
//! The layer stands below the route's timeout, which covers all attempts, and above balancing.
//!
//! # Which requests
//!
//! Istio retries by the outcome alone, so that with `5xx` a payment may be made twice.
//! [`RetryDefaults::idempotent`] adds a condition: the request cannot have reached the application,
//! or its method is idempotent.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::retry::RetryPolicy;
//! use mesh_core::model::route::{Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::retry::RetryLayer;
//! use mesh_policy::retry::replay_body::ReplayBody;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tries = Arc::new(AtomicU32::new(0));
//! let seen = Arc::clone(&tries);
//! let flaky = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
//!     let status = match seen.fetch_add(1, Ordering::Relaxed) {
//!         0 => StatusCode::BAD_GATEWAY,
//!         _ => StatusCode::OK,
//!     };
//!     let response = Response::builder().status(status).body(Bytes::new());
//!     async { Ok::<_, Infallible>(response.expect("it is a valid response")) }
//! });
//! let service = ServiceBuilder::new().layer(RetryLayer::new()).service(flaky);
//!
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     let retry_on = vec!["gateway-error".to_owned()];
//!     forward.retry = Some(Arc::new(RetryPolicy { retry_on, ..RetryPolicy::default() }));
//! }
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let request = Request::get("/").extension(matched).body(Full::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! assert_eq!(tries.load(Ordering::Relaxed), 2);
//! # Ok(())
//! # }
//! ```

pub mod backoff;
pub mod budget;
pub mod condition;
mod defaults;
mod future;
mod layer;
mod recent;
pub mod replay_body;
pub mod state;
#[cfg(test)]
mod tests;

pub use self::defaults::RetryDefaults;
pub use self::future::{PerTryTimeout, ResponseFuture};
pub use self::layer::{Retry, RetryLayer};
