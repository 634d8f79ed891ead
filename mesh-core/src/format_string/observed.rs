use std::io::Write;

use http::{HeaderMap, HeaderName};

use super::exchange::Exchange;
use super::operator::put_flags;
use crate::attributes::{ResponseFlag, TlsInfo};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");

/// What a proxy observes of an exchange beside its heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Observed {
    Attempts,
    PeerFingerprint,
    QueryParams,
    RequestHeadersBytes,
    ResponseFlagsLong,
    ResponseHeadersBytes,
    StreamId,
    TlsCipher,
    TlsVersion,
    TraceId,
}

impl Observed {
    const ALL: [(&'static str, Self); 10] = [
        ("DOWNSTREAM_PEER_FINGERPRINT_256", Self::PeerFingerprint),
        ("DOWNSTREAM_TLS_CIPHER", Self::TlsCipher),
        ("DOWNSTREAM_TLS_VERSION", Self::TlsVersion),
        ("QUERY_PARAMS", Self::QueryParams),
        ("REQUEST_HEADERS_BYTES", Self::RequestHeadersBytes),
        ("RESPONSE_FLAGS_LONG", Self::ResponseFlagsLong),
        ("RESPONSE_HEADERS_BYTES", Self::ResponseHeadersBytes),
        ("STREAM_ID", Self::StreamId),
        ("TRACE_ID", Self::TraceId),
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Self::Attempts),
    ];

    /// The operator with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(own, observed)| (own == name).then_some(observed))
    }

    /// Whether the value is a number.
    pub(super) fn is_number(self) -> bool {
        use Observed::{Attempts, RequestHeadersBytes, ResponseHeadersBytes};
        matches!(self, Attempts | RequestHeadersBytes | ResponseHeadersBytes)
    }

    /// Appends the value to `out`, or returns `false` if there is none.
    pub(super) fn write(self, exchange: &Exchange<'_>, out: &mut Vec<u8>) -> bool {
        let headers = exchange.request.map(|request| &request.headers);
        let tls = exchange.connection().and_then(|known| known.tls.as_ref());
        let text = match self {
            Self::Attempts => return write!(out, "{}", exchange.attempts()).is_ok(),
            Self::RequestHeadersBytes => {
                return write!(out, "{}", request_bytes(exchange)).is_ok();
            }
            Self::ResponseHeadersBytes => {
                return write!(out, "{}", response_bytes(exchange)).is_ok();
            }
            Self::ResponseFlagsLong => return put_flags(out, exchange, ResponseFlag::name),
            Self::PeerFingerprint => {
                let fingerprint = tls.and_then(|tls| tls.peer_fingerprint);
                return fingerprint.is_some_and(|bytes| write_hex(&bytes, out));
            }
            Self::QueryParams => {
                let query = exchange.request.and_then(|request| request.uri.query());
                query.map(str::as_bytes)
            }
            Self::StreamId => headers
                .and_then(|headers| headers.get(REQUEST_ID))
                .map(|id| id.as_bytes()),
            Self::TlsCipher => tls.and_then(cipher_suite),
            Self::TlsVersion => tls.and_then(|tls| tls.version).map(str::as_bytes),
            Self::TraceId => headers.and_then(trace_id),
        };
        out.extend_from_slice(text.unwrap_or_default());
        text.is_some()
    }
}

fn cipher_suite(tls: &TlsInfo) -> Option<&[u8]> {
    tls.cipher_suite.map(str::as_bytes)
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    bytes.iter().all(|byte| write!(out, "{byte:02x}").is_ok())
}

/// The trace that the headers of the request name.
fn trace_id(headers: &HeaderMap) -> Option<&[u8]> {
    let part = |name, index| {
        let value: &[u8] = headers.get(name)?.as_bytes();
        let part = value.split(|byte| *byte == b'-').nth(index)?;
        let is_id = !part.is_empty() && part.iter().all(u8::is_ascii_hexdigit);
        is_id.then_some(part)
    };
    let b3 = || part(B3, 0).filter(|id| id.len() >= 16);
    part(TRACEPARENT, 1)
        .or_else(b3)
        .or_else(|| part(B3_TRACE_ID, 0))
}

/// The size of the request's head, with the pseudo-header fields of HTTP/2; 0 if there is none.
fn request_bytes(exchange: &Exchange<'_>) -> usize {
    let Some(request) = exchange.request else {
        return 0;
    };
    let authority = exchange.authority().map_or(0, <[u8]>::len);
    let pseudo = [
        (":method", request.method.as_str().len()),
        (":scheme", exchange.scheme().map_or(0, str::len)),
        (":path", exchange.path_and_query().map_or(0, str::len)),
        (":authority", authority),
    ];
    let pseudo = pseudo.into_iter().map(|(name, value)| name.len() + value);
    let headers = &request.headers;
    // It is `:authority` already.
    let host = headers.get(http::header::HOST);
    let host = host.map_or(0, |value| "host".len() + value.len());
    pseudo.sum::<usize>() + bytes(headers) - host
}

/// The size of the response's head; 0 before there is one.
fn response_bytes(exchange: &Exchange<'_>) -> usize {
    let response = exchange.response;
    response.map_or(0, |response| ":status200".len() + bytes(response.headers))
}

fn bytes(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}
