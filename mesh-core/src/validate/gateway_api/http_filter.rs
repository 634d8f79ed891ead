//! Filters of HTTP routes.

use std::collections::BTreeSet;

use super::http_match::is_path;
use super::{backend_reference, cors, name, path_modifier, validate_distinct, validate_len};
use crate::resource::gateway_api::external_auth_filter::{
    ExternalAuthProtocol, GrpcAuthConfig, HttpAuthConfig, HttpExternalAuthFilter,
};
use crate::resource::gateway_api::http_filter::{
    Fraction, HttpHeader, HttpHeaderFilter, HttpRequestMirrorFilter, HttpRequestRedirectFilter,
    HttpRouteFilter, HttpRouteFilterType, HttpUrlRewriteFilter,
};
use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::validate::{At, port};

/// The most filters, and headers of a filter.
pub(super) const MAX_FILTERS: usize = 16;
const MAX_HEADERS: usize = 16;
const MAX_ALLOWED_HEADERS: usize = 64;

/// The longest path of a service that authorizes.
const MAX_PATH_LEN: usize = 1024;

/// Checks filters. Those of some types are not repeated, and a redirect excludes a rewrite.
pub(super) fn validate_all(filters: &[HttpRouteFilter], at: At<'_>) {
    use HttpRouteFilterType as Type;

    validate_len(filters, 0, MAX_FILTERS, at);
    at.each(filters, validate);
    let count = |kind| {
        filters
            .iter()
            .filter(|filter| filter.r#type == Some(kind))
            .count()
    };
    for (name, kind) in [
        ("CORS", Type::Cors),
        ("RequestHeaderModifier", Type::RequestHeaderModifier),
        ("ResponseHeaderModifier", Type::ResponseHeaderModifier),
        ("RequestRedirect", Type::RequestRedirect),
        ("URLRewrite", Type::UrlRewrite),
    ] {
        if count(kind) > 1 {
            at.error(format_args!("a filter of type {name} cannot be repeated"));
        }
    }
    if count(Type::RequestRedirect) > 0 && count(Type::UrlRewrite) > 0 {
        at.error("only one of RequestRedirect and URLRewrite can be used");
    }
}

fn validate(filter: &HttpRouteFilter, at: At<'_>) {
    validate_one_kind(filter, at);
    let (request, response) = (
        &filter.request_header_modifier,
        &filter.response_header_modifier,
    );
    check(request, at.field("requestHeaderModifier"), validate_headers);
    check(
        response,
        at.field("responseHeaderModifier"),
        validate_headers,
    );
    check(
        &filter.request_mirror,
        at.field("requestMirror"),
        validate_mirror,
    );
    check(
        &filter.request_redirect,
        at.field("requestRedirect"),
        validate_redirect,
    );
    check(
        &filter.url_rewrite,
        at.field("urlRewrite"),
        validate_rewrite,
    );
    check(&filter.cors, at.field("cors"), cors::validate);
    check(
        &filter.external_auth,
        at.field("externalAuth"),
        validate_external_auth,
    );
    check(
        &filter.extension_ref,
        at.field("extensionRef"),
        validate_extension,
    );
}

fn validate_one_kind(filter: &HttpRouteFilter, at: At<'_>) {
    use HttpRouteFilterType as Type;

    let has_request_headers = filter.request_header_modifier.is_some();
    let has_response_headers = filter.response_header_modifier.is_some();
    let fields = [
        (
            "requestHeaderModifier",
            Type::RequestHeaderModifier,
            has_request_headers,
        ),
        (
            "responseHeaderModifier",
            Type::ResponseHeaderModifier,
            has_response_headers,
        ),
        (
            "requestMirror",
            Type::RequestMirror,
            filter.request_mirror.is_some(),
        ),
        (
            "requestRedirect",
            Type::RequestRedirect,
            filter.request_redirect.is_some(),
        ),
        ("urlRewrite", Type::UrlRewrite, filter.url_rewrite.is_some()),
        ("cors", Type::Cors, filter.cors.is_some()),
        (
            "externalAuth",
            Type::ExternalAuth,
            filter.external_auth.is_some(),
        ),
        (
            "extensionRef",
            Type::ExtensionRef,
            filter.extension_ref.is_some(),
        ),
    ];
    validate_type(filter.r#type, &fields, at);
}

/// Checks the settings of a filter if they are there.
pub(super) fn check<T>(settings: &Option<T>, at: At<'_>, validate: fn(&T, At<'_>)) {
    if let Some(settings) = settings {
        validate(settings, at);
    }
}

/// Checks that the field of the type, and no other, is set.
pub(super) fn validate_type<T: Copy + PartialEq>(
    kind: Option<T>,
    fields: &[(&str, T, bool)],
    at: At<'_>,
) {
    at.field("type")
        .require(kind.is_some(), "a type is required");
    for (field, of, is_set) in fields {
        if *is_set != (kind == Some(*of)) {
            at.field(field).error(format_args!(
                "`{field}` is set if, and only if, it is the type"
            ));
        }
    }
}

pub(super) fn validate_headers(filter: &HttpHeaderFilter, at: At<'_>) {
    let HttpHeaderFilter { set, add, remove } = filter;
    for (field, headers) in [("set", set), ("add", add)] {
        let at = at.field(field);
        validate_len(headers, 0, MAX_HEADERS, at);
        let mut names = BTreeSet::new();
        at.each(headers, |header, at| {
            let HttpHeader { name, value } = header;
            name::validate_header_name(name, at.field("name"));
            name::validate_header_value(value, at.field("value"));
            if !names.insert(name) {
                at.field("name")
                    .error(format_args!("header `{name}` is there twice"));
            }
        });
    }
    validate_len(remove, 0, MAX_HEADERS, at.field("remove"));
    validate_distinct(remove, at.field("remove"));
}

pub(super) fn validate_mirror(mirror: &HttpRequestMirrorFilter, at: At<'_>) {
    let HttpRequestMirrorFilter {
        backend_ref,
        percent,
        fraction,
    } = mirror;
    backend_reference::validate(backend_ref, at.field("backendRef"));
    at.at_most_one(&[
        ("percent", percent.is_some()),
        ("fraction", fraction.is_some()),
    ]);
    if let Some(percent) = percent.filter(|percent| *percent > 100) {
        at.field("percent")
            .error(format_args!("percentage `{percent}` is above 100"));
    }
    if let Some(Fraction {
        numerator,
        denominator,
    }) = fraction
    {
        let at = at.field("fraction");
        at.require_written("numerator");
        let denominator = denominator.unwrap_or(100);
        at.field("denominator")
            .require(denominator > 0, "a denominator is at least 1");
        at.require(*numerator <= denominator, "a fraction is at most 1");
    }
}

fn validate_redirect(redirect: &HttpRequestRedirectFilter, at: At<'_>) {
    let HttpRequestRedirectFilter {
        scheme: _,
        hostname,
        path,
        port,
        status_code,
    } = redirect;
    if let Some(host) = hostname {
        name::validate_precise_hostname(host, at.field("hostname"));
    }
    check(path, at.field("path"), path_modifier::validate);
    if let Some(number) = port {
        port::validate_number(u32::from(*number), at.field("port"));
    }
    if let Some(status) = status_code.filter(|status| ![301, 302, 303, 307, 308].contains(status)) {
        at.field("statusCode")
            .error(format_args!("`{status}` is not the status of a redirect"));
    }
}

fn validate_rewrite(rewrite: &HttpUrlRewriteFilter, at: At<'_>) {
    let HttpUrlRewriteFilter { hostname, path } = rewrite;
    if let Some(host) = hostname {
        name::validate_precise_hostname(host, at.field("hostname"));
    }
    check(path, at.field("path"), path_modifier::validate);
}

fn validate_external_auth(auth: &HttpExternalAuthFilter, at: At<'_>) {
    let HttpExternalAuthFilter {
        protocol,
        backend_ref,
        grpc,
        http,
        forward_body: _,
    } = auth;
    at.field("protocol")
        .require(protocol.is_some(), "a protocol is required");
    for (field, of, is_set) in [
        ("grpc", ExternalAuthProtocol::Grpc, grpc.is_some()),
        ("http", ExternalAuthProtocol::Http, http.is_some()),
    ] {
        if is_set != (*protocol == Some(of)) {
            at.field(field).error(format_args!(
                "`{field}` is set if, and only if, it is the protocol"
            ));
        }
    }
    backend_reference::validate(backend_ref, at.field("backendRef"));
    if let Some(GrpcAuthConfig { allowed_headers }) = grpc {
        let at = at.field("grpc");
        validate_allowed(allowed_headers, at.field("allowedHeaders"));
    }
    check(http, at.field("http"), validate_http_auth);
}

fn validate_http_auth(auth: &HttpAuthConfig, at: At<'_>) {
    let HttpAuthConfig {
        path,
        allowed_headers,
        allowed_response_headers,
    } = auth;
    if let Some(path) = path {
        let is_valid = path.len() <= MAX_PATH_LEN && is_path(path);
        at.field("path")
            .require(is_valid, "a path has up to 1024 characters of a URL");
    }
    validate_allowed(allowed_headers, at.field("allowedHeaders"));
    validate_allowed(allowed_response_headers, at.field("allowedResponseHeaders"));
}

/// Checks the headers that are sent to, or taken from, the service that authorizes.
fn validate_allowed(headers: &[String], at: At<'_>) {
    validate_len(headers, 0, MAX_ALLOWED_HEADERS, at);
    validate_distinct(headers, at);
}

pub(super) fn validate_extension(extension: &LocalObjectReference, at: At<'_>) {
    let LocalObjectReference { group, kind, name } = extension;
    at.require_written("group");
    name::validate_reference(Some(group), Some(kind), name, at);
}
