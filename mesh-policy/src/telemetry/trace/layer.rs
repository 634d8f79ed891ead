use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request};
use http_body::Body;
use mesh_core::attributes::{ConnectionInfo, Progress, ResponseFlags};
use mesh_core::format_string::Exchange;
use mesh_core::percent::Percent;
use tower_layer::Layer;
use tower_service::Service;

use super::context::{self, Propagation, TraceContext};
use super::grpc::GrpcCall;
use super::open::{self, Late, Open};
use super::request_id::{
    TraceReason, new_request_id, sampling_draw, set_trace_reason, trace_reason,
};
use super::span::{Span, SpanSink};
use super::tag::Tag;
use crate::clock::WallClock;
use crate::cut::cut;
pub use crate::telemetry::body::MeteredBody;
use crate::telemetry::body::Nothing;
use crate::telemetry::head::Head;
pub use crate::telemetry::observe::ResponseFuture;
use crate::telemetry::observe::{self, Observe};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CLIENT_TRACE_ID: HeaderName = HeaderName::from_static("x-client-trace-id");
const DOWNSTREAM_CLUSTER: HeaderName =
    HeaderName::from_static("x-envoy-downstream-service-cluster");
const FORCE_TRACE: HeaderName = HeaderName::from_static("x-envoy-force-trace");

/// Envoy's limit on the path in spans.
const MAX_PATH: usize = 256;

/// The request body that the service below gets.
pub type Uploaded<B> = MeteredBody<B, Nothing>;

/// The response body, at whose end the span ends.
pub type Traced<B> = MeteredBody<B, open::Exchange>;

/// Layer that applies [`Trace`].
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
pub struct TraceLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    propagation: Vec<Propagation>,
    leaves_context: bool,
    sampling: Percent,
    by_request_id: bool,
    max_path: usize,
    short_trace_ids: bool,
    tags: Arc<[(Arc<str>, Tag)]>,
    trust_force: bool,
    sink: Option<Arc<dyn SpanSink>>,
    clock: WallClock,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl TraceLayer {
    /// Gives requests their identifiers, and leaves their contexts alone, as Istio does without a
    /// provider of tracing.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                propagation: Vec::new(),
                leaves_context: false,
                sampling: default_sampling(),
                by_request_id: true,
                max_path: MAX_PATH,
                short_trace_ids: false,
                tags: Arc::new([]),
                trust_force: false,
                sink: None,
                clock: WallClock::system(),
                random: Arc::new(|| fastrand::u64(..)),
            }),
        }
    }

    /// Makes spans, and tells upstreams of them in all of these forms. Default: none.
    #[must_use]
    pub fn with_propagation(self, propagation: impl IntoIterator<Item = Propagation>) -> Self {
        let propagation = propagation.into_iter().collect();
        self.set(|settings| settings.propagation = propagation)
    }

    /// Sets whether upstreams are not told of spans, so that they do not learn where they stand in a trace:
    /// the headers of contexts are left as the caller sent them. Default: no.
    #[must_use]
    pub fn with_context_left_alone(self, is_left: bool) -> Self {
        self.set(|settings| settings.leaves_context = is_left)
    }

    /// Sets the share of requests that are traced if nobody says. Default: 1 %, as Istio's; drawn in
    /// ten-thousandths.
    #[must_use]
    pub fn with_sampling(self, share: Percent) -> Self {
        self.set(|settings| settings.sampling = share)
    }

    /// Sets whether the request's identifier decides: by its trace bit, and as the number that is
    /// drawn. Default: yes, as Istio's; else, as by Envoy, every request is traced that its caller does not
    /// keep from it, whatever the share is, and its identifier is left as it is.
    #[must_use]
    pub fn with_sampling_by_request_id(self, decides: bool) -> Self {
        self.set(|settings| settings.by_request_id = decides)
    }

    /// Sets whether the traces that begin here have identifiers of 64 bits, and not of 128. Default: no.
    #[must_use]
    pub fn with_short_trace_ids(self, are_short: bool) -> Self {
        self.set(|settings| settings.short_trace_ids = are_short)
    }

    /// Sets how many bytes of the path spans have; it is cut after a whole character. Default: 256, as
    /// Envoy.
    #[must_use]
    pub fn with_max_path(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_path = bytes)
    }

    /// Gives spans these tags, by name. Default: none.
    #[must_use]
    pub fn with_tags(self, tags: impl IntoIterator<Item = (String, Tag)>) -> Self {
        let tags = tags.into_iter().map(|(name, tag)| (name.into(), tag));
        let tags = tags.collect();
        self.set(|settings| settings.tags = tags)
    }

    /// Sets whether `x-envoy-force-trace` is obeyed. Default: no, because anybody may send it.
    #[must_use]
    pub fn with_trusted_headers(self, trust: bool) -> Self {
        self.set(|settings| settings.trust_force = trust)
    }

    /// Hands spans that are traced to `sink`. Default: they are dropped.
    #[must_use]
    pub fn with_sink(self, sink: impl SpanSink) -> Self {
        let sink = Arc::new(sink);
        self.set(|settings| settings.sink = Some(sink))
    }

    /// Takes the time of day from `clock`. Default: the system's.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        self.set(|settings| settings.clock = clock)
    }

    /// Makes identifiers of numbers from `random`, which should be uniform over all values. The
    /// default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Arc::new(random);
        self.set(|settings| settings.random = random)
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for TraceLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TraceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceLayer").finish_non_exhaustive()
    }
}

