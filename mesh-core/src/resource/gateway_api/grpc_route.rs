//! GRPCRoute: gRPC calls, and the backends that answer them.
//!
//! `apis/v1/grpcroute_types.go`. A call is an HTTP/2 request for `/service/method`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::grpc_route::GrpcRoute;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let route: GrpcRoute = serde_json::from_str(
//!     r#"{
//!         "parentRefs": [{"name": "edge"}],
//!         "rules": [{
//!             "matches": [{"method": {"service": "shop.Cart", "method": "Add"}}],
//!             "backendRefs": [{"name": "cart", "port": 9000}]
//!         }]
//!     }"#,
//! )?;
//! let method = route.rules[0].matches[0].method.as_ref();
//! assert_eq!(method.and_then(|method| method.service.as_deref()), Some("shop.Cart"));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::backend_reference;
use crate::resource::gateway_api::http_filter::{HttpHeaderFilter, HttpRequestMirrorFilter};
use crate::resource::gateway_api::http_match::ValueMatchType;
use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::resource::gateway_api::parent_reference::{GatewayDefaultScope, ParentReference};
use crate::resource::gateway_api::session_persistence::SessionPersistence;

/// The `spec` of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRoute {
    /// Gateways, listeners or Services to attach to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the route attaches to the default Gateways too. Default: it does not.
    /// Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Hosts of the calls: names, or `*.` and a name. Default: those of the listener.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The rules. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<GrpcRouteRule>,
}

/// What happens to the calls that match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteRule {
    /// Name of the rule, unique in its route. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Calls that the rule takes. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<GrpcRouteMatch>,
    /// What happens on the way to any of the backends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
    /// Where the calls go. Without a backend the answer is `UNAVAILABLE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// How a client is kept on one backend. Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// Conditions on one call, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteMatch {
    /// Condition on the service and the method. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// Conditions on headers, which are the call's metadata.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<GrpcHeaderMatch>,
}

/// Condition on the service and the method of a call; at least one of them is required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcMethodMatch {
    /// How the names are compared. Default: exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ValueMatchType>,
    /// Name of the service with its package, or a regular expression. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of the method, or a regular expression. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// Condition on a header of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHeaderMatch {
    /// How the value is compared. Default: exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ValueMatchType>,
    /// Name of the header, in any case. Required.
    pub name: String,
    /// Value or regular expression. Required.
    pub value: String,
}

/// A filter of a GRPCRoute: of a rule, or of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteFilter {
    /// Which of the members below applies. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<GrpcRouteFilterType>,
    /// Changes to the headers of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// Changes to the headers of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// A copy of the call for another backend, whose answer is discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// A filter that an implementation defines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// What a [`GrpcRouteFilter`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrpcRouteFilterType {
    /// Do what the resource referred to says.
    ExtensionRef,
    /// Change the headers of the call.
    RequestHeaderModifier,
    /// Send a copy of the call elsewhere.
    RequestMirror,
    /// Change the headers of the response.
    ResponseHeaderModifier,
}

/// A backend of a rule, with the filters of its own calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcBackendRef {
    /// API group of the backend; empty is the core group. Default: empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind of the backend. Default: `Service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the backend. Required.
    pub name: String,
    /// Namespace of the backend. Default: the route's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of the backend: of a Service, the service port. Required for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Part of the calls, relative to the sum of the rule's weights. Default: 1; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// What happens on the way to this backend, after the rule's filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
}

impl GrpcBackendRef {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        backend_reference::group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_keeps_all_its_fields() {
        let written = json!({
            "parentRefs": [{"name": "edge"}],
            "useDefaultGateways": "None",
            "hostnames": ["grpc.example"],
            "rules": [{
                "name": "cart",
                "matches": [{
                    "method": {"type": "RegularExpression", "service": "shop\\..*"},
                    "headers": [{"type": "Exact", "name": "version", "value": "two"}],
                }],
                "filters": [
                    {"type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {"remove": ["server"]}},
                    {"type": "RequestMirror",
                        "requestMirror": {"backendRef": {"name": "shadow", "port": 9000}}},
                ],
                "backendRefs": [{
                    "name": "cart", "port": 9000, "weight": 1,
                    "filters": [{"type": "ExtensionRef", "extensionRef":
                        {"group": "example.net", "kind": "Filter", "name": "mine"}}],
                }],
                "sessionPersistence": {"cookie": {"name": "session"}},
            }],
        });
        let route: GrpcRoute = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(route.rules[0].backend_refs[0].group_kind(), ("", "Service"));
        assert_eq!(serde_json::to_value(&route).unwrap(), written);
    }

    #[test]
    fn a_filter_of_http_alone_is_refused() {
        for filter_type in ["RequestRedirect", "URLRewrite", "CORS"] {
            let filter = json!({"type": filter_type});
            let read = serde_json::from_value::<GrpcRouteFilter>(filter);
            assert!(read.is_err(), "{filter_type}");
        }
    }
}
