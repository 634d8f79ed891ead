//! Deployment: pods of one template.
//!
//! `Deployment` of `apps/v1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::deployment::Deployment;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let deployment: Deployment = serde_json::from_str(
//!     r#"{"spec": {
//!         "selector": {"matchLabels": {"app": "cart"}},
//!         "template": {
//!             "metadata": {"labels": {"app": "cart", "version": "v1"}},
//!             "spec": {"containers": [{"name": "cart"}]}
//!         }
//!     }}"#,
//! )?;
//! assert_eq!(deployment.spec.replicas, None); // one pod
//! assert_eq!(deployment.spec.template.metadata.labels["version"], "v1");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::resource::kubernetes::pod::PodSpec;

/// A Deployment without its metadata and its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// What is to run.
    pub spec: DeploymentSpec,
}

/// What a Deployment is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpec {
    /// Number of pods. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Labels by which the Deployment finds its pods. Required.
    pub selector: LabelSelector,
    /// The pods. Required.
    pub template: PodTemplate,
}

/// A pod to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// Labels and annotations of the pod.
    pub metadata: PodTemplateMetadata,
    /// What is to run in it.
    pub spec: PodSpec,
}

/// Labels and annotations of a pod to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplateMetadata {
    /// Labels, which Services and policies select by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, by which Istio is told of the workload.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_keeps_all_that_is_read() {
        let written = json!({"spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {
                "metadata": {
                    "labels": {"app": "cart"},
                    "annotations": {"sidecar.istio.io/inject": "false"},
                },
                "spec": {"serviceAccountName": "cart", "containers": [{"name": "cart"}]},
            },
        }});
        let deployment: Deployment = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(deployment.spec.replicas, Some(0));
        assert_eq!(serde_json::to_value(&deployment).unwrap(), written);
    }
}