impl Settings {
    /// Gives a request its identifier and its context. Returns its span, if it is traced.
    fn open<B>(&self, request: &mut Request<B>) -> Option<Open> {
        let headers = request.headers_mut();
        let known = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let id = match known {
            Some(id) => id.to_owned(),
            None => new_request_id(self.random_128()),
        };
        if self.propagation.is_empty() {
            put_id(headers, &id);
            return None;
        }
        let caller = TraceContext::extract_preferring(&self.propagation, headers);
        let decided = context::decision(&self.propagation, headers, caller);
        let reason = self.reason(decided, &id, headers);
        let told = set_trace_reason(&id, reason).filter(|_| self.by_request_id);
        let id = told.unwrap_or(id);
        put_id(headers, &id);
        let context = self.context(caller, reason);
        for propagation in self.propagation.iter().filter(|_| !self.leaves_context) {
            context.inject(*propagation, headers);
        }
        let sink = self.sink.as_ref().filter(|_| reason.is_traced())?;
        let progress = Progress::of(request.extensions_mut());
        let head = observe::head(request);
        let span = self.span(context, id, &head);
        let late = Late::of(&self.tags, || head);
        Some(Open::new(Arc::clone(sink), span, (progress, late)))
    }

    /// The place of our span: below that of the caller, or at the top of a trace of its own.
    fn context(&self, caller: Option<TraceContext>, reason: TraceReason) -> TraceContext {
        let sampled = Some(reason.is_traced());
        let span_id = (self.random)().max(1);
        let context = match caller {
            Some(caller) => caller.child(span_id),
            None => TraceContext {
                trace_id: self.new_trace_id(),
                span_id,
                parent: None,
                sampled,
            },
        };
        TraceContext { sampled, ..context }
    }

