//! Fault injection. Source: message `HTTPFaultInjection`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::percent::Percent;

/// Faults to inject; which requests they hit is drawn independently.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFaultInjection {
    /// Holds requests back.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: Option<Delay>,
    /// Answers requests with an error.
    #[serde(skip_serializing_if = "is_default")]
    pub abort: Option<Abort>,
}

/// A delay. One of `fixed_delay` and `exponential_delay` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delay {
    /// Whole percentage of the requests to delay. Deprecated: `percentage` takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub percent: i32,
    /// How long a request is held back.
    #[serde(skip_serializing_if = "is_default")]
    pub fixed_delay: Option<Duration>,
    /// Mean of a random delay. Istio never implemented it.
    #[serde(skip_serializing_if = "is_default")]
    pub exponential_delay: Option<Duration>,
    /// Share of the requests to delay. Default: none of them.
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}

/// An error. One of `http_status`, `grpc_status` and `http2_error` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Abort {
    /// Status of the answer.
    #[serde(skip_serializing_if = "is_default")]
    pub http_status: Option<i32>,
    /// Name of the gRPC status of the answer, such as `UNAVAILABLE`.
    #[serde(skip_serializing_if = "is_default")]
    pub grpc_status: Option<String>,
    /// Name of an HTTP/2 error. Istio never implemented it.
    #[serde(skip_serializing_if = "is_default")]
    pub http2_error: Option<String>,
    /// Share of the requests to answer. Default: none of them.
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}
