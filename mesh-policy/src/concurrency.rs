//! Refuse requests early when there is too much to do.
//!
//! | layer | refuses |
//! |---|---|
//! | [`ConcurrencyLimitLayer`] | when a number of requests is under way |
//! | [`LoadShedLayer`] | when the inner service is not ready |
//!
//! Both answer `503` with the flag `OM` and Envoy's text: `reached concurrency limit` of its
//! adaptive concurrency filter, whose limit is fixed here, and `envoy overloaded` of its overload
//! manager. tower's layers of the same names make errors, or wait.
//!
//! The inner service's error type is unchanged.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mesh_policy::concurrency::ConcurrencyLimitLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(ConcurrencyLimitLayer::new(1))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//! let _under_way = service.clone().oneshot(Request::new(())).await?;
//! assert_eq!(service.oneshot(Request::new(())).await?.status(), 503);
//! # Ok(())
//! # }
//! ```

pub mod limit;
pub mod shed;

pub use self::limit::{ConcurrencyLimit, ConcurrencyLimitLayer, ConcurrencyLimitReached};
pub use self::shed::{LoadShed, LoadShedLayer, Overloaded};
pub use crate::permits::CountedBody;
