//! Rules that cannot be applied, and answer their requests instead.
//!
//! What is written for some requests is never done to others, and never left undone: requests of a
//! rule that cannot be applied are answered `500`, and the other rules serve.

use std::sync::Arc;

use http::header::HeaderValue;
use http::uri::Authority;

use crate::model::Notice;
use crate::model::route::{
    DirectResponse, PathMatch, PathRewrite, Route, RouteAction, RouteConfiguration,
};
use crate::resolve::context::Parts;

/// The answer to requests whose rule cannot be applied.
const STATUS: u16 = 500;

/// The answer in place of what a rule asks for.
pub(super) fn action() -> RouteAction {
    let (status, body) = (STATUS, None);
    RouteAction::DirectResponse(Box::new(DirectResponse { status, body }))
}

/// Has routes with values that no request can be given answer for themselves.
///
/// Istio and the Gateway API accept such values, and Envoy refuses them with all the routes of the
/// listener.
pub(super) fn apply(parts: &mut Parts) {
    for configuration in parts.route_configurations.values_mut() {
        let hosts = configuration.virtual_hosts.iter();
        let mut routes = hosts.flat_map(|host| &host.routes);
        if routes.any(|route| problem(route).is_some()) {
            refuse(Arc::make_mut(configuration), &mut parts.notices);
        }
    }
}

fn refuse(configuration: &mut RouteConfiguration, notices: &mut Vec<Notice>) {
    let hosts = configuration.virtual_hosts.iter_mut();
    for route in hosts.flat_map(|host| &mut host.routes) {
        let Some(problem) = problem(route) else {
            continue;
        };
        notices.push(Notice {
            origin: route.origin.clone(),
            message: format!("the rule answers 500: {problem}"),
        });
        *route = Arc::new(answering(route));
    }
}

/// The route that answers for `route`.
fn answering(route: &Route) -> Route {
    let mut matches = route.matches.clone();
    if let PathMatch::PathSeparatedPrefix(prefix) = &matches.path
        && !is_segments(prefix)
    {
        matches.path = PathMatch::Prefix(prefix.clone());
    }
    Route {
        origin: route.origin.clone(),
        ..Route::new(&*route.name, matches, action())
    }
}

/// Why a route cannot be applied to any request.
fn problem(route: &Route) -> Option<String> {
    let of_path = match &route.matches.path {
        PathMatch::PathSeparatedPrefix(prefix) if !is_segments(prefix) => {
            Some(format!("`{prefix}` is not a path prefix of whole segments"))
        }
        _ => None,
    };
    let cors = route.cors.as_ref();
    let lists = cors.into_iter().flat_map(|cors| {
        let lists = [
            &cors.allow_methods,
            &cors.allow_headers,
            &cors.expose_headers,
        ];
        lists.map(String::as_str)
    });
    let of_lists = || {
        let mut lists = lists.filter(|list| HeaderValue::from_str(list).is_err());
        let list = lists.next()?;
        Some(format!("`{list}` may not stand in a header field"))
    };
    of_path
        .or_else(of_lists)
        .or_else(|| of_action(&route.action))
}

fn of_action(action: &RouteAction) -> Option<String> {
    match action {
        RouteAction::DirectResponse(_) => None,
        RouteAction::Forward(forward) => {
            let destinations = forward.destinations.iter();
            let own = destinations.filter_map(|to| to.authority.as_deref());
            let rewrite = &forward.rewrite;
            let mut authorities = own.chain(rewrite.authority.as_deref());
            let of_path = rewrite.path.as_ref().and_then(of_rewrite);
            of_path.or_else(|| authorities.find_map(of_authority))
        }
        RouteAction::Redirect(redirect) => {
            let of_path = redirect.path.as_ref().and_then(of_rewrite);
            of_path.or_else(|| redirect.host.as_deref().and_then(of_authority))
        }
    }
}

fn of_authority(authority: &str) -> Option<String> {
    let refused = authority.parse::<Authority>().is_err();
    refused.then(|| format!("`{authority}` is no authority"))
}

fn of_rewrite(rewrite: &PathRewrite) -> Option<String> {
    let path = match rewrite {
        PathRewrite::Full(path) | PathRewrite::Prefix(path) => path.as_str(),
        PathRewrite::Regex(rewrite) => rewrite.substitution(),
        PathRewrite::Template(rewrite) => rewrite.as_str(),
    };
    let refused = path.contains(['\0', '\r', '\n']);
    refused.then(|| format!("{path:?} has a character that may not stand in a path"))
}

/// Whether a prefix is of whole segments.
fn is_segments(prefix: &str) -> bool {
    !(prefix.is_empty() || prefix.ends_with('/') || prefix.contains(['?', '#']))
}
