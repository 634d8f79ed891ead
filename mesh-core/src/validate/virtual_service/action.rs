//! What is done with a request.

use crate::matcher::{self, ParseRewriteError};
use crate::resource::istio::percent::Percent;
use crate::resource::istio::virtual_service::{
    HttpBody, HttpDirectResponse, HttpMatchRequest, HttpMirrorPolicy, HttpRedirect, HttpRewrite,
    RegexRewrite,
};
use crate::validate::virtual_service::authority;
use crate::validate::{At, destination, port, regex};
use crate::{base64, percent, status};

/// Size of the body of a direct response from which Istio warns.
const LARGE_BODY: usize = 100 * 1024;

/// The largest body of a direct response.
const MAX_BODY: usize = 1024 * 1024;

/// Statuses of redirects that Envoy has.
const REDIRECTS: [u32; 5] = [301, 302, 303, 307, 308];

/// Checks a redirect of the requests that `matches` match (`validateHTTPRedirect`).
///
/// Istio accepts any status from 300 to 399, and then makes a route that Envoy refuses.
pub fn validate_redirect(redirect: &HttpRedirect, matches: &[HttpMatchRequest], at: At<'_>) {
    at.at_most_one(&[
        ("uri", !redirect.uri.is_empty()),
        ("prefixRewrite", !redirect.prefix_rewrite.is_empty()),
    ]);
    let matches_prefixes = || {
        let mut uris = matches.iter().filter_map(|request| request.uri.as_ref());
        uris.all(|uri| uri.prefix.is_some())
    };
    if !redirect.prefix_rewrite.is_empty() && !matches_prefixes() {
        at.field("prefixRewrite")
            .error("a prefix is rewritten only if all `uri` matches of the route are prefixes");
    }
    let texts = [
        &redirect.uri,
        &redirect.prefix_rewrite,
        &redirect.authority,
        &redirect.scheme,
    ];
    let has_port = redirect.port.is_some() || redirect.derive_port.is_some();
    if texts.into_iter().all(String::is_empty) && !has_port {
        at.error("a redirect changes the path, the authority, the port or the scheme");
    }
    at.at_most_one(&[
        ("port", redirect.port.is_some()),
        ("derivePort", redirect.derive_port.is_some()),
    ]);
    let code = redirect.redirect_code;
    if code != 0 && !REDIRECTS.contains(&code) {
        at.field("redirectCode")
            .error(format_args!("`{code}` is not the status of a redirect"));
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        at.field("scheme").error("the scheme is `http` or `https`");
    }
    if let Some(number) = redirect.port.filter(|number| *number != 0) {
        port::validate_number(number, at.field("port"));
    }
    authority::validate(&redirect.authority, at.field("authority"));
}

/// Checks a response that the proxy gives itself (`validateHTTPDirectResponse`).
///
/// Istio accepts the status 600, which Envoy refuses.
pub fn validate_direct_response(response: &HttpDirectResponse, at: At<'_>) {
    let status = i64::from(response.status);
    at.field("status").check(status::validate_injected(status));
    if status == 600 {
        at.field("status").error("`600` is no status that HTTP has");
    }
    if let Some(body) = &response.body {
        validate_body(body, at.field("body"));
    }
}

fn validate_body(body: &HttpBody, at: At<'_>) {
    let HttpBody { string, bytes } = body;
    at.at_most_one(&[("string", string.is_some()), ("bytes", bytes.is_some())]);
    at.field("bytes").require(
        bytes
            .as_deref()
            .is_none_or(|bytes| base64::decode(bytes).is_some()),
        "bytes are written in Base64",
    );
    let text = string.as_ref().map_or(0, String::len);
    let size = text.max(bytes.as_deref().map_or(0, decoded_len));
    if size > MAX_BODY {
        at.error(format_args!("a body of {size} bytes is larger than 1 MiB"));
    } else if size > LARGE_BODY {
        at.warning(format_args!(
            "a body of {size} bytes slows down the control plane"
        ));
    }
}

