//! Ask a second time when the first answer is late, and take whichever comes first.
//!
//! [`HedgeLayer`] waits for a while, and then sends the request again without giving the first
//! attempt up. It cuts the slowest answers off at the cost of a few more requests, which a
//! [`RetryBudget`] can cap. Only requests that may be made twice are: those whose method is
//! idempotent (RFC 9110 §9.2.2), and that have no body.
//!
//! Envoy hedges when the time of an attempt is over (`hedge_on_per_try_timeout`), which Istio does
//! not configure; here the time is the layer's own. The first *answer* counts, whatever its status.
//! An error counts only while no other attempt is under way; if both fail, that of the first does. The
//! second attempt is kept from the endpoint that is late, if balancing below says where the first went.
//! The layer stands where retries do, or below them.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use mesh_policy::hedge::HedgeLayer;
//! use tokio::time::{Instant, sleep};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let calls = Arc::new(AtomicU32::new(0));
//! let service = ServiceBuilder::new()
//!     .layer(HedgeLayer::new(Duration::from_millis(50)))
//!     .service(service_fn(move |_| {
//!         // The first attempt hangs.
//!         let time = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 1000 } else { 10 };
//!         async move {
//!             sleep(Duration::from_millis(time)).await;
//!             Ok::<_, Infallible>(Response::new(()))
//!         }
//!     }));
//! let start = Instant::now();
//! service.oneshot(Request::new(Empty::<Bytes>::new())).await?;
//! assert_eq!(start.elapsed().as_millis(), 60);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response, request};
use http_body::Body;
use mesh_core::attributes::{PreviousEndpoints, Progress};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::retry::budget::{ActiveRequest, RetryBudget, RetryPermit};
use crate::retry::replay_body::ReplayBody;

/// How often balancing picks again where it has picked the endpoint that is late, as often as for
/// Istio's retries.
const SELECTION_ATTEMPTS: u32 = 5;

/// Layer that applies [`Hedge`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct HedgeLayer {
    delay: Duration,
    budget: Option<RetryBudget>,
}

impl HedgeLayer {
    /// Asks again after `delay`.
    pub fn new(delay: Duration) -> Self {
        let budget = None;
        Self { delay, budget }
    }

    /// Caps second attempts that are under way. Default: no cap.
    #[must_use]
    pub fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Hedge { inner, layer }
    }
}

/// Middleware that asks a second time when the first answer is late.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Hedge<S> {
    inner: S,
    layer: HedgeLayer,
}

impl<S> Hedge<S> {
    inner_service!();
}

impl<S, B, ResBody> Service<Request<B>> for Hedge<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A share is of all requests, also of those that are made once.
        let active = self.layer.budget.as_ref().map(RetryBudget::request);
        let twice = request.method().is_idempotent() && request.body().is_end_stream();
        if !twice {
            return ResponseFuture {
                first: Some(self.inner.call(request.map(ReplayBody::once))),
                error: None,
                second: None,
                waiting: None,
                permit: None,
                _active: active,
            };
        }
        let (mut head, _) = request.into_parts();
        Progress::of(&mut head.extensions);
        let copy = head.clone();
        let first = self
            .inner
            .call(Request::from_parts(head, ReplayBody::empty()));
        // The readiness that was granted went to the first attempt; the clone asks for its own.
        let waiting = Waiting {
            sleep: Box::pin(sleep(self.layer.delay)),
            service: self.inner.clone(),
            head: copy,
            budget: self.layer.budget.clone(),
        };
        ResponseFuture {
            first: Some(first),
            error: None,
            second: None,
            waiting: Some(Box::new(waiting)),
            permit: None,
            _active: active,
        }
    }
}

/// A second attempt that has not been made.
struct Waiting<S> {
    sleep: Pin<Box<Sleep>>,
    service: S,
    head: request::Parts,
    budget: Option<RetryBudget>,
}

