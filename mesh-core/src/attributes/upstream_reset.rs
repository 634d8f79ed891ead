use http::Extensions;
use serde::Serialize;

use super::ResponseFlag;

/// How the upstream, or the way to it, failed before there was a response.
///
/// Whoever speaks to the upstream puts it into the extensions of the response that it answers with
/// instead, so that retries can tell what may be tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UpstreamReset {
    /// What happened.
    pub reason: ResetReason,
    /// Whether anything of the request may have been sent.
    pub request_started: bool,
}

impl UpstreamReset {
    /// A failure before anything of the request was sent.
    pub fn before_request(reason: ResetReason) -> Self {
        let request_started = false;
        Self {
            reason,
            request_started,
        }
    }

    /// A failure after some of the request may have been sent.
    pub fn after_request(reason: ResetReason) -> Self {
        let request_started = true;
        Self {
            reason,
            request_started,
        }
    }

    /// Whether the application cannot have processed the request: nothing of it was sent, or the
    /// upstream refused it, which it may only do unprocessed (RFC 9113 §8.7).
    pub fn is_unprocessed(self) -> bool {
        !self.request_started || self.reason == ResetReason::RemoteRefusedStream
    }

    /// What the extensions of a response say of it: the value itself, else what the
    /// [`ResponseFlag`] means.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        let said = extensions.get::<Self>().copied();
        said.or_else(|| match extensions.get::<ResponseFlag>()? {
            ResponseFlag::UpstreamConnectionFailure => {
                Some(Self::before_request(ResetReason::ConnectionFailure))
            }
            ResponseFlag::UpstreamOverflow => Some(Self::before_request(ResetReason::Overflow)),
            ResponseFlag::UpstreamConnectionTermination => {
                Some(Self::after_request(ResetReason::ConnectionTermination))
            }
            ResponseFlag::UpstreamProtocolError => {
                Some(Self::after_request(ResetReason::ProtocolError))
            }
            ResponseFlag::UpstreamRemoteReset => {
                Some(Self::after_request(ResetReason::RemoteReset))
            }
            _ => None,
        })
    }
}

/// What ended the stream to an upstream (Envoy's `StreamResetReason`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ResetReason {
    /// The connection could not be made, or not in time.
    ConnectionFailure,
    /// The connection was closed.
    ConnectionTermination,
    /// Our side gave up, as after the timeout of an attempt.
    LocalReset,
    /// A limit on connections or requests was reached.
    Overflow,
    /// The upstream broke the protocol.
    ProtocolError,
    /// The upstream refused the stream before it began to process it (`REFUSED_STREAM`).
    RemoteRefusedStream,
    /// The upstream reset the stream.
    RemoteReset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_outright_counts_more_than_the_flag() {
        let mut extensions = Extensions::new();
        assert_eq!(UpstreamReset::of(&extensions), None);
        extensions.insert(ResponseFlag::UpstreamConnectionFailure);
        let deduced = UpstreamReset::before_request(ResetReason::ConnectionFailure);
        assert_eq!(UpstreamReset::of(&extensions), Some(deduced));
        let said = UpstreamReset::before_request(ResetReason::RemoteRefusedStream);
        extensions.insert(said);
        assert_eq!(UpstreamReset::of(&extensions), Some(said));
    }

    #[test]
    fn flags_that_are_no_failure_of_the_upstream_are_no_reset() {
        for flag in [
            ResponseFlag::NoHealthyUpstream,
            ResponseFlag::NoRouteFound,
            ResponseFlag::RateLimited,
            ResponseFlag::FaultInjected,
        ] {
            let mut extensions = Extensions::new();
            extensions.insert(flag);
            assert_eq!(UpstreamReset::of(&extensions), None, "{flag}");
        }
    }
}