    fn span(&self, context: TraceContext, request_id: String, request: &request::Parts) -> Span {
        let start = self.clock.now();
        let exchange = Exchange::of_request(request, start);
        let tags = self.tags.iter();
        let tags =
            tags.filter_map(|(name, tag)| Some((Arc::clone(name), tag.of(request, &exchange)?)));
        let text = |name| {
            let value: &HeaderValue = request.headers.get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let head = Head::of_parts(request);
        let host = head.host().unwrap_or_default().into_owned();
        let target = cut(head.path().unwrap_or("/"), self.max_path);
        let connection = request.extensions.get::<ConnectionInfo>();
        Span {
            context,
            method: request.method.clone(),
            url: format!("{}://{host}{target}", head.scheme()),
            path: request.uri.path().to_owned(),
            version: request.version,
            user_agent: text(USER_AGENT),
            request_id,
            client_trace_id: text(CLIENT_TRACE_ID),
            peer: connection.map(|connection| connection.peer),
            downstream_cluster: text(DOWNSTREAM_CLUSTER),
            operation: host,
            code: 0,
            flags: ResponseFlags::default(),
            request_bytes: 0,
            response_bytes: 0,
            cluster: None,
            upstream: None,
            grpc: GrpcCall::of_request(request),
            tags: tags.collect(),
            start,
            duration: Duration::ZERO,
        }
    }

    /// Whether a request is traced, and why. The caller may have `decided` it.
    fn reason(&self, decided: Option<bool>, id: &str, headers: &HeaderMap) -> TraceReason {
        let of_id = trace_reason(id).filter(|_| self.by_request_id);
        let of_id = of_id.unwrap_or(TraceReason::NotTraced);
        match decided {
            Some(false) => return TraceReason::NotTraced,
            _ if of_id.is_traced() => return of_id,
            Some(true) => return TraceReason::Sampled,
            None if !self.by_request_id => return TraceReason::Sampled,
            None => {}
        }
        if headers.contains_key(CLIENT_TRACE_ID) {
            return TraceReason::ClientForced;
        }
        if self.trust_force && headers.contains_key(FORCE_TRACE) {
            return TraceReason::ServiceForced;
        }
        let draw = sampling_draw(id).unwrap_or_else(|| ((self.random)() % 10_000) as u32);
        let is_drawn = draw < self.sampling.parts_per_million() / 100;
        if is_drawn {
            TraceReason::Sampled
        } else {
            TraceReason::NotTraced
        }
    }

    /// That of a trace that begins here.
    fn new_trace_id(&self) -> u128 {
        let id = match self.short_trace_ids {
            true => u128::from((self.random)()),
            false => self.random_128(),
        };
        id.max(1)
    }

    fn random_128(&self) -> u128 {
        u128::from((self.random)()) << 64 | u128::from((self.random)())
    }
}

/// Istio's share of the requests.
fn default_sampling() -> Percent {
    Percent::new(1.0).expect("one is a percentage")
}

fn put_id(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Trace { inner, layer }
    }
}

/// Middleware that passes the context of traces on.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S> Trace<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Trace<S>
where
    S: Service<Request<Uploaded<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<Traced<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, open::Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        observe::call(&self.layer.settings, &mut self.inner, request)
    }
}

impl Observe for Arc<Settings> {
    type Exchange = open::Exchange;

