use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;

use crate::attributes::ResponseFlags;

/// What is known of an exchange once it is over, for access logs. `None` has no value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Bytes of the request's body (`BYTES_RECEIVED`).
    pub bytes_received: u64,
    /// Bytes of the response's body (`BYTES_SENT`).
    pub bytes_sent: u64,
    /// From the beginning of the request to the end of the response (`DURATION`).
    pub duration: Duration,
    /// From the beginning of the request to its end (`REQUEST_DURATION`).
    pub request_duration: Option<Duration>,
    /// From the beginning of the request to the head of the response (`RESPONSE_DURATION`).
    pub response_duration: Option<Duration>,
    /// Flags of an exchange that ended without a response (`RESPONSE_FLAGS`).
    pub flags: ResponseFlags,
    /// Trailers of the response (`TRAILER(name)`, `GRPC_STATUS`).
    pub trailers: Option<HeaderMap>,
    /// Where the response comes from (`RESPONSE_CODE_DETAILS`), such as `via_upstream`.
    pub response_code_details: Option<Cow<'static, str>>,
    /// Why the client's connection ended (`CONNECTION_TERMINATION_DETAILS`).
    pub connection_termination_details: Option<Cow<'static, str>>,
    /// Why the connection to the upstream failed (`UPSTREAM_TRANSPORT_FAILURE_REASON`).
    pub upstream_transport_failure_reason: Option<Cow<'static, str>>,
    /// Our address of the connection to the upstream (`UPSTREAM_LOCAL_ADDRESS`).
    pub upstream_local_address: Option<Cow<'static, str>>,
    /// Who we have proven to be by it, as a URI (`UPSTREAM_LOCAL_URI_SAN`).
    pub upstream_local_uri_san: Option<Cow<'static, str>>,
    /// Who the upstream has proven to be (`UPSTREAM_PEER_URI_SAN`).
    pub upstream_peer_uri_san: Option<Cow<'static, str>>,
}
