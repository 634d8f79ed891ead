//! End exchanges in which nothing comes any more.
//!
//! [`IdleTimeoutLayer`] waits for the next frame of either direction: an upload keeps an exchange alive
//! as a download does. When nothing has come for longer than the timeout, and there is no response
//! yet, the client gets `504`, or `408` if its request is not there whole, with Envoy's text
//! `stream timeout` and the flag `SI`. A response that has begun fails with [`StreamIdle`], and the
//! server resets the stream.
//!
//! Istio switches Envoy's idle timeout of streams off; so the layer is for those who want one.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{Empty, Full};
//! use mesh_policy::timeout::idle::IdleTimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let silent = service_fn(|_| async {
//!     std::future::pending::<()>().await;
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! });
//! let layer = IdleTimeoutLayer::new(Duration::from_secs(300));
//! let service = ServiceBuilder::new().layer(layer).service(silent);
//! let response = service.oneshot(Request::new(Empty::<Bytes>::new())).await?;
//! assert_eq!(response.status(), 504);
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mesh_core::attributes::{ResponseFlag, StreamFailure};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// A longer timeout than this, of thirty years, makes no difference.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Layer that applies [`IdleTimeout`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeoutLayer {
    /// `None` is no limit.
    timeout: Option<Duration>,
}

impl IdleTimeoutLayer {
    /// Ends exchanges in which nothing comes for `timeout`. Zero is no limit.
    pub fn new(timeout: Duration) -> Self {
        let timeout = (!timeout.is_zero()).then_some(timeout.min(LONGEST));
        Self { timeout }
    }
}

impl<S> Layer<S> for IdleTimeoutLayer {
    type Service = IdleTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let timeout = self.timeout;
        IdleTimeout { inner, timeout }
    }
}

/// Middleware that ends exchanges in which nothing comes any more.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeout<S> {
    inner: S,
    timeout: Option<Duration>,
}

impl<S> IdleTimeout<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for IdleTimeout<S>
where
    S: Service<Request<ActiveBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Default + From<Bytes>,
{
    type Response = Response<IdleBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let is_received = request.body().is_end_stream();
        let idle = self.timeout.map(|timeout| Idle::new(timeout, is_received));
        let activity = idle.as_ref().map(|idle| Arc::clone(&idle.activity));
        let request = request.map(|inner| ActiveBody { inner, activity });
        ResponseFuture {
            response: self.inner.call(request),
            caller,
            idle,
        }
    }
}

/// When something last came, of either direction.
#[derive(Debug)]
struct Activity {
    start: Instant,
    /// Nanoseconds after the start.
    last: AtomicU64,
    /// Whether the request is there whole.
    is_received: AtomicBool,
}

impl Activity {
    fn note(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(nanos, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

/// A timer that begins anew whenever something comes.
#[derive(Debug)]
struct Idle {
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
    activity: Arc<Activity>,
}

impl Idle {
    fn new(timeout: Duration, is_received: bool) -> Self {
        let activity = Arc::new(Activity {
            start: Instant::now(),
            last: AtomicU64::new(0),
            is_received: AtomicBool::new(is_received),
        });
        Self {
            timeout,
            sleep: Box::pin(sleep(timeout)),
            activity,
        }
    }

    /// Waits until nothing has come for too long. What comes does not wake the task: it is looked at
    /// when the time would be over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let end = self.activity.last() + self.timeout;
            if end <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(end);
        }
    }
}

pin_project! {
    /// Response future of [`IdleTimeout`].
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
    type Output = Result<Response<IdleBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.response.poll(cx)? {
            let idle = this.idle.take();
            if let Some(idle) = &idle {
                idle.activity.note();
            }
            return Poll::Ready(Ok(response.map(|inner| IdleBody { inner, idle })));
        }
        let Some(idle) = this.idle else {
            return Poll::Pending;
        };
        ready!(idle.poll(cx));
        let status = match idle.activity.is_received.load(Ordering::Relaxed) {
            true => StatusCode::GATEWAY_TIMEOUT,
            false => StatusCode::REQUEST_TIMEOUT,
        };
        let text = Bytes::from_static(b"stream timeout");
        Poll::Ready(Ok(reply::text(*this.caller, status, text, StreamIdle)))
    }
}

