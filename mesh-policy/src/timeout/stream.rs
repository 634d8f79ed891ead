//! Hold the bodies of responses to the rest of the time.
//!
//! [`StreamTimeoutLayer`] stands above [`TimeoutLayer`](super::TimeoutLayer), which leaves the
//! [`Deadline`] of the exchange in the extensions of its response. When the deadline passes while
//! the body is under way, the body fails with [`StreamTimedOut`], and the server resets the stream, as
//! Envoy does after the response has begun.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use mesh_policy::timeout::stream::{Deadline, StreamTimeoutLayer};
//! use tokio::time::Instant;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let late = service_fn(|_: Request<()>| async {
//!     let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
//!     response.extensions_mut().insert(Deadline(Instant::now()));
//!     Ok::<_, Infallible>(response)
//! });
//! let service = ServiceBuilder::new().layer(StreamTimeoutLayer::new()).service(late);
//! let response = service.oneshot(Request::new(())).await?;
//! assert!(response.into_body().collect().await.is_err());
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use mesh_core::attributes::{ResponseFlag, StreamFailure};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// When the exchange of a response has to be over, in its extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline(pub Instant);

/// Layer that applies [`StreamTimeout`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamTimeoutLayer {
    _private: (),
}

impl StreamTimeoutLayer {
    /// Holds bodies to the deadlines of their exchanges.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for StreamTimeoutLayer {
    type Service = StreamTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StreamTimeout { inner }
    }
}

/// Middleware that ends responses that take too long.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct StreamTimeout<S> {
    inner: S,
}

impl<S> StreamTimeout<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StreamTimeout<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<TimedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let response = self.inner.call(request);
        ResponseFuture { response }
    }
}

pin_project! {
    /// Response future of [`StreamTimeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = Result<Response<TimedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().response.poll(cx))?;
        let deadline = response.extensions().get::<Deadline>();
        let deadline = deadline.map(|Deadline(at)| Box::pin(sleep_until(*at)));
        Poll::Ready(Ok(response.map(|inner| TimedBody { inner, deadline })))
    }
}

pin_project! {
    /// The body of a response, which fails when its time is over.
    #[derive(Debug, Default)]
    pub struct TimedBody<B> {
        #[pin]
        inner: B,
        deadline: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> TimedBody<B> {
    /// The body itself, if it has all the time that it wants.
    ///
    /// # Errors
    ///
    /// This, if it has not.
    pub fn into_untimed(self) -> Result<B, Self> {
        match self.deadline {
            None => Ok(self.inner),
            Some(_) => Err(self),
        }
    }
}

impl<B: From<Bytes>> From<Bytes> for TimedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            inner: bytes.into(),
            deadline: None,
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
            return Poll::Ready(Some(Err(StreamTimedOut.into())));
        }
        let frame = this.inner.poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a body failed: the time of the exchange is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamTimedOut;

impl fmt::Display for StreamTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("upstream request timeout")
    }
}

impl Error for StreamTimedOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&StreamFailure(ResponseFlag::UpstreamRequestTimeout))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::time::sleep;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A body of one piece after each of some pauses.
    #[derive(Debug, Default)]
    pub(in super::super) struct Pauses(Vec<Duration>, Option<Pin<Box<Sleep>>>);

    impl Pauses {
        pub(in super::super) fn new(pauses: &[Duration]) -> Self {
            Self(pauses.to_vec(), None)
        }
    }

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

    /// Reads a body of one piece after each of `pauses`, of an exchange that has so much time.
    async fn collect(pauses: &[Duration], time: Option<Duration>) -> Result<Bytes, BoxError> {
        let pauses = pauses.to_vec();
        let inner = service_fn(move |_: Request<()>| {
            let mut response = Response::new(Pauses::new(&pauses));
            if let Some(time) = time {
                let deadline = Deadline(Instant::now() + time);
                response.extensions_mut().insert(deadline);
            }
            async { Ok::<_, Infallible>(response) }
        });
        let service = StreamTimeoutLayer::new().layer(inner);
        let response = service.oneshot(Request::new(())).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_a_deadline_takes_all_its_time() {
        let body = collect(&[SECOND; 9], None).await.unwrap();
        assert_eq!(body, "aaaaaaaaa");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_beyond_the_deadline_fails() {
        let start = Instant::now();
        let error = collect(&[SECOND; 9], Some(5 * SECOND / 2))
            .await
            .unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&StreamTimedOut));
        assert_eq!(start.elapsed(), 5 * SECOND / 2);
    }
}
