//! WorkloadGroup: what workloads that register themselves have in common.
//!
//! Source: messages of `networking/v1alpha3/workload_group.proto`; `networking.istio.io/v1`,
//! `v1beta1` and `v1alpha3`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::workload_group::WorkloadGroup;
//!
//! let spec: WorkloadGroup = serde_json::from_str(
//!     r#"{
//!         "metadata": {"labels": {"app": "legacy"}},
//!         "template": {"serviceAccount": "legacy"},
//!         "probe": {"tcpSocket": {"port": 8080}}
//!     }"#,
//! )?;
//!
//! let probe = spec.probe.and_then(|probe| probe.tcp_socket);
//! assert_eq!(probe.map(|socket| socket.port), Some(8080));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::resource::istio::workload_entry::WorkloadEntry;

/// What the workload entries of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    /// Labels and annotations of the entries.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: Option<ObjectMeta>,
    /// The entries; each workload adds its own address. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub template: Option<WorkloadEntry>,
    /// How the agent finds out whether the workload is healthy. Default: it always is.
    #[serde(skip_serializing_if = "is_default")]
    pub probe: Option<ReadinessProbe>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
}

/// How the health of a workload is found out. One of the methods has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessProbe {
    /// Seconds from the start of the workload to the first probe. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_delay_seconds: i32,
    /// Seconds that a probe may take. Default, and 0: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout_seconds: i32,
    /// Seconds between probes. Default, and 0: 10.
    #[serde(skip_serializing_if = "is_default")]
    pub period_seconds: i32,
    /// Probes in a row that have to succeed for the workload to be healthy. Default, and 0: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub success_threshold: i32,
    /// Probes in a row that have to fail for the workload to be unhealthy. Default, and 0: 3.
    #[serde(skip_serializing_if = "is_default")]
    pub failure_threshold: i32,
    /// Method: an HTTP request has to be answered with a status from 200 to 399.
    #[serde(skip_serializing_if = "is_default")]
    pub http_get: Option<HttpHealthCheckConfig>,
    /// Method: a connection has to succeed.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp_socket: Option<TcpHealthCheckConfig>,
    /// Method: a command has to exit with 0.
    #[serde(skip_serializing_if = "is_default")]
    pub exec: Option<ExecHealthCheckConfig>,
    /// Method: gRPC's health service has to answer that it serves.
    #[serde(skip_serializing_if = "is_default")]
    pub grpc: Option<GrpcHealthCheckConfig>,
}

/// A probe by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHealthCheckConfig {
    /// Path to ask for.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// Port to connect to. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Host to connect to. Default: the workload.
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    /// `HTTP` or `HTTPS`. Default: `HTTP`.
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: String,
    /// Headers to send.
    #[serde(skip_serializing_if = "is_default")]
    pub http_headers: Vec<HttpHeader>,
}

/// A probe by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHealthCheckConfig {
    /// Port to connect to.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Service to ask about. Default: the server as a whole.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
}

/// A header to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    /// Name of the header.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// A probe by TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpHealthCheckConfig {
    /// Host to connect to. Default: localhost.
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    /// Port to connect to. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
}

/// A probe by running a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecHealthCheckConfig {
    /// The command and its arguments; no shell takes part. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_group_with_an_http_probe_is_read_whole() {
        let spec: WorkloadGroup = round_trip(&json!({
            "metadata": {"labels": {"app": "reviews"}, "annotations": {"note": "vm"}},
            "template": {"ports": {"grpc": 3550}, "serviceAccount": "reviews", "network": "vm"},
            "probe": {
                "initialDelaySeconds": 5,
                "periodSeconds": 4,
                "httpGet": {
                    "path": "/healthz",
                    "port": 3100,
                    "scheme": "HTTPS",
                    "httpHeaders": [{"name": "x-probe", "value": "1"}],
                },
            },
        }));

        let probe = spec.probe.unwrap();
        assert_eq!(probe.period_seconds, 4);
        assert_eq!(probe.http_get.unwrap().http_headers[0].name, "x-probe");
        assert_eq!(spec.template.unwrap().network, "vm");
    }

    #[test]
    fn every_other_method_of_probing_is_read() {
        for method in [
            json!({"tcpSocket": {"host": "localhost", "port": 80}}),
            json!({"exec": {"command": ["cat", "/tmp/healthy"]}}),
            json!({"grpc": {"port": 9000, "service": "ready"}}),
        ] {
            let probe: ReadinessProbe = round_trip(&method);
            assert_eq!(probe.http_get, None, "{method}");
        }
    }
}
