//! What happens to a request or a response on its way.
//!
//! `HTTPRouteFilter` and its parts in `apis/v1/httproute_types.go`. A filter names its type and
//! carries the member that belongs to it; one whose members disagree with its type is read as it
//! stands, for validation to report.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::http_filter::{HttpRouteFilter, HttpRouteFilterType};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let filter: HttpRouteFilter = serde_json::from_str(
//!     r#"{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}"#,
//! )?;
//! assert_eq!(filter.r#type, Some(HttpRouteFilterType::RequestRedirect));
//! assert_eq!(filter.request_redirect.and_then(|redirect| redirect.status_code), Some(301));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::backend_reference::BackendObjectReference;
use crate::resource::gateway_api::cors_filter::HttpCorsFilter;
use crate::resource::gateway_api::external_auth_filter::HttpExternalAuthFilter;
use crate::resource::gateway_api::object_reference::LocalObjectReference;

/// A filter of an HTTPRoute: of a rule, or of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteFilter {
    /// Which of the members below applies. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<HttpRouteFilterType>,
    /// Changes to the headers of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// Changes to the headers of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// A copy of the request for another backend, whose answer is discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// A redirect in place of the backends' answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<HttpRequestRedirectFilter>,
    /// Changes to the request's host and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<HttpUrlRewriteFilter>,
    /// Cross-origin resource sharing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<HttpCorsFilter>,
    /// Authorization by another service. Experimental.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<HttpExternalAuthFilter>,
    /// A filter that an implementation defines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// What an [`HttpRouteFilter`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpRouteFilterType {
    /// Answer preflight requests and add the headers of cross-origin resource sharing.
    #[serde(rename = "CORS")]
    Cors,
    /// Do what the resource referred to says.
    ExtensionRef,
    /// Ask another service whether the request may pass.
    ExternalAuth,
    /// Change the headers of the request.
    RequestHeaderModifier,
    /// Send a copy of the request elsewhere.
    RequestMirror,
    /// Answer with a redirect.
    RequestRedirect,
    /// Change the headers of the response.
    ResponseHeaderModifier,
    /// Change the host or the path that the backend sees.
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
}

/// Changes to headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeaderFilter {
    /// Headers to write in place of those of the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HttpHeader>,
    /// Headers to write after those of the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HttpHeader>,
    /// Names of headers to remove, in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    /// Name of the header, in any case. Required.
    pub name: String,
    /// Value of the header. Required.
    pub value: String,
}

/// A change of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpPathModifier {
    /// Which of the members below applies. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<HttpPathModifierType>,
    /// Path in place of the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_full_path: Option<String>,
    /// Path in place of the prefix that the rule matched, which has to be a `PathPrefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_prefix_match: Option<String>,
}

/// What an [`HttpPathModifier`] replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpPathModifierType {
    /// The whole path.
    ReplaceFullPath,
    /// The prefix that the rule matched.
    ReplacePrefixMatch,
}

/// A redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequestRedirectFilter {
    /// Scheme of the new location. Default: the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RedirectScheme>,
    /// Host of the new location. Default: the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path of the new location. Default: the request's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
    /// Port of the new location. Default: the well-known port of `scheme` where that is written,
    /// else the listener's port; 80 for `http` and 443 for `https` are left out of the location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Status of the answer: 301, 302, 303, 307 or 308. Default: 302.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}

/// A scheme to redirect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectScheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// Changes to what the backend sees of the request's URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpUrlRewriteFilter {
    /// Host in place of the request's own. Default: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path in place of the request's own. Default: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
}

/// A copy of some or all requests for another backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequestMirrorFilter {
    /// Where the copies go. Required.
    pub backend_ref: BackendObjectReference,
    /// Percentage of the requests to copy, 0 to 100. Default: all. Excludes `fraction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Fraction of the requests to copy. Default: all. Excludes `percent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

/// A fraction of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fraction {
    /// Number of requests of every `denominator`. Required.
    pub numerator: u32,
    /// At least 1, and no less than `numerator`. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denominator: Option<u32>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_type_of_filter_keeps_its_member() {
        let filters = [
            json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "a", "value": "1"}],
                "add": [{"name": "b", "value": "2"}],
                "remove": ["c"],
            }}),
            json!({"type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"remove": ["server"]}}),
            json!({"type": "RequestMirror", "requestMirror": {
                "backendRef": {"name": "shadow", "port": 80},
                "fraction": {"numerator": 1, "denominator": 3},
            }}),
            json!({"type": "RequestMirror", "requestMirror": {
                "backendRef": {"name": "shadow", "port": 80}, "percent": 0}}),
            json!({"type": "RequestRedirect", "requestRedirect": {
                "scheme": "https", "hostname": "shop.example", "port": 8443, "statusCode": 308,
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
            }}),
            json!({"type": "URLRewrite", "urlRewrite": {
                "hostname": "internal.example",
                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/v2"},
            }}),
            json!({"type": "CORS", "cors": {"allowOrigins": ["https://shop.example"]}}),
            json!({"type": "ExternalAuth", "externalAuth": {
                "protocol": "GRPC", "backendRef": {"name": "auth", "port": 9000}}}),
            json!({"type": "ExtensionRef",
                "extensionRef": {"group": "example.net", "kind": "Filter", "name": "mine"}}),
        ];
        for written in filters {
            let filter: HttpRouteFilter = serde_json::from_value(written.clone()).unwrap();
            assert!(filter.r#type.is_some(), "{written}");
            assert_eq!(serde_json::to_value(&filter).unwrap(), written);
        }
    }

    #[test]
    fn a_value_outside_a_closed_list_is_refused() {
        for written in [
            json!({"type": "Rewrite"}),
            json!({"requestRedirect": {"scheme": "ftp"}}),
            json!({"urlRewrite": {"path": {"type": "ReplaceRegex"}}}),
        ] {
            assert!(read(&written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_filter_whose_member_is_of_another_type_is_left_to_validation() {
        let written = json!({"type": "CORS", "requestMirror": {"backendRef": {"name": "x"}}});
        let filter = read(&written).unwrap();
        assert_eq!(filter.cors, None);
        assert!(filter.request_mirror.is_some());
    }

    fn read(written: &Value) -> Result<HttpRouteFilter, serde_json::Error> {
        serde_json::from_value(written.clone())
    }
}
