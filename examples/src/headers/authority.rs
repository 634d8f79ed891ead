//! Which host a request is for, and which path.
//!
//! A request says it in up to two places: in the request line (absolute-form, or HTTP/2's
//! `:authority`) and in the `Host` header. The former wins (RFC 9112 §3.2.2, RFC 9113 §8.3.1).
//! [`settle`] leaves it in one place, the `Host` header, and tells the scheme that is named there.
//!
//! # Example
//!
//! ```
//! use examples::headers::Scheme;
//! use examples::headers::authority::settle;
//! use http::Request;
//!
//! let mut request = Request::get("http://a.example:81/b?c").header("host", "d.example");
//! let mut request = request.body(()).unwrap();
//! let named = settle(&mut request, Scheme::Http)?;
//! assert_eq!(named, Some(Scheme::Http));
//! assert_eq!(request.headers()["host"], "a.example:81");
//! assert_eq!(request.uri(), "/b?c");
//! # Ok::<(), examples::headers::Refusal>(())
//! ```

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Request};

use super::policy::Scheme;
use super::refusal::Refusal;

/// Moves the host of `request` into its `Host` header; its URI becomes a path and query. Returns the
/// scheme that the URI had, if it had one that is `http` or `https`.
///
/// # Errors
///
/// - There is no host, more than one `Host` header, or one that is no host with or without a port, such
///   as `a:b:c`, `a%20b` or nothing at all: an HTTP/2 upstream could not be told it. (Envoy joins several
///   with commas; RFC 9112 §3.2 asks for `400`.) User information is none: `x@admin.example` is another
///   host to a list of hosts than to whoever reads it as a URI. (Envoy passes it on; RFC 9110 §4.2.4 calls
///   it an error, and RFC 9113 §8.3.1 forbids it.)
/// - The scheme of an absolute-form is `https` though the connection is plaintext.
/// - The request target is neither a path nor a URI; nor `*` if the method is `OPTIONS`.
pub fn settle<B>(request: &mut Request<B>, scheme: Scheme) -> Result<Option<Scheme>, Refusal> {
    let mut named = None;
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::Authority)?;
        named = request.uri().scheme().and_then(Scheme::of);
        // HTTP/2 clients name the scheme in any case, and often wrongly.
        if (named, scheme) == (Some(Scheme::Https), Scheme::Http)
            && request.version() <= http::Version::HTTP_11
        {
            return Err(Refusal::Https);
        }
        let path = request.uri().path_and_query().cloned();
        let path = path.ok_or(Refusal::Path).and_then(rooted)?;
        *request.uri_mut() = path.into();
        request.headers_mut().insert(HOST, host);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().ok_or(Refusal::MissingAuthority)?;
    if hosts.next().is_some() || !is_authority(host.as_bytes()) {
        return Err(Refusal::Authority);
    }
    let path = request.uri().path();
    let is_target = path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS);
    is_target.then_some(named).ok_or(Refusal::Path)
}

/// The path of a URI, which may have a query and no path (RFC 9112 §3.2.1).
fn rooted(path: PathAndQuery) -> Result<PathAndQuery, Refusal> {
    if !path.as_str().starts_with('?') {
        return Ok(path);
    }
    let rooted = format!("/{}", path.as_str());
    rooted.try_into().map_err(|_| Refusal::Path)
}

/// Whether `host` is a host, with or without a port, and no user information.
fn is_authority(host: &[u8]) -> bool {
    // Nearly all are a name or an address of IPv4, for which nothing is allocated.
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name = host.iter().take_while(|byte| is_plain(byte)).count();
    match host.split_at(name) {
        ([_, ..], []) => true,
        ([_, ..], [b':', port @ ..]) if port.iter().all(u8::is_ascii_digit) => true,
        _ => {
            let authority = Authority::try_from(host);
            host.iter().copied().all(may_be_in_authority)
                && authority.is_ok_and(|authority| !authority.host().is_empty())
        }
    }
}

