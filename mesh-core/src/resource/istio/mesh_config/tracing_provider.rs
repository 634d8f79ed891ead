//! Tracers. Source: messages within `MeshConfig.ExtensionProvider`.

use serde::{Deserialize, Serialize};

use super::TraceContext;
use crate::duration::Duration;
use crate::resource::istio::is_default;

/// A tracer with Zipkin's protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZipkinTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
    /// Trace identifiers have 64 bits. Default: false, they have 128.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_64bit_trace_id: bool,
    /// Path that spans are sent to. Default: `/api/v2/spans`.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// Headers that carry the trace context.
    #[serde(skip_serializing_if = "is_default")]
    pub trace_context_option: ZipkinTraceContextOption,
    /// How long sending may take. Default: 5 s.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Further headers to send.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Vec<HttpHeader>,
}

/// Headers that carry the trace context.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ZipkinTraceContextOption {
    /// Those of B3.
    #[default]
    UseB3,
    /// Those of B3, and of W3C where there are none.
    UseB3WithW3cPropagation,
}

/// Lightstep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LightstepTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Token for access.
    #[serde(skip_serializing_if = "is_default")]
    pub access_token: String,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
}

/// Datadog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatadogTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
}

/// SkyWalking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SkyWalkingTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Token for access.
    #[serde(skip_serializing_if = "is_default")]
    pub access_token: String,
}

/// OpenCensus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenCensusAgentTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Headers that carry the trace context. Default: W3C's.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Vec<TraceContext>,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
}

/// A tracer with OpenTelemetry's protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryTracingProvider {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
    /// Sends spans by HTTP. Default: by gRPC.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Option<HttpService>,
    /// Settings of gRPC. Exclusive with `http`.
    #[serde(skip_serializing_if = "is_default")]
    pub grpc: Option<GrpcService>,
    /// What spans say about the proxy's surroundings. Default: nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub resource_detectors: Option<ResourceDetectors>,
    /// How spans name the service.
    #[serde(skip_serializing_if = "is_default")]
    pub service_attribute_enrichment: ServiceAttributeEnrichment,
    /// Dynatrace decides what is traced. Default: the sampling of the proxy does.
    #[serde(skip_serializing_if = "is_default")]
    pub dynatrace_sampler: Option<DynatraceSampler>,
}

/// How spans name the service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceAttributeEnrichment {
    /// As the proxy's `tracingServiceName` says.
    #[default]
    IstioCanonical,
    /// As OpenTelemetry's conventions for Kubernetes say.
    OtelSemanticConventions,
}

/// Dynatrace's sampler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceSampler {
    /// Identifier of the tenant. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub tenant: String,
    /// Identifier of the cluster at Dynatrace. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_id: i32,
    /// Spans a minute as long as Dynatrace has not said. Default, and 0: 1000.
    #[serde(skip_serializing_if = "is_default")]
    pub root_spans_per_minute: u32,
    /// Where Dynatrace is asked. Default: where spans are sent.
    #[serde(skip_serializing_if = "is_default")]
    pub http_service: Option<DynatraceApi>,
}

/// Dynatrace's API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceApi {
    /// The service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    /// Port of the service. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    /// The path and headers. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Option<HttpService>,
}

/// How something is sent by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpService {
    /// Path to send to. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// How long sending may take. Default: 3 s.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Further headers to send.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Vec<HttpHeader>,
}

/// How something is sent by gRPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcService {
    /// How long sending may take.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Further metadata to send.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_metadata: Vec<HttpHeader>,
}

/// A header. One of `value` and `env_name` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    /// Name of the header. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<String>,
    /// Environment variable of the proxy that holds its value.
    #[serde(skip_serializing_if = "is_default")]
    pub env_name: Option<String>,
}

/// What spans say about the proxy's surroundings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceDetectors {
    /// What the variable `OTEL_RESOURCE_ATTRIBUTES` says.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: Option<EnvironmentResourceDetector>,
    /// What Dynatrace's files say.
    #[serde(skip_serializing_if = "is_default")]
    pub dynatrace: Option<DynatraceResourceDetector>,
}

/// Takes attributes from the environment; has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentResourceDetector {}

/// Takes attributes from Dynatrace's files; has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DynatraceResourceDetector {}
