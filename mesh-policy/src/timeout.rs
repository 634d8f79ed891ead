//! Hold exchanges to the timeouts of their routes.
//!
//! [`TimeoutLayer`] waits as long as the [`MatchedRoute`] extension says for the head of the
//! response. When that time is over, the inner service's future is dropped and the client gets
//! `504` with Envoy's text, `upstream request timeout`, and the flag `UT`. Requests whose route has
//! no timeout, or that have no route, cost nothing.
//!
//! What limits an exchange:
//!
//! - the route's timeout;
//! - for gRPC requests the header `grpc-timeout`, up to the route's;
//! - where the caller is trusted, `x-envoy-upstream-rq-timeout-ms` in place of both.
//!
//! The limit on attempts (`perTryTimeout`, `x-envoy-upstream-rq-per-try-timeout-ms`) is left to the
//! retries below, and the upstream is told the shorter of both in
//! `x-envoy-expected-rq-timeout-ms`; balancing is told by the [`Timeouts`] extension.
//!
//! The time begins when the request reaches the layer; Envoy begins it when the request has been
//! received whole. It ends when the head of the response is there. [`stream`] holds the body to what
//! is left of it, as Envoy does; [`idle`] ends exchanges in which nothing comes any more.
//!
//! The inner service's error type is unchanged.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut route = Route::forward("slow", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     forward.timeout = Some(Duration::from_secs(3));
//! }
//! let silent = service_fn(|_: Request<()>| async {
//!     std::future::pending::<()>().await;
//!     Ok::<_, Infallible>(Response::new(Bytes::new()))
//! });
//! let service = ServiceBuilder::new().layer(TimeoutLayer::new()).service(silent);
//!
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let response = service.oneshot(Request::get("/").extension(matched).body(())?).await?;
//! assert_eq!(response.status(), 504);
//! assert_eq!(response.body(), "upstream request timeout");
//! # Ok(())
//! # }
//! ```

mod grpc;
pub mod idle;
pub mod stream;
pub(crate) mod timeouts;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag, Timeouts};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use self::stream::Deadline;
use self::timeouts::Known;

/// Layer that applies [`Timeout`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    trust_headers: bool,
    knows_limits: bool,
    announce: bool,
    envoy_headers: bool,
    deadline: bool,
}

impl TimeoutLayer {
    /// Holds each exchange to the timeout of its route.
    pub fn new() -> Self {
        Self {
            trust_headers: false,
            knows_limits: false,
            announce: true,
            envoy_headers: true,
            deadline: true,
        }
    }

    /// Sets whether the `x-envoy-` headers of requests set limits; those that are read are removed.
    /// Default: they are left alone, because anybody may send them. Switch it on where those of
    /// strangers have been removed before.
    #[must_use]
    pub fn with_trusted_headers(mut self, trust: bool) -> Self {
        self.trust_headers = trust;
        self
    }

    /// Sets whether the limits are those of the [`Timeouts`] that requests carry, counted anew, in place of
    /// what their routes and headers say; those that carry none have no limit. Default: no. So a copy of a
    /// request, made below another of these layers, may take as long as the request itself.
    #[must_use]
    pub fn with_known_limits(mut self, known: bool) -> Self {
        self.knows_limits = known;
        self
    }

    /// Sets whether the upstream is told how long it has. Default: yes, as Envoy does.
    #[must_use]
    pub fn with_expected_timeout(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Sets whether an upstream that is told how long it has is told by `x-envoy-expected-rq-timeout-ms`,
    /// too. Default: yes. Without it, `grpc-timeout` alone says so, and to further attempts the same
    /// as to the first.
    #[must_use]
    pub fn with_envoy_headers(mut self, envoy_headers: bool) -> Self {
        self.envoy_headers = envoy_headers;
        self
    }

    /// Sets whether responses carry the [`Deadline`] to which [`stream`] holds their bodies. Default:
    /// yes. Where nobody above reads it, three allocations of a request can be saved.
    #[must_use]
    pub fn with_deadline(mut self, deadline: bool) -> Self {
        self.deadline = deadline;
        self
    }
}

impl TimeoutLayer {
    /// The limits of a request that comes now.
    fn limits<B>(&self, request: &Request<B>, caller: Caller) -> Option<Timeouts> {
        let now = || Instant::now().into_std();
        let extensions = request.extensions();
        if self.knows_limits {
            let known = extensions.get::<Timeouts>().copied();
            return known.map(|known| Timeouts {
                start: now(),
                ..known
            });
        }
        let matched = extensions.get::<MatchedRoute>();
        timeouts::of(
            matched,
            request.headers(),
            (self.trust_headers, caller),
            now,
        )
    }
}

impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout {
            inner,
            layer: *self,
            known: Known::default(),
        }
    }
}

