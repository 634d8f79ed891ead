//! Routes of requests: one for each condition of each rule (`convertHTTPRoute`,
//! `convertGRPCRoute`).

use std::cmp::Reverse;
use std::sync::Arc;

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::model::filter::HeaderMutations;
use crate::model::retry::RetryPolicy;
use crate::model::route::{
    ClusterSpecifier, Forward, PathRewrite, Route, RouteAction, RouteMatch, WeightedDestination,
};
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::filters::{self, Filters};
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::headers;
use crate::resolve::gateway_api::matches::Precedence;
use crate::resolve::gateway_api::rule::{Backend, Condition, Filter, RequestRoute, Rule};
use crate::resolve::place::Place;
use crate::resolve::proxy_headers::append_forwarded_host;
use crate::resolve::refused;
use crate::resolve::virtual_service::retry;
use crate::resource::Resource;
use crate::resource::gateway_api::http_route::{HttpRouteRetry, HttpRouteTimeouts};
use crate::resource::istio::virtual_service::HttpRetry;

/// The answer of a backend that may not have requests.
const REFUSED: u16 = 500;
/// How often a request is sent again, where a rule does not say.
const RETRY_ATTEMPTS: i32 = 2;
/// Failures after which a request is sent again.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";

/// A route and its place among others.
#[derive(Clone, Debug)]
pub(super) struct RankedRoute {
    precedence: Precedence,
    route: Arc<Route>,
}

/// The routes of a resource.
pub(super) fn routes<S: RequestRoute>(
    context: &RuleContext<'_>,
    resource: &Resource<S>,
    findings: &mut Vec<Finding>,
) -> Vec<RankedRoute> {
    let origin = resource.origin();
    let root = Place::root(&origin, &resource.source);
    let spec = root.field("spec");
    let list = spec.field("rules");
    let mut routes = Vec::new();
    for (index, rule) in resource.spec.rules().iter().enumerate() {
        let place = list.index(index);
        let conditions = resource.spec.conditions(index, &place, findings);
        let metadata = &resource.metadata;
        let name = rule.name.map_or_else(
            || format!("{}.{}.{index}", metadata.namespace, metadata.name),
            str::to_owned,
        );
        let template = Template::new(context, rule, &place, findings);
        let template = template.unwrap_or_else(|finding| {
            findings.push(finding);
            Template::refused()
        });
        let of_condition = |condition| template.route(&name, condition);
        routes.extend(conditions.into_iter().map(of_condition));
    }
    routes
}

/// The routes of one host, in order: the most specific first, of equals those that came first. What
/// is behind a route that takes every request is left out.
pub(super) fn in_order<'r>(all: impl IntoIterator<Item = &'r RankedRoute>) -> Arc<[Arc<Route>]> {
    let mut all: Vec<&RankedRoute> = all.into_iter().collect();
    all.sort_by_key(|ranked| Reverse(ranked.precedence));
    let end = all
        .iter()
        .position(|ranked| ranked.route.matches.is_catch_all());
    all.truncate(end.map_or(all.len(), |end| end + 1));
    all.iter().map(|ranked| Arc::clone(&ranked.route)).collect()
}

/// The route of a rule, but for its condition.
struct Template<'a> {
    action: RouteAction,
    filters: Filters<'a>,
}

impl<'a> Template<'a> {
    /// Answers that the rule cannot be applied.
    fn refused() -> Self {
        Self {
            action: refused::action(),
            filters: Filters::default(),
        }
    }

