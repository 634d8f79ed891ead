//! Answers that a layer gives in the application's place.
//!
//! A refusal is a response, not an error: layers keep the error type of the service they wrap. The
//! reason travels in the response's extensions as a type, beside its [`ResponseFlag`], so that
//! outer layers and tests can tell the answer from one of the application.
//!
//! A gRPC caller gets status `200` and a `grpc-status`, mapped from the HTTP status as the
//! [gRPC documentation] says, with the text as `grpc-message`; Envoy does the same.
//!
//! [gRPC documentation]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, Response, StatusCode};
//! use mesh_core::attributes::ResponseFlag;
//! use mesh_core::reply::{self, Caller, Reason};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct Closed;
//!
//! impl Reason for Closed {
//!     const FLAG: ResponseFlag = ResponseFlag::UpstreamOverflow;
//! }
//!
//! let caller = Caller::of(&HeaderMap::new());
//! let response: Response<()> = reply::local(caller, StatusCode::SERVICE_UNAVAILABLE, Closed);
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.extensions().get(), Some(&Closed));
//! assert_eq!(response.extensions().get(), Some(&ResponseFlag::UpstreamOverflow));
//! ```

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::attributes::{ResponseDetails, ResponseFlag};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why a layer answered in the application's place.
pub trait Reason: Clone + Send + Sync + 'static {
    /// The flag that telemetry records.
    const FLAG: ResponseFlag;

    /// Envoy's response code details, where the flag does not tell them. Default: it does.
    const DETAILS: Option<&'static str> = None;
}

/// What kind of client waits for the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// Reads `grpc-status`.
    Grpc,
    /// Reads the HTTP status.
    Http,
}

