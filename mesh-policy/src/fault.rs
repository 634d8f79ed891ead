//! Inject the faults of routes: delays and aborts.
//!
//! [`FaultLayer`] reads the [`Fault`] of each request's [`MatchedRoute`] extension. A share of the
//! requests is held back before it goes on, a share is answered in the application's place; the two
//! are drawn independently, and a request that is to suffer both is held back first. Requests whose
//! route has no fault, or that have no route, cost nothing.
//!
//! Answers and flags are those of Envoy's [fault filter]: the text `fault filter abort` and the flag
//! `FI`, and `DI` for a request that was held back, beside whatever flag its answer has. An abort
//! with a gRPC status answers `200`; only a gRPC client sees the status.
//!
//! Envoy can also let requests ask for faults, by `x-envoy-fault-delay-request` (milliseconds),
//! `x-envoy-fault-abort-request`, `x-envoy-fault-abort-grpc-request`, and the same names with
//! `-percentage` for the share. Istio never configures that, and it is off here unless
//! [it is set](FaultLayer::with_trusted_headers).
//!
//! While a request is held back it holds nothing of the service below, which is asked for its
//! readiness only after that.
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

mod headers;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag, ResponseFlags};
use mesh_core::model::filter::{AbortStatus, Fault, FaultAbort, FaultDelay};
use mesh_core::percent::Percent;
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::unready;

const TEXT: Bytes = Bytes::from_static(b"fault filter abort");

/// Layer that applies [`Faults`].
///
/// See the [module docs](self) for an example.
#[derive(Clone)]
pub struct FaultLayer {
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The share of requests whose headers count.
    asked: Option<Percent>,
}

impl FaultLayer {
    /// Injects the faults of each request's route.
    pub fn new() -> Self {
        Self {
            random: Arc::new(|| fastrand::u64(..)),
            asked: None,
        }
    }

    /// Injects what the headers of requests ask for, each kind in place of the route's, in at most
    /// `most` of the requests that ask. Default: the headers mean nothing, for anybody may send them.
    /// Switch it on where those of strangers have been removed before.
    #[must_use]
    pub fn with_trusted_headers(mut self, most: Percent) -> Self {
        self.asked = Some(most);
        self
    }

    /// Draws whether a request suffers by numbers from `random`, which should be uniform over all
    /// values. The default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Draws what a request with `headers` suffers, whose route has `fault`.
    fn draw(&self, fault: Option<&Fault>, headers: &HeaderMap) -> Drawn {
        let of_route = |fault: &Fault| (fault.delay, fault.abort);
        let (delay, abort) = fault.map_or((None, None), of_route);
        let asked = |most| (headers::delay(headers, most), headers::abort(headers, most));
        let (asked_delay, asked_abort) = self.asked.map_or((None, None), asked);
        let (delay, abort) = (asked_delay.or(delay), asked_abort.or(abort));
        Drawn {
            delay: delay.filter(|delay| delay.percent.includes((self.random)())),
            abort: abort.filter(|abort| abort.percent.includes((self.random)())),
        }
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

impl<S> Faults<S> {
    inner_service!();
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
        let Drawn { delay, abort } = self.layer.draw(fault, request.headers());
        let next = match (delay, abort) {
            (None, None) => {
                let (response, delayed) = (self.inner.call(request), false);
                let state = State::Called { response, delayed };
                return ResponseFuture { state };
            }
            // The readiness of the inner service is left to the next request.
            (_, Some(abort)) => Err(Abort(abort.status, Caller::of(request.headers()))),
            (Some(_), None) => Ok((unready::give_back(&mut self.inner), request)),
        };
        let delay = delay.map(|delay| Box::pin(sleep(delay.duration)));
        let is_delayed = delay.is_some();
        let suffering = Some(Box::new(Suffering {
            delay,
            is_delayed,
            next,
        }));
        let state = State::Suffering { suffering };
        ResponseFuture { state }
    }
}

/// What a request is to suffer.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    delay: Option<FaultDelay>,
    abort: Option<FaultAbort>,
}

