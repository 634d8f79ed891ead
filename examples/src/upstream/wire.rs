//! Bring a request into the form that a protocol asks for.

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};

/// The host that a request is for.
pub(super) fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

/// A `Host` header (RFC 9112 §3.2); the path is taken from the URI.
pub(super) fn http1<B>(request: &mut Request<B>) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// `:scheme` and `:authority`, which hyper takes from the URI (RFC 9113 §8.3.1).
pub(super) fn http2<B>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    if request.uri().authority().is_none()
        && let Some(host) = host
        && let Ok(authority) = Authority::from_maybe_shared(host)
    {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority);
        let root = || PathAndQuery::from_static("/");
        parts.path_and_query.get_or_insert_with(root);
        // Scheme, authority and path are all there, which is all that is asked for.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}
