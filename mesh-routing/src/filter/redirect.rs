//! Answers that send the client elsewhere.
//!
//! The location is built as Envoy builds it. What the redirect does not name is taken from the
//! request: scheme, host, path and query.
//!
//! - The port of the request's host is dropped when the redirect names one, and when the scheme
//!   changes and the port is the default of the scheme by which the client came.
//! - A port that is the default of the location's scheme is left out, as Istio does.
//! - A path with a `?` of its own replaces the query of the request, whether or not it is to be
//!   stripped.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_core::model::route::{PathRewrite, Redirect, RouteMatch};
//! use mesh_routing::filter::redirect;
//! use mesh_routing::request::RequestHead;
//!
//! let to_https = Redirect {
//!     status: 301,
//!     scheme: Some("https".into()),
//!     host: None,
//!     port: None,
//!     path: Some(PathRewrite::Prefix("/new".into())),
//!     strip_query: false,
//! };
//! let request = Request::get("http://shop.example:80/old/cart?item=7").body(())?;
//! let location = redirect::location(
//!     &to_https,
//!     &RouteMatch::prefix("/old"),
//!     &RequestHead::from(&request),
//! );
//! assert_eq!(location, "https://shop.example/new/cart?item=7");
//! # Ok::<(), http::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt::Write;

use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use mesh_core::model::route::{PathRewrite, Redirect, RouteMatch};
use mesh_core::reply::{self, Caller};

use crate::filter::direct_response;
use crate::filter::rewrite::Replaced;
use crate::request::RequestHead;

/// The answer to a request of a route with `redirect`.
///
/// gRPC callers get a gRPC status, as from Envoy.
pub fn respond<B: Default>(
    redirect: &Redirect,
    matches: &RouteMatch,
    request: &RequestHead<'_>,
) -> Response<B> {
    // A route table has no other codes than HTTP's.
    let status = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
    answer(status, &location(redirect, matches, request), request)
}

/// The answer to a request that came by `http` to a virtual host that demands TLS: the same place
/// by `https`, host and port as they are.
pub fn respond_tls_required<B: Default>(request: &RequestHead<'_>) -> Response<B> {
    let location = format!(
        "https://{}{}",
        request.authority(),
        request.path_and_query()
    );
    answer(StatusCode::MOVED_PERMANENTLY, &location, request)
}

fn answer<B: Default>(
    status: StatusCode,
    location: &str,
    request: &RequestHead<'_>,
) -> Response<B> {
    let mut response = reply::empty(Caller::of(request.headers()), status);
    write_location(location, &mut response);
    response.extensions_mut().insert(direct_response::details());
    response
}

/// Sets `location`, unless the text cannot stand in a header.
pub(super) fn write_location<B>(location: &str, response: &mut Response<B>) {
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
}

/// Where `redirect` sends a request that was taken by `matches`.
pub fn location(redirect: &Redirect, matches: &RouteMatch, request: &RequestHead<'_>) -> String {
    let scheme = redirect
        .scheme
        .as_deref()
        .unwrap_or_else(|| request.scheme());
    let host = match &redirect.host {
        Some(host) => host,
        None => request_host(request, scheme, redirect.port.is_some()),
    };
    let path = path(redirect, matches, request);
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = redirect
        .port
        .filter(|&port| default_port(scheme) != Some(port))
    {
        // Writing to a `String` does not fail.
        let _ = write!(location, ":{port}");
    }
    if !path.starts_with('/') {
        location.push('/');
    }
    location.push_str(&path);
    location
}

/// The location that a request has itself.
pub(super) fn own_location(request: &RequestHead<'_>) -> String {
    let (scheme, host) = (request.scheme(), request.authority());
    format!("{scheme}://{host}{}", request.path_and_query())
}

/// The request's host, without the port that would be wrong after the redirect.
fn request_host<'a>(request: &RequestHead<'a>, scheme: &str, replaces_port: bool) -> &'a str {
    let authority = request.authority();
    let Some((host, port)) = split_port(authority) else {
        return authority;
    };
    let came_by = request.client_scheme();
    let is_default = default_port(came_by).is_some_and(|default| port == default.to_string());
    if replaces_port || scheme != came_by && is_default {
        host
    } else {
        authority
    }
}

