//! Rules for HTTP. Source: messages `HTTPRoute`, `HTTPRouteDestination` and `Delegate`.

use serde::{Deserialize, Serialize};

use super::{
    CorsPolicy, Destination, Headers, HttpDirectResponse, HttpFaultInjection, HttpMatchRequest,
    HttpMirrorPolicy, HttpRedirect, HttpRetry, HttpRewrite,
};
use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::percent::Percent;

/// A rule for HTTP: what it matches, and what becomes of a request that it matches.
///
/// One of `route`, `redirect`, `direct_response` and `delegate` says where the request goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// Name for access logs and diagnostics.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Conditions, any of which is enough. Empty: the rule matches every request.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Vec<HttpMatchRequest>,
    /// Destinations among which requests are divided by weight.
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<HttpRouteDestination>,
    /// Answers with a redirect.
    #[serde(skip_serializing_if = "is_default")]
    pub redirect: Option<HttpRedirect>,
    /// Answers with a fixed response.
    #[serde(skip_serializing_if = "is_default")]
    pub direct_response: Option<HttpDirectResponse>,
    /// Virtual service whose rules take this one's place.
    #[serde(skip_serializing_if = "is_default")]
    pub delegate: Option<Delegate>,
    /// Changes the path or the authority before the request is forwarded.
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite: Option<HttpRewrite>,
    /// How long the whole exchange may take, retries included. Default: for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// When to try again. Default: that of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: Option<HttpRetry>,
    /// Delays and failures to inject.
    #[serde(skip_serializing_if = "is_default")]
    pub fault: Option<HttpFaultInjection>,
    /// Destination that gets a copy of the requests. Exclusive with `mirrors`.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: Option<Destination>,
    /// Destinations that get a copy of the requests each.
    #[serde(skip_serializing_if = "is_default")]
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Whole percentage of the requests to copy to `mirror`. Deprecated: `mirror_percentage` takes
    /// its place.
    #[serde(alias = "mirror_percent", skip_serializing_if = "is_default")]
    pub mirror_percent: Option<u32>,
    /// Share of the requests to copy to `mirror`. Default: 100 %.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin resource sharing.
    #[serde(skip_serializing_if = "is_default")]
    pub cors_policy: Option<CorsPolicy>,
    /// Changes of headers, for all destinations.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Option<Headers>,
}

/// A destination and its share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteDestination {
    /// Where the requests go. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    /// Share of the requests, relative to the sum of all weights. Default: 0, which with a single
    /// destination still means all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: i32,
    /// Changes of headers, for this destination.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Option<Headers>,
}

/// Names a virtual service without hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// Name of the virtual service.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its namespace. Default: that of the virtual service that delegates.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: String,
}
