//! VirtualServices: from rules as written to routes.
//!
//! `http` makes routes of the rules for HTTP, for one listener of one workload; `l4` says where
//! connections go by the rules for TLS and TCP. A rule may refer to another VirtualService, a
//! [`delegate`].
//!
//! A rule that holds a value which validation refuses, an expression that does not parse, say,
//! answers `500` to the requests that it is for. The notice says why.
//!
//! # Example
//!
//! ```
//! use mesh_core::resolve::virtual_service::delegate::merge_http_routes;
//! use mesh_core::resource::istio::virtual_service::HttpRoute;
//!
//! let root: HttpRoute = serde_json::from_str(
//!     r#"{"match": [{"uri": {"prefix": "/cart"}}], "timeout": "2s", "delegate": {"name": "cart"}}"#,
//! )?;
//! let rules: Vec<HttpRoute> = serde_json::from_str(
//!     r#"[{"match": [{"uri": {"prefix": "/cart/v2"}}]}, {"match": [{"uri": {"prefix": "/"}}]}]"#,
//! )?;
//! let merged = merge_http_routes(&root, &rules);
//! assert_eq!(merged.len(), 1, "the second is no part of what the root matches");
//! assert_eq!(merged[0].timeout, root.timeout);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod answers;
mod context;
pub(in crate::resolve) mod cors;
pub mod delegate;
pub(in crate::resolve) mod fault;
mod forward;
pub(in crate::resolve) mod hash;
pub(in crate::resolve) mod headers;
pub(in crate::resolve) mod http;
pub(in crate::resolve) mod l4;
pub(in crate::resolve) mod matches;
pub(in crate::resolve) mod retry;
mod rules;

pub(in crate::resolve) use self::context::{RouteContext, gateways, hosts, is_exported_by_default};
pub(in crate::resolve) use self::rules::Delegates;