pin_project! {
    /// Response future of [`Hedge`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives both attempts up.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        // `None` once it has failed.
        #[pin]
        first: Option<S::Future>,
        error: Option<S::Error>,
        #[pin]
        second: Option<S::Future>,
        // `None` if there is no second attempt, or once it has been made.
        waiting: Option<Box<Waiting<S>>>,
        permit: Option<RetryPermit>,
        // Counts the request as under way.
        _active: Option<ActiveRequest>,
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(first) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(response) = first.poll(cx)
        {
            match response {
                // The second attempt may do better.
                Err(error) if this.second.is_some() => {
                    this.first.set(None);
                    *this.error = Some(error);
                }
                response => return Poll::Ready(response),
            }
        }
        if let Some(waiting) = this.waiting.as_mut() {
            if waiting.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let is_ready = match waiting.service.poll_ready(cx) {
                Poll::Ready(ready) => ready.is_ok(),
                Poll::Pending => return Poll::Pending,
            };
            let waiting = this.waiting.take();
            if let Some(mut waiting) = waiting.filter(|_| is_ready)
                && let Some(permit) = waiting.permit()
            {
                *this.permit = Some(permit);
                avoid_late(&mut waiting.head.extensions);
                let request = Request::from_parts(waiting.head, ReplayBody::empty());
                this.second.set(Some(waiting.service.call(request)));
            }
        }
        let Some(second) = this.second.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        match second.poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(_)) => {
                // The first attempt decides.
                this.second.set(None);
                *this.permit = None;
                this.error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S> Waiting<S> {
    /// Leave for the second attempt.
    fn permit(&self) -> Option<RetryPermit> {
        match &self.budget {
            Some(budget) => budget.retry(),
            None => Some(RetryPermit::unlimited()),
        }
    }
}

/// Has balancing avoid the endpoint that the first attempt went to, beside those that it avoids anyway.
fn avoid_late(extensions: &mut Extensions) {
    let progress = extensions.get::<Progress>();
    let Some(late) = progress.and_then(Progress::endpoint).cloned() else {
        return;
    };
    let previous = extensions.get_or_insert_default::<PreviousEndpoints>();
    if previous.selection_attempts == 0 {
        previous.selection_attempts = SELECTION_ATTEMPTS;
    }
    if !previous.addresses.contains(&late.0.address) {
        previous.addresses.push(late.0.address.clone());
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::Method;
    use http_body_util::Full;
    use mesh_core::attributes::SelectedEndpoint;
    use mesh_core::model::cluster::{Endpoint, EndpointAddress};
    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::retry::budget::RetryCap;

    type Answer = Result<&'static str, &'static str>;

    /// Sends a request to a service whose attempts take `acts`, in milliseconds, and answer so.
    /// Returns the answer, when it came, and the number of attempts.
    async fn send(
        layer: HedgeLayer,
        (method, body): (Method, &'static str),
        acts: [(u64, Answer); 2],
    ) -> (Answer, u128, u32) {
        let calls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&calls);
        let inner = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
            let (time, answer) = acts[count.fetch_add(1, Ordering::Relaxed) as usize];
            async move {
                sleep(Duration::from_millis(time)).await;
                answer.map(Response::new)
            }
        });
        let start = Instant::now();
        let request = Request::builder()
            .method(method)
            .body(Full::from(body))
            .unwrap();
        let answer = layer.layer(inner).oneshot(request).await;
        let answer = answer.map(Response::into_body);
        (
            answer,
            start.elapsed().as_millis(),
            calls.load(Ordering::Relaxed),
        )
    }

    fn layer() -> HedgeLayer {
        HedgeLayer::new(Duration::from_millis(50))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_counts() {
        let get = || (Method::GET, "");
        for (name, acts, expected) in [
            ("in time", [(49, Ok("a")), (1, Ok("b"))], (Ok("a"), 49, 1)),
            (
                "the second is first",
                [(500, Ok("a")), (10, Ok("b"))],
                (Ok("b"), 60, 2),
            ),
            (
                "the first is first",
                [(70, Ok("a")), (100, Ok("b"))],
                (Ok("a"), 70, 2),
            ),
            (
                "the second fails",
                [(90, Ok("a")), (10, Err("b"))],
                (Ok("a"), 90, 2),
            ),
            (
                "the first fails",
                [(10, Err("a")), (10, Ok("b"))],
                (Err("a"), 10, 1),
            ),
            (
                "the first fails while the second is under way",
                [(60, Err("a")), (40, Ok("b"))],
                (Ok("b"), 90, 2),
            ),
            (
                "both fail, the second at last",
                [(60, Err("a")), (40, Err("b"))],
                (Err("a"), 90, 2),
            ),
            (
                "both fail, the first at last",
                [(90, Err("a")), (10, Err("b"))],
                (Err("a"), 90, 2),
            ),
        ] {
            assert_eq!(send(layer(), get(), acts).await, expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_done_twice_is_not() {
        let acts = [(500, Ok("a")), (10, Ok("b"))];
        for request in [(Method::POST, ""), (Method::PUT, "a body")] {
            assert_eq!(send(layer(), request, acts).await, (Ok("a"), 500, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_caps_second_attempts() {
        let budget = RetryBudget::new(RetryCap::Concurrent(1));
        let acts = [(500, Ok("a")), (10, Ok("b"))];
        let taken = budget.retry();
        let layer = layer().with_budget(budget.clone());
        assert_eq!(
            send(layer.clone(), (Method::GET, ""), acts).await,
            (Ok("a"), 500, 1)
        );
        drop(taken);
        assert_eq!(send(layer, (Method::GET, ""), acts).await, (Ok("b"), 60, 2));
        assert!(budget.retry().is_some(), "it is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_of_all_requests_under_way() {
        let cap = RetryCap::Share {
            percent: 50.0,
            least: 0,
            interval: Duration::ZERO,
        };
        let budget = RetryBudget::new(cap);
        let acts = [(500, Ok("a")), (10, Ok("b"))];
        let layer = layer().with_budget(budget.clone());
        let get = || send(layer.clone(), (Method::GET, ""), acts);
        assert_eq!(get().await, (Ok("a"), 500, 1), "half of one");
        let (first, second) = tokio::join!(get(), get());
        assert_eq!(first.2 + second.2, 3, "half of two");
    }

    #[tokio::test(start_paused = true)]
    async fn balancing_keeps_the_second_attempt_from_the_endpoint_that_is_late() {
        let address = EndpointAddress::Ip(([10, 0, 0, 1], 80).into());
        let late = SelectedEndpoint(Arc::new(Endpoint::new(address.clone())));
        let inner = service_fn(move |request| hang_at(late.clone(), request));
        let response = layer().layer(inner).oneshot(Request::default()).await;
        let previous = response.unwrap().into_body();
        assert_eq!(previous.addresses, [address]);
        assert_eq!(previous.selection_attempts, SELECTION_ATTEMPTS);
    }

    /// Never answers from the endpoint `late`; tells what a later attempt is kept from.
    async fn hang_at(
        late: SelectedEndpoint,
        request: Request<ReplayBody<Full<Bytes>>>,
    ) -> Result<Response<PreviousEndpoints>, &'static str> {
        let extensions = request.extensions();
        if let Some(previous) = extensions.get::<PreviousEndpoints>() {
            return Ok(Response::new(previous.clone()));
        }
        extensions.get::<Progress>().unwrap().sent_to(late);
        std::future::pending().await
    }
}
