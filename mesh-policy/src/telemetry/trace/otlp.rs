//! Send spans to a collector by OTLP, the protocol of OpenTelemetry, over gRPC.
//!
//! [`exporter`] makes two ends of a queue. The [`SpanQueue`] is the sink of
//! [`TraceLayer`](super::TraceLayer)s: it never waits, and drops spans when the queue is full. The
//! [`Exporter`] sends them in batches, over whatever channel it is given, and drops what the collector
//! does not take. What was dropped is counted.
//!
//! As Envoy's, spans are of the kind `CLIENT` for what a workload sends and `SERVER` for what it
//! receives, and have `http.method`, `http.url`, `http.status_code`, `http.protocol`, `user_agent`,
//! `guid:x-request-id`, `guid:x-client-trace-id`, `request_size`, `response_size`, `response_flags`,
//! `downstream_cluster`, `peer.address`, `upstream_cluster`, `upstream_cluster.name`,
//! `upstream_address`, `component`, those of [`GrpcCall`](super::GrpcCall) as `grpc.…`, and the tags that were asked for.
//! They last until the body of the response has ended. Envoy's `node_id` is not there: what is not an
//! Envoy is no node of its control plane.
//!
//! A span has the status of an error if its response says `5xx` or, of what a workload sends, `4xx`. A
//! status of gRPC counts for more: of what a workload sends, any but `0` is an error; of what it receives,
//! those for which the server is to blame. Of a request that failed by itself, or was not answered, `error`
//! is `true`.
//!
//! Sources: [OTLP], Envoy's `HttpTracerUtility`.
//!
//! [OTLP]: https://opentelemetry.io/docs/specs/otlp/
//!
//! # Example
//!
//! ```
//! use mesh_policy::telemetry::trace::otlp::{ExportSettings, exporter};
//! use mesh_policy::telemetry::trace::{Direction, Propagation, TraceLayer};
//! use tonic::transport::Endpoint;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let settings = ExportSettings::new("cart.shop", Direction::Server);
//! let (queue, exporter) = exporter(settings);
//! let channel = Endpoint::from_static("http://collector.shop:4317").connect_lazy();
//! let exporting = tokio::spawn(exporter.run(channel));
//!
//! let layer = TraceLayer::new().with_propagation([Propagation::W3c]).with_sink(queue.clone());
//! assert_eq!(queue.dropped(), 0);
//! // It ends with the last sink.
//! drop((layer, queue));
//! exporting.await.unwrap();
//! # }
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mesh_core::format_string::protocol;
use mesh_core::service::ClusterName;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;

use super::plan::Direction;
use super::span::{Span, SpanSink};

/// How spans are exported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExportSettings {
    /// What spans say of the workload: `service.name`.
    pub service: String,
    /// Whose requests they are of.
    pub direction: Direction,
    /// Spans that wait, before further ones are dropped. Default: 2048.
    pub queue: usize,
    /// Spans that are sent together. Default: 512.
    pub batch: usize,
    /// How long a span waits for others. Default: 5 s, as Envoy's.
    pub interval: Duration,
    /// How long the collector may take. Default: 10 s.
    pub timeout: Duration,
}

