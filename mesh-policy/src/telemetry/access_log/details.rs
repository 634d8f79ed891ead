//! Envoy's response code details, as far as they can be told.

use std::borrow::Cow;

use http::Extensions;
use mesh_core::attributes::{ResponseDetails, ResponseFlag};

/// Where a response comes from.
pub(in crate::telemetry) fn of_response(extensions: &Extensions) -> Cow<'static, str> {
    match (extensions.get::<ResponseDetails>(), extensions.get()) {
        (Some(details), _) => details.as_str().to_owned().into(),
        (None, Some(flag)) => of_flag(*flag).into(),
        (None, None) => "via_upstream".into(),
    }
}

/// Why an exchange broke off, after its response had begun or before there was one.
pub(in crate::telemetry) fn of_end(flag: ResponseFlag) -> &'static str {
    match flag {
        ResponseFlag::UpstreamConnectionTermination => {
            "upstream_reset_after_response_started{connection_termination}"
        }
        ResponseFlag::UpstreamProtocolError => {
            "upstream_reset_after_response_started{protocol_error}"
        }
        ResponseFlag::UpstreamRemoteReset => "upstream_reset_after_response_started{remote_reset}",
        _ => of_flag(flag),
    }
}

fn of_flag(flag: ResponseFlag) -> &'static str {
    match flag {
        ResponseFlag::DelayInjected | ResponseFlag::UpstreamRetryLimitExceeded => "via_upstream",
        ResponseFlag::NoRouteFound => "route_not_found",
        ResponseFlag::NoClusterFound => "cluster_not_found",
        ResponseFlag::NoHealthyUpstream => "no_healthy_upstream",
        ResponseFlag::DnsResolutionFailed => "dns_resolution_failure",
        ResponseFlag::FaultInjected => "fault_filter_abort",
        ResponseFlag::RateLimited => "request_rate_limited",
        ResponseFlag::RateLimitServiceError => "rate_limiter_error",
        ResponseFlag::UnauthorizedExternalService => "ext_authz_denied",
        ResponseFlag::UpstreamRequestTimeout => "response_timeout",
        ResponseFlag::StreamIdleTimeout => "stream_idle_timeout",
        ResponseFlag::DurationTimeout => "duration_timeout",
        ResponseFlag::OverloadManager => "overload",
        ResponseFlag::UpstreamConnectionFailure => {
            "upstream_reset_before_response_started{remote_connection_failure}"
        }
        ResponseFlag::UpstreamConnectionTermination => {
            "upstream_reset_before_response_started{connection_termination}"
        }
        ResponseFlag::UpstreamOverflow => "upstream_reset_before_response_started{overflow}",
        ResponseFlag::UpstreamProtocolError => {
            "upstream_reset_before_response_started{protocol_error}"
        }
        ResponseFlag::UpstreamRemoteReset => "upstream_reset_before_response_started{remote_reset}",
        ResponseFlag::DownstreamConnectionTermination => "downstream_remote_disconnect",
        ResponseFlag::DownstreamProtocolError => "codec_error",
    }
}
