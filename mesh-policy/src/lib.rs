//! May a request pass, how often, how many times, and what is recorded of it?
//!
//! Policies as tower layers. They read what routing has found, the
//! [`MatchedRoute`](mesh_core::attributes::MatchedRoute) extension, and stand below it. This crate
//! neither routes nor balances, and has no configuration of its own: what a route says is resolved
//! by mesh-core.
//!
//! In this version it holds the policies that belong to a route. Authentication, authorization and
//! telemetry are attached to each workload by [`mesh_core::resolve`], as values, and have no layers
//! yet.
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
//! | `fault` | `fault`: injected delays and aborts | no |
//! | `timeout` | `timeout`: the timeouts of routes | no |
//! | `full` | all of them | no |
//!
//! # Minimum supported Rust version
//!
//! 1.89, as the whole workspace; it is always at least six months old when it is raised.

#[cfg(feature = "fault")]
pub mod fault;
#[cfg(feature = "timeout")]
pub mod timeout;
