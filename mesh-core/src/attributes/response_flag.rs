use std::fmt;

use http::Extensions;
use serde::Serialize;

/// Why a response is not the application's own: Envoy's [response flags].
///
/// [response flags]: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
pub enum ResponseFlag {
    /// `DC`: the client went away.
    DownstreamConnectionTermination,
    /// `DI`: a delay was injected.
    DelayInjected,
    /// `DF`: the host that the request names could not be looked up.
    DnsResolutionFailed,
    /// `DPE`: the client broke the protocol.
    DownstreamProtocolError,
    /// `DT`: a connection without requests had lasted as long as it may.
    DurationTimeout,
    /// `FI`: an abort was injected.
    FaultInjected,
    /// `NC`: the cluster does not exist.
    NoClusterFound,
    /// `NR`: no route matched.
    NoRouteFound,
    /// `OM`: the proxy protects itself from overload.
    OverloadManager,
    /// `RL`: a rate limit was exceeded.
    RateLimited,
    /// `RLSE`: the rate limit service failed.
    RateLimitServiceError,
    /// `SI`: the stream was idle too long.
    StreamIdleTimeout,
    /// `UAEX`: the authorization service denied.
    UnauthorizedExternalService,
    /// `UC`: the upstream closed the connection.
    UpstreamConnectionTermination,
    /// `UF`: the upstream could not be connected to.
    UpstreamConnectionFailure,
    /// `UH`: no endpoint is healthy.
    NoHealthyUpstream,
    /// `UO`: a limit on connections or requests was reached.
    UpstreamOverflow,
    /// `UPE`: the upstream broke the protocol.
    UpstreamProtocolError,
    /// `UR`: the upstream reset the stream.
    UpstreamRemoteReset,
    /// `URX`: the attempts were used up.
    UpstreamRetryLimitExceeded,
    /// `UT`: the upstream took too long.
    UpstreamRequestTimeout,
}

impl ResponseFlag {
    /// Envoy's abbreviation, as in access logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DC",
            Self::DelayInjected => "DI",
            Self::DnsResolutionFailed => "DF",
            Self::DownstreamProtocolError => "DPE",
            Self::DurationTimeout => "DT",
            Self::FaultInjected => "FI",
            Self::NoClusterFound => "NC",
            Self::NoRouteFound => "NR",
            Self::OverloadManager => "OM",
            Self::RateLimited => "RL",
            Self::RateLimitServiceError => "RLSE",
            Self::StreamIdleTimeout => "SI",
            Self::UnauthorizedExternalService => "UAEX",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamConnectionFailure => "UF",
            Self::NoHealthyUpstream => "UH",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamProtocolError => "UPE",
            Self::UpstreamRemoteReset => "UR",
            Self::UpstreamRetryLimitExceeded => "URX",
            Self::UpstreamRequestTimeout => "UT",
        }
    }
}

impl ResponseFlag {
    /// Envoy's name in full, as in its enumeration of flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::DownstreamConnectionTermination => "DownstreamConnectionTermination",
            Self::DelayInjected => "DelayInjected",
            Self::DnsResolutionFailed => "DnsResolutionFailed",
            Self::DownstreamProtocolError => "DownstreamProtocolError",
            Self::DurationTimeout => "DurationTimeout",
            Self::FaultInjected => "FaultInjected",
            Self::NoClusterFound => "NoClusterFound",
            Self::NoRouteFound => "NoRouteFound",
            Self::OverloadManager => "OverloadManagerTerminated",
            Self::RateLimited => "RateLimited",
            Self::RateLimitServiceError => "RateLimitServiceError",
            Self::StreamIdleTimeout => "StreamIdleTimeout",
            Self::UnauthorizedExternalService => "UnauthorizedExternalService",
            Self::UpstreamConnectionTermination => "UpstreamConnectionTermination",
            Self::UpstreamConnectionFailure => "UpstreamConnectionFailure",
            Self::NoHealthyUpstream => "NoHealthyUpstream",
            Self::UpstreamOverflow => "UpstreamOverflow",
            Self::UpstreamProtocolError => "UpstreamProtocolError",
            Self::UpstreamRemoteReset => "UpstreamRemoteReset",
            Self::UpstreamRetryLimitExceeded => "UpstreamRetryLimitExceeded",
            Self::UpstreamRequestTimeout => "UpstreamRequestTimeout",
        }
    }
}

/// Why a body failed, after its response had begun. An error of a body that knows has this among its
/// sources, where telemetry finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the response broke off ({0})")]
pub struct StreamFailure(pub ResponseFlag);

impl fmt::Display for ResponseFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All flags of a response. Most have none or one, which is the [`ResponseFlag`] in its extensions;
/// a response that failed and could not be tried again has two.
///
/// As text, in the order of Envoy 1.40, which is that in which they come: `URX,UF`, or `-` without any.
///
/// # Example
///
/// ```
/// use http::Extensions;
/// use mesh_core::attributes::{ResponseFlag, ResponseFlags};
///
/// let mut extensions = Extensions::new();
/// assert_eq!(ResponseFlags::of(&extensions).to_string(), "-");
/// ResponseFlags::add(&mut extensions, ResponseFlag::UpstreamConnectionFailure);
/// ResponseFlags::add(&mut extensions, ResponseFlag::UpstreamRetryLimitExceeded);
/// assert_eq!(extensions.get(), Some(&ResponseFlag::UpstreamConnectionFailure));
/// assert_eq!(ResponseFlags::of(&extensions).to_string(), "URX,UF");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ResponseFlags(u32);

