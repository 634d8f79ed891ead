//! Connections to upstreams, pooled per thread.
//!
//! A [`Pool`] belongs to one thread: it has no locks, and what it hands out never leaves the
//! thread. It keeps HTTP/1.1 connections for reuse, the most recently used first, and one shared
//! HTTP/2 connection per endpoint (more, once its streams are used up). Requests share connections
//! only if these lead to the same address and prove the same; see [`Origination`].
//!
//! An HTTP/1.1 connection has no task of its own. While a request uses it, the task that serves
//! the request drives it, so that a byte from the upstream wakes the task that waits for it and
//! no other. A connection in the pool is looked at when it is taken out and once a second; one
//! that the upstream closed in the meantime is dropped and the next one is used.
//!
//! A cluster with a `connectionPool` has connections of its own, within its [`ConnectionLimits`]: where there are
//! as many connections as there may be, requests wait, and where too many wait already, one is
//! answered with `503` and `x-envoy-overloaded`. As in Envoy, connections are limited for all threads
//! together, and an endpoint without any gets one on each thread nevertheless. Idle connections to an
//! address that the cluster has no endpoint at any more are closed within a second or two.
//!
//! Connecting goes on when the request that it was begun for is given up, as by a timeout, until the
//! connect timeout, as in Envoy: a timeout that is shorter than connecting would never get a connection
//! otherwise. The next request waits for the same instead of beginning another.
//!
//! A request that could not be written is sent again on another connection, which is Envoy's
//! `reset-before-request`. One that may have reached the upstream is never sent twice here.
//!
//! # Example
//!
//! ```
//! use examples::upstream::{Endpoint, Pool, PoolSettings, Protocol};
//! use http::Request;
//! use http_body_util::Empty;
//! use mesh_core::attributes::ResponseFlag;
//!
//! # #[tokio::main(flavor = "local")]
//! # async fn main() {
//! let pool = Pool::new(PoolSettings::default());
//! // Nothing listens on the discard port.
//! let endpoint = Endpoint::new(([127, 0, 0, 1], 9).into(), Protocol::Http1);
//! let request = Request::get("/").body(Empty::<bytes::Bytes>::new()).unwrap();
//!
//! let error = pool.send(&endpoint, request).await.unwrap_err();
//! assert_eq!(error.status(), 503);
//! assert_eq!(error.response_flag(), Some(ResponseFlag::UpstreamConnectionFailure));
//! # }
//! ```

mod address;
mod attempts;
mod endpoint;
mod error;
mod h1;
mod h2;
mod host;
mod hosts;
mod limits;
mod origination;
mod pool;
mod preface;
mod source;
mod sweep;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod wire;

pub use self::endpoint::{Address, Endpoint, Protocol};
pub(crate) use self::error::Asked;
pub use self::error::{BodyError, UpstreamError};
pub(crate) use self::h1::Streaming;
pub(crate) use self::h2::OpenStream;
pub use self::limits::ConnectionLimits;
pub use self::origination::{Notice, Origination};
pub use self::pool::{Pool, PoolSettings, Sending};
pub use self::preface::Preface;
pub use self::source::{connect_from, sidecar_source};
pub(crate) use self::transport::{Established, Way};
