//! Where spans go, and what upstreams are told of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tonic::service::Routes;
use tonic::{Request, Response, Status, async_trait};

use crate::policies::eventually;
use crate::policies_asked::{documents, entry, serve_grpc};
use crate::scene::Scene;

const CART: &str = "
  - route: [{ destination: { host: cart.example } }]
";

const TELEMETRY: &str = "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: all, namespace: istio-system }
spec:
  tracing:
  - providers: [{ name: collector }]
    randomSamplingPercentage: 100
    customTags: { user: { header: { name: x-user, defaultValue: nobody } } }
";

/// Keeps the spans that it gets.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Serves it.
    pub(crate) fn start(&self) -> SocketAddr {
        serve_grpc(Routes::new(TraceServiceServer::new(self.clone())))
    }

    /// The first spans that it gets.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let spans = || self.0.lock().unwrap().clone();
        eventually(spans, |spans: &Vec<Span>| !spans.is_empty())
    }
}

#[async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Mesh-wide settings with the provider `collector`.
pub(crate) fn mesh() -> String {
    let mesh = json!({"extensionProviders": [
        {"name": "collector", "opentelemetry": {"service": "otel.example", "port": 9000}},
    ]});
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data: {{ mesh: '{mesh}' }}
"
    )
}

#[test]
fn spans_are_sent_to_the_collector_that_the_mesh_names() {
    let collector = Collector::default();
    let address = collector.start();
    let mut scene = Scene::new(CART);
    let others = documents(&[TELEMETRY, &mesh(), &entry("otel.example", address, "GRPC")]);
    assert_eq!(scene.publish(CART, &others), [""; 0]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = format!("traceparent: {parent}\r\nx-user: jason\r\nx-echo: traceparent\r\n");
    let answer = scene.get("/basket?q", &fields);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("x-seen: 00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{answer}"
    );
    assert!(
        !answer.contains("-00f067aa0ba902b7-"),
        "the span is another: {answer}"
    );

    // What waits is sent when its generation ends.
    assert_eq!(
        scene.publish(CART, &entry("otel.example", address, "GRPC")),
        [""; 0]
    );
    let spans = collector.spans();
    let [span] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(span.name, "cart.example:80/*");
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    let tagged = |key: &str, value: &str| {
        let mut attributes = span.attributes.iter();
        attributes.any(|own| own.key == key && format!("{:?}", own.value).contains(value))
    };
    for (key, value) in [
        ("user", "jason"),
        ("http.url", "http://shop.example/basket?q"),
        ("http.status_code", "200"),
        ("upstream_cluster.name", "outbound|80||cart.example"),
        ("upstream_address", "127.0.0."),
        ("peer.address", "127.0.0."),
        ("istio.cluster_id", "Kubernetes"),
        ("istio.mesh_id", "cluster.local"),
    ] {
        assert!(tagged(key, value), "{key}: {:?}", span.attributes);
    }
}

#[test]
fn a_collector_that_is_not_there_is_told_and_contexts_are_passed_on() {
    let mut scene = Scene::new(CART);
    let warnings = scene.publish(CART, &documents(&[TELEMETRY, &mesh()]));
    let told = "no port of a service is `otel.example:9000`";
    assert!(
        warnings.iter().any(|warning| warning.contains(told)),
        "{warnings:?}"
    );
    let answer = scene.get("/", "x-echo: traceparent\r\n");
    assert!(answer.contains("x-seen: 00-"), "{answer}");
}
