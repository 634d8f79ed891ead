//! VirtualService: where requests to a host go.
//!
//! A virtual service lists rules for its hosts, and the first that matches a request decides: one
//! list for HTTP, one for TLS that is passed on unread, one for TCP. One without hosts is a
//! delegate, to which a rule of another virtual service refers.
//!
//! Source: messages of `networking/v1alpha3/virtual_service.proto`; `networking.istio.io/v1`,
//! `v1beta1` and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::string_match::StringMatch;
//! use mesh_core::resource::istio::virtual_service::VirtualService;
//!
//! let spec: VirtualService = serde_json::from_str(
//!     r#"{
//!         "hosts": ["ratings"],
//!         "http": [{
//!             "match": [{"headers": {"end-user": {"exact": "jason"}}}],
//!             "timeout": "2s",
//!             "route": [{"destination": {"host": "ratings", "subset": "v2"}}]
//!         }]
//!     }"#,
//! )?;
//!
//! let rule = &spec.http[0];
//! assert_eq!(rule.r#match[0].headers["end-user"], StringMatch::exact("jason"));
//! assert_eq!(rule.route[0].weight, 0);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod action;
mod cors;
mod fault;
mod header_operations;
mod http_match;
mod http_route;
mod l4;
mod retry;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::action::{
    HttpBody, HttpDirectResponse, HttpMirrorPolicy, HttpRedirect, HttpRewrite,
    RedirectPortSelection, RegexRewrite,
};
pub use self::cors::{CorsPolicy, UnmatchedPreflights};
pub use self::fault::{Abort, Delay, HttpFaultInjection};
pub use self::header_operations::{HeaderOperations, Headers};
pub use self::http_match::HttpMatchRequest;
pub use self::http_route::{Delegate, HttpRoute, HttpRouteDestination};
pub use self::l4::{L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute};
pub use self::retry::HttpRetry;
use crate::resource::istio::is_default;
use crate::resource::istio::port::PortSelector;

/// Rules for the traffic to some hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    /// Names or addresses that the rules apply to: full or short host names, wildcards such as
    /// `*.example.com`, IP addresses. Empty: this is a delegate.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    /// Gateways that obey the rules, as `name` or `namespace/name`; `mesh` stands for all
    /// sidecars. Default: `mesh`.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    /// Rules for HTTP, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Vec<HttpRoute>,
    /// Rules for TLS that is not terminated, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Vec<TlsRoute>,
    /// Rules for all other traffic, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp: Vec<TcpRoute>,
    /// Namespaces that see this resource: names, `.` for its own, `*` for all. Default: that of
    /// the mesh, which is `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
}

/// A service, or a named part of one, that traffic is sent to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// Name of the service in the registry. A short name is completed with the namespace of the
    /// virtual service.
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    /// Subset of the service, as a DestinationRule names it. Default: the whole service.
    #[serde(skip_serializing_if = "is_default")]
    pub subset: String,
    /// Port of the service. Default: its only port, or else the port of the listener.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<PortSelector>,
}
