//! Hold exchanges to the timeouts of their routes.
//!
//! [`TimeoutLayer`] waits as long as the [`MatchedRoute`] extension says for the head of the
//! response. When that time is over, the inner service's future is dropped and the client gets
//! `504` with Envoy's text, `upstream request timeout`, and the flag `UT`. Requests whose route has
//! no timeout, or that have no route, cost nothing.
//!
//! The time begins when the request reaches the layer. Envoy begins it when the request has been
//! received whole, and ends it when the response has been sent whole; here a body may take as long
//! as it likes.
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

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

/// Layer that applies [`Timeout`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeoutLayer {
    _private: (),
}

impl TimeoutLayer {
    /// Holds each exchange to the timeout of its route.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout { inner }
    }
}

/// Middleware that answers when the inner service takes too long.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
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

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let matched = request.extensions().get::<MatchedRoute>();
        let timeout = matched
            .and_then(MatchedRoute::timeout)
            .map(|timeout| Deadline {
                sleep: Box::pin(sleep(timeout)),
                caller: Caller::of(request.headers()),
            });
        ResponseFuture {
            response: self.inner.call(request),
            deadline: timeout,
        }
    }
}

pin_project! {
    /// Response future of [`Timeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        deadline: Option<Deadline>,
    }
}

#[derive(Debug)]
struct Deadline {
    // Most routes have none, and their futures shall not be larger for it.
    sleep: Pin<Box<Sleep>>,
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
        let response = this.response.poll(cx);
        let Some(deadline) = this.deadline.as_mut().filter(|_| response.is_pending()) else {
            return response;
        };
        let caller = deadline.caller;
        deadline.sleep.as_mut().poll(cx).map(|()| {
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
    use tokio::time::Instant;
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

    /// Sends a request by a route with `timeout` to a service that takes `time`.
    async fn send(
        timeout: Option<Duration>,
        time: Duration,
        content_type: &str,
    ) -> Response<Bytes> {
        let mut route = Route::forward("slow", RouteMatch::prefix("/"), ClusterName::from("cart"));
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.timeout = timeout;
        }
        let inner = service_fn(move |_: Request<()>| async move {
            sleep(time).await;
            Ok::<_, Infallible>(Response::new(Bytes::from_static(b"late")))
        });
        let request = Request::get("/")
            .header("content-type", content_type)
            .extension(MatchedRoute::new(Arc::new(route), 0));
        let service = TimeoutLayer::new().layer(inner);
        service.oneshot(request.body(()).unwrap()).await.unwrap()
    }
}
