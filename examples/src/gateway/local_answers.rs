use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use http::{Extensions, Request, Response, request};
use mesh_core::attributes::{MatchedRoute, ResponseFlag, ResponseFlags};
use mesh_core::format_string::Exchange;
use mesh_policy::authn::TokenError;
use mesh_policy::authz::layer::Denied;
use mesh_policy::ext_authz::layer::ExtAuthzDenied;
use mesh_routing::filter::headers;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::upstream::Upstreams;

/// Layer that applies [`LocalAnswers`].
#[derive(Clone, Debug)]
pub(super) struct LocalAnswersLayer {
    /// Whether there may be answers beside those of faults.
    pub(super) is_limited: bool,
    /// The clusters that exist.
    pub(super) clusters: Upstreams,
}

impl<S> Layer<S> for LocalAnswersLayer {
    type Service = LocalAnswers<S>;

    fn layer(&self, inner: S) -> LocalAnswers<S> {
        let layer = self.clone();
        LocalAnswers { inner, layer }
    }
}

/// Middleware that changes the answers of the policies, rate limits and faults below it by the header
/// operations of the route, as an Envoy does with all that it answers for a route. Everything else
/// has been changed already, by the filters below them.
#[derive(Clone, Debug)]
pub(super) struct LocalAnswers<S> {
    inner: S,
    layer: LocalAnswersLayer,
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
        let asked = Asked::of(&request, &self.layer);
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
        Poll::Ready(Ok(match is_local(response.extensions()) {
            true => asked.change(response),
            false => response,
        }))
    }
}

/// Whether a policy, a rate limit or a fault has answered.
fn is_local(extensions: &Extensions) -> bool {
    let flags = ResponseFlags::of(extensions);
    let answering = [
        ResponseFlag::FaultInjected,
        ResponseFlag::RateLimited,
        ResponseFlag::RateLimitServiceError,
        ResponseFlag::UnauthorizedExternalService,
    ];
    answering.into_iter().any(|flag| flags.contains(flag))
        || extensions.get::<TokenError>().is_some()
        || extensions.get::<Denied>().is_some()
        || extensions.get::<ExtAuthzDenied>().is_some()
}

/// A request that may be answered here, and whose route has operations on responses.
#[derive(Debug)]
struct Asked {
    matched: MatchedRoute,
    head: request::Parts,
    has_cluster: bool,
}

impl Asked {
    fn of<B>(request: &Request<B>, layer: &LocalAnswersLayer) -> Option<Box<Self>> {
        let LocalAnswersLayer {
            is_limited,
            clusters,
        } = layer;
        let matched = request.extensions().get::<MatchedRoute>()?;
        let may_answer = *is_limited || matched.route().fault.is_some();
        // Envoy leaves alone what is answered for a route that does not forward.
        let is_changed = matched.forward().is_some() && headers::changes_response(matched);
        if !may_answer || !is_changed {
            return None;
        }
        let mut copy = Request::new(());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        let cluster = matched.cluster();
        Some(Box::new(Self {
            matched: matched.clone(),
            head: copy.into_parts().0,
            has_cluster: cluster.is_some_and(|name| clusters.get(name).is_some()),
        }))
    }

    #[expect(clippy::disallowed_methods, reason = "the answer is given now")]
    fn change<B>(&self, response: Response<B>) -> Response<B> {
        let (mut head, body) = response.into_parts();
        let mut exchange = Exchange::of_request(&self.head, SystemTime::now()).answered_locally();
        if !self.has_cluster {
            exchange = exchange.without_cluster();
        }
        headers::apply_to_response(&self.matched, &exchange, &mut head);
        Response::from_parts(head, body)
    }
}
