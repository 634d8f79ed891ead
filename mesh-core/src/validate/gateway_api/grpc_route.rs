//! gRPC routes.

use std::collections::BTreeSet;

use super::http_filter::{self, MAX_FILTERS};
use super::http_route::{MAX_ITEMS, MAX_MATCHES, MAX_TOTAL_MATCHES, validate_names};
use super::{backend_reference, name, parent_reference, session_persistence, validate_len};
use crate::resource::gateway_api::grpc_route::{
    GrpcBackendRef, GrpcMethodMatch, GrpcRoute, GrpcRouteFilter, GrpcRouteFilterType,
    GrpcRouteMatch, GrpcRouteRule,
};
use crate::resource::gateway_api::http_match::ValueMatchType;
use crate::validate::At;

/// The longest name of a service or method.
const MAX_METHOD_LEN: usize = 1024;

/// The longest value of a header.
const MAX_VALUE_LEN: usize = 4096;

pub(super) fn validate(route: &GrpcRoute, at: At<'_>) {
    let GrpcRoute {
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
    validate_len(rules, 0, MAX_ITEMS, at);
    at.each(rules, validate_rule);
    let matches = rules.iter().map(|rule| rule.matches.len()).sum::<usize>();
    at.require(
        matches <= MAX_TOTAL_MATCHES,
        "a route has at most 128 matches",
    );
    validate_names(rules.iter().map(|rule| rule.name.as_deref()), at);
}

fn validate_rule(rule: &GrpcRouteRule, at: At<'_>) {
    let GrpcRouteRule {
        name: _,
        matches,
        filters,
        backend_refs,
        session_persistence,
    } = rule;
    validate_len(matches, 0, MAX_MATCHES, at.field("matches"));
    at.field("matches").each(matches, validate_match);
    validate_filters(filters, at.field("filters"));
    validate_len(backend_refs, 0, MAX_ITEMS, at.field("backendRefs"));
    at.field("backendRefs").each(backend_refs, validate_backend);
    if let Some(persistence) = session_persistence {
        session_persistence::validate(persistence, at.field("sessionPersistence"));
    }
}

fn validate_backend(backend: &GrpcBackendRef, at: At<'_>) {
    backend_reference::validate_grpc(backend, at);
    validate_filters(&backend.filters, at.field("filters"));
}

fn validate_match(call: &GrpcRouteMatch, at: At<'_>) {
    let GrpcRouteMatch { method, headers } = call;
    if let Some(method) = method {
        validate_method(method, at.field("method"));
    }
    let at = at.field("headers");
    validate_len(headers, 0, MAX_ITEMS, at);
    let mut names = BTreeSet::new();
    at.each(headers, |header, at| {
        name::validate_header_name(&header.name, at.field("name"));
        let is_value = (1..=MAX_VALUE_LEN).contains(&header.value.len());
        at.field("value")
            .require(is_value, "a value has from 1 to 4096 bytes");
        at.require(
            names.insert(&header.name),
            "another match is of the same header",
        );
    });
}

fn validate_method(matcher: &GrpcMethodMatch, at: At<'_>) {
    let GrpcMethodMatch {
        r#type,
        service,
        method,
    } = matcher;
    if service.is_none() && method.is_none() {
        at.error("a service, a method or both are required");
    }
    for (field, name) in [("service", service), ("method", method)] {
        let len = name.as_ref().map_or(0, String::len);
        at.field(field)
            .require(len <= MAX_METHOD_LEN, "a name has at most 1024 bytes");
    }
    if r#type.unwrap_or_default() != ValueMatchType::Exact {
        return;
    }
    let is_service = |name: &str| {
        name.strip_prefix('.')
            .unwrap_or(name)
            .split('.')
            .all(is_word)
    };
    if let Some(name) = service.as_deref().filter(|name| !is_service(name)) {
        at.field("service")
            .error(format_args!("`{name}` is not the name of a service"));
    }
    if let Some(name) = method.as_deref().filter(|name| !is_word(name)) {
        at.field("method")
            .error(format_args!("`{name}` is not the name of a method"));
    }
}

/// Whether a text has letters, digits and `_`, and does not begin with a digit.
fn is_word(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_with_digit = text.starts_with(|char: char| char.is_ascii_digit());
    !text.is_empty() && !starts_with_digit && text.bytes().all(is_allowed)
}

fn validate_filters(filters: &[GrpcRouteFilter], at: At<'_>) {
    use GrpcRouteFilterType as Type;

    validate_len(filters, 0, MAX_FILTERS, at);
    at.each(filters, validate_filter);
    for (name, kind) in [
        ("RequestHeaderModifier", Type::RequestHeaderModifier),
        ("ResponseHeaderModifier", Type::ResponseHeaderModifier),
    ] {
        if filters
            .iter()
            .filter(|filter| filter.r#type == Some(kind))
            .count()
            > 1
        {
            at.error(format_args!("a filter of type {name} cannot be repeated"));
        }
    }
}

fn validate_filter(filter: &GrpcRouteFilter, at: At<'_>) {
    use GrpcRouteFilterType as Type;

    let GrpcRouteFilter {
        r#type,
        request_header_modifier,
        response_header_modifier,
        request_mirror,
        extension_ref,
    } = filter;
    let fields = [
        (
            "requestHeaderModifier",
            Type::RequestHeaderModifier,
            request_header_modifier.is_some(),
        ),
        (
            "responseHeaderModifier",
            Type::ResponseHeaderModifier,
            response_header_modifier.is_some(),
        ),
        (
            "requestMirror",
            Type::RequestMirror,
            request_mirror.is_some(),
        ),
        ("extensionRef", Type::ExtensionRef, extension_ref.is_some()),
    ];
    http_filter::validate_type(*r#type, &fields, at);
    let headers = http_filter::validate_headers;
    http_filter::check(
        request_header_modifier,
        at.field("requestHeaderModifier"),
        headers,
    );
    http_filter::check(
        response_header_modifier,
        at.field("responseHeaderModifier"),
        headers,
    );
    http_filter::check(
        request_mirror,
        at.field("requestMirror"),
        http_filter::validate_mirror,
    );
    http_filter::check(
        extension_ref,
        at.field("extensionRef"),
        http_filter::validate_extension,
    );
}
