//! Watch exchanges from their requests to the ends of their bodies.
//!
//! What metrics, access logs and traces have in common: the bodies of both directions are counted, and
//! the exchange is told to its observer once, when the body of the response has ended, failed or been
//! dropped, or when there is no response.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{Counts, Direction, End, MeteredBody, Nothing, OnEnd};

/// Observes exchanges.
pub(super) trait Observe {
    /// What it knows of one.
    type Exchange: Observed;

    /// Begins to observe the exchange of `request`.
    fn begin<B>(&self, request: &mut Request<B>) -> Self::Exchange;
}

/// An exchange that is observed. What it says at its end is up to [`OnEnd`].
pub trait Observed: OnEnd {
    /// Counts the bodies of both directions. Without them nobody observes the exchange, and the end of
    /// its response is not told.
    fn counts(&self) -> Option<&Arc<Counts>>;

    /// Whether messages of gRPC are counted, too.
    fn has_messages(&self) -> bool;

    /// Takes what the head of the response says.
    fn answer<B>(&mut self, response: &Response<B>);
}

/// Calls `service`, and has the exchange observed.
pub(super) fn call<O, S, ReqBody>(
    observer: &O,
    service: &mut S,
    mut request: Request<ReqBody>,
) -> ResponseFuture<S::Future, O::Exchange>
where
    O: Observe,
    S: Service<Request<MeteredBody<ReqBody, Nothing>>>,
    ReqBody: Body,
{
    let is_head = request.method() == Method::HEAD;
    let exchange = observer.begin(&mut request);
    let received = (exchange.counts().cloned(), Direction::Received);
    let has_messages = exchange.has_messages();
    let request = request.map(|body| MeteredBody::new(body, received, has_messages, None));
    ResponseFuture {
        response: service.call(request),
        exchange: Some(exchange),
        is_head,
    }
}

/// A copy of the head of `request`.
pub(super) fn head<B>(request: &Request<B>) -> request::Parts {
    let mut copy = Request::new(());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy.into_parts().0
}

pin_project! {
    /// Response future of the layers that observe.
    ///
    /// # Cancel safety
    ///
    /// Dropping it tells the exchange as ended by the client, with the code 0 and the flag `DC`.
    #[derive(Debug)]
    pub struct ResponseFuture<F, E: Observed> {
        #[pin]
        response: F,
        exchange: Option<E>,
        // Whether nobody reads the body of the response.
        is_head: bool,
    }

    impl<F, E: Observed> PinnedDrop for ResponseFuture<F, E> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(exchange) = this.project().exchange.take() {
                exchange.end(End::Dropped);
            }
        }
    }
}

impl<F, E, ResBody, Error> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<Response<ResBody>, Error>>,
    E: Observed,
    ResBody: Body,
{
    type Output = Result<Response<MeteredBody<ResBody, E>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let exchange = this.exchange.take();
        let mut exchange = exchange.expect("a future is not polled after it has completed");
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                exchange.end(End::Unanswered);
                return Poll::Ready(Err(error));
            }
        };
        exchange.answer(&response);
        let sent = (exchange.counts().cloned(), Direction::Sent);
        let has_messages = exchange.has_messages();
        Poll::Ready(Ok(response.map(|body| {
            // Who sends an empty body may never ask for its end.
            let mut exchange = sent.0.is_some().then_some(exchange);
            if (*this.is_head || body.is_end_stream())
                && let Some(exchange) = exchange.take()
            {
                exchange.end(End::Complete(None));
            }
            MeteredBody::new(body, sent, has_messages, exchange)
        })))
    }
}
