//! Changes to the path and the authority of a request that is forwarded.
//!
//! As in Envoy, the query is kept, a path or prefix that is empty changes nothing, and the former values
//! are left in `x-envoy-original-path` and, where the route names the authority, in
//! `x-envoy-original-host`. The authority of the route precedes that of the destination.
//!
//! The new path is a valid one, where Envoy sends whatever is written: it gets a `/` if it would not
//! begin with one (RFC 9112 §3.2.1), though an expression leaves nothing else of it, and blanks, quotes,
//! `#`, `<`, `>` and backticks that a rewrite writes are percent-encoded (RFC 3986 §2.1). Nothing else is.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::route::{PathRewrite, RouteMatch};
//! use mesh_routing::filter::rewrite;
//!
//! let matches = RouteMatch::prefix("/v1");
//! let to_root = PathRewrite::Prefix("/api".into());
//! let path = rewrite::path(&to_root, &matches, "/v1/cart?item=7");
//! assert_eq!(path.as_deref(), Some("/api/cart?item=7"));
//! ```

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Uri};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::model::route::{AuthoritySource, PathMatch, PathRewrite, Rewrite, RouteMatch};
use mesh_core::reply::Reason;

use crate::request::RequestHead;

/// Characters of a path that an error repeats.
const EXCERPT: usize = 100;
/// The longest URI that the `http` crate can hold.
const MAX_LENGTH: usize = u16::MAX as usize - 1;
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Path and query after `rewrite`, or `None` if nothing changes.
///
/// `matches` is the condition that took the request: it says which part of the path
/// [`PathRewrite::Prefix`] replaces.
pub fn path(rewrite: &PathRewrite, matches: &RouteMatch, target: &str) -> Option<String> {
    let replaced = Replaced::new(rewrite, matches, target)?;
    let is_change = !replaced.is_empty() || matches!(rewrite, PathRewrite::Regex(_));
    is_change.then(|| replaced.into_target())
}

/// A path of which a rewrite has replaced a part.
pub(super) struct Replaced<'a> {
    replacement: Cow<'a, str>,
    // What stays of the path behind it.
    rest: &'a str,
    query: &'a str,
}

impl<'a> Replaced<'a> {
    /// What `rewrite` makes of `target`, as in [`path`]. `None` if it does not apply.
    pub(super) fn new(
        rewrite: &'a PathRewrite,
        matches: &RouteMatch,
        target: &'a str,
    ) -> Option<Self> {
        let end = target.find('?').unwrap_or(target.len());
        let (path, query) = target.split_at(end);
        let (replacement, rest) = match rewrite {
            PathRewrite::Full(path) => (Cow::Borrowed(path.as_str()), ""),
            PathRewrite::Prefix(prefix) => {
                let rest = path.get(matched_length(&matches.path, path)..)?;
                (Cow::Borrowed(prefix.as_str()), rest)
            }
            PathRewrite::Regex(rewrite) => (rewrite.replace_all(path), ""),
            PathRewrite::Template(rewrite) => (Cow::Owned(rewrite.apply(path)?), ""),
        };
        Some(Self {
            replacement,
            rest,
            query,
        })
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.replacement.is_empty()
    }

    /// Path and query, which begin with a `/`.
    pub(super) fn into_target(self) -> String {
        let root = if self.replacement.starts_with('/') {
            ""
        } else {
            "/"
        };
        [root, &encode(self.replacement), self.rest, self.query].concat()
    }
}

/// Percent-encodes what a path and query cannot hold.
fn encode(path: Cow<'_, str>) -> Cow<'_, str> {
    if !path.bytes().any(is_reserved) {
        return path;
    }
    let mut encoded = String::with_capacity(path.len() + 8);
    for char in path.chars() {
        match u8::try_from(char) {
            Ok(byte) if is_reserved(byte) => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char),
        }
    }
    Cow::Owned(encoded)
}

fn is_reserved(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"\"#<>`".contains(&byte)
}

/// How much of the path a prefix rewrite replaces.
fn matched_length(matches: &PathMatch, path: &str) -> usize {
    match matches {
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Template(_) => path.len(),
        PathMatch::PathSeparatedPrefix(prefix) | PathMatch::Prefix(prefix) => prefix.len(),
    }
}

