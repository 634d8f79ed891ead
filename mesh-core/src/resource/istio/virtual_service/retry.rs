//! Retries. Source: message `HTTPRetry`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;

/// When a request that failed is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetry {
    /// How many times it is tried again at most. 0 disables retries.
    #[serde(skip_serializing_if = "is_default")]
    pub attempts: i32,
    /// How long one attempt may take. Default: the timeout of the rule.
    #[serde(skip_serializing_if = "is_default")]
    pub per_try_timeout: Option<Duration>,
    /// Conditions on which it is tried again, with commas between: Envoy's names and status codes.
    /// Default: `connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes`.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_on: String,
    /// Whether endpoints of other localities are tried. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_remote_localities: Option<bool>,
    /// Whether endpoints that were tried before are avoided. Default: true, unless the load
    /// balancer hashes.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_ignore_previous_hosts: Option<bool>,
    /// Shortest wait before the first retry; it grows from one to the next. Default: 25 ms.
    #[serde(skip_serializing_if = "is_default")]
    pub backoff: Option<Duration>,
}
