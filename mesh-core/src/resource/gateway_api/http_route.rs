//! HTTPRoute: HTTP requests, and the backends that answer them.
//!
//! `apis/v1/httproute_types.go`. A route is attached to its parents, takes the hosts that both it
//! and the listener accept, and applies the rule with the most specific match: the order of the
//! rules only decides between equals.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::http_route::HttpRoute;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let route: HttpRoute = serde_json::from_str(
//!     r#"{
//!         "parentRefs": [{"name": "edge", "sectionName": "https"}],
//!         "hostnames": ["shop.example"],
//!         "rules": [{
//!             "matches": [{"path": {"type": "PathPrefix", "value": "/cart"}}],
//!             "backendRefs": [
//!                 {"name": "cart-v1", "port": 8080, "weight": 9},
//!                 {"name": "cart-v2", "port": 8080, "weight": 1}
//!             ],
//!             "timeouts": {"request": "10s"}
//!         }]
//!     }"#,
//! )?;
//!
//! let rule = &route.rules[0];
//! assert_eq!(rule.backend_refs[1].weight, Some(1));
//! assert_eq!(rule.retry, None);
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;
use crate::resource::gateway_api::backend_reference;
use crate::resource::gateway_api::http_filter::HttpRouteFilter;
use crate::resource::gateway_api::http_match::HttpRouteMatch;
use crate::resource::gateway_api::parent_reference::{GatewayDefaultScope, ParentReference};
use crate::resource::gateway_api::session_persistence::SessionPersistence;

/// The `spec` of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// Gateways, listeners or Services to attach to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether the route attaches to the default Gateways too. Default: it does not.
    /// Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Hosts of the requests: names, or `*.` and a name. Default: those of the listener.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The rules. Default: one that takes all requests and has no backend.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<HttpRouteRule>,
}

/// What happens to the requests that match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRule {
    /// Name of the rule, unique in its route. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Requests that the rule takes. Default: those with the path prefix `/`, which are all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpRouteMatch>,
    /// What happens on the way to any of the backends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
    /// Where the requests go. Without a backend, and without a filter that answers, the answer
    /// is 500.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long a request may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// When a request is sent again. Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// How a client is kept on one backend. Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// A backend of a rule, with the filters of its own traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpBackendRef {
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
    /// Part of the requests, relative to the sum of the rule's weights. Default: 1; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// What happens on the way to this backend, after the rule's filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
}

impl HttpBackendRef {
    /// The group and the kind referred to, with their defaults applied.
    pub fn group_kind(&self) -> (&str, &str) {
        backend_reference::group_kind(self.group.as_deref(), self.kind.as_deref())
    }
}

/// How long a request may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteTimeouts {
    /// From the request's arrival to the end of the response, over all attempts. Default: no
    /// limit; zero is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<GatewayDuration>,
    /// One attempt at a backend, no longer than `request`. Default: no limit; zero is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<GatewayDuration>,
}

/// When a request is sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRetry {
    /// Statuses, 400 to 599, after which a request is sent again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    /// Most times that a request is sent again, at least 1. Default: Istio's 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Shortest time between attempts. Default: left to the implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<GatewayDuration>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_keeps_all_its_fields() {
        let written = json!({
            "parentRefs": [{"name": "edge"}, {"group": "", "kind": "Service", "name": "cart"}],
            "useDefaultGateways": "All",
            "hostnames": ["shop.example", "*.shop.example"],
            "rules": [{
                "name": "cart",
                "matches": [{"path": {"type": "Exact", "value": "/cart"}}, {"method": "POST"}],
                "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "cart.example"}}],
                "backendRefs": [{
                    "group": "", "kind": "Service", "name": "cart", "namespace": "shop",
                    "port": 8080, "weight": 0,
                    "filters": [{"type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": "v", "value": "1"}]}}],
                }],
                "timeouts": {"request": "1m30s", "backendRequest": "500ms"},
                "retry": {"codes": [502, 503], "attempts": 3, "backoff": "100ms"},
                "sessionPersistence": {"type": "Cookie"},
            }],
        });
        let route: HttpRoute = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(route.use_default_gateways, Some(GatewayDefaultScope::All));
        assert_eq!(route.rules[0].backend_refs[0].filters.len(), 1);
        assert_eq!(serde_json::to_value(&route).unwrap(), written);
    }

    #[test]
    fn a_duration_that_is_none_of_the_gateway_api_is_refused() {
        for duration in ["10", "1.5s", "-1s", "1d", ""] {
            let written = json!({"rules": [{"timeouts": {"request": duration}}]});
            assert!(
                serde_json::from_value::<HttpRoute>(written).is_err(),
                "{duration}"
            );
        }
    }
}
