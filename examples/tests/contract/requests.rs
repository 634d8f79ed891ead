//! Requests, and the routes that they were matched to.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Request};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::filter::{
    AbortStatus, CorsPolicy, Fault, FaultAbort, FaultDelay, HeaderOption, Mirror,
};
use mesh_core::model::retry::RetryPolicy;
use mesh_core::model::route::{
    DirectResponse, Forward, PathRewrite, Redirect, Route, RouteAction, RouteMatch,
    WeightedDestination,
};
use mesh_core::origin::Origin;
use mesh_core::percent::Percent;
use mesh_core::service::ClusterName;

use crate::strict::OwnBody;

pub(crate) const URI: &str = "http://shop.example/cart/Get";

/// A request without anything.
pub(crate) fn plain() -> Request<OwnBody> {
    Request::get(URI).body(OwnBody::default()).unwrap()
}

/// A request with a field.
pub(crate) fn with_field(name: &str, value: &str) -> Request<OwnBody> {
    let request = Request::get(URI).header(name, value);
    request.body(OwnBody::default()).unwrap()
}

/// A request that was matched to `route`.
pub(crate) fn on(route: Arc<Route>) -> Request<OwnBody> {
    let mut request = plain();
    let matched = MatchedRoute::new(route, 0);
    request.extensions_mut().insert(matched);
    request
}

/// A request that is forwarded.
pub(crate) fn forwarded() -> Request<OwnBody> {
    on(to("cart").into())
}

/// A request that is forwarded, with everything that a route can ask for.
pub(crate) fn equipped() -> Request<OwnBody> {
    let route = forward(|forward| {
        forward.timeout = Some(Duration::from_secs(60));
        forward.retry = Some(Arc::new(RetryPolicy {
            retry_on: vec!["5xx".into(), "reset".into(), "unavailable".into()],
            ..RetryPolicy::default()
        }));
    });
    let mut request = on(route.into());
    *request.method_mut() = http::Method::POST;
    *request.body_mut() = OwnBody::from(bytes::Bytes::from_static(b"one item"));
    request
}

/// A request that is given up after `timeout`.
pub(crate) fn hurried(timeout: Duration) -> Request<OwnBody> {
    on(forward(|forward| forward.timeout = Some(timeout)).into())
}

/// A request whose path is replaced, and which gets a header.
pub(crate) fn rewritten() -> Request<OwnBody> {
    let mut route = forward(|forward| {
        forward.rewrite.path = Some(PathRewrite::Full("/cart/New".into()));
    });
    let name = HeaderName::from_static("x-way");
    let way = HeaderOption::overwrite(name, "cart".parse().unwrap());
    route.headers.request.options.push(way);
    on(route.into())
}

/// A request of which copies go elsewhere.
pub(crate) fn mirrored() -> Request<OwnBody> {
    let route = forward(|forward| {
        forward.mirrors = vec![Mirror {
            cluster: cluster("shadow"),
            percent: Percent::HUNDRED,
            origin: Origin::synthetic("mirror"),
        }];
    });
    on(route.into())
}

/// A request that is held back before it is forwarded.
pub(crate) fn delayed() -> Request<OwnBody> {
    let duration = Duration::from_secs(2);
    let percent = Percent::HUNDRED;
    on(suffering(Some(FaultDelay { duration, percent }), None).into())
}

/// A request that is aborted.
pub(crate) fn aborted() -> Request<OwnBody> {
    let status = AbortStatus::Http(555);
    let percent = Percent::HUNDRED;
    on(suffering(None, Some(FaultAbort { status, percent })).into())
}

/// A preflight that the proxy answers.
pub(crate) fn preflight() -> Request<OwnBody> {
    let mut route = to("cart");
    route.cors = Some(Box::new(CorsPolicy {
        forward_unmatched_preflights: false,
        ..CorsPolicy::new(Origin::synthetic("cors"))
    }));
    let mut request = on(route.into());
    *request.method_mut() = http::Method::OPTIONS;
    let headers = request.headers_mut();
    headers.insert("origin", "https://elsewhere.example".parse().unwrap());
    headers.insert("access-control-request-method", "PUT".parse().unwrap());
    request
}

/// A request that the proxy redirects.
pub(crate) fn redirected() -> Request<OwnBody> {
    let to = Redirect {
        status: 308,
        scheme: None,
        host: Some("new.example".into()),
        port: None,
        path: None,
        strip_query: false,
    };
    on(answered(RouteAction::Redirect(Box::new(to))).into())
}

/// A request that the proxy answers.
pub(crate) fn answered_directly() -> Request<OwnBody> {
    let direct = DirectResponse {
        status: 418,
        body: None,
    };
    on(answered(RouteAction::DirectResponse(Box::new(direct))).into())
}

/// A route to a cluster.
pub(crate) fn to(name: &str) -> Route {
    Route::forward(name, RouteMatch::prefix("/"), cluster(name))
}

pub(crate) fn cluster(name: &str) -> ClusterName {
    ClusterName::from(name)
}

fn forward(set: impl FnOnce(&mut Forward)) -> Route {
    let mut forward = Forward::to([WeightedDestination::new(cluster("cart"))]);
    set(&mut forward);
    answered(RouteAction::Forward(Box::new(forward)))
}

fn answered(action: RouteAction) -> Route {
    Route::new("cart", RouteMatch::prefix("/"), action)
}

fn suffering(delay: Option<FaultDelay>, abort: Option<FaultAbort>) -> Route {
    let mut route = to("cart");
    let origin = Origin::synthetic("fault");
    route.fault = Some(Box::new(Fault {
        delay,
        abort,
        origin,
    }));
    route
}
