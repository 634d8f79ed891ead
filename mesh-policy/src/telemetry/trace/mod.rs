//! Trace context: who called whom, across services.
//!
//! [`TraceLayer`] gives each request an `x-request-id` if it has none, decides whether the request is
//! traced, makes a span of its own below the caller's, and tells the upstream in the headers of
//! [W3C Trace Context] or [B3], whichever is configured. Spans that are traced are handed to a
//! [`SpanSink`] when the body of the response has ended, or broke off, which their flags say.
//!
//! Who decides about tracing, the first that does:
//!
//! 1. the caller's context, which says whether it is sampled; B3 may say it without a context;
//! 2. the caller's `x-request-id`, whose 15th letter is Envoy's trace bit: `4` not traced, `9`
//!    sampled, `a` forced by a service, `b` forced by a client;
//! 3. `x-client-trace-id`, which any client may send;
//! 4. `x-envoy-force-trace`, where the caller is trusted;
//! 5. a share of the requests, drawn by the `x-request-id`, so that all proxies draw alike.
//!
//! Where the `x-request-id` shall not decide (`useRequestIdForTraceSampling`), whatever the caller does not
//! decide is traced.
//!
//! [`TracePlan`] compiles what Telemetry resources and the mesh say of it. Spans are sent to a
//! collector by `otlp` (feature `otel`).
//!
//! The decision is written into the trace bit, for the proxies that follow.
//!
//! Sources: Envoy's `UUIDRequestIdExtension` and `mutateTracingRequestHeader`.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/
//! [B3]: https://github.com/openzipkin/b3-propagation
//!
//! # Example
//!
//! ```
//! use http::HeaderMap;
//! use mesh_policy::telemetry::trace::{Propagation, TraceContext};
//!
//! let mut headers = HeaderMap::new();
//! let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! headers.insert("traceparent", parent.parse()?);
//! let caller = TraceContext::extract(&headers).expect("it is well-formed");
//! assert_eq!(caller.sampled, Some(true));
//!
//! caller.child(0xb7).inject(Propagation::B3Multi, &mut headers);
//! assert_eq!(headers["x-b3-traceid"], "4bf92f3577b34da6a3ce929d0e0e4736");
//! assert_eq!(headers["x-b3-parentspanid"], "00f067aa0ba902b7");
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

mod context;
mod grpc;
mod layer;
mod open;
#[cfg(feature = "otel")]
pub mod otlp;
mod plan;
mod request_id;
mod span;
mod tag;

pub use self::context::{Propagation, TraceContext};
pub use self::grpc::GrpcCall;
pub use self::layer::{MeteredBody, ResponseFuture, Trace, TraceLayer, Traced, Uploaded};
pub use self::open::Exchange;
pub use self::plan::{Direction, TracePlan};
pub use self::request_id::{
    TraceReason, new_request_id, sampling_draw, set_trace_reason, trace_reason,
};
pub use self::span::{Span, SpanSink};
pub use self::tag::Tag;
pub use super::body::{Counts, End, Nothing, OnEnd};
pub use super::observe::Observed;
