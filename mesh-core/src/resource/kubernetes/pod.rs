//! Pod: the containers of one workload, and the address they share.
//!
//! `Pod` of `core/v1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::pod::{Pod, PodPhase};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let pod: Pod = serde_json::from_str(
//!     r#"{
//!         "spec": {
//!             "serviceAccountName": "cart",
//!             "containers": [{"name": "cart", "ports": [{"containerPort": 8080}]}]
//!         },
//!         "status": {"phase": "Running", "podIP": "10.1.0.4"}
//!     }"#,
//! )?;
//! assert_eq!(pod.spec.containers[0].ports[0].container_port, 8080);
//! assert_eq!(pod.status.phase, Some(PodPhase::Running));
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// A Pod without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// What is to run.
    pub spec: PodSpec,
    /// What runs.
    pub status: PodStatus,
}

/// What is to run in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Node of the pod. Default: the scheduler's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Service account, which is its identity. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whether it uses the node's own network. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Host name within the pod. Default: the pod's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Domain of the pod's host name: the name of a headless Service. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// What all containers may do, unless one says otherwise. Default: the runtime's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Containers that run before the others; those that never end keep running beside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// The containers. Required.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name, unique in the pod. Required.
    pub name: String,
    /// Image to run. Default: none, which only a template may leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Ports that the container declares; it may listen on others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// What the container may do. Default: as the pod says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Name. Required.
    pub name: String,
    /// Value. Default: empty, or taken from another place, which is not read here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What a container may do; of it only the user is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext {
    /// User that it runs as. Default: the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
}

/// A port that a container declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Name, to which a Service's target port may refer. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number of the port. Required.
    pub container_port: u16,
    /// Transport protocol: `TCP`, `UDP` or `SCTP`. Default: `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Port of the node that leads to it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
}

/// What runs in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Where the pod is in its life. Default: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PodPhase>,
    /// Its address. Default: none yet.
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,
    /// Its addresses in both families; the first is `pod_ip`.
    #[serde(rename = "podIPs", skip_serializing_if = "Vec::is_empty")]
    pub pod_ips: Vec<PodIp>,
    /// Address of its node. Default: none yet.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// What holds of it, such as `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PodCondition>,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    /// Accepted; not all containers have run yet.
    Pending,
    /// On a node, and a container runs or is about to.
    Running,
    /// All containers have ended well.
    Succeeded,
    /// All containers have ended, one of them badly.
    Failed,
    /// The node cannot be asked.
    Unknown,
}

/// An address of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIp {
    /// The address. Required.
    pub ip: String,
}

/// Something that holds of a pod, or does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// What it is: `Ready`, `PodScheduled`, or the name of a readiness gate. Required.
    pub r#type: String,
    /// Whether it holds. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ConditionStatus>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It does not hold.
    False,
    /// It holds.
    True,
    /// Nobody knows.
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_keeps_all_that_is_read() {
        let written = json!({
            "spec": {
                "nodeName": "node-a",
                "serviceAccountName": "cart",
                "hostNetwork": false,
                "hostname": "cart-0",
                "subdomain": "cart",
                "securityContext": {"runAsUser": 1000},
                "initContainers": [{"name": "istio-proxy", "image": "auto"}],
                "containers": [{"name": "cart", "ports": [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP", "hostPort": 80},
                ], "env": [{"name": "TIER", "value": "gold"}], "securityContext": {}}],
            },
            "status": {
                "phase": "Running",
                "podIP": "10.1.0.4",
                "podIPs": [{"ip": "10.1.0.4"}, {"ip": "fd00::4"}],
                "hostIP": "192.0.2.1",
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        let pod: Pod = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(pod.status.conditions[0].status, Some(ConditionStatus::True));
        assert_eq!(serde_json::to_value(&pod).unwrap(), written);
    }
}
