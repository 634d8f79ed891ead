//! Hold the bodies of responses to the rest of the time, and to an idle timeout.
//!
//! [`StreamTimeoutLayer`] stands above [`TimeoutLayer`](super::TimeoutLayer), which leaves the
//! [`Deadline`] of the exchange in the extensions of its response. When the deadline passes while
//! the body is under way, or nothing comes for longer than the idle timeout, the body fails with
//! [`StreamTimedOut`], and the server resets the stream, as Envoy does after the response has begun.
//! When no head comes for longer than the idle timeout, the client gets `504` with Envoy's text
//! `stream timeout` and the flag `SI`.
//!
//! Istio switches Envoy's idle timeout of streams off, so it is off here unless it is set.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mesh_policy::timeout::stream::StreamTimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let silent = service_fn(|_: Request<()>| async {
//!     std::future::pending::<()>().await;
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! });
//! let layer = StreamTimeoutLayer::new().with_idle_timeout(Duration::from_secs(300));
//! let service = ServiceBuilder::new().layer(layer).service(silent);
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), 504);
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// When the exchange of a response has to be over, in its extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline(pub Instant);

/// Layer that applies [`StreamTimeout`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamTimeoutLayer {
    idle: Option<Duration>,
}

impl StreamTimeoutLayer {
    /// Holds bodies to the deadlines of their exchanges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long nothing may come. Zero is no limit. Default: no limit.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = (!idle.is_zero()).then_some(idle);
        self
    }
}

impl<S> Layer<S> for StreamTimeoutLayer {
    type Service = StreamTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let idle = self.idle;
        StreamTimeout { inner, idle }
    }
}

/// Middleware that ends responses that take too long.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct StreamTimeout<S> {
    inner: S,
    idle: Option<Duration>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StreamTimeout<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = Response<TimedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = Caller::of(request.headers());
        ResponseFuture {
            response: self.inner.call(request),
            caller,
            idle: self.idle.map(Idle::new),
        }
    }
}

/// A timer that begins anew whenever something comes.
#[derive(Debug)]
struct Idle {
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Idle {
    fn new(timeout: Duration) -> Self {
        let sleep = Box::pin(sleep(timeout));
        Self { timeout, sleep }
    }

    fn restart(&mut self) {
        self.sleep.as_mut().reset(Instant::now() + self.timeout);
    }
}

pin_project! {
    /// Response future of [`StreamTimeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        caller: Caller,
        idle: Option<Idle>,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<Response<TimedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.response.poll(cx)? {
            let deadline = response.extensions().get::<Deadline>();
            let deadline = deadline.map(|Deadline(at)| Box::pin(sleep_until(*at)));
            let mut idle = this.idle.take();
            if let Some(idle) = &mut idle {
                idle.restart();
            }
            return Poll::Ready(Ok(response.map(|inner| TimedBody {
                inner,
                deadline,
                idle,
            })));
        }
        let Some(idle) = this.idle else {
            return Poll::Pending;
        };
        ready!(idle.sleep.as_mut().poll(cx));
        let (status, text) = (
            StatusCode::GATEWAY_TIMEOUT,
            Bytes::from_static(b"stream timeout"),
        );
        Poll::Ready(Ok(reply::text(*this.caller, status, text, StreamIdle)))
    }
}

pin_project! {
    /// The body of a response, which fails when its time is over.
    #[derive(Debug, Default)]
    pub struct TimedBody<B> {
        #[pin]
        inner: B,
        deadline: Option<Pin<Box<Sleep>>>,
        idle: Option<Idle>,
    }
}

impl<B> TimedBody<B> {
    /// The body itself, if it has all the time that it wants.
    ///
    /// # Errors
    ///
    /// This, if it has not.
    pub fn into_untimed(self) -> Result<B, Self> {
        match self.deadline.is_none() && self.idle.is_none() {
            true => Ok(self.inner),
            false => Err(self),
        }
    }
}

impl<B: From<Bytes>> From<Bytes> for TimedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            inner: bytes.into(),
            deadline: None,
            idle: None,
        }
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if let Some(deadline) = this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(StreamTimedOut::Deadline.into())));
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            if let Some(idle) = this.idle {
                idle.restart();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = this.idle else {
            return Poll::Pending;
        };
        ready!(idle.sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(StreamTimedOut::Idle.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a body failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamTimedOut {
    /// The time of the exchange is over.
    #[error("upstream request timeout")]
    Deadline,
    /// Nothing came for too long.
    #[error("stream timeout")]
    Idle,
}

/// Marks a `504` as sent by [`StreamTimeout`], because nothing came for too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("stream timeout")]
#[non_exhaustive]
pub struct StreamIdle;

impl reply::Reason for StreamIdle {
    const FLAG: ResponseFlag = ResponseFlag::StreamIdleTimeout;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A body of one piece after each of `pauses`.
    #[derive(Debug, Default)]
    struct Pauses(Vec<Duration>, Option<Pin<Box<Sleep>>>);

    impl From<Bytes> for Pauses {
        fn from(_: Bytes) -> Self {
            Self::default()
        }
    }

    impl Body for Pauses {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let this = &mut *self;
            let Some(pause) = this.0.first().copied() else {
                return Poll::Ready(None);
            };
            let timer = this.1.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(timer.as_mut().poll(cx));
            (this.0, this.1) = (this.0.split_off(1), None);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
        }
    }

    async fn collect(
        pauses: &[Duration],
        idle: Duration,
        deadline: Option<Duration>,
    ) -> Result<Bytes, StreamTimedOut> {
        let pauses = pauses.to_vec();
        let inner = service_fn(move |_: Request<()>| {
            let mut response = Response::new(Pauses(pauses.clone(), None));
            if let Some(deadline) = deadline {
                let deadline = Deadline(Instant::now() + deadline);
                response.extensions_mut().insert(deadline);
            }
            async { Ok::<_, Infallible>(response) }
        });
        let service = StreamTimeoutLayer::new()
            .with_idle_timeout(idle)
            .layer(inner);
        let response = service.oneshot(Request::new(())).await.unwrap();
        match response.into_body().collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => Err(*error.downcast().unwrap()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_as_long_as_it_goes_on() {
        let body = collect(&[SECOND; 9], 2 * SECOND, None).await;
        assert_eq!(body, Ok(Bytes::from_static(b"aaaaaaaaa")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_fails() {
        let body = collect(&[SECOND, 3 * SECOND], 2 * SECOND, None).await;
        assert_eq!(body, Err(StreamTimedOut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_beyond_the_deadline_fails() {
        let start = Instant::now();
        let body = collect(&[SECOND; 9], Duration::ZERO, Some(5 * SECOND / 2)).await;
        assert_eq!(body, Err(StreamTimedOut::Deadline));
        assert_eq!(start.elapsed(), 5 * SECOND / 2);
    }
}