    fn begin<B>(&self, request: &mut Request<B>) -> open::Exchange {
        open::Exchange::new(self.open(request))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use mesh_core::attributes::{MatchedRoute, SelectedEndpoint};
    use mesh_core::format_string::Constants;
    use mesh_core::model::cluster::{Endpoint, EndpointAddress};
    use mesh_core::model::route::{Route, RouteMatch};
    use mesh_core::service::ClusterName;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::BoxError;

    const UNTRACED: &str = "00002711-75a3-4f73-8a5e-5d9f6a2c1e00";

    type Spans = Arc<Mutex<Vec<Span>>>;

    /// The spans that a sink takes.
    fn spans() -> (Spans, impl SpanSink) {
        let spans = Spans::default();
        let taken = Arc::clone(&spans);
        (spans, move |span| taken.lock().unwrap().push(span))
    }

    type Empty = http_body_util::Empty<Bytes>;

    /// The headers that the upstream of `layer` gets, and the spans.
    async fn send(layer: TraceLayer, fields: &[(&'static str, &str)]) -> (HeaderMap, Vec<Span>) {
        let (spans, sink) = spans();
        let layer = layer.with_sink(sink);
        let echo = service_fn(|request: Request<Uploaded<Empty>>| async move {
            let mut response = Response::new(Empty::new());
            response.headers_mut().extend(request.headers().clone());
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::get("/cart?x=1").body(Empty::new()).unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let response = layer.layer(echo).oneshot(request).await.unwrap();
        let spans = spans.lock().unwrap().clone();
        (response.headers().clone(), spans)
    }

    fn tracing(share: f64) -> TraceLayer {
        let layer = TraceLayer::new().with_propagation([Propagation::W3c]);
        layer.with_sampling(Percent::new(share).unwrap())
    }

    #[tokio::test]
    async fn every_request_has_an_identifier_and_keeps_the_one_it_has() {
        let (headers, spans) = send(TraceLayer::new(), &[]).await;
        let id = headers["x-request-id"].to_str().unwrap();
        assert_eq!(trace_reason(id), Some(TraceReason::NotTraced));
        assert_eq!(spans, []);
        for id in [UNTRACED, "my-own"] {
            let (headers, _) = send(TraceLayer::new(), &[("x-request-id", id)]).await;
            assert_eq!(headers["x-request-id"], id);
        }
    }

    #[tokio::test]
    async fn without_a_provider_the_context_is_left_alone() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (headers, spans) = send(TraceLayer::new(), &[("traceparent", parent)]).await;
        assert_eq!(headers["traceparent"], parent);
        assert_eq!(spans, []);
    }

    #[tokio::test]
    async fn the_span_stands_below_the_callers() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (headers, spans) = send(tracing(0.0), &[("traceparent", parent)]).await;
        let told = TraceContext::extract(&headers).unwrap();
        let [span] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert_eq!(
            (span.context.trace_id, span.context.parent),
            (told.trace_id, Some(0x00f0_67aa_0ba9_02b7))
        );
        assert_eq!(
            (told.span_id, told.sampled),
            (span.context.span_id, Some(true))
        );
        assert_eq!((span.path.as_str(), span.code), ("/cart", 200));
        assert_eq!(span.url, "http:///cart?x=1");
    }

    #[tokio::test]
    async fn spans_have_the_tags_that_are_asked_for_and_the_name_of_their_cluster() {
        let (spans, sink) = spans();
        let outcome = "%REQ(x-user)%: %RESPONSE_CODE% %ROUTE_NAME%";
        let outcome = Tag::format(outcome, &Constants::default()).unwrap();
        let tags = [
            ("zone".to_owned(), Tag::literal("eu")),
            ("user".to_owned(), Tag::header("x-user", "").unwrap()),
            ("outcome".to_owned(), outcome),
        ];
        let layer = tracing(100.0).with_tags(tags).with_sink(sink);
        let route = Route::forward(
            "cart",
            RouteMatch::prefix("/"),
            ClusterName::outbound(80, "", "cart.shop"),
        );
        let matched = MatchedRoute::new(Arc::new(route), 0);
        let routed = service_fn(move |_: Request<Uploaded<Empty>>| {
            let mut response = Response::new(Empty::new());
            response.extensions_mut().insert(matched.clone());
            async { Ok::<_, Infallible>(response) }
        });
        let request = Request::get("/basket").header("host", "shop.example");
        let service = layer.with_max_path(4).layer(routed);
        service
            .oneshot(request.body(Empty::new()).unwrap())
            .await
            .unwrap();
        let spans = spans.lock().unwrap();
        assert_eq!(spans[0].operation, "cart.shop:80/*");
        assert_eq!(spans[0].url, "http://shop.example/bas", "it is cut");
        let tags = [
            ("zone".into(), "eu".into()),
            ("outcome".into(), "-: 200 cart".into()),
        ];
        assert_eq!(spans[0].tags, tags);
    }

    /// A span of a request for which 5 bytes are sent, and 3 received before `rest`.
    async fn span_of(rest: Option<BoxError>) -> Span {
        let (spans, sink) = spans();
        let outcome = Tag::format("%RESPONSE_FLAGS% %BYTES_SENT%", &Constants::default());
        let layer = tracing(100.0).with_sink(sink);
        let layer = layer.with_tags([("outcome".to_owned(), outcome.unwrap())]);
        let rest = Arc::new(Mutex::new(rest));
        let endpoint = Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], 80).into()));
        let endpoint = SelectedEndpoint(Arc::new(endpoint));
        let upstream = service_fn(move |request: Request<Uploaded<Full<Bytes>>>| {
            let (rest, endpoint) = (Arc::clone(&rest), endpoint.clone());
            async move {
                request.into_body().collect().await.unwrap();
                let begun = Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
                let rest = rest.lock().unwrap().take();
                let body = begun.with_trailers(std::future::ready(rest.map(Err)));
                let mut response = Response::new(Box::pin(body));
                response.extensions_mut().insert(endpoint);
                Ok::<_, Infallible>(response)
            }
        });
        let request = Request::get("/")
            .header("x-client-trace-id", "7")
            .extension(ConnectionInfo {
                peer: "192.0.2.7:5000".parse().unwrap(),
                local: "192.0.2.1:80".parse().unwrap(),
                tls: None,
            });
        let request = request.body(Full::new(Bytes::from_static(b"hello")));
        let service = layer.layer(upstream);
        let response = service.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(spans.lock().unwrap().len(), 0, "it has not ended");
        tokio::time::advance(Duration::from_secs(7)).await;
        let _ = response.into_body().collect().await;
        spans.lock().unwrap().pop().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_ends_with_the_body_and_says_how() {
        let span = span_of(None).await;
        assert_eq!(span.duration, Duration::from_secs(7));
        assert_eq!((span.request_bytes, span.response_bytes), (5, 3));
        assert_eq!((span.code, span.flags), (200, ResponseFlags::default()));
        assert_eq!(span.tags, [("outcome".into(), "- 3".into())]);
        assert_eq!(span.client_trace_id.as_deref(), Some("7"));
        assert_eq!(span.peer, Some("192.0.2.7:5000".parse().unwrap()));
        assert_eq!(span.upstream, Some("10.0.0.7:80".parse().unwrap()));
        let span = span_of(Some(BoxError::from("reset"))).await;
        assert_eq!((span.code, &*span.flags.to_string()), (200, "UR"));
        assert_eq!(span.tags, [("outcome".into(), "UR 3".into())]);
    }

