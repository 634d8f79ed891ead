//! HTTP routes.

use std::collections::BTreeSet;

use super::{
    backend_reference, http_filter, http_match, name, parent_reference, path_modifier,
    session_persistence, validate_distinct, validate_len,
};
use crate::resource::gateway_api::http_filter::{HttpPathModifier, HttpRouteFilter};
use crate::resource::gateway_api::http_match::PathMatchType;
use crate::resource::gateway_api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts,
};
use crate::validate::At;

/// The most hosts, rules and backends.
pub(super) const MAX_ITEMS: usize = 16;

/// The most matches of a rule, and of a route.
pub(super) const MAX_MATCHES: usize = 64;
pub(super) const MAX_TOTAL_MATCHES: usize = 128;

pub(super) fn validate(route: &HttpRoute, at: At<'_>) {
    let HttpRoute {
        parent_refs,
        use_default_gateways: _,
        hostnames,
        rules,
    } = route;
    parent_reference::validate(parent_refs, at.field("parentRefs"));
    validate_len(hostnames, 0, MAX_ITEMS, at.field("hostnames"));
    at.field("hostnames")
        .each(hostnames, |host, at| name::validate_hostname(host, at));
    let at = at.field("rules");
    let is_absent = rules.is_empty() && !at.is_written();
    validate_len(rules, usize::from(!is_absent), MAX_ITEMS, at);
    at.each(rules, validate_rule);
    let mut matches = 0;
    at.each(rules, |rule, at| matches += match_count(rule, at));
    at.require(
        matches <= MAX_TOTAL_MATCHES,
        "a route has at most 128 matches",
    );
    validate_names(rules.iter().map(|rule| rule.name.as_deref()), at);
}

/// How many matches a rule has. One that was written without any has one, of every path.
fn match_count(rule: &HttpRouteRule, at: At<'_>) -> usize {
    let is_default = rule.matches.is_empty() && !at.field("matches").is_written();
    rule.matches.len() + usize::from(is_default)
}

/// Checks that rules have distinct names, if any.
pub(super) fn validate_names<'n>(names: impl Iterator<Item = Option<&'n str>>, at: At<'_>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let at = at.index(index);
        name::validate_section(name, at.field("name"));
        if let Some(name) = name.filter(|name| !seen.insert(*name)) {
            at.field("name")
                .error(format_args!("rule `{name}` is there twice"));
        }
    }
}

fn validate_rule(rule: &HttpRouteRule, at: At<'_>) {
    let HttpRouteRule {
        name: _,
        matches,
        filters,
        backend_refs,
        timeouts,
        retry,
        session_persistence,
    } = rule;
    validate_len(matches, 0, MAX_MATCHES, at.field("matches"));
    at.field("matches").each(matches, http_match::validate);
    http_filter::validate_all(filters, at.field("filters"));
    validate_len(backend_refs, 0, MAX_ITEMS, at.field("backendRefs"));
    at.field("backendRefs").each(backend_refs, validate_backend);
    let redirects = filters
        .iter()
        .any(|filter| filter.request_redirect.is_some());
    if redirects && !backend_refs.is_empty() {
        at.error("a rule that redirects has no backends");
    }
    validate_prefixes(rule, at);
    http_filter::check(timeouts, at.field("timeouts"), validate_timeouts);
    http_filter::check(retry, at.field("retry"), validate_retry);
    if let Some(persistence) = session_persistence {
        session_persistence::validate(persistence, at.field("sessionPersistence"));
    }
}

fn validate_backend(backend: &HttpBackendRef, at: At<'_>) {
    backend_reference::validate_http(backend, at);
    http_filter::validate_all(&backend.filters, at.field("filters"));
}

/// Checks that a prefix is replaced only where exactly one is matched.
fn validate_prefixes(rule: &HttpRouteRule, at: At<'_>) {
    let path_type = |index: usize| {
        let request = rule.matches.get(index);
        let path = request.and_then(|request| request.path.as_ref());
        path.and_then(|path| path.r#type).unwrap_or_default()
    };
    let matches_prefix = match_count(rule, at) == 1 && path_type(0) == PathMatchType::PathPrefix;
    let replaces = [redirect_path, rewrite_path]
        .into_iter()
        .any(|path| replaces_prefix(rule, path));
    if !matches_prefix && replaces {
        at.error("a prefix is replaced only in a rule with one match, of a prefix");
    }
}

/// Whether the rule itself, or exactly one of its backends, replaces a prefix by a kind of filter.
///
/// The schema does not look at rules where several backends do.
fn replaces_prefix(
    rule: &HttpRouteRule,
    path: fn(&HttpRouteFilter) -> Option<&HttpPathModifier>,
) -> bool {
    let replaces = |filters: &[HttpRouteFilter]| {
        let mut paths = filters.iter().map(path);
        paths.any(path_modifier::replaces_prefix)
    };
    let backends = rule.backend_refs.iter();
    let replacing = backends.filter(|backend| replaces(&backend.filters));
    replaces(&rule.filters) || replacing.count() == 1
}

fn redirect_path(filter: &HttpRouteFilter) -> Option<&HttpPathModifier> {
    filter.request_redirect.as_ref()?.path.as_ref()
}

fn rewrite_path(filter: &HttpRouteFilter) -> Option<&HttpPathModifier> {
    filter.url_rewrite.as_ref()?.path.as_ref()
}

fn validate_timeouts(timeouts: &HttpRouteTimeouts, at: At<'_>) {
    if let (Some(request), Some(backend)) = (timeouts.request, timeouts.backend_request)
        && !request.is_zero()
        && backend > request
    {
        at.field("backendRequest")
            .error("a request to a backend takes no longer than the whole");
    }
}

fn validate_retry(retry: &HttpRouteRetry, at: At<'_>) {
    let HttpRouteRetry {
        codes,
        attempts,
        backoff: _,
    } = retry;
    validate_distinct(codes, at.field("codes"));
    at.field("codes").each(codes, |code, at| {
        if !(400..600).contains(code) {
            at.error(format_args!("HTTP status `{code}` is not from 400 to 599"));
        }
    });
    at.field("attempts")
        .require(*attempts != Some(0), "at least 1 attempt is required");
}
