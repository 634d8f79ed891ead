//! Hold requests to rates.
//!
//! | module | limit |
//! |---|---|
//! | [`local`] | token buckets in process (Envoy's local rate limit filter) |
//! | `global` (feature `global-rate-limit`) | counted by a rate limit service, for many proxies together |
//!
//! Both count requests by [`descriptor`]s that rules make of them. Istio has no resource for rate
//! limits; it documents two shapes of EnvoyFilter for them, which [`envoy_filter`] recognises.
//!
//! [`LocalRateLimitLayer`] answers what is over a limit with `429`, Envoy's text
//! `local_rate_limited` and the flag `RL`. It takes no lock. The inner service's error type is
//! unchanged.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_policy::rate_limit::local::LocalRateLimit;
//! use mesh_policy::rate_limit::token_bucket::TokenBucketSettings;
//! use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let one_a_minute = TokenBucketSettings::new(1, 1, Duration::from_secs(60))?;
//! let now = tokio::time::Instant::now().into_std();
//! let limits = RateLimits::new().with_default(LocalRateLimit::new(one_a_minute, now));
//! let service = ServiceBuilder::new()
//!     .layer(LocalRateLimitLayer::new(limits))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Bytes::new()))
//!     }));
//!
//! assert_eq!(service.clone().oneshot(Request::new(())).await?.status(), 200);
//! assert_eq!(service.oneshot(Request::new(())).await?.status(), 429);
//! # Ok(())
//! # }
//! ```

pub mod descriptor;
pub mod envoy_filter;
#[cfg(feature = "global-rate-limit")]
pub mod global;
mod layer;
mod limits;
pub mod local;
pub mod token_bucket;

pub use self::layer::{LocalRateLimitLayer, LocalRateLimited, LocalRateLimits, ResponseFuture};
pub use self::limits::RateLimits;