    #[tokio::test]
    async fn a_span_of_grpc_has_the_status_of_the_trailers() {
        for content_type in ["application/grpc", "application/json"] {
            let (spans, sink) = spans();
            let layer = tracing(100.0).with_sink(sink);
            let upstream = service_fn(|_: Request<Uploaded<Full<Bytes>>>| async {
                let trailers = [("grpc-status", "5"), ("grpc-message", "no cart")];
                let trailers =
                    trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                let trailers = HeaderMap::from_iter(trailers);
                let body =
                    Full::<Bytes>::default().with_trailers(std::future::ready(Some(Ok(trailers))));
                let response = Response::builder().header("grpc-status", "0");
                Ok::<_, Infallible>(response.body(Box::pin(body)).unwrap())
            });
            let request = Request::post("http://cart.shop/shop.Cart/Get")
                .header("content-type", content_type)
                .header("grpc-timeout", "5S");
            let request = request.body(Full::<Bytes>::default()).unwrap();
            let response = layer.layer(upstream).oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap();
            let call = spans.lock().unwrap().remove(0).grpc;
            assert_eq!(
                (call.status.as_deref(), call.message.as_deref()),
                (Some("5"), Some("no cart"))
            );
            let of_request = (
                call.path.as_deref(),
                call.authority.as_deref(),
                call.timeout.as_deref(),
            );
            let expected = match content_type {
                "application/grpc" => (Some("/shop.Cart/Get"), Some("cart.shop"), Some("5S")),
                _ => (None, None, None),
            };
            assert_eq!(of_request, expected, "{content_type}");
        }
    }

    #[tokio::test]
    async fn what_is_not_traced_is_not_observed() {
        let echo = service_fn(|request: Request<Uploaded<Full<Bytes>>>| async {
            let body = request.into_body().into_unobserved();
            Ok::<_, Infallible>(Response::new(body.ok().unwrap()))
        });
        let request = Request::new(Full::new(Bytes::from_static(b"hello")));
        let response = tracing(0.0).layer(echo).oneshot(request).await.unwrap();
        assert!(response.into_body().into_unobserved().is_ok());
    }

    #[tokio::test]
    async fn a_path_is_cut_after_a_whole_character() {
        let layer = tracing(100.0).with_max_path(3);
        let (spans, sink) = spans();
        let echo = service_fn(|_: Request<Uploaded<Empty>>| async {
            Ok::<_, Infallible>(Response::new(Empty::new()))
        });
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = "/a\u{e4}b".parse().unwrap();
        let service = layer.with_sink(sink).layer(echo);
        service.oneshot(request).await.unwrap();
        assert_eq!(spans.lock().unwrap()[0].url, "http:///a");
    }