/// A request that is held back or aborted.
struct Suffering<S, ReqBody> {
    /// What is left of the delay.
    delay: Option<Pin<Box<Sleep>>>,
    is_delayed: bool,
    /// What follows the delay: a request to the service, or an abort.
    next: Result<(S, Request<ReqBody>), Abort>,
}

/// An answer to a client.
#[derive(Clone, Copy, Debug)]
struct Abort(AbortStatus, Caller);

impl<S: Service<Request<ReqBody>>, ReqBody> Suffering<S, ReqBody> {
    /// Waits for the end of the delay, and then for the service, if it is to be called.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if let Some(delay) = &mut self.delay {
            ready!(delay.as_mut().poll(cx));
            self.delay = None;
        }
        match &mut self.next {
            Ok((service, _)) => service.poll_ready(cx),
            Err(Abort(..)) => Poll::Ready(Ok(())),
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
            let held = suffering.take();
            let mut held = held.expect("a future is not polled after it has completed");
            if held.poll(cx)?.is_pending() {
                *suffering = Some(held);
                return Poll::Pending;
            }
            let (mut service, request) = match held.next {
                Ok(held) => held,
                Err(Abort(status, caller)) => {
                    let mut response = respond(status, caller);
                    if held.is_delayed {
                        mark_delayed(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            let (response, delayed) = (service.call(request), true);
            state.set(State::Called { response, delayed });
        }
    }
}

/// A response that says of itself why it is as it is, keeps its own flag as the first.
fn mark_delayed<B>(response: &mut Response<B>) {
    ResponseFlags::add(response.extensions_mut(), ResponseFlag::DelayInjected);
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
    use mesh_core::service::ClusterName;
    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::unready::tests::Hello;

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
        assert_eq!(
            ResponseFlags::of(response.extensions()).to_string(),
            "DI,FI"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_of_a_delayed_request_is_flagged_beside_the_delay() {
        let unreachable = service_fn(|_: Request<()>| async {
            let mut response = Response::new(Bytes::new());
            let extensions = response.extensions_mut();
            extensions.insert(ResponseFlag::UpstreamConnectionFailure);
            Ok::<_, Infallible>(response)
        });
        let service = FaultLayer::new().layer(unreachable);
        let request = request(Some(DELAY), None, "text/plain");
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(
            ResponseFlags::of(response.extensions()).to_string(),
            "DI,UF"
        );
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
        let drawn = layer.draw(Some(&fault), &HeaderMap::new());
        assert!(drawn.delay.is_some() && drawn.abort.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_ask_for_faults_where_they_are_trusted() {
        let trusting = FaultLayer::new().with_trusted_headers(Percent::HUNDRED);
        for (layer, status, time) in [(FaultLayer::new(), 200, 0), (trusting, 555, 20)] {
            let hello = service_fn(|_: Request<()>| async {
                Ok::<_, Infallible>(Response::new(Bytes::from_static(b"hello")))
            });
            let request = Request::get("/")
                .header("x-envoy-fault-delay-request", "20")
                .header("x-envoy-fault-abort-request", "555");
            let start = Instant::now();
            let response = layer.layer(hello).oneshot(request.body(()).unwrap()).await;
            assert_eq!(response.unwrap().status(), status);
            assert_eq!(start.elapsed().as_millis(), time);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_held_back_keeps_no_other_from_the_service() {
        let hello = Hello::default();
        let mut service = FaultLayer::new().layer(hello.clone());
        let service = ServiceExt::<Request<()>>::ready(&mut service)
            .await
            .unwrap();
        assert_eq!(hello.held(), 1);
        let response = service.call(request(Some(DELAY), None, "text/plain"));
        assert_eq!(hello.held(), 0);
        assert_eq!(response.await.unwrap().body(), "hello");
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
        let hello = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Bytes::from_static(b"hello")))
        });
        let service = FaultLayer::new().layer(hello);
        let request = request(delay, abort, content_type);
        service.oneshot(request).await.unwrap()
    }

    fn request(
        delay: Option<FaultDelay>,
        abort: Option<AbortStatus>,
        content_type: &str,
    ) -> Request<()> {
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
        let request = Request::get("/")
            .header("content-type", content_type)
            .extension(MatchedRoute::new(Arc::new(route), 0));
        request.body(()).unwrap()
    }
}
