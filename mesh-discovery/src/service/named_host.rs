//! Whom a request is for.

use http::Request;
use http::header::HOST;

/// The host that a request names, with its port: in its URI, or else in its `Host` header.
pub(super) fn named_host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_by_the_uri_or_else_by_the_header() {
        let cases = [
            (
                "http://a.example:81/",
                Some(&b"b.example"[..]),
                Some("a.example:81"),
            ),
            ("/", Some(b"b.example:82"), Some("b.example:82")),
            ("/", Some(b"b\xfccher.example"), None),
            ("/", None, None),
        ];
        for (uri, host, expected) in cases {
            let mut request = Request::get(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(named_host(&request), expected, "{uri} {host:?}");
        }
    }
}
