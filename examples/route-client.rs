//! Route the calls of a client among services, in process.
//!
//! ```sh
//! cargo run --example route-client
//! ```
//!
//! [`RoutingLayer`] and [`FiltersLayer`] are ordinary tower layers: they stand before whatever sends
//! the request. Here that is two services in the same process, told apart by the cluster of the
//! matched route; with a connection pool in their place, it is a client of real ones.
#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use examples::help::NoArguments;
use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::{
    Forward, PathRewrite, Redirect, Rewrite, Route, RouteAction, RouteMatch, WeightedDestination,
};
use mesh_core::service::ClusterName;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::table::RouteTable;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const HELP: NoArguments = NoArguments {
    name: "route-client",
    shows: "Route the calls of a client among services in the same process, by tower layers.",
    expect: "It says that two calls were sent and two were answered by the layers, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    HELP.parse();
    let mut client = ServiceBuilder::new()
        .layer(RoutingLayer::new(routes()?))
        .layer(FiltersLayer::new())
        .service(service_fn(send));

    let (status, answer) = call(&mut client, "http://shop.example/cart/7").await?;
    assert_eq!(
        (status, answer.as_str()),
        (200, "the cart service got /items/7")
    );

    let (status, answer) = call(&mut client, "http://shop.example/reviews/7").await?;
    assert_eq!(
        (status, answer.as_str()),
        (200, "the reviews service got /reviews/7")
    );

    // These two are answered by the layers, and sent to nobody.
    assert_eq!(
        call(&mut client, "http://shop.example/basket/7").await?.0,
        308
    );
    assert_eq!(call(&mut client, "http://shop.example/admin").await?.0, 404);
    println!("two calls were sent where their routes say, two were answered by the client");
    Ok(())
}

/// Two services behind one host, and a path that moved.
fn routes() -> Result<RouteTable, Box<dyn Error>> {
    let mut to_cart = Forward::to([WeightedDestination::new(cluster("cart"))]);
    to_cart.rewrite = Rewrite {
        path: Some(PathRewrite::Prefix("/items".into())),
        ..Rewrite::default()
    };
    let cart = RouteAction::Forward(Box::new(to_cart));
    let moved = RouteAction::Redirect(Box::new(Redirect {
        status: 308,
        scheme: None,
        host: None,
        port: None,
        path: Some(PathRewrite::Prefix("/cart".into())),
        strip_query: false,
    }));
    let host = "shop.example";
    Ok(RouteTable::builder()
        .route(host, Route::new("cart", RouteMatch::prefix("/cart"), cart))
        .route(
            host,
            Route::new("moved", RouteMatch::prefix("/basket"), moved),
        )
        .route(
            host,
            Route::forward(
                "reviews",
                RouteMatch::prefix("/reviews"),
                cluster("reviews"),
            ),
        )
        .compile()?)
}

fn cluster(service: &str) -> ClusterName {
    ClusterName::outbound(80, "", service)
}

/// Stands for a pool of connections: answers for the service of the request's cluster.
async fn send(request: Request<()>) -> Result<Response<Bytes>, Infallible> {
    let matched = request.extensions().get::<MatchedRoute>();
    let cluster = matched.and_then(MatchedRoute::cluster);
    let service = cluster.and_then(ClusterName::host).unwrap_or("no");
    let answer = format!("the {service} service got {}", request.uri().path());
    Ok(Response::new(answer.into()))
}

async fn call<S>(client: &mut S, uri: &str) -> Result<(u16, String), Box<dyn Error>>
where
    S: Service<Request<()>, Response = Response<Bytes>, Error = Infallible>,
{
    let request = Request::get(uri).body(())?;
    let response = client.ready().await?.call(request).await?;
    let answer = String::from_utf8(response.body().to_vec())?;
    Ok((response.status().as_u16(), answer))
}
