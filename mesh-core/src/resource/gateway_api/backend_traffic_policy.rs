//! XBackendTrafficPolicy: how many retries a backend is spared.
//!
//! `apisx/v1alpha1/xbackendtrafficpolicy_types.go` (GEP-3388), of the group
//! `gateway.networking.x-k8s.io`. Experimental.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::backend_traffic_policy::BackendTrafficPolicy;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let policy: BackendTrafficPolicy = serde_json::from_str(
//!     r#"{
//!         "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
//!         "retryConstraint": {"budget": {"percent": 10}}
//!     }"#,
//! )?;
//! let budget = policy.retry_constraint.and_then(|constraint| constraint.budget);
//! assert_eq!(budget.and_then(|budget| budget.percent), Some(10));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;
use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::resource::gateway_api::session_persistence::SessionPersistence;

/// The `spec` of an XBackendTrafficPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTrafficPolicy {
    /// The backends, which have no sections. Required, 1 to 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<LocalObjectReference>,
    /// How many retries each client of a backend may make. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_constraint: Option<RetryConstraint>,
    /// How a client is kept on one endpoint of the backend. Default: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// How many retries may be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryConstraint {
    /// Share of the requests that may be retries. Default: 20 % over 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<RetryBudget>,
    /// Retries allowed whatever their share is. Default: 10 in 1 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_retry_rate: Option<RequestRate>,
}

/// Share of the requests that may be retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Percentage, 0 to 100. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Time over which requests are counted, 1 s to 1 h. Default: 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GatewayDuration>,
}

/// A number of requests in a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRate {
    /// Requests, 1 to 1,000,000. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The time, up to 1 h. Default: 1 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GatewayDuration>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_keeps_all_its_fields() {
        let written = json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "retryConstraint": {
                "budget": {"percent": 20, "interval": "10s"},
                "minRetryRate": {"count": 3, "interval": "1s"},
            },
            "sessionPersistence": {"type": "Header", "header": {"name": "x-session"}},
        });
        let policy: BackendTrafficPolicy = serde_json::from_value(written.clone()).unwrap();
        let rate = policy
            .retry_constraint
            .as_ref()
            .unwrap()
            .min_retry_rate
            .as_ref();
        assert_eq!(rate.unwrap().count, Some(3));
        assert_eq!(serde_json::to_value(&policy).unwrap(), written);
    }
}
