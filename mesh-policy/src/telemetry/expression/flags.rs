//! The flags of a response as a number.

use mesh_core::attributes::{ResponseFlag, ResponseFlags};

/// The flags as Envoy numbers them (`envoy/stream_info/stream_info.h`).
pub(super) fn bits(flags: ResponseFlags) -> u64 {
    flags.iter().map(|flag| 1_u64 << bit(flag)).sum()
}

fn bit(flag: ResponseFlag) -> u32 {
    match flag {
        ResponseFlag::NoHealthyUpstream => 1,
        ResponseFlag::UpstreamRequestTimeout => 2,
        ResponseFlag::UpstreamRemoteReset => 4,
        ResponseFlag::UpstreamConnectionFailure => 5,
        ResponseFlag::UpstreamConnectionTermination => 6,
        ResponseFlag::UpstreamOverflow => 7,
        ResponseFlag::NoRouteFound => 8,
        ResponseFlag::DelayInjected => 9,
        ResponseFlag::FaultInjected => 10,
        ResponseFlag::RateLimited => 11,
        ResponseFlag::UnauthorizedExternalService => 12,
        ResponseFlag::RateLimitServiceError => 13,
        ResponseFlag::DownstreamConnectionTermination => 14,
        ResponseFlag::UpstreamRetryLimitExceeded => 15,
        ResponseFlag::StreamIdleTimeout => 16,
        ResponseFlag::DownstreamProtocolError => 18,
        ResponseFlag::DurationTimeout => 22,
        ResponseFlag::UpstreamProtocolError => 23,
        ResponseFlag::NoClusterFound => 24,
        ResponseFlag::OverloadManager => 25,
        ResponseFlag::DnsResolutionFailed => 26,
    }
}