impl ResponseFlags {
    /// The flags, in the order in which an Envoy sets and writes them: first what was injected, then
    /// what retries say, then what ended the exchange, and last that the client went away.
    const ORDER: [ResponseFlag; 21] = [
        ResponseFlag::DelayInjected,
        ResponseFlag::FaultInjected,
        ResponseFlag::UpstreamRetryLimitExceeded,
        ResponseFlag::UpstreamOverflow,
        ResponseFlag::NoHealthyUpstream,
        ResponseFlag::UpstreamRequestTimeout,
        ResponseFlag::UpstreamRemoteReset,
        ResponseFlag::UpstreamConnectionFailure,
        ResponseFlag::UpstreamConnectionTermination,
        ResponseFlag::NoRouteFound,
        ResponseFlag::RateLimited,
        ResponseFlag::UnauthorizedExternalService,
        ResponseFlag::RateLimitServiceError,
        ResponseFlag::StreamIdleTimeout,
        ResponseFlag::DurationTimeout,
        ResponseFlag::UpstreamProtocolError,
        ResponseFlag::NoClusterFound,
        ResponseFlag::OverloadManager,
        ResponseFlag::DnsResolutionFailed,
        ResponseFlag::DownstreamProtocolError,
        ResponseFlag::DownstreamConnectionTermination,
    ];

    /// The flags in the extensions of a response.
    pub fn of(extensions: &Extensions) -> Self {
        let flags = extensions.get::<Self>().copied().unwrap_or_default();
        match extensions.get::<ResponseFlag>() {
            Some(flag) => flags.with(*flag),
            None => flags,
        }
    }

    /// Adds a flag to those in the extensions of a response. The first that is there stays the
    /// [`ResponseFlag`].
    pub fn add(extensions: &mut Extensions, flag: ResponseFlag) {
        if extensions.get::<ResponseFlag>().is_none() {
            extensions.insert(flag);
        } else {
            extensions.insert(Self::of(extensions).with(flag));
        }
    }

    /// These and `flag`.
    #[must_use]
    pub fn with(self, flag: ResponseFlag) -> Self {
        Self(self.0 | 1 << flag as u32)
    }

    /// Whether `flag` is one of them.
    pub fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// Whether the proxy answered in the upstream's place. Every flag says so, but those of an
    /// injected delay and of attempts that were used up.
    pub fn is_local_answer(self) -> bool {
        let of_upstream = Self::default()
            .with(ResponseFlag::DelayInjected)
            .with(ResponseFlag::UpstreamRetryLimitExceeded);
        self.0 & !of_upstream.0 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags, in the order in which Envoy writes them.
    pub fn iter(self) -> impl Iterator<Item = ResponseFlag> {
        Self::ORDER
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{flag}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_has_a_place_and_a_name_of_its_own() {
        let names: BTreeSet<_> = ResponseFlags::ORDER
            .iter()
            .map(|flag| flag.as_str())
            .collect();
        assert_eq!(names.len(), ResponseFlags::ORDER.len());
        let all = ResponseFlags::ORDER
            .into_iter()
            .fold(ResponseFlags::default(), ResponseFlags::with);
        assert_eq!(all.iter().count(), ResponseFlags::ORDER.len());
    }

    #[test]
    fn an_upstreams_answer_may_have_been_delayed_and_tried_again() {
        let flags = ResponseFlags::default();
        let delayed = flags.with(ResponseFlag::DelayInjected);
        let last = delayed.with(ResponseFlag::UpstreamRetryLimitExceeded);
        let failed = last.with(ResponseFlag::UpstreamConnectionFailure);
        let all = [flags, delayed, last, failed];
        let found = all.map(ResponseFlags::is_local_answer);
        assert_eq!(found, [false, false, false, true]);
    }

    #[test]
    fn flags_are_written_as_envoy_writes_them() {
        // Observed from Envoy 1.40.
        use ResponseFlag::{
            DelayInjected, FaultInjected, UpstreamConnectionFailure, UpstreamOverflow,
            UpstreamRequestTimeout, UpstreamRetryLimitExceeded,
        };
        for (flags, expected) in [
            (
                [UpstreamRequestTimeout, UpstreamRetryLimitExceeded],
                "URX,UT",
            ),
            (
                [UpstreamConnectionFailure, UpstreamRetryLimitExceeded],
                "URX,UF",
            ),
            ([UpstreamConnectionFailure, UpstreamOverflow], "UO,UF"),
            ([UpstreamConnectionFailure, DelayInjected], "DI,UF"),
            ([FaultInjected, DelayInjected], "DI,FI"),
        ] {
            let both = flags.into_iter();
            let both = both.fold(ResponseFlags::default(), ResponseFlags::with);
            assert_eq!(both.to_string(), expected);
        }
    }

    #[test]
    fn the_same_flag_twice_is_one() {
        let mut extensions = Extensions::new();
        ResponseFlags::add(&mut extensions, ResponseFlag::DelayInjected);
        ResponseFlags::add(&mut extensions, ResponseFlag::DelayInjected);
        assert_eq!(ResponseFlags::of(&extensions).to_string(), "DI");
    }
}
