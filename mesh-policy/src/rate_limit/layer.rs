use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request};
use mesh_core::attributes::ResponseFlag;
use mesh_core::format_string::Exchange;
use mesh_core::model::filter::HeaderOption;
use mesh_core::reply::{self, Caller};
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::descriptor::RateLimitRule;
use super::limits::RateLimits;
use super::local::{Check, LocalRateLimit};
use crate::clock::WallClock;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");

/// Layer that applies [`LocalRateLimits`].
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
pub struct LocalRateLimitLayer {
    limits: Watch<RateLimits>,
    clock: WallClock,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl LocalRateLimitLayer {
    /// Holds requests to `limits`.
    ///
    /// Pass a [`Watch`] to replace them while serving. New limits begin with full buckets, those that
    /// are [carried on](RateLimits::carried_on) with what is left.
    pub fn new(limits: impl Into<Watch<RateLimits>>) -> Self {
        Self {
            limits: limits.into(),
            clock: WallClock::system(),
            random: Arc::new(|| fastrand::u64(..)),
        }
    }

    /// Draws which requests are counted and refused by numbers from `random`, which should be
    /// uniform over all values. The default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Takes the time of day from `clock`, for headers that hold it. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// What is decided of a request.
    fn decide<B>(&self, mut request: Request<B>) -> (Request<B>, Decided) {
        let limits = self.limits.load();
        let mut decided = Decided::default();
        for limit in limits.limits(request.extensions()) {
            let rules = limits.rules(request.extensions());
            request = self.apply((limit, rules), request, &mut decided);
            if decided.refusal.is_some() {
                break;
            }
        }
        (request, decided)
    }

    fn apply<B>(
        &self,
        (limit, rules): (&Arc<LocalRateLimit>, &[RateLimitRule]),
        mut request: Request<B>,
        decided: &mut Decided,
    ) -> Request<B> {
        let settings = limit.settings();
        if !settings.enabled.includes((self.random)()) {
            return request;
        }
        let mut descriptors = Vec::new();
        if limit.has_descriptors() {
            let (head, body) = request.into_parts();
            descriptors = limit.descriptors(&head, rules);
            request = Request::from_parts(head, body);
        }
        let check = limit.check(&descriptors, Instant::now().into_std());
        if settings.rate_limit_headers {
            decided.tell(check);
        }
        if check.is_allowed {
            return request;
        }
        let (mut head, body) = request.into_parts();
        if settings.enforced.includes((self.random)()) {
            decided.refusal = Some(self.refusal(limit, &head));
        } else {
            let options = &settings.request_headers_when_not_enforced;
            let values = self.evaluate(options, &head);
            write(&mut head.headers, options, values);
        }
        Request::from_parts(head, body)
    }

    fn refusal(&self, limit: &Arc<LocalRateLimit>, head: &request::Parts) -> Box<Refusal> {
        let options = &limit.settings().response_headers;
        Box::new(Refusal {
            caller: Caller::of(&head.headers),
            values: self.evaluate(options, head),
            limit: Arc::clone(limit),
        })
    }

    fn evaluate(&self, options: &[HeaderOption], head: &request::Parts) -> Values {
        if options.is_empty() {
            return Vec::new();
        }
        let exchange = Exchange::of_request(head, self.clock.now());
        let values = options
            .iter()
            .map(|option| option.value.evaluate(&exchange));
        values.collect()
    }
}

impl fmt::Debug for LocalRateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimitLayer")
            .finish_non_exhaustive()
    }
}

/// The values of header options, in their order. `None` writes nothing.
type Values = Vec<Option<HeaderValue>>;

/// What is decided of a request.
#[derive(Debug, Default)]
struct Decided {
    /// What the response tells of the limit.
    told: Option<Check>,
    refusal: Option<Box<Refusal>>,
}

impl Decided {
    /// Of several limits, the response tells of the one that is reached first.
    fn tell(&mut self, check: Check) {
        let told = self.told.filter(|told| told.remaining <= check.remaining);
        self.told = Some(told.unwrap_or(check));
    }
}

#[derive(Debug)]
struct Refusal {
    caller: Caller,
    values: Values,
    limit: Arc<LocalRateLimit>,
}

