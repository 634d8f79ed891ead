//! Conditions on requests.

use std::collections::BTreeSet;

use super::{name, validate_len};
use crate::resource::gateway_api::http_match::{
    HttpHeaderMatch, HttpPathMatch, HttpQueryParamMatch, HttpRouteMatch, PathMatchType,
};
use crate::validate::At;

/// The most headers and parameters of a match.
const MAX_ITEMS: usize = 16;

/// The longest path and value of a parameter.
const MAX_PATH_LEN: usize = 1024;

pub(super) fn validate(request: &HttpRouteMatch, at: At<'_>) {
    let HttpRouteMatch {
        path,
        headers,
        query_params,
        method: _,
    } = request;
    if let Some(path) = path {
        validate_path(path, at.field("path"));
    }
    let headers_at = at.field("headers");
    validate_len(headers, 0, MAX_ITEMS, headers_at);
    let mut names = BTreeSet::new();
    headers_at.each(headers, |header, at| {
        let HttpHeaderMatch {
            r#type: _,
            name,
            value,
        } = header;
        name::validate_header_name(name, at.field("name"));
        name::validate_header_value(value, at.field("value"));
        at.require(names.insert(name), "another match is of the same header");
    });
    let params_at = at.field("queryParams");
    validate_len(query_params, 0, MAX_ITEMS, params_at);
    let mut names = BTreeSet::new();
    params_at.each(query_params, |param, at| {
        let HttpQueryParamMatch {
            r#type: _,
            name,
            value,
        } = param;
        name::validate_header_name(name, at.field("name"));
        let is_value = (1..=MAX_PATH_LEN).contains(&value.len());
        at.field("value")
            .require(is_value, "a value has from 1 to 1024 bytes");
        at.require(names.insert(name), "another match is of the same parameter");
    });
}

/// Checks a path; one that is no expression is normalized already.
fn validate_path(path: &HttpPathMatch, at: At<'_>) {
    let HttpPathMatch { r#type, value } = path;
    let value = value.as_deref().unwrap_or("/");
    let at = at.field("value");
    at.require(value.len() <= MAX_PATH_LEN, "a path has at most 1024 bytes");
    if r#type.unwrap_or_default() == PathMatchType::RegularExpression {
        return;
    }
    at.require(value.starts_with('/'), "a path begins with `/`");
    let parts = ["//", "/./", "/../", "%2f", "%2F", "#"];
    if let Some(part) = parts.into_iter().find(|part| value.contains(part)) {
        at.error(format_args!(
            "path `{value}` has `{part}`, which no request has"
        ));
    }
    if value.ends_with("/.") || value.ends_with("/..") {
        at.error(format_args!(
            "path `{value}` ends with a dot, which no request does"
        ));
    }
    at.require(
        is_path(value),
        "a path has characters of a URL, or their escapes",
    );
}

/// Whether a text has only characters of a path, or escapes of them (RFC 3986 section 3.3).
pub(super) fn is_path(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte);
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let is_escape = |part: &str| {
        let (escape, rest) = part.as_bytes().split_at_checked(2)?;
        let is_valid =
            escape.iter().all(u8::is_ascii_hexdigit) && rest.iter().all(|byte| is_allowed(*byte));
        is_valid.then_some(())
    };
    !text.is_empty() && first.bytes().all(is_allowed) && parts.all(|part| is_escape(part).is_some())
}
