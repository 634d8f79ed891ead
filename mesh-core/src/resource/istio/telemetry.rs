//! Telemetry: what is traced, counted and logged.
//!
//! Source: messages of `telemetry/v1alpha1/telemetry.proto`; `telemetry.istio.io/v1` and
//! `v1alpha1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::telemetry::Telemetry;
//!
//! let spec: Telemetry = serde_json::from_str(
//!     r#"{
//!         "tracing": [{"randomSamplingPercentage": 10}],
//!         "accessLogging": [{"providers": [{"name": "envoy"}]}]
//!     }"#,
//! )?;
//!
//! assert_eq!(spec.tracing[0].random_sampling_percentage, Some(10.0));
//! assert_eq!(spec.access_logging[0].providers[0].name, "envoy");
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};

/// What is traced, counted and logged of some workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_ref` and `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Resource that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    /// Resources that the policy is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// What is traced.
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Vec<Tracing>,
    /// What is counted.
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Vec<Metrics>,
    /// What is logged.
    #[serde(skip_serializing_if = "is_default")]
    pub access_logging: Vec<AccessLogging>,
}

/// What is traced. What is not set is inherited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// Direction of traffic that this is about. Default: both.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Option<TracingSelector>,
    /// Where spans are sent; the first provider counts. Default: that of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    /// Share of requests to trace, as a percentage, unless the request says. Default: that of the
    /// proxy, which is 1.
    #[serde(skip_serializing_if = "is_default")]
    pub random_sampling_percentage: Option<f64>,
    /// Sends no spans. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_span_reporting: Option<bool>,
    /// Tags of each span by name, in place of those that are inherited.
    #[serde(skip_serializing_if = "is_default")]
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Whether the request's identifier decides about sampling. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub use_request_id_for_trace_sampling: Option<bool>,
    /// Whether spans have Istio's own tags. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_istio_tags: Option<bool>,
    /// Leaves the trace context of requests alone. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_context_propagation: Option<bool>,
}

/// Direction of traffic to trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSelector {
    /// The direction.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
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
    /// Envoy's `%…%` operators.
    #[serde(skip_serializing_if = "is_default")]
    pub formatter: Option<Formatter>,
}

/// A tag that is the same for every span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Literal {
    /// Value of the tag. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// A tag from the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// Name of the environment variable. Required.
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
    /// Name of the header. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Value of the tag if there is no such header. Default: no tag.
    #[serde(skip_serializing_if = "is_default")]
    pub default_value: String,
}

/// A tag that Envoy's operators make up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Formatter {
    /// Text with `%…%` operators. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// Names a provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderRef {
    /// Name of an extension provider of the mesh. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Where metrics are kept. Default: those of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    /// Changes of metrics, in order.
    #[serde(skip_serializing_if = "is_default")]
    pub overrides: Vec<MetricsOverrides>,
    /// How often TCP connections are reported while they last. Default: 5 s.
    #[serde(skip_serializing_if = "is_default")]
    pub reporting_interval: Option<Duration>,
}

/// Direction of traffic.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkloadMode {
    /// Both directions.
    #[default]
    ClientAndServer,
    /// Traffic that the workload sends.
    Client,
    /// Traffic that the workload receives.
    Server,
}

/// Metrics to change. At most one of `metric` and `custom_metric` may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricSelector {
    /// One of Istio's own. Default: all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub metric: Option<IstioMetric>,
    /// One by its name.
    #[serde(skip_serializing_if = "is_default")]
    pub custom_metric: Option<String>,
    /// Direction of traffic.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
}