impl Caller {
    /// The kind of client that sent `headers`: a `content-type` of `application/grpc`, alone or
    /// before `+` or `;`, is gRPC.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
        match rest {
            Some([] | [b'+' | b';', ..]) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// An answer without a body.
pub fn local<B: Default, R: Reason>(caller: Caller, status: StatusCode, reason: R) -> Response<B> {
    let mut response = empty(caller, status);
    mark(&mut response, reason);
    response
}

/// An answer without a body that is no refusal, so that it carries neither reason nor flag.
pub fn empty<B: Default>(caller: Caller, status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    match caller {
        Caller::Grpc => grpc_head(&mut response, status, ""),
        Caller::Http => *response.status_mut() = status,
    }
    response
}

/// An answer with a text for people. gRPC callers get the text as `grpc-message`.
pub fn text<B, R>(caller: Caller, status: StatusCode, text: Bytes, reason: R) -> Response<B>
where
    B: Default + From<Bytes>,
    R: Reason,
{
    let mut response = direct(caller, status, text);
    mark(&mut response, reason);
    response
}

/// An answer that is no refusal, so that it carries neither reason nor flag: what the
/// configuration says itself. gRPC callers get the text as `grpc-message`.
pub fn direct<B>(caller: Caller, status: StatusCode, text: Bytes) -> Response<B>
where
    B: Default + From<Bytes>,
{
    match caller {
        Caller::Grpc => {
            let mut response = Response::new(B::default());
            grpc_head(&mut response, status, &String::from_utf8_lossy(&text));
            response
        }
        Caller::Http => http_text(status, text),
    }
}

/// Records why a layer answered in the extensions of `response`.
pub fn mark<B, R: Reason>(response: &mut Response<B>, reason: R) {
    let extensions = response.extensions_mut();
    extensions.insert(R::FLAG);
    if let Some(details) = R::DETAILS {
        extensions.insert(ResponseDetails::new(details));
    }
    extensions.insert(reason);
}

/// The gRPC status code that stands for an HTTP status.
pub fn grpc_status(status: StatusCode) -> u8 {
    match status.as_u16() {
        200 => 0,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The gRPC status code of an answer, as telemetry records it: what its trailers say, else its head, else
/// what stands for its HTTP `status` where a gRPC client is answered by something that is not gRPC, of which
/// `200` says nothing (2, unknown). What is no number is -1. `None` while there is no answer.
///
/// Source: Envoy's `Grpc::Common::getGrpcStatus`.
///
/// ```
/// use http::{HeaderMap, HeaderValue, StatusCode};
/// use mesh_core::reply::grpc_status_of;
///
/// let head = HeaderMap::new();
/// let told = grpc_status_of(None, Some(&head), Some(StatusCode::SERVICE_UNAVAILABLE));
/// assert_eq!(told, Some(14));
///
/// let not_found = HeaderValue::from_static("5");
/// let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), not_found)]);
/// assert_eq!(grpc_status_of(Some(&trailers), Some(&head), Some(StatusCode::OK)), Some(5));
/// ```
pub fn grpc_status_of(
    trailers: Option<&HeaderMap>,
    head: Option<&HeaderMap>,
    status: Option<StatusCode>,
) -> Option<i64> {
    const NO_NUMBER: i64 = -1;
    const UNKNOWN: i64 = 2;
    let written = [trailers, head].into_iter().flatten();
    let mut written = written.filter_map(|fields| fields.get(GRPC_STATUS));
    let written = written.find(|value| !value.is_empty());
    let Some(written) = written else {
        return Some(match status? {
            StatusCode::OK => UNKNOWN,
            status => grpc_status(status).into(),
        });
    };
    let number = std::str::from_utf8(written.as_bytes()).ok();
    let number = number.and_then(|text| text.trim().parse::<u32>().ok());
    Some(number.map_or(NO_NUMBER, i64::from))
}

fn http_text<B: From<Bytes>>(status: StatusCode, text: Bytes) -> Response<B> {
    let length = HeaderValue::from(text.len());
    let is_empty = text.is_empty();
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    if is_empty {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn grpc_head<B>(response: &mut Response<B>, status: StatusCode, message: &str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(
        GRPC_STATUS,
        HeaderValue::from(u16::from(grpc_status(status))),
    );
    if !message.is_empty()
        && let Ok(message) = HeaderValue::try_from(percent_encode(message))
    {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// Encodes what gRPC does not allow in `grpc-message`: everything but `0x20..=0x7e`, and `%`.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Refused;

    impl Reason for Refused {
        const FLAG: ResponseFlag = ResponseFlag::NoHealthyUpstream;
    }

    #[test]
    fn grpc_callers_are_told_by_their_content_type() {
        let cases = [
            ("application/grpc", Caller::Grpc),
            ("application/grpc+proto", Caller::Grpc),
            ("application/grpc; charset=utf-8", Caller::Grpc),
            ("application/grpc-web", Caller::Http),
            ("application/json", Caller::Http),
        ];
        for (content_type, caller) in cases {
            let value = HeaderValue::from_static(content_type);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(Caller::of(&headers), caller, "{content_type}");
        }
    }

    #[test]
    fn a_text_goes_into_the_body_for_http_and_into_the_message_for_grpc() {
        let body = Bytes::from_static(b"no healthy upstream");
        let status = StatusCode::SERVICE_UNAVAILABLE;

        let response: Response<Bytes> = text(Caller::Http, status, body.clone(), Refused);
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CONTENT_LENGTH], "19");
        assert_eq!(response.body(), &body);

        let response: Response<Bytes> = text(Caller::Grpc, status, body, Refused);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "no healthy upstream");
        assert!(response.body().is_empty());
        assert_eq!(
            response.extensions().get(),
            Some(&ResponseFlag::NoHealthyUpstream)
        );
    }

    #[test]
    fn the_grpc_status_is_written_or_stands_for_the_http_status() {
        let of = |trailers: Option<&'static str>, head: Option<&'static str>, status| {
            let fields =
                |value| HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(value))]);
            let (trailers, head) = (trailers.map(fields), head.map(fields));
            let status = StatusCode::from_u16(status).ok();
            grpc_status_of(trailers.as_ref(), head.as_ref(), status)
        };
        for (trailers, head, status, expected) in [
            (Some("5"), Some("4"), 200, Some(5)),
            (None, Some("4"), 200, Some(4)),
            (Some(""), Some("4"), 200, Some(4)),
            (Some("99"), None, 200, Some(99)),
            (Some("five"), Some("4"), 200, Some(-1)),
            (Some("-5"), None, 200, Some(-1)),
            (None, None, 200, Some(2)),
            (None, None, 418, Some(2)),
            (None, None, 400, Some(13)),
            (None, None, 401, Some(16)),
            (None, None, 403, Some(7)),
            (None, None, 404, Some(12)),
            (None, None, 429, Some(14)),
            (None, None, 0, None),
        ] {
            assert_eq!(
                of(trailers, head, status),
                expected,
                "{trailers:?} {head:?} {status}"
            );
        }
    }

    #[test]
    fn a_grpc_message_is_percent_encoded() {
        assert_eq!(percent_encode("50% ä\n"), "50%25 %C3%A4%0A");
    }
}
