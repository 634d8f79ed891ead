use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::reply::Caller;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::TrackedBody;
use super::exchange::Exchange;
use super::refusal::Refusal;

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
        // The endpoint's service is not ready yet.
        Waiting {
            service: S,
            request: Option<Request<ReqBody>>,
            exchange: Option<Exchange>,
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

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn forwarded(service: S, request: Request<ReqBody>, exchange: Exchange) -> Self {
        let state = State::Waiting {
            service,
            request: Some(request),
            exchange: Some(exchange),
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
                StateProj::Waiting {
                    service,
                    request,
                    exchange,
                } => {
                    let ready = ready!(service.poll_ready(cx));
                    let both = request.take().zip(exchange.take());
                    let (request, mut exchange) = both.expect("nobody polls after the end");
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
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
