use std::sync::Mutex;

use http::{Method, Version};
use mesh_core::attributes::{ResponseFlag, ResponseFlags};
use mesh_core::service::ClusterName;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, async_trait};

use super::*;
use crate::telemetry::trace::{GrpcCall, TraceContext};

/// A collector that keeps what it takes, or takes nothing.
#[derive(Clone, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    is_full: bool,
}

#[async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, tonic::Status> {
        if self.is_full {
            return Err(tonic::Status::resource_exhausted("full"));
        }
        self.taken.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(&self) -> Channel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// How many spans are in each batch.
    fn batches(&self) -> Vec<usize> {
        let taken = self.taken.lock().unwrap();
        let sizes = taken
            .iter()
            .map(|request| request.resource_spans[0].scope_spans[0].spans.len());
        sizes.collect()
    }
}

fn span(code: u16) -> Span {
    Span {
        context: TraceContext {
            trace_id: 0x4bf9,
            span_id: 0xf0,
            parent: Some(0xb7),
            sampled: Some(true),
        },
        operation: "cart.shop:80/*".into(),
        method: Method::GET,
        url: "http://cart.shop/7".into(),
        path: "/7".into(),
        version: Version::HTTP_2,
        user_agent: Some("curl".into()),
        request_id: "id".into(),
        client_trace_id: Some("7".into()),
        peer: Some("192.0.2.7:5000".parse().unwrap()),
        downstream_cluster: None,
        code,
        flags: ResponseFlags::default().with(ResponseFlag::UpstreamRequestTimeout),
        request_bytes: 3,
        response_bytes: 5,
        cluster: Some(ClusterName::from("cart")),
        upstream: Some("10.0.0.7:80".parse().unwrap()),
        grpc: GrpcCall::default(),
        tags: vec![("zone".into(), "eu".into())],
        start: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
        duration: Duration::from_millis(3),
    }
}

fn settings() -> ExportSettings {
    ExportSettings {
        batch: 2,
        interval: Duration::from_millis(5),
        ..ExportSettings::new("cart.shop", Direction::Client)
    }
}

#[tokio::test]
async fn spans_are_sent_in_batches_and_whole() {
    let collector = Collector::default();
    let (queue, exporter) = exporter(settings());
    for code in [200, 504, 0] {
        queue.record(span(code));
    }
    drop(queue);
    exporter.run(collector.start().await).await;
    assert_eq!(collector.batches(), [2, 1]);
    let taken = collector.taken.lock().unwrap();
    let resource = &taken[0].resource_spans[0];
    let service = &resource.resource.as_ref().unwrap().attributes[0];
    assert_eq!(service, &attribute("service.name", "cart.shop"));
    let [first, second] = resource.scope_spans[0].spans.as_slice() else {
        panic!("{resource:?}");
    };
    assert_eq!(first.trace_id[14..], [0x4b, 0xf9]);
    assert_eq!((first.span_id[7], first.parent_span_id[7]), (0xf0, 0xb7));
    assert_eq!(first.name, "cart.shop:80/*");
    assert_eq!(first.kind, i32::from(SpanKind::Client));
    assert_eq!(first.start_time_unix_nano, 7_000_000_000);
    assert_eq!(first.end_time_unix_nano, 7_003_000_000);
    for expected in [
        attribute("http.status_code", "200"),
        attribute("http.protocol", "HTTP/2"),
        attribute("http.url", "http://cart.shop/7"),
        attribute("response_flags", "UT"),
        attribute("guid:x-client-trace-id", "7"),
        attribute("request_size", "3"),
        attribute("response_size", "5"),
        attribute("downstream_cluster", "-"),
        attribute("peer.address", "192.0.2.7"),
        attribute("user_agent", "curl"),
        attribute("upstream_address", "10.0.0.7:80"),
        attribute("upstream_cluster", "cart"),
        attribute("upstream_cluster.name", "cart"),
        attribute("zone", "eu"),
    ] {
        assert!(first.attributes.contains(&expected), "{expected:?}");
    }
    let statuses = [first, second].map(|span| span.status.as_ref().unwrap().code());
    assert_eq!(statuses, [StatusCode::Unset, StatusCode::Error]);
}

/// The status of a span of `kind`, and whether it says that it failed.
fn outcome(kind: SpanKind, code: u16, grpc: Option<&str>) -> (StatusCode, bool) {
    let mut call = GrpcCall::default();
    let written = grpc.map(|status| ("grpc-status".parse().unwrap(), status.parse().unwrap()));
    call.answer(&written.into_iter().collect());
    let wire = wire(
        Span {
            grpc: call,
            ..span(code)
        },
        kind,
    );
    let has_failed = wire.attributes.contains(&attribute("error", "true"));
    (wire.status.unwrap().code(), has_failed)
}

#[test]
fn a_span_is_an_error_by_who_is_to_blame() {
    use StatusCode::{Error, Unset};
    for (code, grpc, sent, received, has_failed) in [
        (200, None, Unset, Unset, false),
        (404, None, Error, Unset, false),
        (503, None, Error, Error, true),
        (0, None, Unset, Unset, true),
        (200, Some("0"), Unset, Unset, false),
        (200, Some("5"), Error, Unset, false),
        (200, Some("8"), Error, Unset, true),
        (200, Some("14"), Error, Error, true),
        (200, Some("odd"), Unset, Unset, false),
        (503, Some(""), Unset, Unset, true),
        // The status of gRPC counts for more.
        (503, Some("0"), Unset, Unset, true),
    ] {
        let outcomes = [SpanKind::Client, SpanKind::Server].map(|kind| outcome(kind, code, grpc));
        let expected = [(sent, has_failed), (received, has_failed)];
        assert_eq!(outcomes, expected, "{code} {grpc:?}");
    }
}

#[test]
fn what_grpc_says_is_in_attributes_of_its_own() {
    let text = |text: &str| Some(text.to_owned());
    let call = GrpcCall {
        path: text("/shop.Cart/Get"),
        authority: text("cart.shop"),
        content_type: text("application/grpc"),
        timeout: text("5S"),
        status: text("5"),
        message: text("no cart"),
    };
    let wire = wire(
        Span {
            grpc: call,
            ..span(200)
        },
        SpanKind::Client,
    );
    for expected in [
        attribute("grpc.path", "/shop.Cart/Get"),
        attribute("grpc.authority", "cart.shop"),
        attribute("grpc.content_type", "application/grpc"),
        attribute("grpc.timeout", "5S"),
        attribute("grpc.status_code", "5"),
        attribute("grpc.message", "no cart"),
    ] {
        assert!(wire.attributes.contains(&expected), "{expected:?}");
    }
}

#[tokio::test]
async fn a_queue_that_is_full_drops_spans_and_does_not_wait() {
    let (queue, exporter) = exporter(ExportSettings {
        queue: 2,
        ..settings()
    });
    for _ in 0..5 {
        queue.record(span(200));
    }
    assert_eq!(queue.dropped(), 3);
    drop(exporter);
    queue.record(span(200));
    assert_eq!(queue.dropped(), 4, "nobody sends them any more");
}

#[tokio::test]
async fn what_the_collector_does_not_take_is_counted() {
    let collector = Collector {
        is_full: true,
        ..Collector::default()
    };
    let (queue, exporter) = exporter(settings());
    for _ in 0..3 {
        queue.record(span(200));
    }
    let watched = SpanQueue {
        // Not a sink: the exporter shall end.
        sender: mpsc::channel(1).0,
        dropped: Arc::clone(&queue.dropped),
    };
    drop(queue);
    exporter.run(collector.start().await).await;
    assert_eq!(watched.dropped(), 3);
}
