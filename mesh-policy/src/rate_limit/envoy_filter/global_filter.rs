use std::time::Duration;

use mesh_core::service::ClusterName;

use super::place::Place;

/// What is asked of a rate limit service (Envoy's rate limit filter).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GlobalFilter {
    /// The domain that the service counts in.
    pub domain: String,
    /// Where it stands.
    pub place: Place,
    /// The cluster of the service.
    pub cluster: ClusterName,
    /// How long the service may take. Default: 20 ms.
    pub timeout: Duration,
    /// Whether requests are refused when the service fails. Default: they pass.
    pub failure_mode_deny: bool,
    /// The stage of the rules that count here. Default: 0.
    pub stage: u32,
    /// Whether responses say what is left in `x-ratelimit-limit`, `-remaining` and `-reset`. Default:
    /// no.
    pub rate_limit_headers: bool,
    /// Whether a gRPC client that is refused gets `RESOURCE_EXHAUSTED` and not `UNAVAILABLE`. Default:
    /// no.
    pub as_resource_exhausted: bool,
    /// Whether refusals leave out `x-envoy-ratelimited`. Default: no.
    pub without_rate_limited_header: bool,
}

impl GlobalFilter {
    /// Counts in `domain` of the service that `cluster` is, with Envoy's defaults.
    pub fn new(domain: impl Into<String>, cluster: ClusterName) -> Self {
        Self {
            domain: domain.into(),
            place: Place::Last,
            cluster,
            timeout: Duration::from_millis(20),
            failure_mode_deny: false,
            stage: 0,
            rate_limit_headers: false,
            as_resource_exhausted: false,
            without_rate_limited_header: false,
        }
    }
}