    #[tokio::test]
    async fn traces_that_begin_here_may_have_half_of_the_bits() {
        for (are_short, digits) in [(true, 16), (false, 32)] {
            let layer = tracing(100.0).with_propagation([Propagation::B3Multi, Propagation::W3c]);
            let layer = layer
                .with_short_trace_ids(are_short)
                .with_random(|| u64::MAX);
            let (headers, _) = send(layer, &[]).await;
            assert_eq!(headers["x-b3-traceid"].len(), digits);
            assert!(headers.contains_key("traceparent"));
        }
    }

    #[tokio::test]
    async fn where_the_identifier_does_not_decide_the_caller_does_and_all_else_is_traced() {
        let forced = ("x-request-id", "00002711-75a3-bf73-8a5e-5d9f6a2c1e00");
        let unsampled = (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        );
        for (fields, traced) in [
            (&[("x-request-id", UNTRACED)][..], 1),
            (&[("x-request-id", "my-own")], 1),
            (&[forced, unsampled], 0),
        ] {
            let layer = tracing(0.0).with_sampling_by_request_id(false);
            let (headers, spans) = send(layer, fields).await;
            assert_eq!(spans.len(), traced, "{fields:?}");
            assert_eq!(headers["x-request-id"], fields[0].1, "it is left as it is");
        }
    }

    #[tokio::test]
    async fn spans_are_made_though_the_upstream_is_told_of_none() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for sent in [None, Some(parent)] {
            let layer = tracing(100.0).with_context_left_alone(true);
            let fields: Vec<_> = sent.iter().map(|parent| ("traceparent", *parent)).collect();
            let (headers, spans) = send(layer, &fields).await;
            assert_eq!(
                headers
                    .get("traceparent")
                    .map(|told| told.to_str().unwrap()),
                sent
            );
            let parents: Vec<_> = spans.iter().map(|span| span.context.parent).collect();
            assert_eq!(parents, [sent.map(|_| 0x00f0_67aa_0ba9_02b7)]);
        }
    }

    #[tokio::test]
    async fn the_first_who_says_decides_about_tracing() {
        let sampled = (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        );
        let unsampled = (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        );
        let forced = ("x-request-id", "00002711-75a3-bf73-8a5e-5d9f6a2c1e00");
        let untraced = ("x-request-id", UNTRACED);
        for (name, share, fields, letter) in [
            ("the caller's context", 0.0, &[sampled, untraced][..], '9'),
            (
                "the caller's context, though forced",
                0.0,
                &[sampled, forced],
                'b',
            ),
            (
                "the caller's context says no",
                100.0,
                &[unsampled, forced],
                '4',
            ),
            ("the trace bit", 0.0, &[forced], 'b'),
            ("b3 alone", 100.0, &[untraced, ("b3", "0")], '4'),
            (
                "b3 alone says yes",
                0.0,
                &[untraced, ("x-b3-sampled", "1")],
                '9',
            ),
            (
                "a client forces",
                0.0,
                &[untraced, ("x-client-trace-id", "7")],
                'b',
            ),
            ("the draw", 0.01, &[untraced], '4'),
            ("the draw, a little more", 0.02, &[untraced], '9'),
            (
                "a stranger forces",
                0.0,
                &[untraced, ("x-envoy-force-trace", "1")],
                '4',
            ),
        ] {
            let (headers, spans) = send(tracing(share), fields).await;
            let id = headers["x-request-id"].to_str().unwrap();
            assert_eq!(id.chars().nth(14), Some(letter), "{name}");
            assert_eq!(spans.len() == 1, letter != '4', "{name}");
        }
        let layer = tracing(0.0).with_trusted_headers(true);
        let (headers, _) = send(layer, &[untraced, ("x-envoy-force-trace", "1")]).await;
        assert_eq!(
            headers["x-request-id"].to_str().unwrap().chars().nth(14),
            Some('a')
        );
    }
}