/// Middleware that answers when the inner service takes too long.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    layer: TimeoutLayer,
    known: Known,
}

impl<S> Timeout<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Timeout<S>
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let TimeoutLayer {
            trust_headers,
            knows_limits: _,
            announce,
            envoy_headers,
            deadline: tells_deadline,
        } = self.layer;
        let caller = Caller::of(request.headers());
        let timeouts = self.layer.limits(&request, caller);
        if trust_headers {
            timeouts::remove_overrides(request.headers_mut());
        }
        let mut timer = None;
        if let Some(timeouts) = timeouts {
            let whole = timeouts
                .total
                .and_then(|total| timeouts.start.checked_add(total));
            timer = whole.map(|deadline| Timer {
                deadline: deadline.into(),
                tells_deadline,
                sleep: None,
                caller,
            });
            if announce {
                let told = (request.headers_mut(), caller);
                let known = envoy_headers.then_some(&mut self.known);
                timeouts::announce(&timeouts, told, timeouts.start, known);
            }
            request.extensions_mut().insert(timeouts);
        }
        ResponseFuture {
            response: self.inner.call(request),
            timer,
        }
    }
}

pin_project! {
    /// Response future of [`Timeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        timer: Option<Timer>,
    }
}

#[derive(Debug)]
struct Timer {
    deadline: Instant,
    tells_deadline: bool,
    // Boxed, for most routes have none, and set when there is something to wait for.
    sleep: Option<Pin<Box<Sleep>>>,
    caller: Caller,
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = this.response.poll(cx);
        let Some(timer) = this.timer else {
            return response;
        };
        if let Poll::Ready(result) = &mut response {
            if let Ok(response) = result
                && timer.tells_deadline
            {
                let deadline = Deadline(timer.deadline);
                response.extensions_mut().insert(deadline);
            }
            return response;
        }
        let Timer {
            deadline,
            sleep,
            caller,
            ..
        } = timer;
        let caller = *caller;
        let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(*deadline)));
        sleep.as_mut().poll(cx).map(|()| {
            let text = Bytes::from_static(b"upstream request timeout");
            Ok(reply::text(
                caller,
                StatusCode::GATEWAY_TIMEOUT,
                text,
                RequestTimeout,
            ))
        })
    }
}

/// Marks a `504` as sent by [`Timeout`], because the upstream took too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("upstream request timeout")]
#[non_exhaustive]
pub struct RequestTimeout;

