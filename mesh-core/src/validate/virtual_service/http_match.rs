//! Conditions on requests.

use super::validate_gateway_names;
use crate::resource::istio::virtual_service::HttpMatchRequest;
use crate::validate::{At, port, selector, string_match};
use crate::{dns, header};

/// Checks the conditions of a match (`validateHTTPRouteMatchRequest`).
pub(super) fn validate_match(request: &HttpMatchRequest, at: At<'_>) {
    at.field("headers")
        .each_entry(&request.headers, |name, matcher, at| {
            at.check(header::validate_match_name(name));
            string_match::validate(matcher, at);
        });
    at.field("withoutHeaders")
        .each_entry(&request.without_headers, |name, matcher, at| {
            at.check(header::validate_match_name(name));
            string_match::validate_or_presence(matcher, at);
        });
    at.field("queryParams")
        .each_entry(&request.query_params, |_, matcher, at| {
            string_match::validate(matcher, at);
        });
    if let Some(uri) = &request.uri {
        string_match::validate_uri(uri, at.field("uri"));
    }
    for (field, matcher) in [
        ("scheme", &request.scheme),
        ("method", &request.method),
        ("authority", &request.authority),
    ] {
        if let Some(matcher) = matcher {
            string_match::validate(matcher, at.field(field));
        }
    }
    if request.port != 0 {
        port::validate_number(request.port, at.field("port"));
    }
    validate_source(request, at);
}

/// Checks the conditions on the proxy that routes.
fn validate_source(request: &HttpMatchRequest, at: At<'_>) {
    selector::validate_labels(&request.source_labels, at.field("sourceLabels"));
    validate_gateway_names(&request.gateways, false, at.field("gateways"));
    let namespace = &request.source_namespace;
    if !namespace.is_empty() {
        at.field("sourceNamespace")
            .check(dns::validate_label(namespace));
    }
}
