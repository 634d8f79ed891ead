//! Kubernetes Gateway API resources, as written.
//!
//! Each kind has a module, and the type named for the kind holds its `spec`. Fields and their
//! names are those of the custom resource definitions (`kubernetes-sigs/gateway-api`, `apis/v1`),
//! experimental ones included; the versions of a kind that are served beside `v1` have the same
//! shape and are read into the same type.
//!
//! A value says what was written and no more:
//!
//! - A field that is absent is `None` or empty. The definitions' defaults are documented on each
//!   field and not filled in; [`Default`] of an enum is its default, and `group_kind` of a
//!   reference applies the defaults of both parts.
//! - A required field that is absent is empty, zero or `None`, for validation to report.
//! - Where the definition lists the values, the field is an enum and another value is refused.
//!   Where it leaves the list open (listener protocols, address types), the field is a string.
//! - Lengths, ranges, patterns and rules that relate two fields are left to validation.
//! - `status` is not part of these types.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::http_route::HttpRoute;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let route: HttpRoute = serde_json::from_str(
//!     r#"{
//!         "parentRefs": [{"name": "edge"}],
//!         "hostnames": ["shop.example"],
//!         "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}]
//!     }"#,
//! )?;
//!
//! assert_eq!(
//!     route.parent_refs[0].group_kind(),
//!     ("gateway.networking.k8s.io", "Gateway")
//! );
//! assert_eq!(route.rules[0].backend_refs[0].group_kind(), ("", "Service"));
//! # Ok(())
//! # }
//! ```

pub mod backend_reference;
pub mod backend_tls_policy;
pub mod backend_traffic_policy;
pub mod cors_filter;
pub mod external_auth_filter;
pub mod gateway;
pub mod gateway_class;
pub mod gateway_tls;
pub mod grpc_route;
pub mod http_filter;
pub mod http_match;
pub mod http_route;
pub mod listener;
pub mod listener_set;
pub mod object;
pub mod object_reference;
pub mod parent_reference;
pub mod reference_grant;
pub mod session_persistence;
pub mod tcp_route;
pub mod tls_route;
pub mod udp_route;

/// The API group of the Gateway API, and the default group of references to its kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
