use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller};
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tower_layer::Layer;
use tower_service::Service;

use super::service::{Answer, Ask, NoService, ask};
use crate::rate_limit::descriptor::Descriptor;
use crate::rate_limit::envoy_filter::GlobalFilter;
use crate::rate_limit::limits::RateLimits;
use crate::unready;

const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Layer that applies [`GlobalRateLimits`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct GlobalRateLimitLayer {
    filter: Arc<GlobalFilter>,
    limits: Watch<RateLimits>,
    service: Arc<dyn Ask>,
}

impl GlobalRateLimitLayer {
    /// Asks the service at the other end of `channel` about the requests that the rules of `limits`
    /// make descriptors of.
    ///
    /// A channel is whatever sends gRPC: tonic's `Channel`, or a service of HTTP. It is cloned for
    /// each question.
    pub fn new<C>(filter: GlobalFilter, limits: impl Into<Watch<RateLimits>>, channel: C) -> Self
    where
        C: GrpcService<Body> + Clone + Send + Sync + 'static,
        C::Error: Into<StdError>,
        C::Future: Send,
        C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    {
        Self {
            filter: Arc::new(filter),
            limits: limits.into(),
            service: Arc::new(channel),
        }
    }

    /// Fails every question, as Envoy does where the cluster of the service is not known: requests
    /// that the rules of `limits` make descriptors of are refused or pass, as `filter` says.
    pub fn without_service(filter: GlobalFilter, limits: impl Into<Watch<RateLimits>>) -> Self {
        Self {
            filter: Arc::new(filter),
            limits: limits.into(),
            service: Arc::new(NoService),
        }
    }

    fn descriptors<B>(&self, request: Request<B>) -> (Request<B>, Vec<Descriptor>) {
        let limits = self.limits.load();
        let rules = limits.rules(request.extensions());
        if rules.is_empty() {
            return (request, Vec::new());
        }
        let (head, body) = request.into_parts();
        let rules = rules
            .iter()
            .filter(|rule| rule.stage() == self.filter.stage);
        let descriptors = rules.filter_map(|rule| rule.descriptor(&head)).collect();
        (Request::from_parts(head, body), descriptors)
    }

    fn ask(&self, descriptors: Vec<Descriptor>) -> Asking {
        let GlobalFilter {
            domain,
            timeout,
            rate_limit_headers,
            ..
        } = &*self.filter;
        let how = (*timeout, *rate_limit_headers);
        let service = Arc::clone(&self.service);
        Box::pin(ask(service, domain.clone(), descriptors, how))
    }
}

/// The answer of the service, which is awaited. Boxed, for it crosses the network.
type Asking = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

impl<S> Layer<S> for GlobalRateLimitLayer {
    type Service = GlobalRateLimits<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        GlobalRateLimits { inner, layer }
    }
}

/// Middleware that asks a service whether requests are over a limit.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct GlobalRateLimits<S> {
    inner: S,
    layer: GlobalRateLimitLayer,
}

impl<S> GlobalRateLimits<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GlobalRateLimits<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (request, descriptors) = self.layer.descriptors(request);
        let state = if descriptors.is_empty() {
            State::Called {
                response: self.inner.call(request),
                added: HeaderMap::new(),
            }
        } else {
            let held = Held {
                service: unready::give_back(&mut self.inner),
                request,
                filter: Arc::clone(&self.layer.filter),
            };
            State::Asking {
                asking: self.layer.ask(descriptors),
                held: Some(held),
            }
        };
        ResponseFuture { state }
    }
}

/// A request that the service is asked about.
struct Held<S, ReqBody> {
    service: S,
    request: Request<ReqBody>,
    filter: Arc<GlobalFilter>,
}

pin_project! {
    /// Response future of [`GlobalRateLimits`].
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, ReqBody>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, ReqBody> {
        Asking {
            asking: Asking,
            held: Option<Held<S, ReqBody>>,
        },
        // The request may go on.
        Readying {
            held: Option<Held<S, ReqBody>>,
            added: HeaderMap,
        },
        Called {
            #[pin]
            response: F,
            added: HeaderMap,
        },
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (added, held) = match state.as_mut().project() {
                StateProjection::Called { response, added } => {
                    let mut response = ready!(response.poll(cx))?;
                    add(mem::take(added), response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Asking { asking, held } => {
                    let answer = ready!(asking.as_mut().poll(cx));
                    let held = held.take();
                    let mut held = held.expect("a request is held until it is decided on");
                    match held.decide(answer) {
                        Ok(added) => (added, held),
                        Err(refusal) => return Poll::Ready(Ok(refusal)),
                    }
                }
                StateProjection::Readying { held, added } => {
                    let mut ready = held.take().expect("a request is held until it goes on");
                    if ready.service.poll_ready(cx)?.is_pending() {
                        *held = Some(ready);
                        return Poll::Pending;
                    }
                    let added = mem::take(added);
                    let response = ready.service.call(ready.request);
                    state.set(State::Called { response, added });
                    continue;
                }
            };
            let held = Some(held);
            state.set(State::Readying { held, added });
        }
    }
}

impl<S, ReqBody> Held<S, ReqBody> {
    /// Whether the request may go on: the headers that its response gets, else the response.
    fn decide<B>(&mut self, answer: Option<Answer>) -> Result<HeaderMap, Response<B>>
    where
        B: Default + From<Bytes>,
    {
        let caller = Caller::of(self.request.headers());
        match answer {
            None if self.filter.failure_mode_deny => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Err(reply::local(caller, status, RateLimitServiceFailed))
            }
            None => Ok(HeaderMap::new()),
            Some(answer) if answer.is_over_limit => Err(refuse(answer, caller, &self.filter)),
            Some(answer) => {
                add(answer.request_headers, self.request.headers_mut());
                Ok(answer.response_headers)
            }
        }
    }
}

/// Appends `fields`, which name each field's value one by one.
fn add(fields: HeaderMap, headers: &mut HeaderMap) {
    let mut last = None;
    for (name, value) in fields {
        last = name.or(last);
        if let Some(name) = &last {
            headers.append(name.clone(), value);
        }
    }
}

fn refuse<B: Default + From<Bytes>>(
    answer: Answer,
    caller: Caller,
    filter: &GlobalFilter,
) -> Response<B> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = reply::text(caller, status, answer.body, GlobalRateLimited);
    let headers = response.headers_mut();
    // The type that the service says counts, not that of our text.
    if answer.response_headers.contains_key(CONTENT_TYPE) && caller == Caller::Http {
        headers.remove(CONTENT_TYPE);
    }
    add(answer.response_headers, headers);
    if !filter.without_rate_limited_header {
        headers.insert(RATE_LIMITED, HeaderValue::from_static("true"));
    }
    if caller == Caller::Grpc && filter.as_resource_exhausted {
        headers.insert(GRPC_STATUS, HeaderValue::from_static("8"));
    }
    response
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Marks a `429` as sent by [`GlobalRateLimits`], because the service said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("request_rate_limited")]
#[non_exhaustive]
pub struct GlobalRateLimited;

impl reply::Reason for GlobalRateLimited {
    const FLAG: ResponseFlag = ResponseFlag::RateLimited;
}

/// Marks a `500` as sent by [`GlobalRateLimits`], because the service failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("rate_limiter_error")]
#[non_exhaustive]
pub struct RateLimitServiceFailed;

impl reply::Reason for RateLimitServiceFailed {
    const FLAG: ResponseFlag = ResponseFlag::RateLimitServiceError;
}