pin_project! {
    /// The body of a request, which keeps its exchange alive.
    #[derive(Debug)]
    pub struct ActiveBody<B> {
        #[pin]
        inner: B,
        activity: Option<Arc<Activity>>,
    }
}

impl<B: Body> Body for ActiveBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(activity) = this.activity {
            activity.note();
            let is_last = match &frame {
                Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
                Some(Err(_)) => false,
                None => true,
            };
            if is_last {
                activity.is_received.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// The body of a response, which fails when nothing comes any more.
    #[derive(Debug, Default)]
    pub struct IdleBody<B> {
        #[pin]
        inner: B,
        idle: Option<Idle>,
    }
}

impl<B: From<Bytes>> From<Bytes> for IdleBody<B> {
    fn from(bytes: Bytes) -> Self {
        let (inner, idle) = (bytes.into(), None);
        Self { inner, idle }
    }
}

impl<B> Body for IdleBody<B>
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
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            if let Some(idle) = this.idle {
                idle.activity.note();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = this.idle else {
            return Poll::Pending;
        };
        ready!(idle.poll(cx));
        Poll::Ready(Some(Err(StreamIdle.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Marks an answer as sent by [`IdleTimeout`], because nothing came for too long; and why a body
/// failed for that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamIdle;

impl std::fmt::Display for StreamIdle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stream timeout")
    }
}

impl Error for StreamIdle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&StreamFailure(ResponseFlag::StreamIdleTimeout))
    }
}

impl reply::Reason for StreamIdle {
    const FLAG: ResponseFlag = ResponseFlag::StreamIdleTimeout;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use tower::{ServiceExt, service_fn};

    use super::super::stream::tests::Pauses;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Downloads a body of one piece after each of `pauses`.
    async fn download(pauses: &[Duration], timeout: Duration) -> Result<Bytes, BoxError> {
        let pauses = pauses.to_vec();
        let inner = service_fn(move |_: Request<ActiveBody<Full<Bytes>>>| {
            let response = Response::new(Pauses::new(&pauses));
            async { Ok::<_, Infallible>(response) }
        });
        let service = IdleTimeoutLayer::new(timeout).layer(inner);
        let response = service.oneshot(Request::new(Full::default())).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }

    /// Uploads a body of one piece after each of `pauses` to a service that answers at its end.
    async fn upload(pauses: &[Duration], timeout: Duration) -> StatusCode {
        let inner = service_fn(|request: Request<ActiveBody<Pauses>>| async {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let service = IdleTimeoutLayer::new(timeout).layer(inner);
        let request = Request::new(Pauses::new(pauses));
        service.oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_as_long_as_it_goes_on() {
        let body = download(&[SECOND; 9], 2 * SECOND).await.unwrap();
        assert_eq!(body, "aaaaaaaaa");
        assert_eq!(upload(&[SECOND; 9], 2 * SECOND).await, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_fails() {
        let start = Instant::now();
        let error = download(&[SECOND, 3 * SECOND], 2 * SECOND)
            .await
            .unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&StreamIdle));
        assert_eq!(start.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stands_still_is_answered() {
        let start = Instant::now();
        assert_eq!(upload(&[SECOND, 3 * SECOND], 2 * SECOND).await, 408);
        assert_eq!(start.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_may_be_as_long_as_any_and_zero_is_none() {
        for timeout in [Duration::MAX, Duration::ZERO] {
            let body = download(&[SECOND; 2], timeout).await.unwrap();
            assert_eq!(body, "aa", "{timeout:?}");
        }
    }
}
