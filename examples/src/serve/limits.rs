//! What a client may ask of a connection.

use std::time::Duration;

/// Limits and timeouts of the connections of clients.
///
/// The defaults are Envoy's, as an Istio gateway leaves them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many bytes the head of a request may have; more is answered with `431`. Default:
    /// 60 KiB, as Envoy's `max_request_headers_kb`.
    pub max_request_headers: usize,
    /// How many header lines a request may have; more is answered with `431`. `None` means 100,
    /// Envoy's `max_headers_count`; setting it costs HTTP/1.1 an allocation per request.
    pub max_request_header_lines: Option<usize>,
    /// How long the head of a request may take, counted from the end of the previous request.
    /// Default: `None`, no limit, as Envoy's `request_headers_timeout`; HTTP/1.1 only.
    pub request_headers_timeout: Option<Duration>,
    /// How long a connection may be without a new request before it is closed, as soon as the
    /// last response has been sent. Exact to a quarter of the time. Default: 1 h, as Envoy's
    /// `idle_timeout`.
    pub idle_timeout: Duration,
    /// How many requests an HTTP/2 connection may have open. Default: 1024, as Envoy's
    /// `max_concurrent_streams`.
    pub max_concurrent_streams: u32,
    /// How many bytes an HTTP/2 client may send ahead on a stream. Default: 16 MiB, as Envoy's
    /// `initial_stream_window_size`.
    pub stream_window: u32,
    /// How many bytes an HTTP/2 client may send ahead on a connection. Default: 24 MiB, as
    /// Envoy's `initial_connection_window_size`.
    pub connection_window: u32,
    /// Whether HTTP/2 clients may open WebSockets and the like by extended `CONNECT` (RFC 8441).
    /// Default: no, as Envoy's `allow_connect`.
    pub extended_connect: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_headers: 60 * 1024,
            max_request_header_lines: None,
            request_headers_timeout: None,
            idle_timeout: Duration::from_secs(60 * 60),
            max_concurrent_streams: 1024,
            stream_window: 16 * 1024 * 1024,
            connection_window: 24 * 1024 * 1024,
            extended_connect: false,
        }
    }
}
