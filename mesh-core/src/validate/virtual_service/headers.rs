//! Changes of headers.

use crate::format_string::{HeaderFormat, ParseFormatError};
use crate::header;
use crate::resource::istio::virtual_service::{HeaderOperations, Headers, HttpRewrite};
use crate::validate::At;
use crate::validate::virtual_service::authority;

/// Checks the names and values that are set, added and removed.
pub(super) fn validate_headers(headers: &Headers, at: At<'_>) {
    let Headers { request, response } = headers;
    if let Some(request) = request {
        validate_operations(request, header::validate_set_name, at.field("request"));
    }
    if let Some(response) = response {
        validate_operations(response, header::validate_remove_name, at.field("response"));
    }
}

fn validate_operations(
    operations: &HeaderOperations,
    validate_name: fn(&str) -> Result<(), header::HeaderNameError>,
    at: At<'_>,
) {
    let HeaderOperations { set, add, remove } = operations;
    for (field, headers) in [("set", set), ("add", add)] {
        at.field(field).each_entry(headers, |name, value, at| {
            at.check(validate_name(name));
            at.check(header::validate_value(value));
            match header::is_authority(name) {
                true => authority::validate(value, at),
                false => validate_operators(value, at),
            }
        });
    }
    at.field("remove").each(remove, |name, at| {
        at.check(header::validate_remove_name(name));
    });
}

/// Looks for operators that Envoy refuses, with all the routes of a listener, which are errors though
/// Istio accepts them; and for those that have no value here.
fn validate_operators(value: &str, at: At<'_>) {
    match value.parse::<HeaderFormat>() {
        Err(error) if error.is_without_value() => {
            at.warning(format_args!("the header is not written: {error}"));
        }
        Err(
            error @ (ParseFormatError::Unknown { .. } | ParseFormatError::InvalidArgument { .. }),
        ) => {
            at.error(error);
        }
        // What is no format at all is an error already.
        _ => {}
    }
}

/// Checks that the authority is rewritten in one place only (`validateAuthorityRewrite`).
pub(super) fn validate_authority(
    rewrite: Option<&HttpRewrite>,
    headers: Option<&Headers>,
    at: At<'_>,
) {
    let rewritten = rewrite.is_some_and(|rewrite| !rewrite.authority.is_empty());
    let request = headers.and_then(|headers| headers.request.as_ref());
    let changed = request
        .iter()
        .flat_map(|request| request.set.iter().chain(&request.add));
    let values = changed.filter(|(name, _)| header::is_authority(name));
    let mut is_set = rewritten;
    for (_, value) in values {
        if is_set {
            at.error("the authority is rewritten more than once")
                .help("use one of `rewrite.authority` and the headers `Host` and `:authority`");
            return;
        }
        is_set = !value.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::Report;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn hosts_are_set_on_requests_only() {
        let cases = [
            (
                json!({"request": {"set": {"Host": "a"}, "add": {":authority": "b"}}}),
                0,
            ),
            (json!({"request": {"set": {":path": "a"}}}), 1),
            (json!({"request": {"add": {"": "a"}}}), 1),
            (
                json!({"request": {"remove": ["host", ":method", "", "x-a"]}}),
                3,
            ),
            (json!({"response": {"set": {"host": "a"}}}), 1),
            (
                json!({"response": {"add": {"x-a": "%START_TIME%"}, "remove": ["x-b"]}}),
                0,
            ),
            (json!({"response": {"add": {"x-a": "100%"}}}), 1),
        ];
        for (headers, errors) in cases {
            assert_errors(&headers.to_string(), errors, |at| {
                validate_headers(&read(headers.clone()), at);
            });
        }
    }

    #[test]
    fn operators_that_write_nothing_are_told() {
        for (name, value, told) in [
            ("x-a", "%START_TIME%", None),
            (
                "x-a",
                "%DYNAMIC_METADATA(a:b)%",
                Some((false, "the header is not written")),
            ),
            ("x-a", "%NONSENSE%", Some((true, "unknown operator"))),
            ("Host", "cart.example:80", None),
            (
                "Host",
                "%REQ(x-host)%",
                Some((false, "the rule answers 500")),
            ),
        ] {
            let report = Report::default();
            let headers = json!({"request": {"set": {(name): value}}});
            validate_headers(&read(headers), report.root());
            let found = report.into_violations();
            let found = found.first();
            assert_eq!(found.is_some(), told.is_some(), "{value}");
            if let (Some(found), Some((is_error, message))) = (found, told) {
                assert_eq!(found.is_error(), is_error, "{value}");
                assert!(found.message.starts_with(message), "{found:?}");
            }
        }
    }

    #[test]
    fn the_authority_is_rewritten_once() {
        let cases = [
            (
                json!({"uri": "/"}),
                json!({"request": {"set": {"Host": "a"}}}),
                0,
            ),
            (json!({"authority": "b"}), json!({}), 0),
            (
                json!({"authority": "b"}),
                json!({"request": {"add": {":Authority": "a"}}}),
                1,
            ),
            (
                json!({}),
                json!({"request": {"set": {"host": "a"}, "add": {"host": "a"}}}),
                1,
            ),
            (
                json!({"authority": "b"}),
                json!({"request": {"set": {"host": ""}}}),
                1,
            ),
            (
                json!({}),
                json!({"request": {"set": {"host": ""}, "add": {"host": "a"}}}),
                0,
            ),
        ];
        for (rewrite, headers, errors) in cases {
            assert_errors(&format!("{rewrite} {headers}"), errors, |at| {
                let (rewrite, headers) = (read(rewrite.clone()), read(headers.clone()));
                validate_authority(Some(&rewrite), Some(&headers), at);
            });
        }
    }
}