impl<S> Layer<S> for LocalRateLimitLayer {
    type Service = LocalRateLimits<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        LocalRateLimits { inner, layer }
    }
}

/// Middleware that refuses requests over a limit.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct LocalRateLimits<S> {
    inner: S,
    layer: LocalRateLimitLayer,
}

impl<S> LocalRateLimits<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for LocalRateLimits<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (request, Decided { told, refusal }) = self.layer.decide(request);
        // The readiness of the inner service is left to the next request if this one is refused.
        let response = match &refusal {
            Some(_) => None,
            None => Some(self.inner.call(request)),
        };
        ResponseFuture {
            response,
            refusal,
            told,
        }
    }
}

pin_project! {
    /// Response future of [`LocalRateLimits`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // `None` if the request is refused.
        #[pin]
        response: Option<F>,
        refusal: Option<Box<Refusal>>,
        told: Option<Check>,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.response.as_pin_mut() {
            Some(response) => ready!(response.poll(cx))?,
            None => {
                let refusal = this.refusal.take();
                let refusal = refusal.expect("a future is not polled after it has completed");
                refusal.respond()
            }
        };
        if let Some(check) = this.told {
            tell(check, response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

impl Refusal {
    fn respond<B: Default + From<Bytes>>(self) -> Response<B> {
        let settings = self.limit.settings();
        let text = Bytes::from_static(b"local_rate_limited");
        let mut response = reply::text(self.caller, settings.status, text, LocalRateLimited);
        if self.caller == Caller::Grpc && settings.as_resource_exhausted {
            response
                .headers_mut()
                .insert(GRPC_STATUS, RESOURCE_EXHAUSTED);
        }
        write(
            response.headers_mut(),
            &settings.response_headers,
            self.values,
        );
        response
    }
}

fn tell(check: &Check, headers: &mut HeaderMap) {
    headers.append(LIMIT, HeaderValue::from(check.limit));
    headers.append(REMAINING, HeaderValue::from(check.remaining));
    headers.append(RESET, HeaderValue::from(check.reset_seconds));
}

fn write(headers: &mut HeaderMap, options: &[HeaderOption], values: Values) {
    for (option, value) in options.iter().zip(values) {
        if let Some(value) = value {
            option.action.write(option.name.clone(), value, headers);
        }
    }
}

/// Marks a `429` as sent by [`LocalRateLimits`], because a bucket is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("local_rate_limited")]
#[non_exhaustive]
pub struct LocalRateLimited;

impl reply::Reason for LocalRateLimited {
    const FLAG: ResponseFlag = ResponseFlag::RateLimited;
    const DETAILS: Option<&'static str> = Some("local_rate_limited");
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use mesh_core::attributes::MatchedRoute;
    use mesh_core::model::route::{Route, RouteMatch};
    use mesh_core::percent::Percent;
    use mesh_core::service::ClusterName;
    use tower::{ServiceExt, service_fn};

    use super::super::local::LocalRateLimitSettings;
    use super::super::token_bucket::TokenBucketSettings;
    use super::*;

    fn limit(tokens: u32, settings: LocalRateLimitSettings) -> LocalRateLimit {
        let bucket = TokenBucketSettings::new(tokens, tokens, Duration::from_secs(60)).unwrap();
        LocalRateLimit::new(bucket, Instant::now().into_std()).with_settings(settings)
    }

    fn option(name: &'static str, value: &str) -> HeaderOption {
        HeaderOption::append(HeaderName::from_static(name), value.parse().unwrap())
    }

    /// Sends a request with `headers`, and returns the response with the headers that the application
    /// saw, if it did.
    async fn send(
        layer: &LocalRateLimitLayer,
        request: Request<()>,
    ) -> (Response<Bytes>, Option<HeaderMap>) {
        let hello = service_fn(|request: Request<()>| async move {
            let mut response = Response::new(Bytes::from_static(b"hello"));
            response.extensions_mut().insert(request.headers().clone());
            Ok::<_, Infallible>(response)
        });
        let mut response = layer.layer(hello).oneshot(request).await.unwrap();
        let seen = response.extensions_mut().remove();
        (response, seen)
    }

    fn get() -> Request<()> {
        Request::get("/")
            .header("x-user", "jason")
            .body(())
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_over_the_limit_are_refused_until_there_are_tokens() {
        let limits = RateLimits::new().with_default(limit(2, LocalRateLimitSettings::default()));
        let layer = LocalRateLimitLayer::new(limits);
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(send(&layer, get()).await.0.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 429]);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(send(&layer, get()).await.0.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_envoys_and_has_the_headers_that_are_configured() {
        let settings = LocalRateLimitSettings {
            response_headers: vec![
                option("x-local-rate-limit", "true"),
                option("x-for", "%REQ(x-user)%"),
            ],
            rate_limit_headers: true,
            ..LocalRateLimitSettings::default()
        };
        let layer = LocalRateLimitLayer::new(RateLimits::new().with_default(limit(1, settings)));
        let (response, _) = send(&layer, get()).await;
        assert_eq!(response.headers()["x-ratelimit-limit"], "1");
        assert_eq!(response.headers()["x-ratelimit-remaining"], "0");
        assert_eq!(response.headers()["x-ratelimit-reset"], "60");
        assert!(!response.headers().contains_key("x-local-rate-limit"));

        let (response, seen) = send(&layer, get()).await;
        assert_eq!((response.status().as_u16(), seen), (429, None));
        assert_eq!(response.body(), "local_rate_limited");
        assert_eq!(response.headers()["x-local-rate-limit"], "true");
        assert_eq!(response.headers()["x-for"], "jason");
        assert_eq!(response.headers()["x-ratelimit-remaining"], "0");
        assert_eq!(
            response.extensions().get(),
            Some(&ResponseFlag::RateLimited)
        );
        assert_eq!(response.extensions().get(), Some(&LocalRateLimited));
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_client_gets_the_status_that_is_configured() {
        for (as_resource_exhausted, expected) in [(false, "14"), (true, "8")] {
            let settings = LocalRateLimitSettings {
                as_resource_exhausted,
                ..LocalRateLimitSettings::default()
            };
            let limits = RateLimits::new().with_default(limit(1, settings));
            let layer = LocalRateLimitLayer::new(limits);
            let request = || {
                Request::get("/")
                    .header("content-type", "application/grpc")
                    .body(())
            };
            send(&layer, request().unwrap()).await;
            let (response, _) = send(&layer, request().unwrap()).await;
            assert_eq!(response.headers()["grpc-status"], expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_enforced_passes_marked_and_what_is_not_enabled_is_not_counted() {
        let marked = |enabled, enforced| LocalRateLimitSettings {
            enabled,
            enforced,
            request_headers_when_not_enforced: vec![option("x-over", "true")],
            ..LocalRateLimitSettings::default()
        };
        for (settings, status, mark) in [
            (marked(Percent::HUNDRED, Percent::HUNDRED), 429, false),
            (marked(Percent::HUNDRED, Percent::ZERO), 200, true),
            (marked(Percent::ZERO, Percent::HUNDRED), 200, false),
        ] {
            let case = format!("{settings:?}");
            let layer =
                LocalRateLimitLayer::new(RateLimits::new().with_default(limit(1, settings)));
            send(&layer, get()).await;
            let (response, seen) = send(&layer, get()).await;
            assert_eq!(response.status(), status, "{case}");
            let marked = seen.is_some_and(|seen| seen.contains_key("x-over"));
            assert_eq!(marked, mark, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_a_route_takes_the_place_of_the_listeners() {
        let route = |name| {
            Arc::new(Route::forward(
                name,
                RouteMatch::prefix("/"),
                ClusterName::from("c"),
            ))
        };
        let (mine, other) = (route("same"), route("same"));
        let limits = RateLimits::new()
            .with_default(limit(1, LocalRateLimitSettings::default()))
            .with_route(&mine, limit(3, LocalRateLimitSettings::default()));
        let layer = LocalRateLimitLayer::new(limits);
        for (route, allowed) in [(mine, 3), (other, 1)] {
            let mut passed = 0;
            for _ in 0..5 {
                let mut request = get();
                let matched = MatchedRoute::new(Arc::clone(&route), 0);
                request.extensions_mut().insert(matched);
                passed += u32::from(send(&layer, request).await.0.status() == 200);
            }
            assert_eq!(passed, allowed);
        }
    }
}