/// The authority of the route: a text, or a part of the request.
fn route_authority<'a>(rewrite: &'a Rewrite, request: &Parts) -> Option<Cow<'a, str>> {
    if let Some(authority) = &rewrite.authority {
        return Some(Cow::Borrowed(authority));
    }
    let found = match rewrite.authority_source.as_ref()? {
        AuthoritySource::Header(name) => request.headers.get(name)?.to_str().ok()?.to_owned(),
        AuthoritySource::Path(rewrite) => rewrite.replace_all(request.uri.path()).into_owned(),
    };
    (!found.is_empty()).then_some(Cow::Owned(found))
}

/// Rewrites authority and path of a request by its route.
///
/// # Errors
///
/// The new authority or path cannot be part of a URI. Routes that are
/// [valid](crate::filter::validate) fail in two ways only: with [`RewriteError::TooLong`], at 65,534
/// bytes; and with [`RewriteError::Authority`], where the [source](Rewrite::authority_source) of the
/// authority is a part of the request in which no authority stands, whichever version of HTTP the
/// request has. The request may be changed in part.
pub fn apply(matched: &MatchedRoute, request: &mut Parts) -> Result<(), RewriteError> {
    rewrite(matched, request, true)
}

/// As [`apply`]; the former values are left in `x-envoy-original-path` and `x-envoy-original-host` if
/// they are to be told.
pub(crate) fn rewrite(
    matched: &MatchedRoute,
    request: &mut Parts,
    tells_originals: bool,
) -> Result<(), RewriteError> {
    let Some(forward) = matched.forward() else {
        return Ok(());
    };
    let of_destination = || matched.destination()?.authority.as_deref();
    if let Some(authority) = route_authority(&forward.rewrite, request) {
        let tells = (tells_originals, forward.rewrite.append_forwarded_host);
        keep_original(tells, request);
        replace_authority(&authority, request)?;
    } else if let Some(authority) = of_destination() {
        replace_authority(authority, request)?;
    }
    let target = request.uri.path_and_query();
    if let (Some(rewrite), Some(target)) = (&forward.rewrite.path, target)
        && let Some(path) = path(rewrite, &matched.route().matches, target.as_str())
    {
        let original = replace_path(path, request)?;
        if let Some(original) = original.filter(|_| tells_originals) {
            request.headers.insert(ORIGINAL_PATH, original);
        }
    }
    Ok(())
}

/// Leaves the former authority in fields for the upstream: in that of Envoy, and in the list of those
/// that the request was forwarded for.
fn keep_original((in_field, in_list): (bool, bool), request: &mut Parts) {
    let original = RequestHead::from(&*request).authority();
    let Ok(original) = HeaderValue::from_str(original) else {
        return;
    };
    if in_list && !ends_forwarded_host(&request.headers, original.as_bytes()) {
        request.headers.append(X_FORWARDED_HOST, original.clone());
    }
    if in_field {
        // What a client says of it is not believed.
        request.headers.insert(ORIGINAL_HOST, original);
    }
}

/// Whether `authority` is the last one that the request was forwarded for already.
fn ends_forwarded_host(headers: &HeaderMap, authority: &[u8]) -> bool {
    let last = headers.get_all(X_FORWARDED_HOST).iter().next_back();
    let last = last.and_then(|value| value.as_bytes().rsplit(|byte| *byte == b',').next());
    last.is_some_and(|last| last.trim_ascii() == authority)
}

fn replace_authority(authority: &str, request: &mut Parts) -> Result<(), RewriteError> {
    let error = || RewriteError::Authority {
        authority: authority.to_owned(),
    };
    // A field could hold more, and leave it to the version of HTTP whether the request passes.
    let new = Authority::try_from(authority).map_err(|_| error())?;
    let host = HeaderValue::from_str(authority).map_err(|_| error())?;
    if request.uri.authority().is_none() {
        request.headers.insert(HOST, host);
        return Ok(());
    }
    let mut uri = std::mem::take(&mut request.uri).into_parts();
    uri.authority = Some(new);
    request.uri = Uri::from_parts(uri).map_err(|_| error())?;
    if request.headers.contains_key(HOST) {
        // In the place of all of them, if there are several.
        request.headers.insert(HOST, host);
    }
    Ok(())
}

/// Replaces path and query; gives the former ones.
fn replace_path(path: String, request: &mut Parts) -> Result<Option<HeaderValue>, RewriteError> {
    let path = Bytes::from(path);
    if path.len() > MAX_LENGTH {
        return Err(RewriteError::TooLong { length: path.len() });
    }
    let error = || RewriteError::Path {
        path: String::from_utf8_lossy(&path)
            .chars()
            .take(EXCERPT)
            .collect(),
    };
    let new = PathAndQuery::from_maybe_shared(path.clone()).map_err(|_| error())?;
    let mut uri = std::mem::take(&mut request.uri).into_parts();
    let original = uri.path_and_query.replace(new);
    request.uri = Uri::from_parts(uri).map_err(|_| error())?;
    Ok(original.and_then(|path| HeaderValue::from_str(path.as_str()).ok()))
}

