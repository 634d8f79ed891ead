//! External authorizers. Source: messages `EnvoyExternalAuthorizationHttpProvider`,
//! `EnvoyExternalAuthorizationGrpcProvider` and `EnvoyExternalAuthorizationRequestBody`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;

/// What an authorizer gets of the body of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyExternalAuthorizationRequestBody {
    /// Most bytes. A longer body is answered with 413, unless a part is enough.
    #[serde(skip_serializing_if = "is_default")]
    pub max_request_bytes: u32,
    /// A part of a longer body is enough. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_partial_message: bool,
    /// Sends the body as bytes rather than text, by gRPC. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub pack_as_bytes: bool,
}

/// An authorizer that is asked by HTTP.
///
/// Lists of headers hold names, prefixes `abc*` and suffixes `*abc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyExternalAuthorizationHttpProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// How long it may take to answer. Default: 600 s.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// What is put before the path of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub path_prefix: String,
    /// Allows requests when the authorizer fails. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_open: bool,
    /// Chooses the route again with the headers that the authorizer added. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub clear_route_cache: bool,
    /// Status of the answer when the authorizer fails. Default: 403.
    #[serde(skip_serializing_if = "is_default")]
    pub status_on_error: String,
    /// Headers that the authorizer gets. Deprecated: the next field takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub include_headers_in_check: Vec<String>,
    /// Headers that the authorizer gets, beside host, method, path and length.
    #[serde(skip_serializing_if = "is_default")]
    pub include_request_headers_in_check: Vec<String>,
    /// Further headers that the authorizer gets, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub include_additional_headers_in_check: BTreeMap<String, String>,
    /// What the authorizer gets of the body. Default: nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
    /// Headers of its answer that an allowed request gets.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_to_upstream_on_allow: Vec<String>,
    /// Headers of its answer that a denied client gets. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_to_downstream_on_deny: Vec<String>,
    /// Headers of its answer that an allowed client gets.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_to_downstream_on_allow: Vec<String>,
}

/// An authorizer that is asked by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyExternalAuthorizationGrpcProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// How long it may take to answer. Default: 600 s.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Allows requests and connections when the authorizer fails. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_open: bool,
    /// Chooses the route again with the headers that the authorizer added. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub clear_route_cache: bool,
    /// Status of the answer when the authorizer fails. Default: 403.
    #[serde(skip_serializing_if = "is_default")]
    pub status_on_error: String,
    /// What the authorizer gets of the body. Default: nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
}
