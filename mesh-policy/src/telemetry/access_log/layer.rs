use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, request, response};
use http_body::Body;
use mesh_core::attributes::{
    MatchedRoute, Progress, ResponseFlag, ResponseFlags, TransportFailure, UpstreamConnection,
};
use mesh_core::format_string::Completion;
use mesh_core::identity::SpiffeId;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::details;
use super::entry::Entry;
use super::filter::LogFilter;
use super::format::LogFormat;
use super::sink::LogSink;
use crate::clock::WallClock;
pub use crate::telemetry::body::MeteredBody;
use crate::telemetry::body::{Counts, End, Nothing, OnEnd};
use crate::telemetry::heads;
pub use crate::telemetry::observe::ResponseFuture;
use crate::telemetry::observe::{self, Observe, Observed};

/// The request body that the service below gets.
pub type Uploaded<B> = MeteredBody<B, Nothing>;

/// The response body, at whose end the exchange is logged.
pub type Logged<B> = MeteredBody<B, Exchange>;

/// An access log: what a line looks like, which exchanges it is for, and where it goes.
pub struct Logger {
    pub(super) format: LogFormat,
    pub(super) filter: Option<LogFilter>,
    pub(super) sink: Box<dyn LogSink>,
}

impl Logger {
    /// Writes a line in `format` for each exchange to `sink`.
    pub fn new(format: LogFormat, sink: impl LogSink) -> Self {
        Self {
            format,
            filter: None,
            sink: Box::new(sink),
        }
    }

    /// Writes only what `filter` includes. Default: everything.
    #[must_use]
    pub fn with_filter(mut self, filter: LogFilter) -> Self {
        self.filter = Some(filter);
        self
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filter = &self.filter;
        f.debug_struct("Logger")
            .field("filter", filter)
            .finish_non_exhaustive()
    }
}

/// Layer that applies [`AccessLog`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct AccessLogLayer {
    loggers: Arc<[Logger]>,
    clock: WallClock,
}

impl AccessLogLayer {
    /// Logs to all of `loggers`.
    pub fn new(loggers: impl IntoIterator<Item = Logger>) -> Self {
        Self {
            loggers: loggers.into_iter().collect(),
            clock: WallClock::system(),
        }
    }

    /// Takes the time of day from `clock`. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn loggers(&self) -> impl Iterator<Item = &Logger> {
        self.loggers.iter()
    }

    pub(super) fn clock(&self) -> &WallClock {
        &self.clock
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        AccessLog { inner, layer }
    }
}

/// Middleware that writes access logs.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    layer: AccessLogLayer,
}

impl<S> AccessLog<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for AccessLog<S>
where
    S: Service<Request<Uploaded<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<Logged<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        observe::call(&self.layer, &mut self.inner, request)
    }
}

impl Observe for AccessLogLayer {
    type Exchange = Exchange;

    fn begin<B>(&self, request: &mut Request<B>) -> Exchange {
        // What becomes of it may be said there only.
        Progress::of(request.extensions_mut());
        Exchange(Box::new(Underway::begin(self, observe::head(request))))
    }
}

/// An exchange, as far as it has come.
// Boxed, for it is moved with the futures and bodies that hold it.
pub struct Exchange(Box<Underway>);

struct Underway {
    layer: AccessLogLayer,
    start: Instant,
    started: std::time::SystemTime,
    request: request::Parts,
    response: Option<response::Parts>,
    counts: Arc<Counts>,
    completion: Completion,
}

impl Underway {
    fn begin(layer: &AccessLogLayer, request: request::Parts) -> Self {
        Self {
            layer: layer.clone(),
            start: Instant::now(),
            started: layer.clock.now(),
            request,
            response: None,
            counts: Arc::new(Counts::timed()),
            completion: Completion::default(),
        }
    }

    /// Notes why the exchange broke off.
    fn break_off(&mut self, flag: ResponseFlag) {
        match &mut self.response {
            Some(response) => ResponseFlags::add(&mut response.extensions, flag),
            None => self.completion.flags = self.completion.flags.with(flag),
        }
        self.completion.response_code_details = Some(details::of_end(flag).into());
    }
}

/// Takes what is known of the connection to the upstream.
pub(super) fn note_upstream(upstream: &UpstreamConnection, completion: &mut Completion) {
    let uri = |id: &SpiffeId| id.as_str().to_owned().into();
    completion.upstream_local_address = upstream.local.map(|local| local.to_string().into());
    completion.upstream_local_uri_san = upstream.identity.as_ref().map(uri);
    completion.upstream_peer_uri_san = upstream.peer.as_ref().map(uri);
}

impl Observed for Exchange {
    fn counts(&self) -> Option<&Arc<Counts>> {
        Some(&self.0.counts)
    }

    fn has_messages(&self) -> bool {
        false
    }

    fn answer<B>(&mut self, response: &Response<B>) {
        let this = &mut *self.0;
        let extensions = response.extensions();
        this.completion.response_duration = Some(this.start.elapsed());
        this.completion.response_code_details = Some(details::of_response(extensions));
        if let Some(upstream) = extensions.get() {
            note_upstream(upstream, &mut this.completion);
        }
        let failure = extensions.get::<TransportFailure>();
        this.completion.upstream_transport_failure_reason =
            failure.map(|TransportFailure(why)| why.to_string().into());
        if let Some(matched) = extensions.get::<MatchedRoute>() {
            this.request.extensions.insert(matched.clone());
        }
        this.response = Some(heads::of_response(response));
    }
}

impl OnEnd for Exchange {
    fn end(mut self, end: End<'_>) {
        self.0.end(end);
    }
}

impl Underway {
    fn end(&mut self, end: End<'_>) {
        if let Some(flag) = end.flag() {
            self.break_off(flag);
        }
        self.completion.bytes_received = self.counts.received.bytes();
        self.completion.bytes_sent = self.counts.sent.bytes();
        self.completion.duration = self.start.elapsed();
        let received = self.counts.received.ended();
        self.completion.request_duration = received.map(|at| at.duration_since(self.start));
        self.completion.trailers = end.trailers().cloned();
        self.layer.write(&Entry {
            request: Some(&self.request),
            extensions: &self.request.extensions,
            response: self.response.as_ref(),
            cluster: None,
            completion: &self.completion,
            started: self.started,
        });
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let response = self.0.response.as_ref();
        f.debug_struct("Exchange")
            .field("status", &response.map(|response| response.status))
            .finish_non_exhaustive()
    }
}