/// A metric of Istio's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IstioMetric {
    /// All of them.
    #[default]
    AllMetrics,
    /// `istio_requests_total`.
    RequestCount,
    /// `istio_request_duration_milliseconds`.
    RequestDuration,
    /// `istio_request_bytes`.
    RequestSize,
    /// `istio_response_bytes`.
    ResponseSize,
    /// `istio_tcp_connections_opened_total`.
    TcpOpenedConnections,
    /// `istio_tcp_connections_closed_total`.
    TcpClosedConnections,
    /// `istio_tcp_sent_bytes_total`.
    TcpSentBytes,
    /// `istio_tcp_received_bytes_total`.
    TcpReceivedBytes,
    /// `istio_request_messages_total`.
    GrpcRequestMessages,
    /// `istio_response_messages_total`.
    GrpcResponseMessages,
}

/// A change of metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsOverrides {
    /// Metrics to change. Default: all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Option<MetricSelector>,
    /// Whether they are left out. Default: as inherited.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    /// Changes of tags, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// A change of a tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagOverride {
    /// What is done. Absent: the same as [`TagOperation::Upsert`], but `value` may be missing.
    #[serde(skip_serializing_if = "is_default")]
    pub operation: Option<TagOperation>,
    /// CEL expression for the value of the tag.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<String>,
}

/// What is done with a tag.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TagOperation {
    /// It is added or changed.
    #[default]
    Upsert,
    /// It is removed.
    Remove,
}

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLogging {
    /// Direction of traffic that this is about. Default: both.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Option<LogSelector>,
    /// Where logs are sent. Default: those of the mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    /// Whether nothing is logged. Default: as inherited.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    /// Which requests are logged. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<Filter>,
}

/// Direction of traffic to log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogSelector {
    /// The direction.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
}

/// Which requests are logged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// CEL expression that has to be true.
    #[serde(skip_serializing_if = "is_default")]
    pub expression: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn tracing_with_every_kind_of_tag_is_read_whole() {
        let spec: Telemetry = round_trip(&json!({
            "tracing": [{
                "match": {"mode": "SERVER"},
                "providers": [{"name": "zipkin"}],
                "randomSamplingPercentage": 0.5,
                "disableSpanReporting": false,
                "customTags": {
                    "fixed": {"literal": {"value": "foo"}},
                    "node": {"environment": {"name": "NODE", "defaultValue": "none"}},
                    "user": {"header": {"name": "end-user"}},
                    "path": {"formatter": {"value": "%REQ(:path)%"}},
                },
            }],
        }));

        let tracing = &spec.tracing[0];
        assert_eq!(tracing.disable_span_reporting, Some(false));
        assert_eq!(tracing.enable_istio_tags, None);
        let tag = tracing.custom_tags["node"].environment.as_ref().unwrap();
        assert_eq!(tag.default_value, "none");
    }

    #[test]
    fn metrics_and_their_overrides_are_read_whole() {
        let spec: Telemetry = round_trip(&json!({
            "metrics": [{
                "providers": [{"name": "prometheus"}],
                "reportingInterval": "10s",
                "overrides": [
                    {"match": {"metric": "REQUEST_COUNT", "mode": "CLIENT"}, "disabled": true},
                    {
                        "match": {"customMetric": "x"},
                        "tagOverrides": {"a": {"operation": "REMOVE"}},
                    },
                ],
            }],
        }));

        let overrides = &spec.metrics[0].overrides;
        let selector = overrides[0].r#match.as_ref().unwrap();
        assert_eq!(selector.metric, Some(IstioMetric::RequestCount));
        assert_eq!(
            overrides[1].tag_overrides["a"].operation,
            Some(TagOperation::Remove)
        );
    }

    #[test]
    fn access_logs_are_read_whole() {
        let spec: Telemetry = round_trip(&json!({
            "selector": {"matchLabels": {"app": "cart"}},
            "accessLogging": [{
                "match": {"mode": "CLIENT"},
                "disabled": false,
                "filter": {"expression": "response.code >= 400"},
            }],
        }));

        let logging = &spec.access_logging[0];
        assert_eq!(logging.r#match.as_ref().unwrap().mode, WorkloadMode::Client);
        assert_eq!(
            logging.filter.as_ref().unwrap().expression,
            "response.code >= 400"
        );
    }
}
