//! The form in which a request is written, by version.

use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};

/// Fields that HTTP/2 has no use for (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request target in origin form and a `Host` (RFC 9112 §3.2.1), unless it is `CONNECT`.
pub(super) fn http1<B>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    if request.method() == Method::CONNECT {
        return;
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into();
}

/// A scheme and an authority, and no field that is about the connection.
pub(super) fn http2<B>(request: &mut Request<B>) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    for field in &CONNECTION_FIELDS {
        request.headers_mut().remove(field);
    }
    let is_trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if !request.headers().get(TE).is_none_or(is_trailers) {
        request.headers_mut().remove(TE);
    }
    if request.method() == Method::CONNECT {
        return;
    }
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = parts.authority.or(host);
    parts.scheme = match parts.authority {
        Some(_) => parts.scheme.or(Some(Scheme::HTTP)),
        None => None,
    };
    parts.path_and_query = parts
        .path_and_query
        .or(Some(PathAndQuery::from_static("/")));
    // A scheme goes with an authority here, so that this does not fail.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http1_has_a_path_and_a_host() {
        let cases = [
            ("http://cart.example/7?a=b", None, "/7?a=b", "cart.example"),
            ("http://cart.example", None, "/", "cart.example"),
            ("/7", Some("other.example"), "/7", "other.example"),
            (
                "http://cart.example/7",
                Some("other.example"),
                "/7",
                "other.example",
            ),
        ];
        for (uri, host, target, expected) in cases {
            let mut request = request(uri, host);
            http1(&mut request);
            assert_eq!(request.uri(), target, "{uri}");
            assert_eq!(request.headers()[HOST], expected, "{uri}");
        }
    }

    #[test]
    fn http2_has_an_authority_and_nothing_about_the_connection() {
        let mut request = request("/7", Some("cart.example"));
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert(TE, HeaderValue::from_static("gzip"));
        http2(&mut request);
        assert_eq!(request.uri(), "http://cart.example/7");
        assert!(request.headers().is_empty(), "{:?}", request.headers());
    }

    #[test]
    fn te_trailers_stays_for_grpc() {
        let mut request = request("http://cart.example/", None);
        request
            .headers_mut()
            .insert(TE, HeaderValue::from_static("trailers"));
        http2(&mut request);
        assert_eq!(request.headers()[TE], "trailers");
    }

    fn request(uri: &str, host: Option<&str>) -> Request<()> {
        let request = Request::get(uri);
        let request = match host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        request.body(()).unwrap()
    }
}
