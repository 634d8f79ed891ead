//! Why an upstream did not answer.

use std::error::Error as _;
use std::io;

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use mesh_core::attributes::{
    ResetReason, ResponseDetails, ResponseFlag, StreamFailure, TransportFailure, UpstreamReset,
};
use mesh_core::reply::{self, Caller};
use mesh_discovery::connect::{is_of_request, is_refused};
use mesh_tls::connect::ConnectError;

use crate::body::Body;
use crate::headers::router::X_ENVOY_ATTEMPT_COUNT;

/// Why an upstream did not answer.
///
/// Each has the status, the text and the response flag that Envoy gives it
/// (`source/common/http/utility.cc`, `resetReasonToString`, and "Response flags" in Envoy's
/// access log documentation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The request names no host that HTTP/2 could be told. Nothing was sent.
    #[error("local reset")]
    Authority,
    /// The connection could not be established.
    #[error("remote connection failure")]
    Connect(#[source] io::Error),
    /// The connection was not established in time.
    #[error("connection timeout")]
    ConnectTimeout,
    /// The connection was established, and TLS was not. Clients are not told why.
    #[error("remote connection failure")]
    Handshake(#[source] ConnectError),
    /// A limit on connections, or on requests that wait for one, is reached.
    #[error("overflow")]
    Overflow,
    /// The upstream sent what is not HTTP, or not what was agreed.
    #[error("protocol error")]
    Protocol(#[source] BoxError),
    /// The upstream refused the stream of the request before it processed it.
    #[error("remote refused stream reset")]
    Refused(#[source] BoxError),
    /// The upstream reset the stream of the request.
    #[error("remote reset")]
    Reset(#[source] BoxError),
    /// The body of the request broke off, most likely because the client is gone.
    #[error("local reset")]
    RequestBody(#[source] BoxError),
    /// The upstream closed the connection.
    #[error("connection termination")]
    Terminated(#[source] BoxError),
}

/// Why the body of a response ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// What should be a chunk is none (RFC 9112 §7.1).
    #[error("invalid chunk")]
    Chunk,
    /// The HTTP/2 stream or its connection failed.
    #[error("stream failed")]
    Http2(#[source] hyper::Error),
    /// The connection failed.
    #[error("connection failed")]
    Io(#[source] io::Error),
    /// The trailer section is malformed, or too large.
    #[error("invalid trailers")]
    Trailers,
    /// Its time was over before the end.
    #[error("response body took too long")]
    TimedOut(#[source] BoxError),
    /// The upstream closed the connection before the end.
    #[error("response body broke off")]
    Truncated(#[source] StreamFailure),
}

/// What a source says of itself, whichever of the two protocols it is of.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl UpstreamError {
    pub(super) fn protocol(source: impl Into<BoxError>) -> Self {
        Self::Protocol(source.into())
    }

    pub(super) fn request_body(source: impl Into<BoxError>) -> Self {
        Self::RequestBody(source.into())
    }

    pub(super) fn terminated(source: impl Into<BoxError>) -> Self {
        Self::Terminated(source.into())
    }

    /// The status to answer with: `502` for a protocol error, else `503`.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Protocol(_) => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Envoy's response flag, as access logs and metrics show it. There is none for a request that
    /// the client broke off.
    pub fn response_flag(&self) -> Option<ResponseFlag> {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::Handshake(_) => {
                Some(ResponseFlag::UpstreamConnectionFailure)
            }
            Self::Authority => Some(ResponseFlag::DownstreamProtocolError),
            Self::Overflow => Some(ResponseFlag::UpstreamOverflow),
            Self::Protocol(_) => Some(ResponseFlag::UpstreamProtocolError),
            Self::RequestBody(_) => None,
            Self::Refused(_) | Self::Reset(_) => Some(ResponseFlag::UpstreamRemoteReset),
            Self::Terminated(_) => Some(ResponseFlag::UpstreamConnectionTermination),
        }
    }

    /// What retries decide by.
    pub fn reset(&self) -> UpstreamReset {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::Handshake(_) => {
                UpstreamReset::before_request(ResetReason::ConnectionFailure)
            }
            Self::Authority => UpstreamReset::before_request(ResetReason::LocalReset),
            Self::Overflow => UpstreamReset::before_request(ResetReason::Overflow),
            Self::Protocol(_) => UpstreamReset::after_request(ResetReason::ProtocolError),
            Self::RequestBody(_) => UpstreamReset::after_request(ResetReason::LocalReset),
            Self::Refused(_) => UpstreamReset::after_request(ResetReason::RemoteRefusedStream),
            Self::Reset(_) => UpstreamReset::after_request(ResetReason::RemoteReset),
            Self::Terminated(_) => UpstreamReset::after_request(ResetReason::ConnectionTermination),
        }
    }

    /// The answer that Envoy's router gives in place of the upstream.
    ///
    /// Its extensions hold the [flag](Self::response_flag), the [reset](Self::reset) and the
    /// [`ResponseDetails`], the [`TransportFailure`] if there is no connection, and the
    /// [`ConnectError`] if there is no TLS.
    ///
    /// # Example
    ///
    /// ```
    /// use examples::upstream::UpstreamError;
    ///
    /// let response = UpstreamError::ConnectTimeout.to_response();
    /// assert_eq!(response.status(), 503);
    /// assert_eq!(response.headers()["content-type"], "text/plain");
    /// ```
    pub fn to_response(&self) -> Response<Body> {
        self.answer(Asked::once(Caller::Http))
    }

    /// The [answer](Self::to_response), in the form that who `asked` understands.
    pub(crate) fn answer(&self, asked: Asked) -> Response<Body> {
        let latest = match asked.is_retried {
            true => "retried and the latest ",
            false => "",
        };
        let text = format!(
            "upstream connect error or disconnect/reset before headers. {latest}reset reason: {self}"
        );
        let mut response = reply::direct(asked.caller, self.status(), text.into());
        response.extensions_mut().insert(self.reset());
        if let Self::Overflow = self {
            let overloaded = HeaderValue::from_static("true");
            response
                .headers_mut()
                .insert("x-envoy-overloaded", overloaded);
        }
        let extensions = response.extensions_mut();
        let failure = self.transport_failure();
        extensions.insert(self.details(failure.as_deref()));
        if let Some(why) = failure {
            extensions.insert(TransportFailure(why.into()));
        }
        if let Self::Handshake(error) = self {
            extensions.insert(error.clone());
        }
        if let Some(flag) = self.response_flag() {
            extensions.insert(flag);
        }
        response
    }

    /// Why there is no connection, as Envoy's transports say it.
    pub(crate) fn transport_failure(&self) -> Option<String> {
        match self {
            Self::Connect(error) => {
                let message = error.to_string();
                let message = message.split(" (os error").next().unwrap_or_default();
                Some(format!("delayed_connect_error:_{message}").replace(' ', "_"))
            }
            Self::Handshake(error) => Some(format!("TLS_error:{error}")),
            _ => None,
        }
    }

    /// Envoy's response code details.
    fn details(&self, failure: Option<&str>) -> ResponseDetails {
        let failure = failure.map_or_else(String::new, |why| format!("|{why}"));
        let details = format!("upstream_reset_before_response_started{{{self}{failure}}}");
        ResponseDetails::new(&details)
    }

    /// What those are told who waited for the same connection.
    pub(super) fn for_others(&self) -> Self {
        match self {
            Self::Connect(error) => Self::Connect(error.kind().into()),
            Self::Handshake(error) => Self::Handshake(error.clone()),
            Self::Overflow => Self::Overflow,
            _ => Self::ConnectTimeout,
        }
    }
}

/// Who waits for an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    caller: Caller,
    /// Whether this is not the first attempt.
    is_retried: bool,
}

impl Asked {
    /// A client whose request is made once.
    pub(crate) fn once(caller: Caller) -> Self {
        Self {
            caller,
            is_retried: false,
        }
    }

    /// Who sent `headers`, in an attempt that they say the number of.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let attempt = headers.get(X_ENVOY_ATTEMPT_COUNT);
        Self {
            caller: Caller::of(headers),
            is_retried: attempt.is_some_and(|attempt| attempt != "1"),
        }
    }
}

impl From<hyper::Error> for UpstreamError {
    fn from(error: hyper::Error) -> Self {
        if is_refused(&error) {
            return Self::Refused(error.into());
        }
        if error.is_parse() {
            return Self::protocol(error);
        }
        if is_of_request(&error) {
            return Self::request_body(error);
        }
        let terminated = error.is_incomplete_message()
            || error.is_closed()
            || error.is_canceled()
            || is_io(&error);
        if terminated {
            Self::terminated(error)
        } else {
            Self::Reset(error.into())
        }
    }
}

/// Whether `error` comes from the socket, directly or through the HTTP/2 codec.
fn is_io(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use crate::upstream::{Endpoint, Pool, PoolSettings, Protocol};

    use super::*;

    #[tokio::test(flavor = "local")]
    async fn a_stream_that_was_not_processed_is_told_from_one_that_was_reset() {
        let reset = |code| [&b"\0\0\x04\x03\0\0\0\0\x01\0\0\0"[..], &[code]].concat();
        let go_away = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        let cases = [
            ("REFUSED_STREAM", reset(7), ResetReason::RemoteRefusedStream),
            ("GOAWAY", go_away, ResetReason::RemoteRefusedStream),
            ("INTERNAL_ERROR", reset(2), ResetReason::RemoteReset),
        ];
        for (name, frame, expected) in cases {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = Endpoint::new(listener.local_addr().unwrap(), Protocol::Http2);
            let pool = Pool::new(PoolSettings::default());
            let request = Request::get("http://a.example/").body(Empty::<Bytes>::new());
            let sent = pool.send(&endpoint, request.unwrap());
            let (error, _connection) = tokio::join!(sent, answer(&listener, &frame));
            assert_eq!(error.unwrap_err().reset().reason, expected, "{name}");
        }
    }

    #[test]
    fn access_logs_say_what_those_of_envoy_say() {
        // Observed from Envoy 1.40.
        let refused = || io::Error::from_raw_os_error(111);
        for (error, expected) in [
            (
                UpstreamError::Connect(refused()),
                "remote_connection_failure|delayed_connect_error:_Connection_refused",
            ),
            (UpstreamError::ConnectTimeout, "connection_timeout"),
            (UpstreamError::Overflow, "overflow"),
            (UpstreamError::protocol("x"), "protocol_error"),
            (UpstreamError::terminated("x"), "connection_termination"),
        ] {
            let response = error.to_response();
            let details = response.extensions().get::<ResponseDetails>().unwrap();
            let expected = format!("upstream_reset_before_response_started{{{expected}}}");
            assert_eq!(details.as_str(), expected);
        }
    }

    /// Answers the first stream of a connection with a frame.
    async fn answer(listener: &TcpListener, frame: &[u8]) -> tokio::net::TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let is_headers = |frame: &[u8]| frame[0] == 1 && frame[2..] == [0, 0, 0, 1];
        while !read.windows(6).any(is_headers) {
            stream.read_buf(&mut read).await.unwrap();
        }
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        stream.write_all(settings).await.unwrap();
        stream.write_all(frame).await.unwrap();
        stream
    }
}
