//! Virtual hosts and routes: where a request may go, first match wins.
//!
//! The nouns and the order of evaluation are those of Envoy's [route configuration]. A route is
//! data: `mesh-routing` compiles it to a table, an xDS encoder writes it for Envoy.
//!
//! [route configuration]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route.proto
//!
//! # Example
//!
//! ```
//! use mesh_core::model::route::{PathMatch, Route, RouteMatch, VirtualHost};
//! use mesh_core::service::ClusterName;
//!
//! let reviews = ClusterName::outbound(9080, "", "reviews.default.svc.cluster.local");
//! let route = Route::forward("default", RouteMatch::prefix("/"), reviews.clone());
//! let host = VirtualHost::new("reviews", ["reviews.example"], [route]);
//!
//! assert_eq!(host.routes[0].matches.path, PathMatch::Prefix("/".into()));
//! assert_eq!(host.routes[0].forward_to().unwrap().destinations[0].cluster, reviews.into());
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::matcher::{Regex, RegexRewrite, StringMatch};
use crate::model::filter::{CorsPolicy, Fault, HeaderMutations, Mirror};
use crate::model::retry::{HashPolicy, RetryPolicy};
use crate::origin::Origin;
use crate::service::ClusterName;

/// The routes of one listener or port (Envoy's `RouteConfiguration`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteConfiguration {
    /// Istio's name for it: `80` on a sidecar, `http.80` on a gateway.
    pub name: String,
    /// The hosts it serves. No two share a domain.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Whether a port in the `Host` header is ignored when a virtual host is chosen.
    pub ignore_port: bool,
    /// Header operations for every request and response, applied after those of the virtual host.
    pub headers: HeaderMutations,
}

/// A set of domains and the routes they share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Istio's name for it, `host:port`.
    pub name: String,
    /// Domains as Envoy reads them: exact, `*suffix`, `prefix*` or `*`, lower case.
    pub domains: Vec<String>,
    /// Tried in order; the first that matches decides.
    pub routes: Vec<Arc<Route>>,
    /// Answers plaintext requests with a redirect to `https` before any route is tried.
    pub require_tls: bool,
    /// Header operations, applied after those of the route.
    pub headers: HeaderMutations,
    /// What asked for this host.
    pub origin: Origin,
}

impl VirtualHost {
    /// A host that serves `domains` by `routes`, with everything else off.
    pub fn new<D>(
        name: impl Into<String>,
        domains: impl IntoIterator<Item = D>,
        routes: impl IntoIterator<Item = Route>,
    ) -> Self
    where
        D: Into<String>,
    {
        Self {
            name: name.into(),
            domains: domains.into_iter().map(Into::into).collect(),
            routes: routes.into_iter().map(Arc::new).collect(),
            require_tls: false,
            headers: HeaderMutations::default(),
            origin: Origin::synthetic("virtual host"),
        }
    }
}

/// A condition, and what to do with the requests that meet it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// Istio's route name (`%ROUTE_NAME%`): `name[.matchName]`, or `default` for a service
    /// without a VirtualService.
    pub name: String,
    /// Which requests it takes.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// Header operations for requests and responses of the route.
    pub headers: HeaderMutations,
    /// Cross-origin rules. `None` leaves CORS to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Box<CorsPolicy>>,
    /// Injected delays and aborts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Box<Fault>>,
    /// The rule it was resolved from.
    pub origin: Origin,
}

impl Route {
    /// A route that forwards the requests of `matches` to one cluster.
    pub fn forward(name: impl Into<String>, matches: RouteMatch, cluster: ClusterName) -> Self {
        let destination = WeightedDestination::new(ClusterSpecifier::Name(cluster));
        let forward = Forward::to([destination]);
        Self::new(name, matches, RouteAction::Forward(Box::new(forward)))
    }

    /// A route without filters or header operations.
    pub fn new(name: impl Into<String>, matches: RouteMatch, action: RouteAction) -> Self {
        Self {
            name: name.into(),
            matches,
            action,
            headers: HeaderMutations::default(),
            cors: None,
            fault: None,
            origin: Origin::synthetic("route"),
        }
    }

    /// The forwarding action, if the route forwards.
    pub fn forward_to(&self) -> Option<&Forward> {
        match &self.action {
            RouteAction::Forward(forward) => Some(forward),
            RouteAction::DirectResponse(_) | RouteAction::Redirect(_) => None,
        }
    }
}

/// The requests that a route takes: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteMatch {
    /// Condition on the path, without its query.
    pub path: PathMatch,
    /// Whether [`PathMatch::Exact`] and the prefixes ignore ASCII case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_path_case: bool,
    /// Condition on `:method`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// Condition on `:scheme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<StringMatch>,
    /// Condition on `:authority` (the `Host` header), port included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<StringMatch>,
    /// Conditions on header fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<QueryParamMatch>,
    /// Conditions on the claims of the verified token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimMatch>,
    /// Whether only gRPC requests match (Envoy's `grpc`): those with the content type
    /// `application/grpc`, alone or before `+`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub grpc: bool,
}

impl RouteMatch {
    /// Requests whose path is `path`.
    pub fn exact(path: impl Into<String>) -> Self {
        Self::path(PathMatch::Exact(path.into()))
    }

    /// Requests whose path begins with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self::path(PathMatch::Prefix(prefix.into()))
    }

    /// Requests whose path meets `path`.
    pub fn path(path: PathMatch) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }
}

/// A condition on the path, which never includes the query or a fragment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// Whole path segments: `/foo` takes `/foo` and `/foo/bar`, not `/foobar`. Never ends in `/`.
    PathSeparatedPrefix(String),
    /// The first characters: `/foo` takes `/foobar` too. The empty prefix takes everything.
    Prefix(String),
    /// The whole path, as an RE2 expression.
    Regex(Regex),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

/// A condition on a header field. One value of a repeated field is enough to meet it; the negated
/// condition holds if no value does. (So Envoy since its `match_headers_individually`.)
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeaderMatch {
    /// The field, or one of the pseudo-header fields `:method`, `:scheme`, `:authority` (also as
    /// `host`) and `:path` (with the query). Lower case.
    pub name: String,
    /// Condition on the value.
    pub value: StringMatch,
    /// Whether the condition is negated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
    /// Whether an absent field counts as an empty value. Otherwise it fails the condition, and
    /// the negated condition too, unless that is [`StringMatch::Present`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing_as_empty: bool,
}

/// A condition on the first value of a query parameter, as it was sent: Envoy's router does not
/// decode percent-encoding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryParamMatch {
    /// The parameter, compared exactly.
    pub name: String,
    /// Condition on the value. An absent parameter fails it.
    pub value: StringMatch,
}

/// A condition on a claim of the verified token (`@request.auth.claims`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimMatch {
    /// Names from the payload's root to the claim.
    pub path: Vec<String>,
    /// Condition on the claim; on any element if the claim is a list.
    pub value: StringMatch,
    /// Whether the condition is negated. An absent claim fails the condition, so it meets the
    /// negated one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
}

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
}

/// A change to the path.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRewrite {
    /// Replaces the whole path.
    Full(String),
    /// Replaces what the route's prefix matched; the whole path if the route matched an exact
    /// path or an expression.
    Prefix(String),
    /// Replaces every match of an RE2 expression in the path.
    Regex(RegexRewrite),
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
