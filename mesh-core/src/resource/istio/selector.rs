//! What a resource applies to: workloads by their labels, or other resources by reference.
//!
//! Istio has two selectors of workloads. The resources of traffic management that need one of
//! their own write `labels` ([`NetworkingWorkloadSelector`]); all others write `matchLabels`
//! ([`WorkloadSelector`]). Both select a workload that has every pair, in either case.
//!
//! Source: `type/v1beta1/selector.proto`; message `WorkloadSelector` of
//! `networking/v1alpha3/sidecar.proto`.
//!
//! ```
//! use mesh_core::resource::istio::selector::WorkloadSelector;
//!
//! let selector: WorkloadSelector = serde_json::from_str(r#"{"matchLabels": {"app": "cart"}}"#)?;
//! assert_eq!(selector.match_labels["app"], "cart");
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Workloads of policies, telemetry, extensions and destination rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// Labels that a workload has to have, all of them. Empty: every workload.
    #[serde(skip_serializing_if = "is_default")]
    pub match_labels: BTreeMap<String, String>,
}

/// Workloads of a Sidecar, ServiceEntry or EnvoyFilter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkingWorkloadSelector {
    /// Labels that a workload has to have, all of them. Empty: every workload.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

/// A resource that a policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTargetReference {
    /// API group of the resource. Empty: the core group of Kubernetes.
    #[serde(skip_serializing_if = "is_default")]
    pub group: String,
    /// Kind of the resource: `Gateway`, `GatewayClass`, `Service` or `ServiceEntry`.
    #[serde(skip_serializing_if = "is_default")]
    pub kind: String,
    /// Name of the resource.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Has to be empty: the resource is in the namespace of the policy.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: String,
}

/// Which direction of a workload's traffic an extension applies to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkloadMode {
    /// Not said; the resource's own default applies.
    #[default]
    Undefined,
    /// Traffic that the workload sends.
    Client,
    /// Traffic that the workload receives. A gateway counts as a client only.
    Server,
    /// Both directions.
    ClientAndServer,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn the_two_selectors_differ_in_the_name_of_their_field() {
        let policy: WorkloadSelector = round_trip(&json!({"matchLabels": {"app": "cart"}}));
        let networking: NetworkingWorkloadSelector =
            round_trip(&json!({"labels": {"app": "cart"}}));
        assert_eq!(policy.match_labels, networking.labels);
    }

    #[test]
    fn a_mode_is_written_as_istio_names_it() {
        let mode: WorkloadMode = round_trip(&json!("CLIENT_AND_SERVER"));
        assert_eq!(mode, WorkloadMode::ClientAndServer);
    }
}
