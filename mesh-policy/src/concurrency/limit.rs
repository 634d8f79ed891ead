//! Refuse requests when a number of others is under way, see the [module docs](super).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::permits::{CountedBody, Permit, Permits};

/// Layer that applies [`ConcurrencyLimit`].
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitLayer {
    permits: Permits,
}

impl ConcurrencyLimitLayer {
    /// Lets `requests` be under way at once, of all services that this layer makes together.
    pub fn new(requests: u32) -> Self {
        let permits = Permits::new(requests);
        Self { permits }
    }
}

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let permits = self.permits.clone();
        ConcurrencyLimit { inner, permits }
    }
}

/// Middleware that refuses requests when there are too many.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<S> {
    inner: S,
    permits: Permits,
}

impl<S> ConcurrencyLimit<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ConcurrencyLimit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = Response<CountedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let permit = self.permits.take();
        let response = permit.is_some().then(|| self.inner.call(request));
        ResponseFuture {
            response,
            permit,
            caller,
        }
    }
}

pin_project! {
    /// Response future of [`ConcurrencyLimit`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // `None` if the request is refused.
        #[pin]
        response: Option<F>,
        permit: Option<Permit>,
        caller: Caller,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<Response<CountedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(response) = this.response.as_pin_mut() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let text = Bytes::from_static(b"reached concurrency limit");
            let response = reply::text(*this.caller, status, text, ConcurrencyLimitReached);
            return Poll::Ready(Ok(response));
        };
        let response = ready!(response.poll(cx))?;
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|body| CountedBody::new(body, permit))))
    }
}

/// Marks a `503` as sent by [`ConcurrencyLimit`], because too many requests are under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("reached concurrency limit")]
#[non_exhaustive]
pub struct ConcurrencyLimitReached;

impl reply::Reason for ConcurrencyLimitReached {
    const FLAG: ResponseFlag = ResponseFlag::OverloadManager;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn requests_beyond_the_limit_are_refused_until_one_has_ended() {
        let hello = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        });
        let service = ConcurrencyLimitLayer::new(1).layer(hello);
        let send = || service.clone().oneshot(Request::new(()));
        let first = send().await.unwrap();
        let refused = send().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert_eq!(
            refused.extensions().get(),
            Some(&ResponseFlag::OverloadManager)
        );
        first.into_body().collect().await.unwrap();
        assert_eq!(send().await.unwrap().status(), 200);
    }
}
