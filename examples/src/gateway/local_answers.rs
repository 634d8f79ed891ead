use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use http::{Request, Response, request};
use mesh_core::attributes::{MatchedRoute, ResponseFlag, ResponseFlags};
use mesh_core::format_string::Exchange;
use mesh_routing::filter::headers;
use pin_project_lite::pin_project;
use tower_service::Service;

/// Middleware that changes the answers of the rate limits and faults below it by the header
/// operations of the route, as an Envoy does with all that it answers for a route. Everything else
/// has been changed already, by the filters below them.
#[derive(Clone, Debug)]
pub(super) struct LocalAnswers<S> {
    pub(super) inner: S,
    /// Whether there are rate limits.
    pub(super) is_limited: bool,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for LocalAnswers<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let asked = Asked::of(&request, self.is_limited);
        ResponseFuture {
            response: self.inner.call(request),
            asked,
        }
    }
}

pin_project! {
    /// Response future of [`LocalAnswers`].
    #[derive(Debug)]
    pub(super) struct ResponseFuture<F> {
        #[pin]
        response: F,
        asked: Option<Box<Asked>>,
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let Some(asked) = this.asked.take() else {
            return Poll::Ready(Ok(response));
        };
        let flags = ResponseFlags::of(response.extensions());
        let is_local = flags.contains(ResponseFlag::FaultInjected)
            || flags.contains(ResponseFlag::RateLimited);
        Poll::Ready(Ok(match is_local {
            true => asked.change(response),
            false => response,
        }))
    }
}

/// A request that may be answered here, and whose route has operations on responses.
#[derive(Debug)]
struct Asked {
    matched: MatchedRoute,
    head: request::Parts,
}

impl Asked {
    fn of<B>(request: &Request<B>, is_limited: bool) -> Option<Box<Self>> {
        let matched = request.extensions().get::<MatchedRoute>()?;
        let may_answer = is_limited || matched.route().fault.is_some();
        if !may_answer || !headers::changes_response(matched) {
            return None;
        }
        let mut copy = Request::new(());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(Box::new(Self {
            matched: matched.clone(),
            head: copy.into_parts().0,
        }))
    }

    #[expect(clippy::disallowed_methods, reason = "the answer is given now")]
    fn change<B>(&self, response: Response<B>) -> Response<B> {
        let (mut head, body) = response.into_parts();
        let exchange = Exchange::of_request(&self.head, SystemTime::now());
        headers::apply_to_response(&self.matched, &exchange, &mut head);
        Response::from_parts(head, body)
    }
}