fn split_port(authority: &str) -> Option<(&str, &str)> {
    let (host, port) = authority.rsplit_once(':')?;
    // The colons of an IPv6 address stand between brackets.
    (!authority.starts_with('[') || host.ends_with(']')).then_some((host, port))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn path<'a>(
    redirect: &'a Redirect,
    matches: &RouteMatch,
    request: &RequestHead<'a>,
) -> Cow<'a, str> {
    let target = request.path_and_query();
    let path = match &redirect.path {
        Some(PathRewrite::Full(path)) if path.contains('?') => return Cow::Borrowed(path),
        Some(rewrite) => Replaced::new(rewrite, matches, target),
        None => None,
    };
    // Nothing is no path to redirect to.
    let path = path.filter(|replaced| !replaced.is_empty());
    let path = path.map(Replaced::into_target);
    let path = path.map_or(Cow::Borrowed(target), Cow::Owned);
    match path.find('?') {
        Some(end) if redirect.strip_query => Cow::Owned(path[..end].to_owned()),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use mesh_core::matcher::RegexRewrite;

    use super::*;

    fn redirect() -> Redirect {
        Redirect {
            status: 302,
            scheme: None,
            host: None,
            port: None,
            path: None,
            strip_query: false,
        }
    }

    fn request(scheme: &str, host: &str, target: &str) -> Request<()> {
        let request = Request::get(target).header("host", host);
        request
            .header("x-forwarded-proto", scheme)
            .body(())
            .unwrap()
    }

    /// The location of `/x?q=1` on `host`, by a client that came by `came_by`.
    fn location_of(redirect: &Redirect, came_by: &str, host: &str) -> String {
        let request = request(came_by, host, "/x?q=1");
        let location = location(
            redirect,
            &RouteMatch::prefix("/"),
            &RequestHead::from(&request),
        );
        location.strip_suffix("/x?q=1").unwrap().to_owned()
    }

    #[test]
    fn the_port_of_the_request_goes_with_its_scheme_if_it_is_the_default() {
        let cases = [
            ("https", "http", "a.example", "https://a.example"),
            ("https", "http", "a.example:80", "https://a.example"),
            ("https", "http", "a.example:8080", "https://a.example:8080"),
            ("http", "https", "a.example:443", "http://a.example"),
            ("https", "https", "a.example:443", "https://a.example:443"),
            ("https", "http", "[::1]:80", "https://[::1]"),
            ("https", "http", "[::1]", "https://[::1]"),
        ];
        for (scheme, came_by, host, expected) in cases {
            let scheme = Some(scheme.to_owned());
            let redirect = Redirect {
                scheme,
                ..redirect()
            };
            let actual = location_of(&redirect, came_by, host);
            assert_eq!(actual, expected, "{redirect:?} {came_by} {host}");
        }
    }

    #[test]
    fn a_port_of_the_redirect_replaces_that_of_the_request() {
        let cases = [
            (8080, "http", "a.example:80", "http://a.example:8080"),
            (80, "http", "a.example:8080", "http://a.example"),
            (443, "https", "[::1]:8443", "https://[::1]"),
            (80, "https", "a.example", "https://a.example:80"),
        ];
        for (port, came_by, host, expected) in cases {
            let port = Some(port);
            let redirect = Redirect { port, ..redirect() };
            let actual = location_of(&redirect, came_by, host);
            assert_eq!(actual, expected, "{redirect:?} {came_by} {host}");
        }
    }

    #[test]
    fn what_the_redirect_does_not_name_is_taken_from_the_request() {
        assert_eq!(
            location_of(&redirect(), "http", "a.example:80"),
            "http://a.example:80"
        );
        let host = Some("b.example".to_owned());
        let redirect = Redirect { host, ..redirect() };
        assert_eq!(
            location_of(&redirect, "http", "a.example:8080"),
            "http://b.example"
        );
    }

    #[test]
    fn paths_and_queries_are_envoys() {
        let full = |path: &str| Some(PathRewrite::Full(path.into()));
        let prefix = |path: &str| Some(PathRewrite::Prefix(path.into()));
        let regex = |pattern| {
            Some(PathRewrite::Regex(
                RegexRewrite::parse(pattern, "").unwrap(),
            ))
        };
        let cases = [
            (None, false, "/old/x?q=1"),
            (None, true, "/old/x"),
            (full("/new"), false, "/new?q=1"),
            (full("/new"), true, "/new"),
            (full("new"), false, "/new?q=1"),
            (full("/new?own"), false, "/new?own"),
            (full("/new?own"), true, "/new?own"),
            (prefix("/new"), false, "/new/x?q=1"),
            (prefix("/new"), true, "/new/x"),
            (regex("/old"), false, "/x?q=1"),
            (regex(".*"), false, "/old/x?q=1"),
        ];
        for (path, strip_query, expected) in cases {
            let redirect = Redirect {
                path,
                strip_query,
                ..redirect()
            };
            let request = request("http", "a.example", "/old/x?q=1");
            let request = RequestHead::from(&request);
            let actual = location(&redirect, &RouteMatch::prefix("/old"), &request);
            assert_eq!(
                actual,
                format!("http://a.example{expected}"),
                "{redirect:?}"
            );
        }
    }

    #[test]
    fn a_redirect_has_no_body() {
        let request = request("http", "a.example", "/");
        let request = RequestHead::from(&request);
        let response: Response<String> = respond(&redirect(), &RouteMatch::prefix("/"), &request);
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], "http://a.example/");
        assert!(response.body().is_empty());
    }

    #[test]
    fn a_host_that_demands_tls_keeps_host_and_port() {
        let request = request("http", "a.example:8080", "/x?q");
        let response: Response<String> = respond_tls_required(&RequestHead::from(&request));
        assert_eq!(response.status(), 301);
        assert_eq!(response.headers()["location"], "https://a.example:8080/x?q");
    }
}
