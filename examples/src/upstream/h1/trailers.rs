//! Trailers of requests (RFC 9110 §6.5).
//!
//! A server may merge trailers into the headers, so a client must not be able to say there what the
//! [header policy](crate::headers) keeps it from saying in a header. Those are sent that the request
//! declares by `Trailer`, as hyper does, and those of gRPC; but none that frame or route a message,
//! authenticate its sender, or tell of proxies. Envoy sends no trailers by HTTP/1.1 unless
//! `enable_trailers` is set.

use http::header::TRAILER;
use http::{HeaderMap, HeaderName};

/// Trailers that gRPC does not declare.
const GRPC: [&str; 3] = ["grpc-message", "grpc-status", "grpc-status-details-bin"];

/// What no trailer says (RFC 9110 §6.5.1), and what the header policy writes or removes.
const FORBIDDEN: [&str; 27] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
];

/// Beginnings of names that no trailer has.
const FORBIDDEN_PREFIXES: [&str; 3] = ["if-", "x-envoy-", "x-forwarded-"];

/// The names that a request declares for its trailers.
#[derive(Debug, Default)]
pub(super) struct Declared(Vec<HeaderName>);

impl Declared {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(TRAILER).iter();
        let names = lines
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
        Self(names.collect())
    }

    /// What of `trailers` is sent.
    pub(super) fn keep(&self, trailers: &HeaderMap) -> HeaderMap {
        let mut kept = HeaderMap::new();
        for (name, value) in trailers {
            if self.allows(name) {
                kept.append(name, value.clone());
            }
        }
        kept
    }

    fn allows(&self, name: &HeaderName) -> bool {
        let is_expected = self.0.contains(name) || GRPC.contains(&name.as_str());
        is_expected && !is_forbidden(name.as_str())
    }
}

fn is_forbidden(name: &str) -> bool {
    let mut prefixes = FORBIDDEN_PREFIXES.iter();
    FORBIDDEN.contains(&name) || prefixes.any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_trailer_is_sent_if_it_is_declared_and_says_what_it_may() {
        for (declared, name, is_sent) in [
            ("x-t", "x-t", true),
            ("a, X-T ,b", "x-t", true),
            ("", "x-t", false),
            ("x-u", "x-t", false),
            ("", "grpc-status", true),
            ("", "grpc-status-details-bin", true),
            ("connection", "connection", false),
            ("content-length", "content-length", false),
            ("transfer-encoding", "transfer-encoding", false),
            ("host", "host", false),
            ("authorization", "authorization", false),
            ("cookie", "cookie", false),
            ("if-match", "if-match", false),
            ("x-envoy-internal", "x-envoy-internal", false),
            ("x-forwarded-client-cert", "x-forwarded-client-cert", false),
            ("x-forwarded-for", "x-forwarded-for", false),
            ("x-request-id", "x-request-id", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRAILER, HeaderValue::from_static(declared));
            let mut trailers = HeaderMap::new();
            trailers.insert(name, HeaderValue::from_static("1"));
            let kept = Declared::of(&headers).keep(&trailers);
            assert_eq!(kept.contains_key(name), is_sent, "{declared}: {name}");
        }
    }

    #[test]
    fn all_lines_of_a_trailer_are_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(TRAILER, HeaderValue::from_static("x-t"));
        let mut trailers = HeaderMap::new();
        trailers.append("x-t", HeaderValue::from_static("1"));
        trailers.append("x-t", HeaderValue::from_static("2"));
        assert_eq!(Declared::of(&headers).keep(&trailers), trailers);
    }
}
