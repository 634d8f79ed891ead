use bytes::Bytes;
use http::{Response, StatusCode};
use mesh_core::attributes::{ResetReason, ResponseFlag, UpstreamReset};
use mesh_core::reply::{self, Caller, Reason};

use crate::service::overflow;

/// Why there is no response from the endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The request names no host that HTTP/2 could be told, which says nothing about the endpoint.
    Authority,
    /// No connection could be made.
    Connect,
    /// No connection could be made in time.
    ConnectTimeout,
    /// A limit is reached.
    Overflow,
    /// The endpoint broke the protocol.
    Protocol,
    /// The endpoint refused the stream before it processed it.
    Refused,
    /// The body of the request failed, which says nothing about the endpoint.
    RequestBody,
    /// The endpoint reset the stream.
    Reset,
    /// The connection was closed.
    Terminated,
}

impl Failure {
    /// Envoy's answer.
    pub(super) fn answer<B: Default + From<Bytes>>(self, caller: Caller) -> Response<B> {
        let (mut response, reset) = match self {
            Self::Authority => (
                text(caller, "local reset", InvalidAuthority),
                UpstreamReset::before_request(ResetReason::LocalReset),
            ),
            Self::Connect => (
                text(caller, "remote connection failure", ConnectionFailure),
                UpstreamReset::before_request(ResetReason::ConnectionFailure),
            ),
            Self::ConnectTimeout => (
                text(caller, "connection timeout", ConnectTimeout),
                UpstreamReset::before_request(ResetReason::ConnectionFailure),
            ),
            Self::Overflow => (
                overflow(caller),
                UpstreamReset::before_request(ResetReason::Overflow),
            ),
            Self::Protocol => (
                text(caller, "protocol error", ProtocolError),
                UpstreamReset::after_request(ResetReason::ProtocolError),
            ),
            Self::Refused => (
                text(caller, "remote refused stream reset", RemoteReset),
                UpstreamReset::after_request(ResetReason::RemoteRefusedStream),
            ),
            Self::RequestBody => (
                text(caller, "local reset", RequestBodyFailure),
                UpstreamReset::after_request(ResetReason::LocalReset),
            ),
            Self::Reset => (
                text(caller, "remote reset", RemoteReset),
                UpstreamReset::after_request(ResetReason::RemoteReset),
            ),
            Self::Terminated => (
                text(caller, "connection termination", ConnectionTermination),
                UpstreamReset::after_request(ResetReason::ConnectionTermination),
            ),
        };
        response.extensions_mut().insert(reset);
        response
    }
}

fn text<B, R>(caller: Caller, reason: &str, marker: R) -> Response<B>
where
    B: Default + From<Bytes>,
    R: Reason,
{
    let text = format!(
        "upstream connect error or disconnect/reset before headers. reset reason: {reason}"
    );
    let status = StatusCode::SERVICE_UNAVAILABLE;
    reply::text(caller, status, Bytes::from(text), marker)
}

/// Marks a `503` as sent because no connection to the endpoint could be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no connection can be made")]
#[non_exhaustive]
pub struct ConnectionFailure;

impl Reason for ConnectionFailure {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamConnectionFailure;
}

/// Marks a `503` as sent because no connection to the endpoint could be made in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no connection can be made in time")]
#[non_exhaustive]
pub struct ConnectTimeout;

impl Reason for ConnectTimeout {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamConnectionFailure;
}

/// Marks a `503` as sent because the endpoint closed the connection before it answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the endpoint closed the connection")]
#[non_exhaustive]
pub struct ConnectionTermination;

impl Reason for ConnectionTermination {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamConnectionTermination;
}

/// Marks a `503` as sent because the request names no host that HTTP/2 could be told: neither its URI nor
/// its `Host` has an authority (RFC 9113 §8.3.1). Nothing was sent to the endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request names no valid host")]
#[non_exhaustive]
pub struct InvalidAuthority;

impl Reason for InvalidAuthority {
    const FLAG: ResponseFlag = ResponseFlag::DownstreamProtocolError;
}

/// Marks a `503` as sent because the endpoint broke the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the endpoint broke the protocol")]
#[non_exhaustive]
pub struct ProtocolError;

impl Reason for ProtocolError {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamProtocolError;
}

/// Marks a `503` as sent because the endpoint reset the stream, or refused it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the endpoint reset the stream")]
#[non_exhaustive]
pub struct RemoteReset;

impl Reason for RemoteReset {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamRemoteReset;
}

/// Marks a `503` as sent because the body of the request failed before its end, as when its client goes
/// away or a limit on it is reached. It says nothing about the endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body of the request failed")]
#[non_exhaustive]
pub struct RequestBodyFailure;

impl Reason for RequestBodyFailure {
    const FLAG: ResponseFlag = ResponseFlag::DownstreamConnectionTermination;
}
