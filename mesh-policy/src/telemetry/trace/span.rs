use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use mesh_core::attributes::ResponseFlags;
use mesh_core::service::ClusterName;

use super::context::TraceContext;
use super::grpc::GrpcCall;

/// Takes the spans that are traced. It must not wait: it is called while a request is served.
pub trait SpanSink: Send + Sync + 'static {
    /// Takes a span that has ended.
    fn record(&self, span: Span);
}

impl<F: Fn(Span) + Send + Sync + 'static> SpanSink for F {
    fn record(&self, span: Span) {
        self(span);
    }
}

/// What a service did for a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its place in the trace.
    pub context: TraceContext,
    /// Its name, as Istio's: `host:port/*` of the cluster, or the host that was asked for where there
    /// is none.
    pub operation: String,
    /// The method of the request.
    pub method: Method,
    /// What was asked for, with its scheme and host.
    pub url: String,
    /// The path of the request, without its query.
    pub path: String,
    /// The version of HTTP.
    pub version: Version,
    /// The request's `user-agent`.
    pub user_agent: Option<String>,
    /// The request's `x-request-id`.
    pub request_id: String,
    /// The request's `x-client-trace-id`.
    pub client_trace_id: Option<String>,
    /// The address that the request came from: of the client, or of the proxy before us.
    pub peer: Option<SocketAddr>,
    /// The cluster of the proxy before us, as its `x-envoy-downstream-service-cluster` says.
    pub downstream_cluster: Option<String>,
    /// The status code; 0 if there was no response.
    pub code: u16,
    /// The response's flags, and how its body broke off.
    pub flags: ResponseFlags,
    /// The bytes of the request's body.
    pub request_bytes: u64,
    /// The bytes of the response's body.
    pub response_bytes: u64,
    /// The cluster that the request was sent to.
    pub cluster: Option<ClusterName>,
    /// The address of the endpoint that it was sent to.
    pub upstream: Option<SocketAddr>,
    /// What gRPC says, if it is spoken.
    pub grpc: GrpcCall,
    /// The tags that were asked for, by name.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// When the request came.
    pub start: SystemTime,
    /// How long it took until the body of the response had ended.
    pub duration: Duration,
}
