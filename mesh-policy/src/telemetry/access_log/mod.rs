//! Access logs, as Envoy writes them.
//!
//! [`AccessLogLayer`] writes a line for each exchange when the body of its response has ended, or
//! when it has failed or the client has gone, which the flags say. A [`Logger`] says what a line looks like ([`LogFormat`]: Istio's text,
//! Istio's JSON, or your own, of Envoy's [command operators]), which exchanges it is for
//! ([`LogFilter`]), and where it goes ([`LogSink`]). There may be several.
//!
//! No sink makes a request wait: a [channel] that is full drops the line and counts it.
//!
//! Connections that carry no requests are logged, too, by who forwards them: [`LoggedConnection`].
//!
//! The layer stands at the top of the stack, so that the head of the request is as it came. What it
//! knows of routing and balancing comes from the extensions of the response.
//!
//! [command operators]: mesh_core::format_string
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty, Full};
//! use mesh_policy::telemetry::access_log::{AccessLogLayer, LogFormat, Logger, channel};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let (sink, mut lines) = channel(100);
//! let format = LogFormat::text("%REQ(:METHOD)% %RESPONSE_CODE% %BYTES_SENT%")?;
//! let service = ServiceBuilder::new()
//!     .layer(AccessLogLayer::new([Logger::new(format, sink)]))
//!     .service(service_fn(|_| async {
//!         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
//!     }));
//! service.oneshot(Request::new(Empty::<Bytes>::new())).await?.into_body().collect().await?;
//! assert_eq!(lines.recv().await.as_deref(), Some(&b"GET 200 5\n"[..]));
//! # Ok(())
//! # }
//! ```

mod connection;
pub(super) mod details;
mod entry;
#[cfg_attr(not(feature = "cel"), path = "no_expression.rs")]
mod expression;
mod filter;
mod format;
mod layer;
mod providers;
mod sink;
#[cfg(test)]
mod tests;

pub use self::connection::LoggedConnection;
pub use self::filter::{LogFilter, ParseFilterError};
pub use self::format::{FormatError, LogFormat};
pub use self::layer::{
    AccessLog, AccessLogLayer, Exchange, Logged, Logger, MeteredBody, ResponseFuture, Uploaded,
};
pub use self::providers::{LogScope, log_providers};
pub use self::sink::{ChannelSink, LogLines, LogSink, channel};
pub use super::body::{Counts, End, Nothing, OnEnd};
pub use super::observe::Observed;
