//! Tracing by each proxy. Source: message `Tracing` of `mesh/v1alpha1/proxy.proto`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::destination_rule::ClientTlsSettings;
use crate::resource::istio::is_default;

/// How requests are traced. At most one tracer may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// Tracer: Zipkin.
    #[serde(skip_serializing_if = "is_default")]
    pub zipkin: Option<Zipkin>,
    /// Tracer: Lightstep. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub lightstep: Option<Lightstep>,
    /// Tracer: Datadog.
    #[serde(skip_serializing_if = "is_default")]
    pub datadog: Option<Datadog>,
    /// Tracer: Stackdriver. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub stackdriver: Option<Stackdriver>,
    /// Tracer: OpenCensus. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub open_census_agent: Option<OpenCensusAgent>,
    /// Tags of each span, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Most bytes of the path in a span. Default, and 0: 256.
    #[serde(skip_serializing_if = "is_default")]
    pub max_path_tag_length: u32,
    /// Share of requests to trace, as a percentage, unless the request says. Default, and 0: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub sampling: f64,
    /// TLS towards the tracer. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    /// Whether spans have Istio's own tags. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_istio_tags: Option<bool>,
}

/// Zipkin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Zipkin {
    /// Address, with its port.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
}

/// Lightstep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lightstep {
    /// Address, with its port.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// Token for access.
    #[serde(skip_serializing_if = "is_default")]
    pub access_token: String,
}

/// Datadog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Datadog {
    /// Address, with its port.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
}

/// Stackdriver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stackdriver {
    /// Prints spans as well.
    #[serde(skip_serializing_if = "is_default")]
    pub debug: bool,
    /// Most attributes of a span. Default: 200.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_attributes: Option<i64>,
    /// Most annotations of a span. Default: 200.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_annotations: Option<i64>,
    /// Most message events of a span. Default: 200.
    #[serde(skip_serializing_if = "is_default")]
    pub max_number_of_message_events: Option<i64>,
}

/// OpenCensus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenCensusAgent {
    /// Address of the agent, by gRPC's naming.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// Headers that carry the trace context. Default: W3C's.
    #[serde(skip_serializing_if = "is_default")]
    pub context: Vec<TraceContext>,
}

/// Header that carries the trace context.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TraceContext {
    /// Not said, which is an error.
    #[default]
    Unspecified,
    /// `traceparent`.
    W3cTraceContext,
    /// `grpc-trace-bin`.
    GrpcBin,
    /// `x-cloud-trace-context`.
    CloudTraceContext,
    /// `x-b3-traceid` and its like.
    B3,
}

/// The value of a tag. One member has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomTag {
    /// The same for every span.
    #[serde(skip_serializing_if = "is_default")]
    pub literal: Option<Literal>,
    /// An environment variable of the proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: Option<Environment>,
    /// A header of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub header: Option<RequestHeader>,
}

/// A tag that is the same for every span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Literal {
    /// Value of the tag.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// A tag from the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// Name of the environment variable.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Value of the tag if there is no such variable. Default: no tag.
    #[serde(skip_serializing_if = "is_default")]
    pub default_value: String,
}

/// A tag from the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestHeader {
    /// Name of the header.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Value of the tag if there is no such header. Default: no tag.
    #[serde(skip_serializing_if = "is_default")]
    pub default_value: String,
}
