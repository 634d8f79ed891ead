//! The rules of an HTTPRoute.

use crate::model::route::RouteMatch;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::matches;
use crate::resolve::gateway_api::rule::{Backend, Condition, Filter, RequestRoute, Rule};
use crate::resolve::place::Place;
use crate::resource::gateway_api::http_filter::{HttpRouteFilter, HttpRouteFilterType};
use crate::resource::gateway_api::http_match::HttpRouteMatch;
use crate::resource::gateway_api::http_route::{HttpBackendRef, HttpRoute, HttpRouteRule};

impl RequestRoute for HttpRoute {
    fn rules(&self) -> Vec<Rule<'_>> {
        if self.rules.is_empty() {
            // The one that is there by default, without a backend.
            return vec![Rule::default()];
        }
        self.rules.iter().map(rule).collect()
    }

    fn conditions(
        &self,
        index: usize,
        place: &Place<'_>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Condition> {
        let written = self.rules.get(index);
        let written = written.map_or(&[][..], |rule| &rule.matches);
        if written.is_empty() {
            let any = matches::http(&HttpRouteMatch::default(), place);
            let (precedence, matches) = any.unwrap_or_default();
            return vec![Condition {
                precedence,
                matches,
                origin: place.origin(),
            }];
        }
        let list = place.field("matches");
        collect(written, &list, matches::http, findings)
    }
}

/// The conditions of a list, without those that are refused.
pub(super) fn collect<M>(
    written: &[M],
    list: &Place<'_>,
    translate: impl Fn(&M, &Place<'_>) -> Result<(matches::Precedence, RouteMatch), Finding>,
    findings: &mut Vec<Finding>,
) -> Vec<Condition> {
    let mut conditions = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        let place = list.index(index);
        match translate(written, &place) {
            Ok((precedence, matches)) => conditions.push(Condition {
                precedence,
                matches,
                origin: place.origin(),
            }),
            Err(finding) => findings.push(finding),
        }
    }
    conditions
}

fn rule(written: &HttpRouteRule) -> Rule<'_> {
    let HttpRouteRule {
        name,
        matches: _,
        filters,
        backend_refs,
        timeouts,
        retry,
        session_persistence,
    } = written;
    Rule {
        name: name.as_deref(),
        filters: filters.iter().map(filter).collect(),
        backends: backend_refs.iter().map(backend).collect(),
        timeouts: timeouts.as_ref(),
        retry: retry.as_ref(),
        has_session_persistence: session_persistence.is_some(),
    }
}

fn backend(written: &HttpBackendRef) -> Backend<'_> {
    Backend {
        reference: written.into(),
        weight: written.weight.unwrap_or(1),
        filters: written.filters.iter().map(filter).collect(),
    }
}

/// A filter without the member that its type names is none that could be applied.
fn filter(written: &HttpRouteFilter) -> Filter<'_> {
    use HttpRouteFilterType as Type;
    let HttpRouteFilter {
        r#type,
        request_header_modifier,
        response_header_modifier,
        request_mirror,
        request_redirect,
        url_rewrite,
        cors,
        external_auth: _,
        extension_ref: _,
    } = written;
    match r#type {
        Some(Type::Cors) => cors
            .as_ref()
            .map_or(Filter::Unsupported("CORS"), Filter::Cors),
        Some(Type::ExtensionRef) => Filter::Unsupported("ExtensionRef"),
        Some(Type::ExternalAuth) => Filter::Unsupported("ExternalAuth"),
        Some(Type::RequestHeaderModifier) => request_header_modifier.as_ref().map_or(
            Filter::Unsupported("RequestHeaderModifier"),
            Filter::RequestHeaders,
        ),
        Some(Type::RequestMirror) => request_mirror
            .as_ref()
            .map_or(Filter::Unsupported("RequestMirror"), Filter::Mirror),
        Some(Type::RequestRedirect) => request_redirect
            .as_ref()
            .map_or(Filter::Unsupported("RequestRedirect"), Filter::Redirect),
        Some(Type::ResponseHeaderModifier) => response_header_modifier.as_ref().map_or(
            Filter::Unsupported("ResponseHeaderModifier"),
            Filter::ResponseHeaders,
        ),
        Some(Type::UrlRewrite) => url_rewrite
            .as_ref()
            .map_or(Filter::Unsupported("URLRewrite"), Filter::Rewrite),
        None => Filter::Unsupported(""),
    }
}
