//! Conditions on HTTP requests. Source: message `HTTPMatchRequest`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::resource::istio::string_match::StringMatch;

/// Conditions on a request, all of which have to hold.
///
/// `port`, `source_labels`, `source_namespace` and `gateways` choose the proxies and listeners
/// that get the rule; the others are compared with each request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatchRequest {
    /// Name of this match, which is appended to the name of the rule.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Path of the request, without its query.
    #[serde(skip_serializing_if = "is_default")]
    pub uri: Option<StringMatch>,
    /// Scheme of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: Option<StringMatch>,
    /// Method of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub method: Option<StringMatch>,
    /// Authority, which HTTP/1.1 calls `Host`.
    #[serde(skip_serializing_if = "is_default")]
    pub authority: Option<StringMatch>,
    /// Headers by lower-case name. An empty match asks for the presence of the header. Names that
    /// begin with `@request.auth.claims` stand for claims of the validated token.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: BTreeMap<String, StringMatch>,
    /// Port of the listener. Default: every port.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Labels of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    /// Gateways that get this match, in place of those of the virtual service.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    /// Query parameters by name. An empty match asks for the presence of the parameter.
    #[serde(skip_serializing_if = "is_default")]
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compares `uri` without regard to case, unless it is a regular expression. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_uri_case: bool,
    /// Headers that must not match. An empty match asks for the absence of the header.
    #[serde(skip_serializing_if = "is_default")]
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Namespace of the client workload.
    #[serde(skip_serializing_if = "is_default")]
    pub source_namespace: String,
    /// Prefix of the statistics that the proxy keeps for this match. Default: it keeps none.
    #[serde(skip_serializing_if = "is_default")]
    pub stat_prefix: String,
}
