use std::borrow::Cow;
use std::io::Write;

use super::Completion;
use super::operator::put;

/// What is known once an exchange is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Completed {
    BytesReceived,
    BytesSent,
    ConnectionTerminationDetails,
    Duration,
    RequestDuration,
    ResponseCodeDetails,
    ResponseDuration,
    ResponseTxDuration,
    UpstreamLocalAddress,
    UpstreamLocalUriSan,
    UpstreamPeerUriSan,
    UpstreamTransportFailureReason,
}

impl Completed {
    pub(super) const ALL: [Self; 12] = [
        Self::BytesReceived,
        Self::BytesSent,
        Self::ConnectionTerminationDetails,
        Self::Duration,
        Self::RequestDuration,
        Self::ResponseCodeDetails,
        Self::ResponseDuration,
        Self::ResponseTxDuration,
        Self::UpstreamLocalAddress,
        Self::UpstreamLocalUriSan,
        Self::UpstreamPeerUriSan,
        Self::UpstreamTransportFailureReason,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BytesReceived => "BYTES_RECEIVED",
            Self::BytesSent => "BYTES_SENT",
            Self::ConnectionTerminationDetails => "CONNECTION_TERMINATION_DETAILS",
            Self::Duration => "DURATION",
            Self::RequestDuration => "REQUEST_DURATION",
            Self::ResponseCodeDetails => "RESPONSE_CODE_DETAILS",
            Self::ResponseDuration => "RESPONSE_DURATION",
            Self::ResponseTxDuration => "RESPONSE_TX_DURATION",
            Self::UpstreamLocalAddress => "UPSTREAM_LOCAL_ADDRESS",
            Self::UpstreamLocalUriSan => "UPSTREAM_LOCAL_URI_SAN",
            Self::UpstreamPeerUriSan => "UPSTREAM_PEER_URI_SAN",
            Self::UpstreamTransportFailureReason => "UPSTREAM_TRANSPORT_FAILURE_REASON",
        }
    }

    pub(super) fn write(self, completion: &Completion, out: &mut Vec<u8>) -> bool {
        let millis = |duration: Option<std::time::Duration>| Some(duration?.as_millis());
        let number = match self {
            Self::BytesReceived => Some(completion.bytes_received.into()),
            Self::BytesSent => Some(completion.bytes_sent.into()),
            Self::Duration => Some(completion.duration.as_millis()),
            Self::RequestDuration => millis(completion.request_duration),
            Self::ResponseDuration => millis(completion.response_duration),
            Self::ResponseTxDuration => millis(
                completion
                    .response_duration
                    .and_then(|begin| completion.duration.checked_sub(begin)),
            ),
            Self::ConnectionTerminationDetails => {
                return put_text(out, &completion.connection_termination_details);
            }
            Self::ResponseCodeDetails => {
                return put_text(out, &completion.response_code_details);
            }
            Self::UpstreamLocalAddress => {
                return put_text(out, &completion.upstream_local_address);
            }
            Self::UpstreamLocalUriSan => return put_text(out, &completion.upstream_local_uri_san),
            Self::UpstreamPeerUriSan => return put_text(out, &completion.upstream_peer_uri_san),
            Self::UpstreamTransportFailureReason => {
                return put_text(out, &completion.upstream_transport_failure_reason);
            }
        };
        number.is_some_and(|number| write!(out, "{number}").is_ok())
    }

    /// Whether the value is a number.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self,
            Self::BytesReceived
                | Self::BytesSent
                | Self::Duration
                | Self::RequestDuration
                | Self::ResponseDuration
                | Self::ResponseTxDuration
        )
    }
}

fn put_text(out: &mut Vec<u8>, text: &Option<Cow<'static, str>>) -> bool {
    put(out, text.as_deref())
}
