//! Requests that go no further.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use mesh_core::attributes::{ResponseDetails, ResponseFlag};

/// Why a request is answered before anything looks at its route.
///
/// Status and text are Envoy's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The `Host` header is there twice, or is no host with or without a port.
    #[error("invalid host")]
    Authority,
    /// `CONNECT`, which the gateway is not a proxy for.
    #[error("connect is not allowed")]
    Connect,
    /// `https:` in the request line of a plaintext connection.
    #[error("https on a plaintext connection")]
    Https,
    /// More header fields than [`max_headers`](super::HeaderPolicy::max_headers).
    #[error("too many headers")]
    HeaderCount,
    /// A method that no standard names.
    #[error("unknown method")]
    Method,
    /// There is no host (RFC 9112 §3.2).
    #[error("missing host")]
    MissingAuthority,
    /// The request target is not a path, or a path that cannot be normalized.
    #[error("invalid path")]
    Path,
    /// The body is in another transfer coding than `chunked` alone (RFC 9112 §6.1).
    #[error("unsupported transfer coding")]
    TransferEncoding,
    /// `Upgrade` to a protocol that is not allowed.
    #[error("upgrade is not allowed")]
    Upgrade,
    /// HTTP/1.0.
    #[error("http version is too low")]
    Version,
}

impl Refusal {
    /// The status that the client gets.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Authority | Self::Method | Self::MissingAuthority | Self::Path => {
                StatusCode::BAD_REQUEST
            }
            Self::Connect => StatusCode::NOT_FOUND,
            Self::Https | Self::Upgrade => StatusCode::FORBIDDEN,
            Self::HeaderCount => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// The text that the client gets, if any.
    fn text(self) -> &'static str {
        match self {
            Self::Authority | Self::Method => "Bad Request",
            Self::Https => "Forbidden",
            Self::TransferEncoding => "Not Implemented",
            Self::Version => "Upgrade Required",
            Self::Connect
            | Self::HeaderCount
            | Self::MissingAuthority
            | Self::Path
            | Self::Upgrade => "",
        }
    }

    /// What access logs say of it, as observed from Envoy 1.40.
    fn details(self) -> &'static str {
        match self {
            Self::Authority => "http.invalid_authority",
            Self::Connect => "route_not_found",
            // Of HTTP/1.1, the parser does not take as many.
            Self::HeaderCount => "http2.too_many_headers",
            Self::Https => "http1.https_url_on_plaintext_connection",
            Self::Method => "http1.codec_error",
            Self::MissingAuthority => "missing_host_header",
            Self::Path => "path_normalization_failed",
            Self::TransferEncoding => "http1.invalid_transfer_encoding",
            Self::Upgrade => "upgrade_failed",
            Self::Version => "low_version",
        }
    }

    fn flag(self) -> Option<ResponseFlag> {
        match self {
            Self::Authority
            | Self::HeaderCount
            | Self::Https
            | Self::Method
            | Self::TransferEncoding
            | Self::Version => Some(ResponseFlag::DownstreamProtocolError),
            Self::Connect => Some(ResponseFlag::NoRouteFound),
            Self::MissingAuthority | Self::Path | Self::Upgrade => None,
        }
    }

    /// The answer; its extensions hold the refusal. The connection is closed after it.
    ///
    /// # Example
    ///
    /// ```
    /// use bytes::Bytes;
    /// use examples::headers::Refusal;
    ///
    /// let response = Refusal::Version.to_response::<Bytes>();
    /// assert_eq!(response.status(), 426);
    /// assert_eq!(response.body(), "Upgrade Required");
    /// assert_eq!(response.extensions().get(), Some(&Refusal::Version));
    /// ```
    pub fn to_response<B>(self) -> Response<B>
    where
        B: From<Bytes>,
    {
        let text = self.text();
        let mut response = Response::new(B::from(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = self.status();
        let extensions = response.extensions_mut();
        extensions.insert(self);
        extensions.insert(ResponseDetails::new(self.details()));
        if let Some(flag) = self.flag() {
            extensions.insert(flag);
        }
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if !text.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        response
    }
}