impl ExportSettings {
    /// Exports spans of `service`, with the defaults.
    pub fn new(service: impl Into<String>, direction: Direction) -> Self {
        Self {
            service: service.into(),
            direction,
            queue: 2048,
            batch: 512,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

/// A queue of spans, and what sends them.
pub fn exporter(settings: ExportSettings) -> (SpanQueue, Exporter) {
    let (sender, spans) = mpsc::channel(settings.queue.max(1));
    let dropped = Arc::<AtomicU64>::default();
    let queue = SpanQueue {
        sender,
        dropped: Arc::clone(&dropped),
    };
    let exporter = Exporter {
        settings,
        spans,
        dropped,
    };
    (queue, exporter)
}

/// The end of a queue that takes spans. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SpanQueue {
    sender: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
}

impl SpanQueue {
    /// How many spans were dropped, since the queue was full or the collector did not take them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl SpanSink for SpanQueue {
    fn record(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end of a queue that sends spans.
#[derive(Debug)]
pub struct Exporter {
    settings: ExportSettings,
    spans: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
}

impl Exporter {
    /// Sends spans over `channel` until all sinks are gone and the queue is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the spans that have not been sent, and all sinks drop theirs from
    /// then on.
    pub async fn run<C>(mut self, channel: C)
    where
        C: GrpcService<Body>,
        C::Error: Into<StdError>,
        C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    {
        let mut client = TraceServiceClient::new(channel);
        while let Some(batch) = self.batch().await {
            let count = batch.len() as u64;
            let exporting = client.export(self.request(batch));
            let exported = timeout(self.settings.timeout, exporting).await;
            if !matches!(exported, Ok(Ok(_))) {
                self.dropped.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// The next spans. `None` at the end.
    async fn batch(&mut self) -> Option<Vec<Span>> {
        let mut batch = vec![self.spans.recv().await?];
        let end = Instant::now() + self.settings.interval;
        while batch.len() < self.settings.batch {
            match timeout_at(end, self.spans.recv()).await {
                Ok(Some(span)) => batch.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    fn request(&self, batch: Vec<Span>) -> ExportTraceServiceRequest {
        let kind = match self.settings.direction {
            Direction::Client => SpanKind::Client,
            Direction::Server => SpanKind::Server,
        };
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans {
            scope: Some(scope),
            spans: batch.into_iter().map(|span| wire(span, kind)).collect(),
            ..ScopeSpans::default()
        };
        let resource = Resource {
            attributes: vec![attribute("service.name", self.settings.service.as_str())],
            ..Resource::default()
        };
        let spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![spans],
        }
    }
}

fn wire(span: Span, kind: SpanKind) -> WireSpan {
    let code = status(&span, kind);
    let start = span.start.duration_since(SystemTime::UNIX_EPOCH);
    let start = start.unwrap_or_default();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let parent = span.context.parent;
    WireSpan {
        trace_id: span.context.trace_id.to_be_bytes().to_vec(),
        span_id: span.context.span_id.to_be_bytes().to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.to_be_bytes().to_vec()),
        kind: kind.into(),
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(start.saturating_add(span.duration)),
        status: Some(Status {
            code: code.into(),
            ..Status::default()
        }),
        attributes: attributes(&span),
        name: span.operation,
        ..WireSpan::default()
    }
}

/// Whether a span is one of an error (`Span::setTag` of Envoy's tracer).
fn status(span: &Span, kind: SpanKind) -> StatusCode {
    let is_client = kind == SpanKind::Client;
    let is_error = match (&span.grpc.status, span.grpc.code()) {
        (Some(_), Some(code)) if is_client => code != 0,
        (Some(_), Some(code)) => matches!(code, 2 | 4 | 12 | 13 | 14 | 15),
        // What is no number says nothing.
        (Some(_), None) => false,
        (None, _) => span.code >= 500 || (is_client && span.code >= 400),
    };
    if is_error {
        StatusCode::Error
    } else {
        StatusCode::Unset
    }
}

/// Whether nobody is to blame but who should have answered.
fn is_failure(span: &Span) -> bool {
    let is_failure = matches!(span.grpc.code(), Some(2 | 4 | 8 | 12 | 13 | 14 | 15));
    is_failure || span.code == 0 || span.code >= 500
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let mut attributes = vec![
        attribute("component", "proxy"),
        attribute("http.method", span.method.as_str()),
        attribute("http.url", span.url.as_str()),
        attribute("http.protocol", protocol(span.version)),
        attribute("http.status_code", span.code.to_string()),
        attribute("guid:x-request-id", span.request_id.as_str()),
        attribute("request_size", span.request_bytes.to_string()),
        attribute("response_size", span.response_bytes.to_string()),
        attribute("response_flags", span.flags.to_string()),
        attribute(
            "downstream_cluster",
            span.downstream_cluster.as_deref().unwrap_or("-"),
        ),
        attribute("user_agent", span.user_agent.as_deref().unwrap_or("-")),
    ];
    if is_failure(span) {
        attributes.push(attribute("error", "true"));
    }
    let cluster = span.cluster.as_ref().map(ClusterName::as_str);
    let peer = span.peer.map(|peer| peer.ip().to_string());
    let upstream = span.upstream.map(|upstream| upstream.to_string());
    let grpc = &span.grpc;
    let texts = [
        ("guid:x-client-trace-id", span.client_trace_id.as_deref()),
        ("upstream_cluster", cluster),
        ("upstream_cluster.name", cluster),
        ("peer.address", peer.as_deref()),
        ("upstream_address", upstream.as_deref()),
        ("grpc.path", grpc.path.as_deref()),
        ("grpc.authority", grpc.authority.as_deref()),
        ("grpc.content_type", grpc.content_type.as_deref()),
        ("grpc.timeout", grpc.timeout.as_deref()),
        ("grpc.status_code", grpc.status.as_deref()),
        ("grpc.message", grpc.message.as_deref()),
    ];
    let texts = texts.into_iter();
    attributes.extend(texts.filter_map(|(name, text)| Some(attribute(name, text?))));
    let tags = span.tags.iter();
    attributes.extend(tags.map(|(name, value)| attribute(name, &**value)));
    attributes
}

fn attribute(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests;
