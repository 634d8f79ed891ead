use std::task::{Context, Poll};

use http::Request;
use mesh_core::attributes::Progress;
use mesh_core::watch::Watch;
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable};
use tower_layer::Layer;
use tower_service::Service;

/// Layer that applies [`EarlyRoute`].
#[derive(Clone, Debug)]
pub(super) struct EarlyRouteLayer {
    pub(super) routes: Watch<RouteTable>,
}

impl<S> Layer<S> for EarlyRouteLayer {
    type Service = EarlyRoute<S>;

    fn layer(&self, inner: S) -> EarlyRoute<S> {
        let routes = self.routes.clone();
        EarlyRoute { inner, routes }
    }
}

/// Middleware that looks the route up for what is decided before requests are routed, as an Envoy
/// does when a request comes. A request that has no route passes: the routing below answers it, if
/// nothing does before, and replaces the route of all others by what holds then. What is recorded of
/// those that are refused names the route that they would have had.
#[derive(Clone, Debug)]
pub(super) struct EarlyRoute<S> {
    inner: S,
    routes: Watch<RouteTable>,
}

impl<S, ReqBody> Service<Request<ReqBody>> for EarlyRoute<S>
where
    S: Service<Request<ReqBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> S::Future {
        let head = RequestHead::from(&request);
        if let Lookup::Matched(matched) = self.routes.load().lookup(&head, fastrand::u64(..)) {
            let extensions = request.extensions_mut();
            if let Some(progress) = extensions.get::<Progress>() {
                progress.expect_route(&matched);
            }
            extensions.insert(matched);
        }
        self.inner.call(request)
    }
}