    fn new(
        context: &RuleContext<'_>,
        rule: &Rule<'a>,
        place: &Place<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, Finding> {
        if rule.has_session_persistence {
            let message = "sessions are not kept on one backend";
            let refusal = Refusal::new(Reason::UnsupportedValue, message);
            findings.push(refusal.at(&place.field("sessionPersistence")));
        }
        let list = place.field("filters");
        let mut filters = filters::translate(context, &rule.filters, &list, findings)?;
        let action = if let Some(redirect) = filters.redirect.take() {
            RouteAction::Redirect(Box::new(redirect))
        } else if rule.backends.iter().all(|backend| backend.weight == 0) {
            refused::action()
        } else {
            let forward = forward(context, rule, place, &mut filters, findings);
            RouteAction::Forward(Box::new(forward))
        };
        Ok(Self { action, filters })
    }

    fn route(&self, name: &str, condition: Condition) -> RankedRoute {
        let Condition {
            precedence,
            matches,
            origin,
        } = condition;
        let mut action = self.action.clone();
        self.set_path(&mut action, &matches);
        let route = Route {
            headers: self.filters.headers.clone(),
            cors: self.filters.cors.clone(),
            origin,
            ..Route::new(name, matches, action)
        };
        RankedRoute {
            precedence,
            route: Arc::new(route),
        }
    }

    /// Changes the path that was matched.
    fn set_path(&self, action: &mut RouteAction, matches: &RouteMatch) {
        let path: Option<PathRewrite> = self
            .filters
            .path
            .and_then(|written| filters::path_rewrite(written, &matches.path));
        match action {
            RouteAction::Forward(forward) => forward.rewrite.path = path,
            RouteAction::Redirect(redirect) => redirect.path = path,
            RouteAction::DirectResponse(_) => {}
        }
    }
}

fn forward(
    context: &RuleContext<'_>,
    rule: &Rule<'_>,
    place: &Place<'_>,
    filters: &mut Filters<'_>,
    findings: &mut Vec<Finding>,
) -> Forward {
    let mut forward = Forward::to([]);
    let list = place.field("backendRefs");
    let chosen = rule.backends.iter().enumerate();
    for (index, backend) in chosen.filter(|(_, backend)| backend.weight != 0) {
        let place = list.index(index);
        destination(context, backend, &place, &mut forward, findings);
    }
    forward.rewrite.authority = filters.authority.take();
    forward.rewrite.append_forwarded_host =
        filters.is_rewriting && append_forwarded_host(context.config);
    if let [only] = forward.destinations.as_mut_slice() {
        only.weight = 1;
        append(&mut filters.headers, std::mem::take(&mut only.headers));
        let own = only.authority.take();
        forward.rewrite.authority = forward.rewrite.authority.or(own);
    }
    forward.mirrors = std::mem::take(&mut filters.mirrors);
    // Of several backends none counts as hashed (`applyHTTPRouteDestination`).
    let hashed = !forward.hash_policies.is_empty() && forward.destinations.len() == 1;
    let mut retry = match rule.retry {
        Some(written) => retries(written, hashed),
        None => {
            let default = context.config.options().default_http_retry_policy();
            retry::policy(default, hashed)
        }
    };
    set_timeouts(
        rule.timeouts,
        rule.retry.is_some(),
        &mut forward,
        &mut retry,
    );
    forward.retry = retry.map(Arc::new);
    forward
}

/// Puts the changes of the only destination behind those of the rule.
fn append(rule: &mut HeaderMutations, destination: HeaderMutations) {
    crate::resolve::virtual_service::headers::append(rule, destination);
}

/// Adds a destination. One that may not be reached answers its share itself.
fn destination(
    context: &RuleContext<'_>,
    backend: &Backend<'_>,
    place: &Place<'_>,
    forward: &mut Forward,
    findings: &mut Vec<Finding>,
) {
    let mut destination = WeightedDestination::new(ClusterSpecifier::Refused(REFUSED));
    destination.weight = backend.weight;
    destination.origin = place.origin();
    let target = context.backend(&backend.reference);
    let filtered = target.and_then(|target| {
        set_headers(&backend.filters, &mut destination)?;
        Ok(target)
    });
    match filtered {
        Ok(target) => {
            destination.cluster = ClusterSpecifier::Name(target.cluster());
            forward.hash_policies.extend(context.hash_policy(&target));
        }
        Err(refusal) => {
            destination.unresolved = context.named(&backend.reference);
            findings.push(refusal.at(place));
        }
    }
    forward.destinations.push(destination);
}

/// The filters of one backend, which can only change headers.
fn set_headers(
    filters: &[Filter<'_>],
    destination: &mut WeightedDestination,
) -> Result<(), Refusal> {
    for filter in filters {
        match filter {
            Filter::RequestHeaders(written) => {
                let (mutation, authority) = headers::translate(written)?;
                destination.headers.request = mutation;
                destination.authority = authority;
            }
            Filter::ResponseHeaders(written) => {
                (destination.headers.response, _) = headers::translate(written)?;
            }
            _ => {
                let message = "a backend has only filters that change headers";
                return Err(Refusal::new(Reason::InvalidFilter, message));
            }
        }
    }
    Ok(())
}

fn retries(written: &HttpRouteRetry, hashed: bool) -> Option<RetryPolicy> {
    let HttpRouteRetry {
        codes,
        attempts,
        backoff,
    } = written;
    let codes = codes.iter().map(|code| format!(",{code}"));
    let attempts = attempts.map(|attempts| i32::try_from(attempts).unwrap_or(i32::MAX));
    let asked = HttpRetry {
        attempts: attempts.unwrap_or(RETRY_ATTEMPTS),
        retry_on: std::iter::once(RETRY_ON.to_owned()).chain(codes).collect(),
        ..HttpRetry::default()
    };
    let mut policy = retry::policy(Some(&asked), hashed)?;
    if let Some(backoff) = backoff {
        policy.backoff_base = backoff.as_std();
    }
    Some(policy)
}

/// Where the rule has retries, `backendRequest` is the limit of one attempt, else of the whole. Zero
/// is no limit.
fn set_timeouts(
    written: Option<&HttpRouteTimeouts>,
    has_retries: bool,
    forward: &mut Forward,
    retry: &mut Option<RetryPolicy>,
) {
    let Some(HttpRouteTimeouts {
        request,
        backend_request,
    }) = written
    else {
        return;
    };
    let limit = |written: &Option<crate::duration::GatewayDuration>| {
        let limit = written.filter(|limit| !limit.is_zero());
        limit.map(|limit| limit.as_std())
    };
    forward.timeout = limit(request);
    match (limit(backend_request), retry) {
        (None, _) => {}
        (Some(attempt), Some(retry)) if has_retries => retry.per_try_timeout = Some(attempt),
        (Some(attempt), _) => forward.timeout = Some(attempt),
    }
}