/// A request cannot be rewritten.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The new authority cannot stand in a URI.
    #[error("`{authority}` is no authority")]
    Authority {
        /// The authority.
        authority: String,
    },
    /// The new path cannot stand in a URI.
    #[error("`{path}` is no path")]
    Path {
        /// Its first characters.
        path: String,
    },
    /// The new path is too long for a URI.
    #[error("the path would be `{length}` bytes long")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl RewriteError {
    /// The status of the answer: `414` if the path is too long, else `500`: it is the route that
    /// asks for what cannot be, if need be by taking the authority from where a client wrote none.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Authority { .. } | Self::Path { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLong { .. } => StatusCode::URI_TOO_LONG,
        }
    }
}

impl Reason for RewriteError {
    const FLAG: ResponseFlag = ResponseFlag::DownstreamProtocolError;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use http::Request;
    use mesh_core::matcher::{Regex, RegexRewrite, UriTemplate};
    use mesh_core::model::filter::HeaderOption;
    use mesh_core::model::route::{Route, RouteAction};
    use mesh_core::service::ClusterName;

    use super::*;
    use crate::filter::headers;

    #[test]
    fn paths_are_rewritten_as_envoy_does() {
        let prefix = |prefix: &str| PathRewrite::Prefix(prefix.into());
        let full = |path: &str| PathRewrite::Full(path.into());
        let regex = |pattern: &str, substitution: &str| {
            PathRewrite::Regex(RegexRewrite::parse(pattern, substitution).unwrap())
        };
        let foo = || RouteMatch::prefix("/foo");
        let segments = || RouteMatch::path(PathMatch::PathSeparatedPrefix("/foo".into()));
        let expression = || RouteMatch::path(PathMatch::Regex(Regex::parse("/f.*").unwrap()));
        let cases = [
            (prefix("/"), foo(), "/foo/x", Some("//x")),
            (prefix("/bar"), foo(), "/foo?a=/foo", Some("/bar?a=/foo")),
            (prefix("/bar"), foo(), "/foobar", Some("/barbar")),
            (prefix("/bar"), segments(), "/foo/x?q", Some("/bar/x?q")),
            (
                prefix("/bar"),
                RouteMatch::prefix("/FOO"),
                "/foo/x",
                Some("/bar/x"),
            ),
            (
                prefix("/bar"),
                RouteMatch::prefix(""),
                "/foo",
                Some("/bar/foo"),
            ),
            (
                prefix("/bar"),
                RouteMatch::exact("/foo"),
                "/foo?q",
                Some("/bar?q"),
            ),
            (prefix("/bar"), expression(), "/foo/x?q", Some("/bar?q")),
            (
                prefix("bar"),
                RouteMatch::prefix("/foo/"),
                "/foo/x",
                Some("/barx"),
            ),
            (prefix(""), foo(), "/foo/x", None),
            (full("/all"), foo(), "/foo/x?q", Some("/all?q")),
            (full("/all?a"), foo(), "/foo?q", Some("/all?a?q")),
            (regex("o", "0"), foo(), "/foo/o?o", Some("/f00/0?o")),
            (
                regex("^/foo/(.*)$", r"/\1/\0"),
                foo(),
                "/foo/x",
                Some("/x//foo/x"),
            ),
            (regex("^/foo(.*)$", r"\1"), foo(), "/foo?q", Some("/?q")),
            (regex("nothing", "x"), foo(), "/foo?q", Some("/foo?q")),
        ];
        for (rewrite, matches, target, expected) in cases {
            let actual = path(&rewrite, &matches, target);
            assert_eq!(
                actual.as_deref(),
                expected,
                "{rewrite:?} {:?} {target}",
                matches.path
            );
        }
    }

    #[test]
    fn what_a_path_cannot_hold_is_encoded() {
        let matches = RouteMatch::prefix("/foo");
        let regex = RegexRewrite::parse("o+", r"<\0>").unwrap();
        let cases = [
            (PathRewrite::Regex(regex), "/f%3Coo%3E?q"),
            (PathRewrite::Full("/a b#\u{e9}".into()), "/a%20b%23\u{e9}?q"),
            (PathRewrite::Prefix("/\"`\u{7f}".into()), "/%22%60%7F?q"),
        ];
        for (rewrite, expected) in cases {
            let actual = path(&rewrite, &matches, "/foo?q");
            assert_eq!(actual.as_deref(), Some(expected), "{rewrite:?}");
        }
    }

