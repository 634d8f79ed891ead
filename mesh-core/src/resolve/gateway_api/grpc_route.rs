//! The rules of a GRPCRoute.

use crate::model::route::RouteMatch;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::http_route::collect;
use crate::resolve::gateway_api::matches::{self, Precedence};
use crate::resolve::gateway_api::rule::{Backend, Condition, Filter, RequestRoute, Rule};
use crate::resolve::place::Place;
use crate::resource::gateway_api::grpc_route::{
    GrpcBackendRef, GrpcRoute, GrpcRouteFilter, GrpcRouteFilterType, GrpcRouteRule,
};

impl RequestRoute for GrpcRoute {
    fn rules(&self) -> Vec<Rule<'_>> {
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
            return vec![Condition {
                precedence: Precedence::default(),
                matches: RouteMatch::default(),
                origin: place.origin(),
            }];
        }
        let list = place.field("matches");
        collect(written, &list, matches::grpc, findings)
    }
}

fn rule(written: &GrpcRouteRule) -> Rule<'_> {
    let GrpcRouteRule {
        name,
        matches: _,
        filters,
        backend_refs,
        session_persistence,
    } = written;
    Rule {
        name: name.as_deref(),
        filters: filters.iter().map(filter).collect(),
        backends: backend_refs.iter().map(backend).collect(),
        has_session_persistence: session_persistence.is_some(),
        ..Rule::default()
    }
}

fn backend(written: &GrpcBackendRef) -> Backend<'_> {
    Backend {
        reference: written.into(),
        weight: written.weight.unwrap_or(1),
        filters: written.filters.iter().map(filter).collect(),
    }
}

fn filter(written: &GrpcRouteFilter) -> Filter<'_> {
    use GrpcRouteFilterType as Type;
    let GrpcRouteFilter {
        r#type,
        request_header_modifier,
        response_header_modifier,
        request_mirror,
        extension_ref: _,
    } = written;
    match r#type {
        Some(Type::ExtensionRef) => Filter::Unsupported("ExtensionRef"),
        Some(Type::RequestHeaderModifier) => request_header_modifier.as_ref().map_or(
            Filter::Unsupported("RequestHeaderModifier"),
            Filter::RequestHeaders,
        ),
        Some(Type::RequestMirror) => request_mirror
            .as_ref()
            .map_or(Filter::Unsupported("RequestMirror"), Filter::Mirror),
        Some(Type::ResponseHeaderModifier) => response_header_modifier.as_ref().map_or(
            Filter::Unsupported("ResponseHeaderModifier"),
            Filter::ResponseHeaders,
        ),
        None => Filter::Unsupported(""),
    }
}
