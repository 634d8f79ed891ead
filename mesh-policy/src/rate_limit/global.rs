//! Rate limits that a service counts for many proxies together: Envoy's global rate limit filter.
//!
//! [`GlobalRateLimitLayer`] sends the descriptors of each request to a rate limit service (Envoy's
//! `envoy.service.ratelimit.v3`), and waits no longer for it than the filter's timeout:
//!
//! | the service says | the client gets |
//! |---|---|
//! | within the limits | the application's answer |
//! | over a limit | `429` with the service's body, `x-envoy-ratelimited: true` and the flag `RL` |
//! | nothing in time, or it fails | the application's answer or, with `failure_mode_deny`, `500` and the flag `RLSE` |
//!
//! Headers that the service adds are added. Requests that no rule makes a descriptor of are not asked
//! about, and cost nothing.
//!
//! The inner service's error type is unchanged.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::rate_limit::RateLimits;
//! use mesh_policy::rate_limit::descriptor::{Action, RateLimitRule};
//! use mesh_policy::rate_limit::envoy_filter::GlobalFilter;
//! use mesh_policy::rate_limit::global::GlobalRateLimitLayer;
//! use tonic::transport::Endpoint;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cart = Arc::new(Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart")));
//! let limits = RateLimits::new().with_rule(&cart, RateLimitRule::new([Action::RemoteAddress]));
//! let filter = GlobalFilter::new("shop", ClusterName::from("ratelimit"));
//! assert_eq!(filter.timeout.as_millis(), 20);
//!
//! let channel = Endpoint::from_static("http://ratelimit.shop:8081").connect_lazy();
//! let _layer = GlobalRateLimitLayer::new(filter, limits, channel);
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use self::layer::{
    GlobalRateLimitLayer, GlobalRateLimited, GlobalRateLimits, RateLimitServiceFailed,
    ResponseFuture,
};
