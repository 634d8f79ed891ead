//! Inject the faults of routes: delays and aborts.
//!
//! [`FaultLayer`] reads the [`Fault`] of each request's [`MatchedRoute`] extension. A share of the
//! requests is held back before it goes on, a share is answered in the application's place; the two
//! are drawn independently, and a request that is to suffer both is held back first. Requests whose
//! route has no fault, or that have no route, cost nothing.
//!
//! Answers and flags are those of Envoy's [fault filter]: the text `fault filter abort` and the
//! flag `FI`, or `DI` for a request that was only held back. An abort with a gRPC status answers
//! `200`; only a gRPC client sees the status.
//!
//! The layer stands right below routing, above the other filters of the route. The inner service's
//! error type is unchanged.
//!
//! [fault filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/fault_filter
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::filter::{AbortStatus, Fault, FaultAbort};
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::origin::Origin;
//! use mesh_core::percent::Percent;
//! use mesh_core::service::ClusterName;
//! use mesh_policy::fault::FaultLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
//! route.fault = Some(Box::new(Fault {
//!     delay: None,
//!     abort: Some(FaultAbort { status: AbortStatus::Http(503), percent: Percent::new(10.0)? }),
//!     origin: Origin::synthetic("example"),
//! }));
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//!
//! for (random, status) in [(99_999, 503), (100_000, 200)] {
//!     let service = ServiceBuilder::new()
//!         .layer(FaultLayer::new().with_random(move || random))
//!         .service(service_fn(|_: Request<()>| async {
//!             Ok::<_, Infallible>(Response::new(Bytes::new()))
//!         }));
//!     let request = Request::get("/").extension(matched.clone()).body(())?;
//!     assert_eq!(service.oneshot(request).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::model::filter::{AbortStatus, Fault, FaultAbort, FaultDelay};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

const TEXT: Bytes = Bytes::from_static(b"fault filter abort");

/// Layer that applies [`Faults`].
///
/// See the [module docs](self) for an example.
#[derive(Clone)]
pub struct FaultLayer {
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl FaultLayer {
    /// Injects the faults of each request's route.
    pub fn new() -> Self {
        Self {
            random: Arc::new(|| fastrand::u64(..)),
        }
    }

    /// Draws whether a request suffers by numbers from `random`, which should be uniform over all
    /// values. The default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Arc::new(random);
        Self { random }
    }

    fn draw(&self, fault: &Fault) -> Drawn {
        let delay = fault
            .delay
            .filter(|delay| delay.percent.includes((self.random)()));
        let abort = fault
            .abort
            .filter(|abort| abort.percent.includes((self.random)()));
        Drawn { delay, abort }
    }
}

impl Default for FaultLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FaultLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faults<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Faults { inner, layer }
    }
}

/// Middleware that delays and aborts requests.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Faults<S> {
    inner: S,
    layer: FaultLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Faults<S>
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
        let matched = request.extensions().get::<MatchedRoute>();
        let fault = matched.and_then(MatchedRoute::fault);
        let drawn = fault.map(|fault| self.layer.draw(fault));
        let state = match drawn.filter(Drawn::is_any) {
            None => State::Called {
                response: self.inner.call(request),
                delayed: false,
            },
            Some(drawn) => {
                // The service that is ready waits for its request; the other gets ready again.
                let other = self.inner.clone();
                let service = mem::replace(&mut self.inner, other);
                let suffering = Suffering::new(drawn, service, request);
                State::Suffering {
                    suffering: Some(Box::new(suffering)),
                }
            }
        };
        ResponseFuture { state }
    }
}

/// What a request is to suffer.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    delay: Option<FaultDelay>,
    abort: Option<FaultAbort>,
}

impl Drawn {
    fn is_any(&self) -> bool {
        self.delay.is_some() || self.abort.is_some()
    }
}

/// A request that is held back or aborted.
#[derive(Debug)]
struct Suffering<S, ReqBody> {
    delay: Option<Pin<Box<Sleep>>>,
    abort: Option<FaultAbort>,
    service: S,
    request: Request<ReqBody>,
}

impl<S, ReqBody> Suffering<S, ReqBody> {
    fn new(drawn: Drawn, service: S, request: Request<ReqBody>) -> Self {
        Self {
            delay: drawn.delay.map(|delay| Box::pin(sleep(delay.duration))),
            abort: drawn.abort,
            service,
            request,
        }
    }
}