    #[test]
    fn the_variables_of_a_template_are_put_together_anew() {
        let template = UriTemplate::parse("/foo/{a}/{b=**}").unwrap();
        let rewrite = PathRewrite::Template(template.rewrite("/{b}-of-{a}").unwrap());
        let matches = RouteMatch::path(PathMatch::Template(template));
        for (target, expected) in [("/foo/x/y/z?q", Some("/y/z-of-x?q")), ("/foo/x", None)] {
            let actual = path(&rewrite, &matches, target);
            assert_eq!(actual.as_deref(), expected, "{target}");
        }
    }

    fn rewritten(change: impl FnOnce(&mut Route), uri: &str) -> Result<Parts, RewriteError> {
        let cluster = ClusterName::outbound(80, "", "cart.example");
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
        change(&mut route);
        let request = Request::get(uri)
            .header("host", "old.example:80")
            .body(())
            .unwrap();
        let mut request = request.into_parts().0;
        let matched = MatchedRoute::new(Arc::new(route), 0);
        headers::apply_to_request(&matched, &mut request, SystemTime::UNIX_EPOCH);
        apply(&matched, &mut request)?;
        Ok(request)
    }

    fn forward(route: &mut Route) -> &mut mesh_core::model::route::Forward {
        let RouteAction::Forward(forward) = &mut route.action else {
            panic!("the route forwards");
        };
        forward
    }

    #[test]
    fn the_former_path_and_authority_are_kept_in_fields() {
        let request = rewritten(
            |route| {
                forward(route).rewrite.path = Some(PathRewrite::Prefix("/new/".into()));
                forward(route).rewrite.authority = Some("new.example".into());
            },
            "/a?b",
        )
        .unwrap();
        assert_eq!(request.uri, "/new/a?b");
        assert_eq!(request.headers["host"], "new.example");
        assert_eq!(request.headers["x-envoy-original-path"], "/a?b");
        assert_eq!(request.headers["x-envoy-original-host"], "old.example:80");
    }

