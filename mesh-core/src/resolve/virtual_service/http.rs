//! Routes of the HTTP rules of a VirtualService (`pilot/pkg/networking/core/route/route.go`).

use crate::model::Notice;
use crate::model::filter::HeaderMutations;
use crate::model::route::{Route, RouteAction, RouteMatch};
use crate::resolve::place::Place;
use crate::resolve::refused;
use crate::resolve::virtual_service::context::RouteContext;
use crate::resolve::virtual_service::rules::{Rule, rules};
use crate::resolve::virtual_service::{answers, cors, fault, forward, headers, matches};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::HttpMatchRequest;

/// The routes of `vs` at a listener, one for each match block of a rule that can apply there
/// (`BuildHTTPRoutesForVirtualService`).
///
/// Routes behind one that takes every request are left out. What is meant for a rule that cannot be
/// translated is answered `500`, with a notice, and never left to a later rule; where the condition
/// of the rule is what cannot be, the rest of it decides which requests those are. `None` if no rule
/// can apply there.
pub(in crate::resolve) fn http_routes<'a>(
    context: &RouteContext<'a>,
    vs: &'a Resource<VirtualService>,
    notices: &mut Vec<Notice>,
) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    let mut applies = false;
    for rule in rules(context, vs, notices) {
        let origin = rule.owner.origin();
        let root = Place::root(&origin, &rule.owner.source);
        let spec = root.field("spec");
        let http = spec.field("http");
        let place = http.index(rule.index);
        match push_routes(context, &rule, &place, &mut routes, notices) {
            Reach::Nothing => {}
            Reach::Some => applies = true,
            Reach::Everything => return Some(routes),
        }
    }
    applies.then_some(routes)
}

/// The requests of a listener that a rule is for.
enum Reach {
    /// None: its conditions on listener and workload do not hold.
    Nothing,
    /// Those that its conditions on requests take.
    Some,
    /// All of them.
    Everything,
}

/// Adds the routes of one rule.
fn push_routes(
    context: &RouteContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
    routes: &mut Vec<Route>,
    notices: &mut Vec<Notice>,
) -> Reach {
    let blocks = applicable_blocks(context, rule);
    if blocks.is_empty() && !rule.route.r#match.is_empty() {
        return Reach::Nothing;
    }
    let template = template(context, rule, place, notices).unwrap_or_else(|notice| {
        notices.push(notice);
        refused(&rule.route.name, place)
    });
    if rule.route.r#match.is_empty() {
        routes.push(template);
        return Reach::Everything;
    }
    let match_place = place.field("match");
    for (index, block) in blocks {
        let place = match rule.match_index(index) {
            Some(index) => match_place.index(index),
            None => *place,
        };
        let condition = matches::translate(block, &place);
        let ends = condition.matches.is_catch_all();
        let route = match condition.refused.is_empty() {
            true => template.clone(),
            false => refused(&rule.route.name, &place),
        };
        notices.extend(condition.refused);
        routes.push(with_match(route, block, condition.matches, &place));
        if ends {
            return Reach::Everything;
        }
    }
    Reach::Some
}

/// What becomes of a rule that cannot be translated, but for its condition.
fn refused(name: &str, place: &Place<'_>) -> Route {
    Route {
        origin: place.origin(),
        ..Route::new(name, RouteMatch::default(), refused::action())
    }
}

fn with_match(
    route: Route,
    block: &HttpMatchRequest,
    matches: RouteMatch,
    place: &Place<'_>,
) -> Route {
    let name = match block.name.as_str() {
        "" => route.name,
        name => format!("{}.{name}", route.name),
    };
    Route {
        name,
        matches,
        origin: place.origin(),
        ..route
    }
}

/// The match blocks of the rule that can apply at the listener, with their indices.
fn applicable_blocks<'r>(
    context: &RouteContext<'_>,
    rule: &'r Rule<'_>,
) -> Vec<(usize, &'r HttpMatchRequest)> {
    let namespace = &rule.owner.metadata.namespace;
    let blocks = rule.route.r#match.iter().enumerate();
    let applies = |block: &HttpMatchRequest| {
        let port = block.port == 0 || block.port == u32::from(context.port);
        port && is_source(context, block, namespace)
    };
    blocks.filter(|(_, block)| applies(block)).collect()
}

/// Whether the block is for the workload (`sourceMatchHTTP`). One that names gateways does not
/// look at the workload's labels and namespace.
fn is_source(context: &RouteContext<'_>, block: &HttpMatchRequest, namespace: &str) -> bool {
    if !block.gateways.is_empty() {
        return context.is_bound(&block.gateways, namespace);
    }
    let workload = context.workload;
    let mut labels = block.source_labels.iter();
    labels.all(|(key, value)| workload.labels.value(key) == Some(value))
        && (block.source_namespace.is_empty() || block.source_namespace == workload.namespace)
}

/// The route of a rule, but for its condition.
fn template(
    context: &RouteContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Route, Notice> {
    let written = &*rule.route;
    let (mut mutations, authority) = match &written.headers {
        Some(headers) => headers::translate(headers, &place.field("headers"), notices)?,
        None => (HeaderMutations::default(), None),
    };
    let action = if let Some(redirect) = &written.redirect {
        let redirect = answers::redirect(context, redirect, &place.field("redirect"))?;
        RouteAction::Redirect(Box::new(redirect))
    } else if let Some(response) = &written.direct_response {
        let response = answers::direct_response(response, &place.field("directResponse"))?;
        RouteAction::DirectResponse(Box::new(response))
    } else {
        let mut forward = forward::translate(context, rule, place, &mut mutations, notices)?;
        forward.rewrite.authority = forward.rewrite.authority.or(authority);
        forward::prefer_route_authority(&written.route, &mut forward);
        RouteAction::Forward(Box::new(forward))
    };
    let fault = written.fault.as_ref();
    let fault = fault.map(|fault| fault::translate(fault, &place.field("fault"), notices));
    let cors = written.cors_policy.as_ref();
    let cors = cors.map(|cors| cors::translate(cors, &place.field("corsPolicy")));
    Ok(Route {
        name: written.name.clone(),
        matches: RouteMatch::default(),
        action,
        headers: mutations,
        cors: cors.transpose()?.map(Box::new),
        fault: fault.transpose()?.flatten().map(Box::new),
        origin: place.origin(),
    })
}
