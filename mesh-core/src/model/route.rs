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

mod action;

use std::sync::Arc;

use serde::Serialize;

use crate::matcher::{Regex, StringMatch, UriTemplate};
use crate::model::filter::{CorsPolicy, Fault, HeaderMutations};
use crate::origin::Origin;
use crate::service::ClusterName;

pub use action::{
    AuthoritySource, ClusterSpecifier, DirectResponse, Forward, PathRewrite, Redirect, Rewrite,
    RouteAction, WeightedDestination,
};

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

    /// Whether every request of a virtual host is taken, so that no route behind is ever tried
    /// (`IsCatchAllRoute`). Of expressions only `.*` is known to take everything.
    ///
    /// ```
    /// use mesh_core::model::route::RouteMatch;
    ///
    /// assert!(RouteMatch::prefix("/").is_catch_all());
    /// assert!(!RouteMatch::prefix("/cart").is_catch_all());
    /// ```
    pub fn is_catch_all(&self) -> bool {
        let Self {
            path,
            ignore_path_case: _,
            method,
            scheme,
            authority,
            headers,
            query_params,
            claims,
            grpc,
        } = self;
        let any_path = match path {
            PathMatch::Prefix(prefix) => prefix == "/",
            PathMatch::PathSeparatedPrefix(prefix) => prefix == "/" || prefix.is_empty(),
            PathMatch::Regex(regex) => regex.as_str() == ".*",
            PathMatch::Exact(_) | PathMatch::Template(_) => false,
        };
        any_path
            && method.is_none()
            && scheme.is_none()
            && authority.is_none()
            && headers.is_empty()
            && query_params.is_empty()
            && claims.is_empty()
            && !grpc
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
    /// The whole path, as one of Envoy's URI templates.
    Template(UriTemplate),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_match_that_asks_nothing_takes_everything() {
        let any = RouteMatch::default;
        let header = HeaderMatch {
            name: "x-user".into(),
            value: StringMatch::Present,
            invert: false,
            missing_as_empty: false,
        };
        let expression = |text| PathMatch::Regex(Regex::parse(text).unwrap());
        let cases = [
            ("the root", any(), true),
            (
                "whole segments",
                RouteMatch::path(PathMatch::PathSeparatedPrefix("/".into())),
                true,
            ),
            ("an expression", RouteMatch::path(expression(".*")), true),
            (
                "an expression that means the same",
                RouteMatch::path(expression("/.*")),
                false,
            ),
            ("a prefix", RouteMatch::prefix("/a"), false),
            ("one path", RouteMatch::exact("/"), false),
            (
                "a method",
                RouteMatch {
                    method: Some(StringMatch::exact("GET")),
                    ..any()
                },
                false,
            ),
            (
                "a header",
                RouteMatch {
                    headers: vec![header],
                    ..any()
                },
                false,
            ),
            (
                "gRPC",
                RouteMatch {
                    grpc: true,
                    ..any()
                },
                false,
            ),
        ];
        for (what, condition, expected) in cases {
            assert_eq!(condition.is_catch_all(), expected, "{what}");
        }
    }
}
