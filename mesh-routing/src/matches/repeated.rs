//! How the values of a repeated header field are compared.

use http::header::COOKIE;
use http::{HeaderName, Version};

/// Fields of which an Envoy keeps one value: further ones are joined to it with a comma before any
/// route is tried. Those that it has a place for itself (`envoy/http/header_map.h`), and those that
/// the extensions of a usual build register; found out by asking Envoy 1.40. In the order of the
/// alphabet.
const JOINED: [&str; 59] = [
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-connection",
    "proxy-status",
    "referer",
    "te",
    "upgrade",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// How the values of a repeated field are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repeated {
    /// As the crumbs of a cookie, which HTTP/2 and later part, and Envoy joins again (RFC 9113,
    /// section 8.2.3). In HTTP/1 each on its own.
    Crumbs,
    /// Each on its own.
    Each,
    /// As one list.
    List,
}

impl Repeated {
    pub(super) fn of(name: &HeaderName) -> Self {
        if name == COOKIE {
            Self::Crumbs
        } else if JOINED.binary_search(&name.as_str()).is_ok() {
            Self::List
        } else {
            Self::Each
        }
    }

    /// What stands between values that are compared as one.
    pub(super) fn separator(self, version: Version) -> Option<&'static [u8]> {
        match self {
            Self::Crumbs if version >= Version::HTTP_2 => Some(b"; "),
            Self::Crumbs | Self::Each => None,
            Self::List => Some(b","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_are_joined_are_sorted() {
        assert!(JOINED.is_sorted());
        assert!(
            JOINED
                .iter()
                .all(|name| HeaderName::from_static(name) == *name)
        );
    }

    #[test]
    fn only_crumbs_depend_on_the_version() {
        let cases = [
            ("accept", Version::HTTP_11, Some(&b","[..])),
            ("user-agent", Version::HTTP_2, Some(b",")),
            ("x-own", Version::HTTP_2, None),
            ("cookie", Version::HTTP_11, None),
            ("cookie", Version::HTTP_2, Some(b"; ")),
            ("cookie", Version::HTTP_3, Some(b"; ")),
        ];
        for (name, version, expected) in cases {
            let repeated = Repeated::of(&HeaderName::from_static(name));
            assert_eq!(repeated.separator(version), expected, "{name} {version:?}");
        }
    }
}
