//! Cross-origin requests.

use super::{name, validate_distinct, validate_len};
use crate::resource::gateway_api::cors_filter::{CorsMethod, HttpCorsFilter};
use crate::validate::At;

/// The most origins and headers, and methods.
const MAX_ITEMS: usize = 64;
const MAX_METHODS: usize = 9;

/// The longest origin.
const MAX_ORIGIN_LEN: usize = 253;

pub(super) fn validate(filter: &HttpCorsFilter, at: At<'_>) {
    let HttpCorsFilter {
        allow_origins,
        allow_credentials: _,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
    } = filter;
    let origins = at.field("allowOrigins");
    validate_len(allow_origins, 0, MAX_ITEMS, origins);
    validate_distinct(allow_origins, origins);
    origins.each(allow_origins, |origin, at| {
        if origin.len() > MAX_ORIGIN_LEN || !is_origin(origin) {
            at.error(format_args!("`{origin}` is not an origin"))
                .help("an origin is `*`, or `http` or `https` with a host and perhaps a port");
        }
    });
    let methods = at.field("allowMethods");
    validate_len(allow_methods, 0, MAX_METHODS, methods);
    let names: Vec<_> = allow_methods.iter().map(|method| method.as_str()).collect();
    validate_distinct(&names, methods);
    for (field, headers) in [
        ("allowHeaders", allow_headers),
        ("exposeHeaders", expose_headers),
    ] {
        let at = at.field(field);
        validate_len(headers, 0, MAX_ITEMS, at);
        validate_distinct(headers, at);
        at.each(headers, |header, at| name::validate_header_name(header, at));
    }
    let is_all = |items: &[String]| items.iter().any(|item| item == "*");
    for (field, len, has_all) in [
        ("allowOrigins", allow_origins.len(), is_all(allow_origins)),
        (
            "allowMethods",
            allow_methods.len(),
            allow_methods.contains(&CorsMethod::Any),
        ),
        ("allowHeaders", allow_headers.len(), is_all(allow_headers)),
    ] {
        if len > 1 && has_all {
            at.field(field).error("`*` stands alone");
        }
    }
    at.field("maxAge")
        .require(*max_age != Some(0), "an age is at least 1 second");
}

/// Whether this is `*`, or a scheme and a host whose first label may be `*`, perhaps with a port.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let (host, port) = rest.split_once(':').unwrap_or((rest, "0"));
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_allowed)
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_host = host == "*" || name.split('.').all(is_label);
    is_host && (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host() {
        for origin in [
            "*",
            "http://a",
            "https://*.a.b:8080",
            "https://*",
            "http://*:80",
            "http://A-b.c",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "",
            "a.b",
            "ftp://a",
            "http://",
            "http://*a.b",
            "http://a*",
            "http://*.b.*.c",
            "http://a/b",
            "http://a:111111",
            "http://a:",
            "x/https://a.b",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