    #[test]
    fn former_values_that_are_not_told_leave_fields_as_they_were() {
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), "cart".into());
        let change = &mut forward(&mut route).rewrite;
        change.path = Some(PathRewrite::Full("/new".into()));
        change.authority = Some("new.example".into());
        change.append_forwarded_host = true;
        let request = Request::get("/old").header("host", "old.example");
        let request = request.header(ORIGINAL_PATH, "/older").body(()).unwrap();
        let mut request = request.into_parts().0;
        let matched = MatchedRoute::new(Arc::new(route), 0);
        rewrite(&matched, &mut request, false).unwrap();
        assert_eq!(request.uri, "/new");
        assert_eq!(request.headers["host"], "new.example");
        assert_eq!(request.headers[ORIGINAL_PATH], "/older");
        assert!(!request.headers.contains_key(ORIGINAL_HOST));
        assert_eq!(request.headers[X_FORWARDED_HOST], "old.example");
    }

    #[test]
    fn a_new_authority_leaves_no_host_of_the_request() {
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), "cart".into());
        forward(&mut route).rewrite.authority = Some("new.example".into());
        let matched = MatchedRoute::new(Arc::new(route), 0);
        for uri in ["/", "http://old.example/"] {
            let request = Request::get(uri).header("host", "old.example");
            let request = request.header("host", "other.example").body(()).unwrap();
            let mut request = request.into_parts().0;
            apply(&matched, &mut request).unwrap();
            let hosts = request.headers.get_all(HOST).iter();
            assert_eq!(hosts.collect::<Vec<_>>(), ["new.example"], "{uri}");
        }
    }

    #[test]
    fn what_a_client_says_of_former_values_is_replaced() {
        let field =
            |name: HeaderName, value: &str| HeaderOption::overwrite(name, value.parse().unwrap());
        let change = |route: &mut Route| {
            route.headers.request.options = vec![
                field(ORIGINAL_PATH, "/forged"),
                field(ORIGINAL_HOST, "forged.example"),
                field(X_FORWARDED_HOST, "first.example, old.example:80"),
            ];
            let rewrite = &mut forward(route).rewrite;
            rewrite.path = Some(PathRewrite::Full("/new".into()));
            rewrite.authority = Some("new.example".into());
            rewrite.append_forwarded_host = true;
        };
        let headers = rewritten(change, "/old").unwrap().headers;
        let values = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(values(ORIGINAL_PATH), ["/old"]);
        assert_eq!(values(ORIGINAL_HOST), ["old.example:80"]);
        assert_eq!(values(X_FORWARDED_HOST), ["first.example, old.example:80"]);
    }

    #[test]
    fn a_part_of_the_request_can_be_its_authority() {
        let field = HeaderName::from_static("x-host");
        let pattern = RegexRewrite::parse("^/.+/(.+)$", r"\1").unwrap();
        let cases = [
            (AuthoritySource::Header(field.clone()), "/", Some("a.test")),
            (AuthoritySource::Header(ORIGINAL_HOST), "/", None),
            (
                AuthoritySource::Path(pattern),
                "/to/b.test?q",
                Some("b.test"),
            ),
        ];
        for (source, uri, expected) in cases {
            let shown = format!("{source:?}");
            let change = |route: &mut Route| {
                let field = HeaderOption::overwrite(field.clone(), "a.test".parse().unwrap());
                route.headers.request.options = vec![field];
                let rewrite = &mut forward(route).rewrite;
                rewrite.authority_source = Some(source);
                rewrite.append_forwarded_host = true;
            };
            let request = rewritten(change, uri).unwrap();
            let host = expected.unwrap_or("old.example:80");
            assert_eq!(request.headers["host"], host, "{shown}");
            let original = expected.map(|_| "old.example:80");
            for name in [ORIGINAL_HOST, X_FORWARDED_HOST] {
                let value = request.headers.get(name);
                assert_eq!(
                    value.map(|value| value.to_str().unwrap()),
                    original,
                    "{shown}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_authority_is_refused_in_either_version_of_http() {
        let field = HeaderName::from_static("x-host");
        for uri in ["/", "https://old.example/"] {
            let change = |route: &mut Route| {
                let value = "a.test, b.test/path".parse().unwrap();
                route.headers.request.options = vec![HeaderOption::overwrite(field.clone(), value)];
                let source = AuthoritySource::Header(field.clone());
                forward(route).rewrite.authority_source = Some(source);
            };
            let error = rewritten(change, uri).unwrap_err();
            let authority = "a.test, b.test/path".into();
            assert_eq!(error, RewriteError::Authority { authority }, "{uri}");
            assert_eq!(error.status(), 500, "{uri}");
        }
    }

    #[test]
    fn the_authority_of_an_absolute_uri_is_replaced_too() {
        let change =
            |route: &mut Route| forward(route).rewrite.authority = Some("new.example".into());
        let request = rewritten(change, "https://old.example/a?b").unwrap();
        assert_eq!(request.uri, "https://new.example/a?b");
        assert_eq!(request.headers["host"], "new.example");
        assert_eq!(request.headers["x-envoy-original-host"], "old.example");
    }

    #[test]
    fn the_destinations_authority_counts_where_the_route_has_none() {
        let change = |route: &mut Route| {
            forward(route).destinations[0].authority = Some("destination.example".into());
        };
        let request = rewritten(change, "/").unwrap();
        assert_eq!(request.headers["host"], "destination.example");
        assert!(!request.headers.contains_key("x-envoy-original-host"));

        let both = |route: &mut Route| {
            change(route);
            forward(route).rewrite.authority = Some("route.example".into());
        };
        assert_eq!(
            rewritten(both, "/").unwrap().headers["host"],
            "route.example"
        );
    }

    #[test]
    fn what_a_uri_cannot_hold_is_encoded_or_an_error() {
        let path = |route: &mut Route| {
            forward(route).rewrite.path = Some(PathRewrite::Full("/a b?\"c\"".into()));
        };
        assert_eq!(rewritten(path, "/").unwrap().uri, "/a%20b?%22c%22");
        let authority = |route: &mut Route| forward(route).rewrite.authority = Some("a\nb".into());
        assert_eq!(
            rewritten(authority, "/").unwrap_err(),
            RewriteError::Authority {
                authority: "a\nb".into()
            }
        );
        let long = |route: &mut Route| {
            let path = format!("/{}", "x".repeat(70_000));
            forward(route).rewrite.path = Some(PathRewrite::Full(path));
        };
        assert_eq!(rewritten(long, "/").unwrap_err().status(), 414);
    }
}
