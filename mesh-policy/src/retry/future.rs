use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body::Body;
use mesh_core::attributes::{
    Attempts, PreviousEndpoints, Progress, ResetReason, ResponseDetails, ResponseFlag,
    ResponseFlags, SelectedEndpoint, Timeouts, UpstreamReset,
};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::budget::{ActiveRequest, RetryPermit};
use super::layer::{ATTEMPT_COUNT, Plan, RetryLayer};
use super::replay_body::{Replay, ReplayBody};
use super::state::{Outcome, Verdict};
use crate::BoxError;
use crate::timeout::timeouts;

pin_project! {
    /// Response future of [`Retry`](super::Retry).
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the current attempt up, and what it holds of the cluster's budget back.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        #[pin]
        attempt: Attempt<S::Future>,
        // `None` if the first attempt is the only one. Boxed, for most requests need it not.
        retrying: Option<Box<Retrying<S, B, S::Error>>>,
        // Counts the request as under way.
        _active: Option<ActiveRequest>,
    }
}

pin_project! {
    #[project = AttemptProjection]
    enum Attempt<F> {
        Called {
            #[pin]
            response: F,
        },
        Waiting {
            sleep: Pin<Box<Sleep>>,
        },
        Readying,
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
{
    pub(super) fn new(
        response: S::Future,
        retrying: Option<Retrying<S, B, S::Error>>,
        active: Option<ActiveRequest>,
    ) -> Self {
        Self {
            attempt: Attempt::Called { response },
            retrying: retrying.map(Box::new),
            _active: active,
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.attempt.as_mut().project() {
                AttemptProjection::Called { response } => {
                    let response = response.poll(cx);
                    let Some(retrying) = this.retrying else {
                        return response;
                    };
                    let ended = match response {
                        Poll::Ready(Ok(response)) => Ended::Answered(response),
                        Poll::Ready(Err(error)) => Ended::Failed(error),
                        Poll::Pending => ready!(retrying.poll_timeout(cx)),
                    };
                    let next = match retrying.judge(ended) {
                        Step::Finish(result) => return Poll::Ready(result),
                        Step::Again(Duration::ZERO) => Attempt::Readying,
                        Step::Again(wait) => Attempt::Waiting {
                            sleep: Box::pin(sleep(wait)),
                        },
                    };
                    this.attempt.set(next);
                }
                AttemptProjection::Waiting { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    this.attempt.set(Attempt::Readying);
                }
                AttemptProjection::Readying => {
                    let retrying = this.retrying.as_mut();
                    let retrying = retrying.expect("only a request that is tried again waits");
                    ready!(retrying.service.poll_ready(cx))?;
                    let response = retrying.call();
                    this.attempt.set(Attempt::Called { response });
                }
            }
        }
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

/// How an attempt ended.
enum Ended<R, E> {
    Answered(Response<R>),
    Failed(E),
    TimedOut,
}

/// What follows it.
enum Step<R, E> {
    Again(Duration),
    Finish(Result<Response<R>, E>),
}

/// A request that may be tried again.
pub(super) struct Retrying<S, B, E> {
    service: S,
    layer: RetryLayer<E>,
    plan: Plan,
    head: request::Parts,
    replay: Replay<B>,
    /// The body of the attempt that has been decided on.
    next: Option<ReplayBody<B>>,
    attempts: u32,
    previous: PreviousEndpoints,
    /// Runs from when the attempt has last moved on, or is set to do so once it is over.
    timer: Option<Pin<Box<Sleep>>>,
    permit: Option<RetryPermit>,
}

impl<S, B, E> Retrying<S, B, E> {
    /// A request whose first attempt has just been made by `service`.
    pub(super) fn new(
        plan: Plan,
        service: S,
        (head, replay): (request::Parts, Replay<B>),
        layer: RetryLayer<E>,
    ) -> Self {
        let policy = plan.state.policy();
        let previous = PreviousEndpoints {
            // Whose hosts may be picked again is told them only for their priorities.
            selection_attempts: policy
                .filter(|policy| policy.avoid_previous_hosts)
                .map_or(0, |policy| policy.host_selection_attempts),
            ..PreviousEndpoints::default()
        };
        Self {
            service,
            layer,
            head,
            replay,
            next: None,
            attempts: 1,
            previous,
            timer: None,
            permit: None,
            plan,
        }
    }

    /// Waits for the end of the time that an attempt has: from when the request has come whole or, before
    /// that, from when something has last come or been read. As in Envoy, it does not end while the upstream
    /// waits for the client.
    fn poll_timeout<R>(&mut self, cx: &mut Context<'_>) -> Poll<Ended<R, E>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let Some(per_try) = self.plan.per_try else {
            return Poll::Pending;
        };
        let moved = self.replay.poll_progress(cx);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(per_try)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let deadline = moved.and_then(|moved| moved.checked_add(per_try));
            match deadline.filter(|deadline| *deadline > timer.deadline()) {
                Some(deadline) => timer.as_mut().reset(deadline),
                None if self.replay.waits_for_client() => {
                    let Some(again) = Instant::now().checked_add(per_try) else {
                        return Poll::Pending;
                    };
                    timer.as_mut().reset(again);
                }
                None => return Poll::Ready(Ended::TimedOut),
            }
        }
    }

    /// Decides what follows an attempt.
    fn judge<R>(&mut self, ended: Ended<R, E>) -> Step<R, E>
    where
        B: Body<Data = Bytes>,
        R: Default + From<Bytes>,
    {
        let verdict = self.decide(&ended);
        if let Verdict::Retry { wait, permit } = verdict {
            self.permit = Some(permit);
            self.avoid(&ended);
            return Step::Again(wait);
        }
        // The response begins, while its request may go on for long.
        self.replay.finish();
        let mut response = match ended {
            Ended::Answered(response) => response,
            Ended::Failed(error) => return Step::Finish(Err(error)),
            Ended::TimedOut => {
                let text = Bytes::from_static(b"upstream request timeout");
                let caller = Caller::of(&self.head.headers);
                reply::text(caller, StatusCode::GATEWAY_TIMEOUT, text, PerTryTimeout)
            }
        };
        let flag = match verdict {
            Verdict::LimitExceeded => Some(ResponseFlag::UpstreamRetryLimitExceeded),
            Verdict::Overflow => Some(ResponseFlag::UpstreamOverflow),
            Verdict::Accept | Verdict::Retry { .. } => None,
        };
        if let Some(flag) = flag {
            ResponseFlags::add(response.extensions_mut(), flag);
        }
        let extensions = response.extensions_mut();
        let is_own = extensions.get::<ResponseFlag>().is_some()
            || extensions.get::<ResponseDetails>().is_some();
        // One attempt needs no number, unless nothing else tells that there was one.
        if self.attempts > 1 || (is_own && extensions.get::<SelectedEndpoint>().is_none()) {
            extensions.insert(Attempts(self.attempts));
        }
        Step::Finish(Ok(response))
    }

    /// Whether there is a further attempt, whose body is then taken.
    fn decide<R>(&mut self, ended: &Ended<R, E>) -> Verdict<RetryPermit>
    where
        B: Body<Data = Bytes>,
    {
        // The earlier retry has ended, whatever becomes of the request.
        self.permit = None;
        let settings = self.layer.settings();
        let reset = match ended {
            Ended::Answered(response) => UpstreamReset::of(response.extensions()),
            Ended::Failed(error) => match self.layer.classify(error) {
                Some(reset) => Some(reset),
                None => return Verdict::Accept,
            },
            Ended::TimedOut => Some(UpstreamReset::after_request(ResetReason::LocalReset)),
        };
        let (outcome, headers) = match (reset, ended) {
            (None, Ended::Answered(response)) => {
                // Answers of our own layers are no failures of the upstream.
                if response.extensions().get::<ResponseFlag>().is_some() {
                    return Verdict::Accept;
                }
                let (status, headers) = (response.status(), response.headers());
                (Outcome::Response { status, headers }, Some(headers))
            }
            (reset, _) => {
                let lost = UpstreamReset::after_request(ResetReason::LocalReset);
                (Outcome::Reset(reset.unwrap_or(lost)), None)
            }
        };
        if !self.plan.state.includes(outcome) {
            return Verdict::Accept;
        }
        let allowed = settings.defaults.allow(&self.head.method, reset);
        if !allowed || !self.replay.can_replay() {
            return Verdict::Accept;
        }
        let asked = headers.and_then(|headers| {
            let backoff = settings.rate_limited.as_ref()?;
            backoff.wait(headers, settings.clock.since_epoch(), (settings.random)())
        });
        let budget = self.plan.budget.as_ref();
        let permit = || match budget {
            Some(budget) => budget.retry(),
            None => Some(RetryPermit::unlimited()),
        };
        let random = (settings.random)();
        let verdict = self.plan.state.decide(outcome, asked, random, permit);
        if matches!(verdict, Verdict::Retry { .. }) {
            self.next = self.replay.attempt();
            // The connection of the earlier attempt may have read too much of it meanwhile.
            if self.next.is_none() {
                return Verdict::Accept;
            }
        }
        verdict
    }

    /// Names the endpoint of an attempt to balancing: the one that answered, or that has been silent.
    fn avoid<R>(&mut self, ended: &Ended<R, E>) {
        if !self.plan.avoids_previous() {
            return;
        }
        let answered = match ended {
            Ended::Answered(response) => response.extensions().get(),
            Ended::Failed(_) | Ended::TimedOut => None,
        };
        let tried = answered.or_else(|| self.head.extensions.get::<Progress>()?.endpoint());
        if let Some(SelectedEndpoint(endpoint)) = tried {
            // Named as often as it was tried: how many attempts there were decides on priorities.
            self.previous.addresses.push(endpoint.address.clone());
        }
    }

    /// Makes the attempt that has been decided on.
    fn call<R>(&mut self) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
    {
        self.attempts = self.attempts.saturating_add(1);
        self.timer = None;
        let mut head = self.head.clone();
        if self.layer.settings().count_attempts {
            head.headers
                .insert(ATTEMPT_COUNT, HeaderValue::from(self.attempts));
        }
        if !self.previous.addresses.is_empty() {
            head.extensions.insert(self.previous.clone());
        }
        if let Some(timeouts) = head.extensions.get::<Timeouts>() {
            let now = Instant::now().into_std();
            timeouts::announce_again(timeouts, &mut head.headers, now);
        }
        let body = self.next.take();
        let body = body.expect("the body was taken when the attempt was decided on");
        self.service.call(Request::from_parts(head, body))
    }
}

/// Marks a `504` as sent by [`Retry`](super::Retry), because an attempt took too long and there was
/// no further one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("upstream request timeout")]
#[non_exhaustive]
pub struct PerTryTimeout;

impl reply::Reason for PerTryTimeout {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamRequestTimeout;
    const DETAILS: Option<&'static str> = Some("upstream_per_try_timeout");
}
