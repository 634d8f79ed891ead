use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use mesh_core::attributes::{
    ConnectionInfo, MatchedRoute, PeerIdentity, Progress, ResponseFlags, SelectedEndpoint,
    UpstreamConnection,
};
use mesh_core::reply::Caller;
use mesh_core::service::{BLACK_HOLE_CLUSTER, ClusterName};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::IstioMetrics;
use super::labels::{Facts, MAX_VALUE, Protocol, Reporter};
use super::peer::Peer;
use super::series::Measures;
use super::tags::{Ending, Tags};
use crate::cut::cut;
pub use crate::telemetry::body::MeteredBody;
use crate::telemetry::body::{Counts, End, Nothing, OnEnd};
use crate::telemetry::grpc_status;
pub use crate::telemetry::observe::ResponseFuture;
use crate::telemetry::observe::{self, Observe, Observed};
use crate::telemetry::workload::PeerWorkload;

/// The request body that the service below gets.
pub type Uploaded<B> = MeteredBody<B, Nothing>;

/// The response body, at whose end the exchange is recorded.
pub type Recorded<B> = MeteredBody<B, Exchange>;

/// Layer that applies [`Metered`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    metrics: Arc<IstioMetrics>,
}

impl MetricsLayer {
    /// Records exchanges in `metrics`.
    pub fn new(metrics: Arc<IstioMetrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let metrics = Arc::clone(&self.metrics);
        Metered { inner, metrics }
    }
}

/// Middleware that records Istio's metrics.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct Metered<S> {
    inner: S,
    metrics: Arc<IstioMetrics>,
}

impl<S> Metered<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Metered<S>
where
    S: Service<Request<Uploaded<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<Recorded<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        observe::call(&self.metrics, &mut self.inner, request)
    }
}

impl Observe for Arc<IstioMetrics> {
    type Exchange = Exchange;

    fn begin<B>(&self, request: &mut Request<B>) -> Exchange {
        let progress = self
            .may_be_said_below(request.extensions())
            .then(|| Progress::of(request.extensions_mut()));
        Exchange(Box::new(Underway {
            progress,
            ..Underway::begin(self, request)
        }))
    }
}

/// What is known of an exchange that is under way.
// Boxed, for it is moved with the futures and bodies that hold it.
pub struct Exchange(Box<Underway>);

struct Underway {
    metrics: Arc<IstioMetrics>,
    start: Instant,
    counts: Arc<Counts>,
    head_bytes: (u64, u64),
    is_grpc: bool,
    peer: Option<Peer>,
    cluster: Option<ClusterName>,
    host: Option<Box<str>>,
    progress: Option<Progress>,
    upstream: Option<UpstreamConnection>,
    is_mutual_tls: bool,
    tags: Tags,
    code: u16,
    /// What the head of the response says.
    grpc_status: Option<i64>,
    flags: ResponseFlags,
}

impl Underway {
    fn begin<B>(metrics: &Arc<IstioMetrics>, request: &Request<B>) -> Self {
        let extensions = request.extensions();
        let identity = extensions.get::<PeerIdentity>();
        let connection = extensions.get::<ConnectionInfo>();
        let has_tls = connection.is_some_and(|connection| connection.tls.is_some());
        let uri = request.uri().path_and_query();
        let path = uri.map_or(0, |path| path.as_str().len());
        let pseudo = path + request.method().as_str().len();
        let is_client = metrics.reporter == Reporter::Source;
        Self {
            start: Instant::now(),
            counts: Arc::default(),
            head_bytes: (header_bytes(request.headers()) + pseudo as u64, 0),
            is_grpc: Caller::of(request.headers()) == Caller::Grpc,
            // Who calls a client is not its peer.
            peer: match is_client {
                true => None,
                false => Peer::of(extensions.get::<PeerWorkload>(), identity),
            },
            cluster: extensions.get::<MatchedRoute>().and_then(cluster_of),
            host: super::host(request)
                .filter(|_| metrics.falls_back_on_host)
                .map(|host| cut(host, MAX_VALUE).into()),
            progress: None,
            upstream: None,
            is_mutual_tls: !is_client && has_tls && identity.is_some(),
            tags: Tags::begin(&metrics.custom, request),
            code: 0,
            grpc_status: None,
            flags: ResponseFlags::default(),
            metrics: Arc::clone(metrics),
        }
    }
}

