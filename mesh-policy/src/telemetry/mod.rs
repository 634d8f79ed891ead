//! Record what passes: metrics, access logs and traces.
//!
//! | module | feature | records |
//! |---|---|---|
//! | `metrics` | `metrics` | Istio's standard metrics |
//! | `access_log` | `access-log` | a line for each request |
//! | `trace` | `trace` | the context of traces, and spans |
//! | [`route`] | any of them | where a request went, for those above |
//!
//! All three stand at the top of the stack, so that they see what the layers below answer. What they
//! say of the workload at the other end comes from the connection, from balancing, and from the
//! [`PeerWorkload`] extension.
//!
//! A request that switches its connection to another protocol (`101`) is recorded when it is answered:
//! what is said afterwards, and for how long, is not. (Envoy records it when the tunnel ends.)
//!
//! # Example
//!
//! ```
//! use mesh_core::labels::Labels;
//! use mesh_policy::telemetry::PeerWorkload;
//!
//! let mut labels = Labels::default();
//! labels.insert("app", "cart");
//! let cart = PeerWorkload::of_labels("cart-v1", "shop", &labels);
//! assert_eq!((cart.canonical_service.as_str(), cart.canonical_revision.as_str()), ("cart", "latest"));
//! ```

#[cfg(feature = "access-log")]
pub mod access_log;
mod body;
#[cfg(feature = "cel")]
mod expression;
#[cfg(any(feature = "cel", feature = "metrics"))]
mod grpc_status;
#[cfg_attr(
    not(feature = "cel"),
    expect(dead_code, reason = "only expressions read all of it")
)]
mod head;
mod heads;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "access-log")]
mod mutual_tls;
mod observe;
pub mod route;
#[cfg(feature = "trace")]
pub mod trace;
mod workload;

pub use self::workload::PeerWorkload;
