//! Which HTTP requests a rule applies to.
//!
//! `HTTPRouteMatch` and its parts in `apis/v1/httproute_types.go`. All conditions of one match
//! have to hold; a rule applies when any of its matches does.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::http_match::{HttpMethod, HttpRouteMatch, PathMatchType};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let matched: HttpRouteMatch =
//!     serde_json::from_str(r#"{"path": {"value": "/cart"}, "method": "GET"}"#)?;
//! let path = matched.path.unwrap_or_default();
//! assert_eq!(path.r#type.unwrap_or_default(), PathMatchType::PathPrefix);
//! assert_eq!(matched.method, Some(HttpMethod::Get));
//!
//! // Methods are case-sensitive.
//! assert!(serde_json::from_str::<HttpRouteMatch>(r#"{"method": "get"}"#).is_err());
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// Conditions on one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    /// Condition on the path. Default: the prefix `/`, which every path has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathMatch>,
    /// Conditions on headers, all of which have to hold. Of several with one name, the first
    /// counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeaderMatch>,
    /// Conditions on query parameters, all of which have to hold. Of several with one name, the
    /// first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<HttpQueryParamMatch>,
    /// Method of the request. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
}

/// Condition on the path of a request, without its query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpPathMatch {
    /// How the value is compared. Default: as a prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<PathMatchType>,
    /// Path, prefix or regular expression. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathMatchType {
    /// The whole path, byte for byte.
    Exact,
    /// A prefix of whole segments: `/cart` is a prefix of `/cart/7` but not of `/cartoon`. A
    /// trailing slash of the prefix is ignored.
    #[default]
    PathPrefix,
    /// A regular expression that matches the whole path.
    RegularExpression,
}

/// Condition on a header of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeaderMatch {
    /// How the value is compared. Default: exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ValueMatchType>,
    /// Name of the header, in any case. Required.
    pub name: String,
    /// Value or regular expression. Required.
    pub value: String,
}

/// Condition on a parameter of the query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpQueryParamMatch {
    /// How the value is compared. Default: exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ValueMatchType>,
    /// Name of the parameter, case-sensitive. Required.
    pub name: String,
    /// Value or regular expression. Required.
    pub value: String,
}

/// How the value of a header, of a query parameter or of a gRPC method is compared.
///
/// Gateway API's `HeaderMatchType`, `QueryParamMatchType`, `GRPCHeaderMatchType` and
/// `GRPCMethodMatchType`, which list the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueMatchType {
    /// The whole value, byte for byte.
    #[default]
    Exact,
    /// A regular expression that matches the whole value.
    RegularExpression,
}

/// A method of RFC 9110, section 9.3, or `PATCH` of RFC 5789.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `CONNECT`.
    Connect,
    /// `DELETE`.
    Delete,
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `OPTIONS`.
    Options,
    /// `PATCH`.
    Patch,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `TRACE`.
    Trace,
}

impl HttpMethod {
    /// The method as a request names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_match_keeps_all_its_conditions() {
        let written = json!({
            "path": {"type": "RegularExpression", "value": "/cart/[0-9]+"},
            "headers": [{"type": "Exact", "name": "version", "value": "two"}],
            "queryParams": [{"type": "RegularExpression", "name": "page", "value": "[0-9]+"}],
            "method": "PATCH",
        });
        let matched: HttpRouteMatch = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(matched.headers[0].r#type, Some(ValueMatchType::Exact));
        assert_eq!(matched.query_params[0].name, "page");
        assert_eq!(serde_json::to_value(&matched).unwrap(), written);
    }

    #[test]
    fn an_unknown_match_type_is_refused() {
        for path_type in ["Prefix", "exact", "ImplementationSpecific", ""] {
            let path = json!({"type": path_type, "value": "/"});
            assert!(
                serde_json::from_value::<HttpPathMatch>(path).is_err(),
                "{path_type}"
            );
        }
    }
}