impl Observed for Exchange {
    fn counts(&self) -> Option<&Arc<Counts>> {
        Some(&self.0.counts)
    }

    fn has_messages(&self) -> bool {
        self.0.is_grpc
    }

    fn answer<B>(&mut self, response: &Response<B>) {
        let this = &mut *self.0;
        let extensions = response.extensions();
        this.code = response.status().as_u16();
        this.flags = ResponseFlags::of(extensions);
        this.head_bytes.1 = header_bytes(response.headers());
        let (head, status) = (response.headers(), response.status());
        this.grpc_status = grpc_status::of(None, Some(head), Some(status));
        // Routing stands below, and says where the request went on the response, if at all.
        if let Some(matched) = extensions.get::<MatchedRoute>() {
            this.cluster = cluster_of(matched);
        }
        this.tags.answer(response);
        if this.metrics.reporter == Reporter::Destination {
            return;
        }
        this.upstream = extensions.get().cloned();
        if let Some(SelectedEndpoint(endpoint)) = extensions.get() {
            this.peer = Some(Peer::Endpoint(Arc::clone(endpoint)));
        }
    }
}

impl IstioMetrics {
    /// Whether something that is recorded of a request may be said below, and by no response.
    fn may_be_said_below(&self, extensions: &Extensions) -> bool {
        let is_routed = || extensions.get().and_then(cluster_of).is_some();
        self.reporter == Reporter::Source || !self.custom.is_empty() || !is_routed()
    }
}

impl Underway {
    /// Takes where the request was sent, if no response said it.
    fn follow(&mut self, progress: &Progress) {
        if self.cluster.is_none() {
            self.cluster = progress.route().and_then(cluster_of);
        }
        if self.metrics.reporter == Reporter::Source && self.peer.is_none() {
            let endpoint = progress.endpoint();
            self.peer = endpoint.map(|endpoint| Peer::Endpoint(Arc::clone(&endpoint.0)));
        }
    }
}

/// The cluster of a route. The one that Istio answers by itself, in place of what is not in the mesh,
/// has none.
fn cluster_of(matched: &MatchedRoute) -> Option<ClusterName> {
    let is_blocked = matched.forward().is_none() && matched.name() == "block_all";
    let blocked = is_blocked.then(|| ClusterName::from(BLACK_HOLE_CLUSTER));
    matched.cluster().cloned().or(blocked)
}

impl OnEnd for Exchange {
    fn end(mut self, end: End<'_>) {
        self.0.end(end);
    }
}

impl Underway {
    fn end(&mut self, end: End<'_>) {
        if let Some(progress) = self.progress.take() {
            self.follow(&progress);
        }
        let flags = end.flag().map_or(self.flags, |flag| self.flags.with(flag));
        let trailers = end.trailers();
        let Counts { received, sent, .. } = &*self.counts;
        let sizes = (received.bytes(), sent.bytes());
        let duration = self.start.elapsed();
        let ending = Ending {
            flags,
            trailers,
            sizes,
            duration,
        };
        let custom = self.tags.end(&self.metrics.custom, &ending);
        let grpc_status = grpc_status::of(trailers, None, None).or(self.grpc_status);
        let grpc_status = grpc_status.map(|code| grpc_status::text(code).unwrap_or("-1"));
        let facts = Facts {
            reporter: self.metrics.reporter,
            local: &self.metrics.local,
            peer: self.peer.as_ref(),
            cluster: self.cluster.as_ref(),
            host: self.host.as_deref(),
            upstream: self.upstream.as_ref(),
            protocol: if self.is_grpc {
                Protocol::Grpc
            } else {
                Protocol::Http
            },
            is_mutual_tls: self.is_mutual_tls,
            code: self.code,
            grpc_status: grpc_status.filter(|_| self.is_grpc),
            flags,
            custom,
        };
        let measures = Measures {
            duration,
            request_bytes: sizes.0 + self.head_bytes.0,
            response_bytes: sizes.1 + self.head_bytes.1,
            messages: self.is_grpc.then(|| (received.messages(), sent.messages())),
        };
        self.metrics.record(&facts, &measures, false);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("code", &self.0.code)
            .finish_non_exhaustive()
    }
}

/// The size of a head: of all names and values, as Envoy counts them.
fn header_bytes(headers: &HeaderMap) -> u64 {
    let fields = headers.iter();
    let sizes = fields.map(|(name, value)| name.as_str().len() + value.len());
    sizes.sum::<usize>() as u64
}