/// The characters of RFC 3986 §3.2, without user information.
fn may_be_in_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    #[test]
    fn the_request_line_wins_over_the_header() {
        for (uri, header, version, host, path) in [
            ("/x", Some("a"), Version::HTTP_11, "a", "/x"),
            (
                "http://b:81/x?y",
                Some("a"),
                Version::HTTP_11,
                "b:81",
                "/x?y",
            ),
            ("http://b", Some("a"), Version::HTTP_11, "b", "/"),
            ("http://b?y", Some("a"), Version::HTTP_11, "b", "/?y"),
            ("https://b/x", None, Version::HTTP_2, "b", "/x"),
            ("https://b/x", Some("a"), Version::HTTP_2, "b", "/x"),
        ] {
            let mut request = request(uri, header, version);
            settle(&mut request, Scheme::Http).unwrap();
            assert_eq!(request.headers()[HOST], host, "{uri}");
            let target = request.uri().path_and_query().unwrap();
            assert_eq!(target.as_str(), path, "{uri}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for (uri, header, refusal) in [
            ("/", None, Refusal::MissingAuthority),
            ("/", Some("a b"), Refusal::Authority),
            ("/", Some("a/b"), Refusal::Authority),
            ("/", Some("ä"), Refusal::Authority),
            ("/", Some("x@a"), Refusal::Authority),
            ("/", Some(""), Refusal::Authority),
            ("/", Some(":80"), Refusal::Authority),
            ("/", Some("a:b:c"), Refusal::Authority),
            ("/", Some("shop.example:%1"), Refusal::Authority),
            ("/", Some("[::1"), Refusal::Authority),
            ("http://x@a/", Some("a"), Refusal::Authority),
            ("http://x:y@a/", None, Refusal::Authority),
            ("https://a/", Some("a"), Refusal::Https),
            ("*", Some("a"), Refusal::Path),
        ] {
            let mut request = request(uri, header, Version::HTTP_11);
            assert_eq!(
                settle(&mut request, Scheme::Http),
                Err(refusal),
                "{uri} {header:?}"
            );
        }
    }

    #[test]
    fn a_host_may_be_whatever_http2_can_say() {
        for host in [
            "a",
            "a_b.example",
            "a.example:81",
            "10.0.0.1:81",
            "a:",
            "[2001:db8::1]:81",
            "a!$&'()*+,;=~b",
        ] {
            let mut request = request("/", Some(host), Version::HTTP_11);
            assert_eq!(settle(&mut request, Scheme::Http), Ok(None), "{host}");
            assert!(Authority::try_from(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_scheme_of_a_uri_is_told() {
        for (uri, version, expected) in [
            ("/x", Version::HTTP_2, None),
            ("http://a/x", Version::HTTP_11, Some(Scheme::Http)),
            ("https://a/x", Version::HTTP_2, Some(Scheme::Https)),
            ("HTTPS://a/x", Version::HTTP_2, Some(Scheme::Https)),
            ("ftp://a/x", Version::HTTP_2, None),
        ] {
            let mut request = request(uri, Some("a"), version);
            assert_eq!(settle(&mut request, Scheme::Http), Ok(expected), "{uri}");
        }
    }

    #[test]
    fn two_host_headers_are_refused() {
        let mut request = request("/", Some("a"), Version::HTTP_11);
        request
            .headers_mut()
            .append(HOST, HeaderValue::from_static("a"));
        assert_eq!(settle(&mut request, Scheme::Http), Err(Refusal::Authority));
    }

    #[test]
    fn a_word_is_not_a_path() {
        // `http` takes it for the authority that `CONNECT` has in this place.
        let mut request = request("x", Some("a"), Version::HTTP_11);
        assert_eq!(settle(&mut request, Scheme::Http), Err(Refusal::Path));
    }

    #[test]
    fn options_may_ask_about_the_server() {
        let mut request = request("*", Some("a"), Version::HTTP_11);
        *request.method_mut() = Method::OPTIONS;
        assert_eq!(settle(&mut request, Scheme::Http), Ok(None));
    }

    fn request(uri: &str, host: Option<&str>, version: Version) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().unwrap();
        *request.version_mut() = version;
        if let Some(host) = host {
            let host = HeaderValue::from_bytes(host.as_bytes()).unwrap();
            request.headers_mut().insert(HOST, host);
        }
        request
    }
}
