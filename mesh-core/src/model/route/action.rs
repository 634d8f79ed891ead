use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde::Serialize;

use crate::matcher::{RegexRewrite, UriRewrite};
use crate::model::filter::{HeaderMutations, Mirror, as_text};
use crate::model::retry::{HashPolicy, RetryPolicy};
use crate::origin::Origin;
use crate::service::ClusterName;

/// What happens to the requests of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteAction {
    /// The proxy answers.
    DirectResponse(Box<DirectResponse>),
    /// A cluster answers.
    Forward(Box<Forward>),
    /// The proxy answers with another location.
    Redirect(Box<Redirect>),
}

/// An answer that the proxy gives itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DirectResponse {
    /// Status code, 200 to 599. (Istio admits 600, which no HTTP client understands.)
    pub status: u16,
    /// The body, empty if `None`.
    pub body: Option<bytes::Bytes>,
}

/// Where requests are forwarded, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forward {
    /// At least one; one is drawn in proportion to the weights.
    pub destinations: Vec<WeightedDestination>,
    /// Changes to path and authority.
    pub rewrite: Rewrite,
    /// Copies that are sent elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
    /// How long the whole exchange may take, retries included. `None` is no limit.
    pub timeout: Option<Duration>,
    /// When to try again. `None` never does.
    pub retry: Option<Arc<RetryPolicy>>,
    /// What a consistent-hash balancer hashes. The first that yields a value counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash_policies: Vec<HashPolicy>,
}

impl Forward {
    /// Forwards to `destinations`, with everything else off.
    pub fn to(destinations: impl IntoIterator<Item = WeightedDestination>) -> Self {
        Self {
            destinations: destinations.into_iter().collect(),
            rewrite: Rewrite::default(),
            mirrors: Vec::new(),
            timeout: None,
            retry: None,
            hash_policies: Vec::new(),
        }
    }
}

/// A cluster and its share of the requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightedDestination {
    /// The cluster.
    pub cluster: ClusterSpecifier,
    /// Its share of the sum of all weights. With one destination the weight does not matter.
    pub weight: u32,
    /// Header operations, applied before those of the route.
    pub headers: HeaderMutations,
    /// Replaces the authority, where the route's [`Rewrite`] does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The cluster that was asked for, where the reference to it [cannot be
    /// resolved](ClusterSpecifier::Refused). It is known by this name in Istio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<ClusterName>,
    /// What asked for this destination.
    pub origin: Origin,
}

impl WeightedDestination {
    /// `cluster`, with weight 1.
    pub fn new(cluster: impl Into<ClusterSpecifier>) -> Self {
        Self {
            cluster: cluster.into(),
            weight: 1,
            headers: HeaderMutations::default(),
            authority: None,
            unresolved: None,
            origin: Origin::synthetic("destination"),
        }
    }
}

/// How the cluster of a destination is known.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterSpecifier {
    /// A request header names it.
    Header(String),
    /// By its name. A cluster that does not exist answers `503` with the flag `NC`.
    Name(ClusterName),
    /// The reference cannot be resolved, and the destination's share is answered with this status
    /// (Gateway API: 500).
    Refused(u16),
}

impl From<ClusterName> for ClusterSpecifier {
    fn from(name: ClusterName) -> Self {
        Self::Name(name)
    }
}

/// Changes to the request's path and authority before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rewrite {
    /// Change to the path; the query is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// Replaces the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Part of the request that replaces the authority, where `authority` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_source: Option<AuthoritySource>,
    /// Whether an authority that the route replaces is added to `x-forwarded-host`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub append_forwarded_host: bool,
}

/// Where in a request its new authority stands. If it is empty, the authority is not replaced.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthoritySource {
    /// The first value of a header field.
    Header(#[serde(serialize_with = "as_text")] HeaderName),
    /// The path, without its query, after the matches of an expression are replaced.
    Path(RegexRewrite),
}

/// A change to the path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRewrite {
    /// Replaces the whole path.
    Full(String),
    /// Replaces what the route's prefix matched; the whole path if the route matched an exact
    /// path, an expression or a template.
    Prefix(String),
    /// Replaces every match of an RE2 expression in the path.
    Regex(RegexRewrite),
    /// Replaces the whole path by the variables of the URI template that it met.
    Template(UriRewrite),
}

/// An answer that sends the client elsewhere. What is absent is taken from the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Redirect {
    /// Status code: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Host without port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port; left out of the location where it is the scheme's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// Whether the query is dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strip_query: bool,
}
