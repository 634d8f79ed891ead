//! Rules for HTTP.

use super::action::{self, validate_mirrored_share};
use super::headers::{validate_authority, validate_headers};
use super::http_match::validate_match;
use super::{validate_cors_policy, validate_fault};
use crate::resource::istio::virtual_service::HttpRoute;
use crate::validate::{At, destination, duration, retry};

/// What the VirtualService of a route is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RouteContext {
    /// It has no hosts, so that others delegate to it.
    pub is_delegate: bool,
    /// It was made from a route of the Gateway API, whose destinations are checked elsewhere.
    pub is_gateway_api: bool,
}

/// Checks a rule for HTTP (`validateHTTPRoute`).
pub fn validate_http_route(route: &HttpRoute, context: RouteContext, at: At<'_>) {
    if route.delegate.is_some() && !context.is_delegate {
        validate_root(route, at);
    } else {
        validate_one_action(route, context, at);
    }
    at.field("match").each(&route.r#match, validate_match);
    validate_action(route, context, at);
    validate_policies(route, at);
}

/// Checks a route that delegates: the delegate decides what is done.
fn validate_root(route: &HttpRoute, at: At<'_>) {
    for (field, is_set) in [
        ("redirect", route.redirect.is_some()),
        ("route", !route.route.is_empty()),
    ] {
        if is_set {
            at.field(field)
                .error(format_args!("a route that delegates cannot have `{field}`"));
        }
    }
}

/// Checks that one thing is done with a request (`validateHTTPRouteConflict`).
fn validate_one_action(route: &HttpRoute, context: RouteContext, at: At<'_>) {
    if context.is_delegate && route.delegate.is_some() {
        at.field("delegate").error("a delegate cannot delegate");
    }
    let has_route = !route.route.is_empty();
    let action = if route.redirect.is_some() {
        "redirect"
    } else if route.direct_response.is_some() {
        "directResponse"
    } else {
        at.require(
            has_route,
            "one of `route`, `redirect` and `directResponse` is required",
        );
        "route"
    };
    let others = [
        ("route", has_route),
        ("fault", route.fault.is_some()),
        ("rewrite", route.rewrite.is_some()),
        ("directResponse", route.direct_response.is_some()),
    ];
    for (other, is_set) in others {
        if action != "route" && other != action && is_set {
            at.field(other).error(format_args!(
                "a route cannot have both `{action}` and `{other}`"
            ));
        }
    }
    if route.mirror.is_some() && !route.mirrors.is_empty() {
        at.field("mirror")
            .error("only one of `mirror` and `mirrors` can be set");
    }
}

fn validate_action(route: &HttpRoute, context: RouteContext, at: At<'_>) {
    let destinations = at.field("route");
    destinations.each(&route.route, |route, at| {
        let destination = route.destination.as_ref();
        destination::validate_weighted(destination, route.weight, context.is_gateway_api, at);
        if let Some(headers) = &route.headers {
            validate_headers(headers, at.field("headers"));
        }
    });
    let weights = route.route.iter().map(|route| route.weight);
    destination::validate_total_weight(weights, destinations);
    if let Some(redirect) = &route.redirect {
        action::validate_redirect(redirect, &route.r#match, at.field("redirect"));
    }
    if let Some(response) = &route.direct_response {
        action::validate_direct_response(response, at.field("directResponse"));
    }
    if let Some(rewrite) = &route.rewrite {
        action::validate_rewrite(rewrite, at.field("rewrite"));
    }
    validate_mirroring(route, at);
}

fn validate_mirroring(route: &HttpRoute, at: At<'_>) {
    if let Some(mirror) = &route.mirror {
        destination::validate(mirror, at.field("mirror"));
    }
    action::validate_mirrors(&route.mirrors, at.field("mirrors"));
    if let Some(percent) = route.mirror_percent {
        let at = at.field("mirrorPercent");
        if percent > 100 {
            at.error(format_args!("percentage `{percent}` is not from 0 to 100"));
        }
        at.warning("`mirrorPercent` is deprecated")
            .help("use `mirrorPercentage`");
    }
    if let Some(percentage) = &route.mirror_percentage {
        validate_mirrored_share(percentage, at.field("mirrorPercentage"));
    }
}

fn validate_policies(route: &HttpRoute, at: At<'_>) {
    if let Some(headers) = &route.headers {
        validate_headers(headers, at.field("headers"));
    }
    validate_authority(route.rewrite.as_ref(), route.headers.as_ref(), at);
    if let Some(policy) = &route.cors_policy {
        validate_cors_policy(policy, at.field("corsPolicy"));
    }
    if let Some(fault) = &route.fault {
        validate_fault(fault, at.field("fault"));
    }
    if let Some(retries) = &route.retries {
        retry::validate(retries, at.field("retries"));
    }
    duration::validate_optional(route.timeout, at.field("timeout"));
}