/// How many bytes a text in Base64 stands for.
fn decoded_len(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// Checks destinations that get copies of requests (`validateHTTPMirrors`).
pub fn validate_mirrors(mirrors: &[HttpMirrorPolicy], at: At<'_>) {
    at.each(mirrors, |mirror, at| {
        let HttpMirrorPolicy {
            destination,
            percentage,
        } = mirror;
        match destination {
            Some(destination) => destination::validate(destination, at.field("destination")),
            None => {
                at.error("a destination is required");
            }
        }
        if let Some(percentage) = percentage {
            validate_mirrored_share(percentage, at.field("percentage"));
        }
    });
}

/// Checks the share of requests that is copied, from 0 to 100.
pub(super) fn validate_mirrored_share(percentage: &Percent, at: At<'_>) {
    at.check(percent::Percent::new(percentage.value).map(drop));
}

/// Checks a rewrite of path and authority (`validateHTTPRewrite`).
pub fn validate_rewrite(rewrite: &HttpRewrite, at: At<'_>) {
    let HttpRewrite {
        uri,
        authority,
        uri_regex_rewrite,
    } = rewrite;
    at.at_most_one(&[
        ("uri", !uri.is_empty()),
        ("uriRegexRewrite", uri_regex_rewrite.is_some()),
    ]);
    if uri.is_empty() && authority.is_empty() && uri_regex_rewrite.is_none() {
        at.error("a rewrite has a `uri`, a `uriRegexRewrite` or an `authority`");
    }
    if let Some(rewrite) = uri_regex_rewrite {
        validate_uri_regex_rewrite(rewrite, at.field("uriRegexRewrite"));
    }
    authority::validate(authority, at.field("authority"));
}

/// Checks a rewrite of the path by a regular expression (`validateURIRegexRewrite`).
pub fn validate_uri_regex_rewrite(rewrite: &RegexRewrite, at: At<'_>) {
    if rewrite.r#match.is_empty() || rewrite.rewrite.is_empty() {
        at.error("both `match` and `rewrite` are required");
    }
    regex::validate(&rewrite.r#match, at.field("match"));
    let parsed = matcher::RegexRewrite::parse(&rewrite.r#match, &rewrite.rewrite);
    if let Err(
        error @ (ParseRewriteError::Backslash { .. } | ParseRewriteError::UnknownGroup { .. }),
    ) = parsed
    {
        let at = at.field("rewrite");
        at.warning(format_args!("the rule answers 500: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn a_redirect_changes_something_to_a_valid_value() {
        let cases = [
            (json!({"uri": "/a"}), 0),
            (json!({"derivePort": "FROM_REQUEST_PORT"}), 0),
            (
                json!({"port": 8080, "scheme": "https", "redirectCode": 308}),
                0,
            ),
            (json!({}), 1),
            (json!({"uri": "/a", "prefixRewrite": "/b"}), 1),
            (json!({"scheme": "ftp"}), 1),
            (json!({"uri": "/", "redirectCode": 299}), 1),
            (json!({"uri": "/", "redirectCode": 400}), 1),
            (json!({"uri": "/", "redirectCode": 304}), 1),
            (json!({"port": 65536}), 1),
            (json!({"port": 1, "derivePort": "FROM_REQUEST_PORT"}), 1),
        ];
        for (redirect, errors) in cases {
            assert_errors(&redirect.to_string(), errors, |at| {
                validate_redirect(&read(redirect.clone()), &[], at);
            });
        }
    }

    #[test]
    fn a_prefix_is_rewritten_where_only_prefixes_match() {
        let redirect = read(json!({"prefixRewrite": "/b"}));
        for (matches, errors) in [
            (json!([]), 0),
            (json!([{"uri": {"prefix": "/a"}}, {"port": 80}]), 0),
            (
                json!([{"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}}]),
                1,
            ),
        ] {
            assert_errors(&matches.to_string(), errors, |at| {
                let matches: Vec<_> = read(matches.clone());
                validate_redirect(&redirect, &matches, at);
            });
        }
    }

    #[test]
    fn the_body_of_a_direct_response_is_small() {
        assert_errors("600", 1, |at| {
            validate_direct_response(&read(json!({"status": 600})), at);
        });
        let response = |size| read(json!({"status": 200, "body": {"string": "a".repeat(size)}}));
        assert_errors("none", 1, |at| {
            validate_direct_response(&read(json!({})), at)
        });
        for (bytes, errors) in [("", 0), ("YQ==", 0), ("a*", 1)] {
            let response = read(json!({"status": 200, "body": {"bytes": bytes}}));
            assert_errors(bytes, errors, |at| validate_direct_response(&response, at));
        }
        assert_warnings("small", 0, |at| {
            validate_direct_response(&response(LARGE_BODY), at)
        });
        assert_warnings("large", 1, |at| {
            validate_direct_response(&response(MAX_BODY), at)
        });
        assert_errors("huge", 1, |at| {
            validate_direct_response(&response(MAX_BODY + 1), at)
        });
    }

    #[test]
    fn a_rewrite_changes_something() {
        let regex = json!({"match": "^/a", "rewrite": "/b"});
        for (rewrite, errors) in [
            (json!({"uri": "/"}), 0),
            (json!({"authority": "a"}), 0),
            (json!({"uriRegexRewrite": regex}), 0),
            (json!({}), 1),
            (json!({"uri": "/", "uriRegexRewrite": regex}), 1),
            (json!({"uriRegexRewrite": {"match": "a"}}), 1),
            (
                json!({"uriRegexRewrite": {"match": "(", "rewrite": "a"}}),
                1,
            ),
        ] {
            assert_errors(&rewrite.to_string(), errors, |at| {
                validate_rewrite(&read(rewrite.clone()), at);
            });
        }
    }

    #[test]
    fn a_rewrite_that_envoy_does_nothing_by_is_told() {
        for (rewrite, warnings) in [
            (json!({"match": "(a)(b)", "rewrite": "\\2"}), 0),
            (json!({"match": "(a)", "rewrite": "\\2"}), 1),
            (json!({"match": "(a)", "rewrite": "\\x"}), 1),
        ] {
            assert_warnings(&rewrite.to_string(), warnings, |at| {
                validate_uri_regex_rewrite(&read(rewrite.clone()), at);
            });
        }
    }

    #[test]
    fn a_mirror_has_a_destination() {
        for (mirror, errors) in [
            (json!({"destination": {"host": "a"}}), 0),
            (
                json!({"destination": {"host": "a"}, "percentage": {"value": 0.00001}}),
                0,
            ),
            (
                json!({"destination": {"host": "a"}, "percentage": {"value": 100.1}}),
                1,
            ),
            (
                json!({"destination": {"host": "a"}, "percentage": {"value": -1}}),
                1,
            ),
            (json!({}), 1),
        ] {
            assert_errors(&mirror.to_string(), errors, |at| {
                validate_mirrors(&[read(mirror.clone())], at);
            });
        }
    }
}
