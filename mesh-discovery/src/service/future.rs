use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::reply::Caller;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::TrackedBody;
use super::exchange::Exchange;
use super::refusal::Refusal;

/// Why there is something to take.
const OVER: &str = "a future is not polled after it has completed";

pin_project! {
    /// Response future of [`Balance`](super::Balance) and [`Dispatch`](super::Dispatch).
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // `None` once it is over. Rare, and shall not make the future larger.
        Waiting {
            waiting: Option<Box<Waiting<S, ReqBody>>>,
        },
        Failed {
            error: Option<S::Error>,
        },
        Calling {
            #[pin]
            response: S::Future,
            exchange: Exchange,
        },
        Refused {
            refusal: Refusal,
            caller: Caller,
        },
    }
}

/// A request whose endpoint's service is not ready yet.
struct Waiting<S, ReqBody> {
    service: S,
    request: Request<ReqBody>,
    exchange: Exchange,
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn forwarded(
        mut service: S,
        request: Request<ReqBody>,
        mut exchange: Exchange,
    ) -> Self {
        // One that is not ready is asked again, by the task that it is to wake.
        let mut unwoken = Context::from_waker(Waker::noop());
        let state = match service.poll_ready(&mut unwoken) {
            Poll::Ready(Ok(())) => State::Calling {
                response: service.call(request),
                exchange,
            },
            Poll::Ready(Err(error)) => {
                exchange.fail();
                State::Failed { error: Some(error) }
            }
            Poll::Pending => State::Waiting {
                waiting: Some(Box::new(Waiting {
                    service,
                    request,
                    exchange,
                })),
            },
        };
        Self { state }
    }

    pub(super) fn refused(refusal: Refusal, caller: Caller) -> Self {
        let state = State::Refused { refusal, caller };
        Self { state }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<Response<TrackedBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { refusal, caller } => {
                    return Poll::Ready(Ok(refusal.answer(*caller)));
                }
                StateProj::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(OVER)));
                }
                StateProj::Waiting { waiting } => {
                    let service = &mut waiting.as_mut().expect(OVER).service;
                    let ready = ready!(service.poll_ready(cx));
                    let Waiting {
                        mut service,
                        request,
                        mut exchange,
                    } = *waiting.take().expect(OVER);
                    if let Err(error) = ready {
                        exchange.fail();
                        return Poll::Ready(Err(error));
                    }
                    let response = service.call(request);
                    State::Calling { response, exchange }
                }
                StateProj::Calling { response, exchange } => {
                    let result = ready!(response.poll(cx)).inspect_err(|_| exchange.fail());
                    return Poll::Ready(result.map(|response| exchange.finish(response)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::Failed { .. } => "failed",
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
