//! Sidecar: what a workload listens at, and what it sees of the mesh.
//!
//! Source: messages of `networking/v1alpha3/sidecar.proto`; `networking.istio.io/v1`, `v1beta1`
//! and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::sidecar::Sidecar;
//!
//! let spec: Sidecar = serde_json::from_str(
//!     r#"{"egress": [{"hosts": ["./*", "istio-system/*"]}]}"#,
//! )?;
//!
//! assert_eq!(spec.egress[0].hosts, ["./*", "istio-system/*"]);
//! assert_eq!(spec.outbound_traffic_policy, None);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::istio::destination_rule::ConnectionPoolSettings;
use crate::resource::istio::gateway::ServerTlsSettings;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::NetworkingWorkloadSelector;
use crate::resource::istio::virtual_service::Destination;

/// What a workload listens at, and what it sees of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Workloads of this namespace that the resource is about. Default: all of them, or the whole
    /// mesh from the root namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub workload_selector: Option<NetworkingWorkloadSelector>,
    /// Ports at which traffic for the workload is taken in. Default: those of its services.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress: Vec<IstioIngressListener>,
    /// Services that the workload sees. Default: all that are exported to its namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub egress: Vec<IstioEgressListener>,
    /// Limits on connections to the workload. Default: those of its services' destination rules.
    #[serde(skip_serializing_if = "is_default")]
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What becomes of traffic to unknown destinations. Default: that of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// A port at which traffic for the workload is taken in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioIngressListener {
    /// The port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<SidecarPort>,
    /// Address to listen at. Default: that of the workload.
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    /// How traffic gets to the listener.
    #[serde(skip_serializing_if = "is_default")]
    pub capture_mode: CaptureMode,
    /// Where the workload listens: `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT`, `[::]:PORT` or
    /// `unix:///path`. Default: the address that the client connected to.
    #[serde(skip_serializing_if = "is_default")]
    pub default_endpoint: String,
    /// TLS that ends at the listener, in place of the mesh's.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ServerTlsSettings>,
    /// Limits on connections to the workload at this port.
    #[serde(skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// Services that the workload sees, at a port or at all that have none of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioEgressListener {
    /// The port. Default: every port of the services.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<SidecarPort>,
    /// Address or Unix domain socket to listen at. Default: that of the service, or 127.0.0.1
    /// without capture.
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    /// How traffic gets to the listener.
    #[serde(skip_serializing_if = "is_default")]
    pub capture_mode: CaptureMode,
    /// Services, as `namespace/host`: a namespace, `.` for the workload's own, `*` for all, `~` for
    /// none; `~` before a namespace excludes. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
}

/// What becomes of traffic to unknown destinations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Whether it is let through.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: OutboundTrafficPolicyMode,
    /// Service that it is sent to instead. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub egress_proxy: Option<Destination>,
}

/// Whether traffic to unknown destinations is let through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundTrafficPolicyMode {
    /// It is not. This is what an empty policy means.
    #[default]
    RegistryOnly,
    /// It is.
    AllowAny,
}

/// How traffic gets to a listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureMode {
    /// As the proxy's environment says.
    #[default]
    Default,
    /// It is redirected.
    Iptables,
    /// It is addressed to the listener.
    None,
}

/// A port of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarPort {
    /// Number of the port; 0 for a Unix domain socket.
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    /// What the port carries: `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP` or `TLS`.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    /// Name of the port.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Has no meaning here. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub target_port: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn listeners_in_both_directions_are_read_whole() {
        let spec: Sidecar = round_trip(&json!({
            "workloadSelector": {"labels": {"app": "ratings"}},
            "ingress": [{
                "port": {"number": 9080, "protocol": "HTTP", "name": "web"},
                "defaultEndpoint": "unix:///var/run/ratings.sock",
                "captureMode": "NONE",
                "tls": {
                    "mode": "SIMPLE",
                    "serverCertificate": "/etc/c.pem",
                    "privateKey": "/etc/k.pem",
                },
            }],
            "egress": [
                {
                    "port": {"number": 3306, "protocol": "MYSQL", "name": "db"},
                    "bind": "127.0.0.1",
                    "hosts": ["db/*"],
                },
                {"hosts": ["~prod/*.internal", "*/*"]},
            ],
            "inboundConnectionPool": {"http": {"http1MaxPendingRequests": 10}},
            "outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "egress"}},
        }));

        assert_eq!(spec.ingress[0].capture_mode, CaptureMode::None);
        assert_eq!(spec.egress[0].port.as_ref().unwrap().number, 3306);
        assert_eq!(spec.egress[1].port, None);
        let policy = spec.outbound_traffic_policy.unwrap();
        assert_eq!(policy.mode, OutboundTrafficPolicyMode::AllowAny);
    }

    #[test]
    fn an_empty_outbound_policy_admits_registered_services_only() {
        let spec: Sidecar = round_trip(&json!({"outboundTrafficPolicy": {}}));
        let policy = spec.outbound_traffic_policy.unwrap();
        assert_eq!(policy.mode, OutboundTrafficPolicyMode::RegistryOnly);
    }
}
