//! Services that extend the mesh. Source: message `MeshConfig.ExtensionProvider`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    DatadogTracingProvider, EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider, EnvoyFileAccessLogProvider, EnvoyHttpGrpcV3LogProvider,
    EnvoyOpenTelemetryLogProvider, EnvoyTcpGrpcV3LogProvider, LightstepTracingProvider,
    OpenCensusAgentTracingProvider, OpenTelemetryTracingProvider, SkyWalkingTracingProvider,
    ZipkinTracingProvider,
};
use crate::resource::istio::is_default;

/// A service that extends the mesh. One member beside the name has to be set.
///
/// The services are named `[namespace/]host`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    /// Name, by which policies refer to it. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// An authorizer that is asked by HTTP.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_ext_authz_http: Option<EnvoyExternalAuthorizationHttpProvider>,
    /// An authorizer that is asked by gRPC.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_ext_authz_grpc: Option<EnvoyExternalAuthorizationGrpcProvider>,
    /// A tracer with Zipkin's protocol.
    #[serde(skip_serializing_if = "is_default")]
    pub zipkin: Option<ZipkinTracingProvider>,
    /// Lightstep. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub lightstep: Option<LightstepTracingProvider>,
    /// Datadog.
    #[serde(skip_serializing_if = "is_default")]
    pub datadog: Option<DatadogTracingProvider>,
    /// Stackdriver. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub stackdriver: Option<StackdriverProvider>,
    /// OpenCensus. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub opencensus: Option<OpenCensusAgentTracingProvider>,
    /// SkyWalking.
    #[serde(skip_serializing_if = "is_default")]
    pub skywalking: Option<SkyWalkingTracingProvider>,
    /// A tracer with OpenTelemetry's protocol.
    #[serde(skip_serializing_if = "is_default")]
    pub opentelemetry: Option<OpenTelemetryTracingProvider>,
    /// Metrics for Prometheus.
    #[serde(skip_serializing_if = "is_default")]
    pub prometheus: Option<PrometheusMetricsProvider>,
    /// A file that requests are logged to.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_file_access_log: Option<EnvoyFileAccessLogProvider>,
    /// Envoy's access log service, for HTTP.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_http_als: Option<EnvoyHttpGrpcV3LogProvider>,
    /// Envoy's access log service, for TCP.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_tcp_als: Option<EnvoyTcpGrpcV3LogProvider>,
    /// A log with OpenTelemetry's protocol.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_otel_als: Option<EnvoyOpenTelemetryLogProvider>,
    /// A source of secrets.
    #[serde(skip_serializing_if = "is_default")]
    pub sds: Option<SdsProvider>,
}

/// Metrics for Prometheus, which have no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusMetricsProvider {}

/// Google Cloud's operations suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StackdriverProvider {
    /// Prints spans as well. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub debug: bool,
    /// Most attributes of a span. Default: 200. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_attributes: Option<i64>,
    /// Most annotations of a span. Default: 200. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_annotations: Option<i64>,
    /// Most message events of a span. Default: 200. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_message_events: Option<i64>,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
    /// The log.
    #[serde(skip_serializing_if = "is_default")]
    pub logging: Option<StackdriverLogging>,
}

/// Stackdriver's log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StackdriverLogging {
    /// CEL expressions for the labels of an entry, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

/// A source of secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SdsProvider {
    /// Name, which a gateway's credential refers to as `sds://name`. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
}

/// Extension providers of telemetry that does not name one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    /// Names of tracers.
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Vec<String>,
    /// Names of metrics.
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Vec<String>,
    /// Names of access logs.
    #[serde(skip_serializing_if = "is_default")]
    pub access_logging: Vec<String>,
}