impl reply::Reason for RequestTimeout {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamRequestTimeout;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use mesh_core::model::route::{Route, RouteAction, RouteMatch};
    use mesh_core::service::ClusterName;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_passed_on() {
        let response = send(Some(2 * SECOND), SECOND, "text/plain").await;
        assert_eq!(response.body(), "late");
        assert!(response.extensions().get::<RequestTimeout>().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn responses_carry_the_deadline_unless_nobody_reads_it() {
        for wanted in [true, false] {
            let matched = MatchedRoute::new(Arc::new(route(Some(2 * SECOND))), 0);
            let request = Request::get("/").extension(matched).body(()).unwrap();
            let layer = TimeoutLayer::new().with_deadline(wanted);
            let start = Instant::now();
            let response = layer.layer(late(SECOND)).oneshot(request).await.unwrap();
            let told = response.extensions().get::<Deadline>();
            let expected = wanted.then_some(Deadline(start + 2 * SECOND));
            assert_eq!(told.copied(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_waits_no_longer_than_the_route_says() {
        let start = Instant::now();
        let response = send(Some(SECOND), 2 * SECOND, "text/plain").await;
        assert_eq!(start.elapsed(), SECOND);
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let flag = response.extensions().get();
        assert_eq!(flag, Some(&ResponseFlag::UpstreamRequestTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_client_gets_a_grpc_status() {
        let response = send(Some(SECOND), 2 * SECOND, "application/grpc").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(
            response.headers()["grpc-message"],
            "upstream request timeout"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_there_is_no_end() {
        let response = send(None, 1_000_000 * SECOND, "text/plain").await;
        assert_eq!(response.body(), "late");
    }

    #[tokio::test(start_paused = true)]
    async fn a_grpc_client_says_itself_how_long_it_waits() {
        let start = Instant::now();
        let request = Request::get("/")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "1S")
            .extension(MatchedRoute::new(Arc::new(route(None)), 0));
        let service = TimeoutLayer::new().layer(late(2 * SECOND));
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        assert_eq!(start.elapsed(), SECOND);
        assert_eq!(response.headers()["grpc-status"], "14");
    }

    #[tokio::test]
    async fn grpc_is_told_how_long_there_is_without_headers_of_envoy() {
        for (envoy_headers, told) in [(true, Some("2000")), (false, None)] {
            let (sender, seen) = std::sync::mpsc::channel();
            let inner = service_fn(move |request: Request<()>| {
                sender.send(request.headers().clone()).unwrap();
                std::future::ready(Ok::<_, Infallible>(Response::new(Bytes::new())))
            });
            let request = Request::get("/")
                .header("content-type", "application/grpc")
                .extension(MatchedRoute::new(Arc::new(route(Some(2 * SECOND))), 0));
            let layer = TimeoutLayer::new().with_envoy_headers(envoy_headers);
            let response = layer.layer(inner).oneshot(request.body(()).unwrap()).await;
            assert_eq!(response.unwrap().status(), 200);
            let seen = seen.recv().unwrap();
            let value = |name| seen.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(value("x-envoy-expected-rq-timeout-ms"), told);
            assert!(value("grpc-timeout").is_some(), "{envoy_headers}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn headers_of_strangers_set_no_limit_and_those_of_friends_are_read_and_removed() {
        for (trusted, status, left) in [(false, 200, Some("500")), (true, 504, None)] {
            let (sender, seen) = std::sync::mpsc::channel();
            let mut late = late(SECOND);
            let inner = service_fn(move |request: Request<()>| {
                sender.send(request.headers().clone()).unwrap();
                late.call(request)
            });
            let request = Request::get("/")
                .header("x-envoy-upstream-rq-timeout-ms", "500")
                .extension(MatchedRoute::new(Arc::new(route(Some(2 * SECOND))), 0));
            let layer = TimeoutLayer::new().with_trusted_headers(trusted);
            let response = layer.layer(inner).oneshot(request.body(()).unwrap()).await;
            assert_eq!(response.unwrap().status(), status, "{trusted}");
            let seen = seen.recv().unwrap();
            let value = |name| seen.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(value("x-envoy-upstream-rq-timeout-ms"), left, "{trusted}");
            let expected = if trusted { "500" } else { "2000" };
            assert_eq!(value("x-envoy-expected-rq-timeout-ms"), Some(expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_may_take_as_long_as_its_original_whatever_its_route_says() {
        for (total, status) in [(Some(SECOND), 504), (Some(3 * SECOND), 200), (None, 200)] {
            let matched = MatchedRoute::new(Arc::new(route(Some(SECOND))), 0);
            let mut request = Request::get("/").extension(matched).body(()).unwrap();
            if total.is_some() {
                request.extensions_mut().insert(Timeouts {
                    start: Instant::now().into_std(),
                    total,
                    per_try: None,
                });
            }
            // The original's time has begun earlier.
            tokio::time::advance(2 * SECOND).await;
            let layer = TimeoutLayer::new().with_known_limits(true);
            let response = layer.layer(late(2 * SECOND)).oneshot(request).await;
            assert_eq!(response.unwrap().status(), status, "{total:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn balancing_is_told_when_the_answer_has_to_be_there() {
        for timeout in [Some(SECOND), None] {
            let start = Instant::now().into_std();
            let matched = MatchedRoute::new(Arc::new(route(timeout)), 0);
            let request = Request::get("/").extension(matched).body(()).unwrap();
            let service = TimeoutLayer::new().layer(service_fn(tell));
            let response = service.oneshot(request).await.unwrap();
            let expected = timeout.map(|after| start + after);
            assert_eq!(response.body(), &format!("{expected:?}"));
        }
    }

    /// Answers with the deadline that it is told.
    async fn tell(request: Request<()>) -> Result<Response<Bytes>, Infallible> {
        let timeouts = request.extensions().get::<Timeouts>();
        let told = timeouts.and_then(|timeouts| timeouts.deadline(timeouts.start));
        Ok(Response::new(format!("{told:?}").into()))
    }

    fn route(timeout: Option<Duration>) -> Route {
        let mut route = Route::forward("slow", RouteMatch::prefix("/"), ClusterName::from("cart"));
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.timeout = timeout;
        }
        route
    }

    /// A service that takes `time`.
    fn late(
        time: Duration,
    ) -> impl Service<Request<()>, Response = Response<Bytes>, Error = Infallible> {
        service_fn(move |_: Request<()>| async move {
            tokio::time::sleep(time).await;
            Ok::<_, Infallible>(Response::new(Bytes::from_static(b"late")))
        })
    }

    /// Sends a request by a route with `timeout` to a service that takes `time`.
    async fn send(
        timeout: Option<Duration>,
        time: Duration,
        content_type: &str,
    ) -> Response<Bytes> {
        let request = Request::get("/")
            .header("content-type", content_type)
            .extension(MatchedRoute::new(Arc::new(route(timeout)), 0));
        let service = TimeoutLayer::new().layer(late(time));
        service.oneshot(request.body(()).unwrap()).await.unwrap()
    }
}
