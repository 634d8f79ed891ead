//! Service: a name, its addresses and ports, and the pods behind it.
//!
//! `Service` of `core/v1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::int_or_string::IntOrString;
//! use mesh_core::resource::kubernetes::service::{Service, ServiceType};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let service: Service = serde_json::from_str(
//!     r#"{"spec": {
//!         "clusterIP": "10.0.0.7",
//!         "selector": {"app": "cart"},
//!         "ports": [{"name": "grpc", "port": 80, "targetPort": 9000}]
//!     }}"#,
//! )?;
//! assert_eq!(service.spec.r#type.unwrap_or_default(), ServiceType::ClusterIp);
//! assert_eq!(service.spec.ports[0].target_port, Some(IntOrString::Int(9000)));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::kubernetes::int_or_string::IntOrString;

/// A Service without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// What is asked for.
    pub spec: ServiceSpec,
    /// What the cluster has assigned.
    pub status: ServiceStatus,
}

/// What a Service asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// From where the Service can be reached. Default: from within the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<ServiceType>,
    /// Virtual address; `None` is a headless Service. Default: the cluster assigns one.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Virtual addresses of both families; the first is `cluster_ip`.
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<String>,
    /// Families of the virtual addresses, in order. Default: that of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<IpFamily>,
    /// Addresses outside the cluster from which somebody else routes to the Service.
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    /// Name that a Service of the type `ExternalName` stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_name: Option<String>,
    /// Address asked of the load balancer. Default: the load balancer's choice.
    #[serde(rename = "loadBalancerIP", skip_serializing_if = "Option::is_none")]
    pub load_balancer_ip: Option<String>,
    /// The ports. Required unless the Service is headless or an external name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind the Service. Default: somebody else writes its endpoints.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// Whether pods that are not ready are among the endpoints. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_not_ready_addresses: Option<bool>,
    /// Whether a client stays on one pod. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// Which endpoints take traffic from outside the cluster. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Which endpoints take traffic from within the cluster. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Which endpoints a client prefers: `PreferClose`, `PreferSameZone` or `PreferSameNode`.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<String>,
}

/// From where a Service can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// Nowhere: it is an alias of a name outside the cluster.
    ExternalName,
    /// Through a load balancer, and as `NodePort`.
    LoadBalancer,
    /// At a port of every node, and as `ClusterIP`.
    NodePort,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpFamily {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name of the port. Required if there are several. Without `app_protocol`, its part before
    /// the first `-` tells Istio the application protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Transport protocol: `TCP`, `UDP` or `SCTP`. Default: `TCP`. A cluster admits no other;
    /// Istio reads another, from a file, as `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Application protocol, such as `http`, `grpc` or `kubernetes.io/h2c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// Port of the Service. Required.
    pub port: u16,
    /// Port of the pods, by number or by name. Default: `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<IntOrString>,
    /// Port of the nodes. Default: assigned where the type has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

/// Whether a client stays on one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionAffinity {
    /// It does, told by its address.
    #[serde(rename = "ClientIP")]
    ClientIp,
    /// It does not.
    #[default]
    None,
}

/// Which endpoints take traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// All endpoints.
    #[default]
    Cluster,
    /// Those on the node where the traffic arrives or begins.
    Local,
}

/// What the cluster has assigned to a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// The load balancer of a Service of that type.
    pub load_balancer: LoadBalancerStatus,
    /// What holds of the Service, as controllers wrote it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ServiceCondition>,
}

/// Something that holds of a Service, or does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceCondition {
    /// What it is, such as `istio.io/WaypointBound`. Required.
    pub r#type: String,
    /// Whether it holds: `True`, `False` or `Unknown`. Required.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerStatus {
    /// Where it accepts traffic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// Where a load balancer accepts traffic: an address or a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_keeps_all_that_is_read() {
        let written = json!({
            "spec": {
                "type": "LoadBalancer",
                "clusterIP": "10.0.0.7",
                "clusterIPs": ["10.0.0.7", "fd00::7"],
                "ipFamilies": ["IPv4", "IPv6"],
                "externalIPs": ["192.0.2.1"],
                "externalName": "cart.example",
                "loadBalancerIP": "198.51.100.1",
                "ports": [{
                    "name": "web", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c",
                    "port": 80, "targetPort": "http", "nodePort": 30080,
                }],
                "selector": {"app": "cart"},
                "publishNotReadyAddresses": true,
                "sessionAffinity": "ClientIP",
                "externalTrafficPolicy": "Local",
                "internalTrafficPolicy": "Cluster",
                "trafficDistribution": "PreferClose",
            },
            "status": {"loadBalancer": {
                "ingress": [{"ip": "198.51.100.1"}, {"hostname": "lb.example"}],
            }},
        });
        let service: Service = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(service.spec.r#type, Some(ServiceType::LoadBalancer));
        assert_eq!(serde_json::to_value(&service).unwrap(), written);
    }

    #[test]
    fn a_headless_service_says_none_in_words() {
        let service: Service =
            serde_json::from_value(json!({"spec": {"clusterIP": "None"}})).unwrap();
        assert_eq!(service.spec.cluster_ip.as_deref(), Some("None"));
    }

    #[test]
    fn a_transport_protocol_that_no_cluster_admits_is_kept() {
        let written = json!({"spec": {"ports": [{"port": 80, "protocol": "HTTP"}]}});
        let service: Service = serde_json::from_value(written).unwrap();
        assert_eq!(service.spec.ports[0].protocol.as_deref(), Some("HTTP"));
    }

    #[test]
    fn fields_that_are_not_read_are_accepted() {
        let service: Service = serde_json::from_value(json!({
            "spec": {"allocateLoadBalancerNodePorts": false, "ipFamilyPolicy": "SingleStack"},
            "status": {"conditions": [], "loadBalancer": {"ingress": [{"ipMode": "VIP"}]}},
        }))
        .unwrap();
        assert_eq!(service.spec, ServiceSpec::default());
    }
}
