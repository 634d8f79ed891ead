//! Refuse requests for which the inner service is not ready, see the [module docs](super).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Layer that applies [`LoadShed`].
///
/// See the [module docs](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadShedLayer {
    _private: (),
}

impl LoadShedLayer {
    /// Refuses requests for which the inner service is not ready.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let is_ready = false;
        LoadShed { inner, is_ready }
    }
}

/// Middleware that is always ready, and refuses requests when the inner service is not.
///
/// See the [module docs](super).
#[derive(Debug)]
pub struct LoadShed<S> {
    inner: S,
    is_ready: bool,
}

impl<S> LoadShed<S> {
    inner_service!();
}

impl<S: Clone> Clone for LoadShed<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            // The readiness of a service is not that of its clone.
            is_ready: false,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for LoadShed<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.is_ready = match self.inner.poll_ready(cx) {
            Poll::Ready(ready) => ready.map(|()| true)?,
            Poll::Pending => false,
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let is_ready = std::mem::take(&mut self.is_ready);
        let response = is_ready.then(|| self.inner.call(request));
        ResponseFuture { response, caller }
    }
}

pin_project! {
    /// Response future of [`LoadShed`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // `None` if the request is refused.
        #[pin]
        response: Option<F>,
        caller: Caller,
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
        match this.response.as_pin_mut() {
            Some(response) => response.poll(cx),
            None => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let text = Bytes::from_static(b"envoy overloaded");
                Poll::Ready(Ok(reply::text(*this.caller, status, text, Overloaded)))
            }
        }
    }
}

/// Marks a `503` as sent by [`LoadShed`], because the inner service was not ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("envoy overloaded")]
#[non_exhaustive]
pub struct Overloaded;

impl reply::Reason for Overloaded {
    const FLAG: ResponseFlag = ResponseFlag::OverloadManager;
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;
    use tower_test::mock;

    use super::*;

    #[tokio::test]
    async fn a_request_is_refused_when_the_inner_service_is_not_ready() {
        let (inner, mut handle) = mock::pair::<Request<()>, Response<Bytes>>();
        handle.allow(0);
        let mut service = LoadShedLayer::new().layer(inner);
        let refused = service
            .ready()
            .await
            .unwrap()
            .call(Request::new(()))
            .await
            .unwrap();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.body(), "envoy overloaded");

        handle.allow(1);
        let passed = service.ready().await.unwrap().call(Request::new(()));
        let (_, answer) = handle.next_request().await.unwrap();
        answer.send_response(Response::new(Bytes::new()));
        assert_eq!(passed.await.unwrap().status(), 200);
    }
}
