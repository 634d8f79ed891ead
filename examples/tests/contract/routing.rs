//! The layers of mesh-routing.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::cors::CorsLayer;
use mesh_routing::layer::direct_response::DirectResponseLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::headers::HeadersLayer;
use mesh_routing::layer::mirror::{MirrorBody, MirrorLayer};
use mesh_routing::layer::redirect::RedirectLayer;
use mesh_routing::layer::rewrite::RewriteLayer;
use mesh_routing::layer::router::RouterLayer;
use mesh_routing::table::RouteTable;
use tower::service_fn;

use crate::checks::Cases;
use crate::contracts;
use crate::requests::{
    answered_directly, equipped, forwarded, mirrored, plain, preflight, redirected,
};
use crate::strict::OwnBody;

contracts! {
    routing: RoutingLayer::new(table()),
        Cases::passing(plain).refused("no route", 404, elsewhere);
    router: RouterLayer::new(table()),
        Cases::passing(plain).refused("no route", 404, elsewhere);
    filters: FiltersLayer::new(),
        filtered().refused("a preflight", 200, preflight)
            .refused("a redirect", 308, redirected)
            .refused("a direct response", 418, answered_directly);
    cors: CorsLayer::new(), filtered().refused("a preflight", 200, preflight);
    headers: HeadersLayer::new(), filtered();
    rewrite: RewriteLayer::new(), filtered();
    redirect: RedirectLayer::new(), filtered().refused("a redirect", 308, redirected);
    direct_response: DirectResponseLayer::new(),
        filtered().refused("a direct response", 418, answered_directly);
    mirror: MirrorLayer::new(service_fn(swallow)), filtered().and("a mirrored one", mirrored);
}

fn filtered() -> Cases {
    Cases::passing(forwarded)
        .and("one without a route", plain)
        .and("one with a body", equipped)
}

pub(crate) fn elsewhere() -> Request<OwnBody> {
    let request = Request::get("http://elsewhere.example/");
    request.body(OwnBody::default()).unwrap()
}

pub(crate) fn table() -> RouteTable {
    let table = RouteTable::builder().prefix("cart", "shop.example", "/cart");
    table.compile().unwrap()
}

/// Where copies go.
fn swallow(_: Request<MirrorBody>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::default()))
}
