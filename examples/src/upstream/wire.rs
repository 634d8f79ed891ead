//! Bring a request into the form that a protocol asks for.

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use mesh_core::attributes::TargetScheme;

use super::error::UpstreamError;

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

/// `:scheme` and `:authority`, which hyper takes from the URI (RFC 9113 §8.3.1). The scheme is that of the
/// client, as with Envoy, whatever the connection to the upstream is.
///
/// # Errors
///
/// The request names no host. That is not for the upstream to find out, which would be blamed for it.
pub(super) fn http2<B>(request: &mut Request<B>) -> Result<(), UpstreamError> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    if request.uri().authority().is_some() {
        return Ok(());
    }
    let authority = host.and_then(|host| Authority::from_maybe_shared(host).ok());
    let scheme = TargetScheme::of(request.uri(), request.extensions());
    let scheme = Scheme::try_from(scheme).unwrap_or(Scheme::HTTP);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = Some(authority.ok_or(UpstreamError::Authority)?);
    parts.scheme = Some(scheme);
    let root = || PathAndQuery::from_static("/");
    parts.path_and_query.get_or_insert_with(root);
    // Scheme, authority and path are all there, which is all that is asked for.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    Ok(())
}

#[cfg(test)]
mod tests {
    use mesh_core::attributes::{ConnectionInfo, TlsInfo};

    use super::*;

    #[test]
    fn an_http2_upstream_is_told_the_scheme_of_the_client() {
        let kept = || TargetScheme(Scheme::HTTPS);
        for (tls, kept, expected) in [
            (None, None, "http"),
            (Some(false), None, "http"),
            (Some(true), None, "https"),
            (Some(false), Some(kept()), "https"),
        ] {
            let mut request = request("/x", "a.example");
            if let Some(tls) = tls {
                request.extensions_mut().insert(ConnectionInfo {
                    peer: ([192, 0, 2, 1], 1).into(),
                    local: ([192, 0, 2, 2], 2).into(),
                    tls: tls.then(TlsInfo::default),
                });
            }
            if let Some(kept) = kept.clone() {
                request.extensions_mut().insert(kept);
            }
            http2(&mut request).unwrap();
            let uri = format!("{expected}://a.example/x");
            assert_eq!(request.uri(), uri.as_str(), "{tls:?} {kept:?}");
        }
    }

    #[test]
    fn a_host_that_http2_cannot_be_told_is_the_fault_of_the_request() {
        for host in ["", "a:b:c", "shop.example:%1"] {
            let written = http2(&mut request("/x", host));
            assert!(matches!(written, Err(UpstreamError::Authority)), "{host}");
        }
    }

    fn request(path: &str, host: &str) -> Request<()> {
        let request = Request::get(path).header(HOST, host);
        request.body(()).unwrap()
    }
}