pin_project! {
    /// Response future of [`Faults`].
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
        Called {
            #[pin]
            response: F,
            delayed: bool,
        },
        // `None` once it is over.
        Suffering {
            suffering: Option<Box<Suffering<S, ReqBody>>>,
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
            let suffering = match state.as_mut().project() {
                StateProjection::Called { response, delayed } => {
                    let mut response = ready!(response.poll(cx))?;
                    if *delayed {
                        mark_delayed(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Suffering { suffering } => suffering,
            };
            if let Some(delay) = suffering.as_mut().and_then(|held| held.delay.as_mut()) {
                ready!(delay.as_mut().poll(cx));
            }
            let mut held = suffering
                .take()
                .expect("a future is not polled after it has completed");
            if let Some(abort) = held.abort {
                let caller = Caller::of(held.request.headers());
                return Poll::Ready(Ok(respond(abort.status, caller)));
            }
            let response = held.service.call(held.request);
            state.set(State::Called {
                response,
                delayed: true,
            });
        }
    }
}

/// A response that says of itself why it is as it is, keeps its own flag.
fn mark_delayed<B>(response: &mut Response<B>) {
    let extensions = response.extensions_mut();
    if extensions.get::<ResponseFlag>().is_none() {
        extensions.insert(ResponseFlag::DelayInjected);
    }
}

/// The answer in the application's place.
fn respond<B>(status: AbortStatus, caller: Caller) -> Response<B>
where
    B: Default + From<Bytes>,
{
    match status {
        AbortStatus::Http(status) => {
            // 600, which Istio admits, is no status.
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply::text(caller, status, TEXT, FaultInjected)
        }
        AbortStatus::Grpc(code) => {
            let mut response = reply::text(caller, StatusCode::OK, TEXT, FaultInjected);
            if caller == Caller::Grpc {
                let code = HeaderValue::from(u16::from(code));
                response.headers_mut().insert("grpc-status", code);
            }
            response
        }
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Marks an answer as sent by [`Faults`], because the route has it aborted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("fault filter abort")]
#[non_exhaustive]
pub struct FaultInjected;

impl reply::Reason for FaultInjected {
    const FLAG: ResponseFlag = ResponseFlag::FaultInjected;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use mesh_core::model::route::{Route, RouteMatch};
    use mesh_core::origin::Origin;
    use mesh_core::percent::Percent;
    use mesh_core::service::ClusterName;
    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const DELAY: FaultDelay = FaultDelay {
        duration: Duration::from_secs(7),
        percent: Percent::HUNDRED,
    };

    #[tokio::test(start_paused = true)]
    async fn a_delayed_request_goes_on_and_its_answer_is_flagged() {
        let start = Instant::now();
        let response = send(Some(DELAY), None, "text/plain").await;
        assert_eq!(start.elapsed(), DELAY.duration);
        assert_eq!(response.body(), "hello");
        assert_eq!(flag(&response), Some(ResponseFlag::DelayInjected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_suffers_both_is_held_back_first() {
        let start = Instant::now();
        let response = send(Some(DELAY), Some(AbortStatus::Http(555)), "text/plain").await;
        assert_eq!(start.elapsed(), DELAY.duration);
        assert_eq!(response.status(), 555);
        assert_eq!(response.body(), "fault filter abort");
        assert_eq!(flag(&response), Some(ResponseFlag::FaultInjected));
    }

    #[tokio::test]
    async fn the_status_of_an_abort_is_told_as_the_client_understands_it() {
        let (http, grpc) = (AbortStatus::Http(503), AbortStatus::Grpc(7));
        for (status, content_type, expected, grpc_status) in [
            (http, "text/plain", 503, None),
            (http, "application/grpc", 200, Some("14")),
            (grpc, "application/grpc", 200, Some("7")),
            (grpc, "text/plain", 200, None),
        ] {
            let case = format!("{status:?} for {content_type}");
            let response = send(None, Some(status), content_type).await;
            assert_eq!(response.status(), expected, "{case}");
            let told = response.headers().get("grpc-status");
            assert_eq!(
                told.map(|value| value.to_str().unwrap()),
                grpc_status,
                "{case}"
            );
        }
    }

    #[tokio::test]
    async fn a_route_without_faults_is_left_alone() {
        let response = send(None, None, "text/plain").await;
        assert_eq!(response.body(), "hello");
        assert_eq!(flag(&response), None);
    }

    #[tokio::test]
    async fn delay_and_abort_are_drawn_independently() {
        let numbers = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let layer = FaultLayer::new()
            .with_random(move || numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let fault = Fault {
            delay: Some(FaultDelay {
                percent: Percent::SMALLEST,
                ..DELAY
            }),
            abort: Some(FaultAbort {
                status: AbortStatus::Http(503),
                percent: Percent::SMALLEST,
            }),
            origin: Origin::synthetic("test"),
        };
        // One in a million: 0 is drawn for the delay, 1 for the abort.
        let drawn = layer.draw(&fault);
        assert!(drawn.delay.is_some() && drawn.abort.is_none());
    }

    fn flag<B>(response: &Response<B>) -> Option<ResponseFlag> {
        response.extensions().get().copied()
    }

    /// Sends a request by a route with a fault, to a service that says hello.
    async fn send(
        delay: Option<FaultDelay>,
        abort: Option<AbortStatus>,
        content_type: &str,
    ) -> Response<Bytes> {
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
        let abort = abort.map(|status| FaultAbort {
            status,
            percent: Percent::HUNDRED,
        });
        let origin = Origin::synthetic("test");
        route.fault = Some(Box::new(Fault {
            delay,
            abort,
            origin,
        }));
        let hello = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Bytes::from_static(b"hello")))
        });
        let request = Request::get("/")
            .header("content-type", content_type)
            .extension(MatchedRoute::new(Arc::new(route), 0));
        let service = FaultLayer::new().layer(hello);
        service.oneshot(request.body(()).unwrap()).await.unwrap()
    }
}
