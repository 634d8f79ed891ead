//! Route the requests of an axum service by a VirtualService, before axum matches their paths.
//!
//! ```sh
//! cargo run --example axum-routes
//! ```
//!
//! [`RoutingLayer`] and [`FiltersLayer`] stand around the whole `Router`. What `Router::layer` adds runs
//! after axum has chosen a handler: a rewrite would come too late, and a redirect of a path that no
//! handler has would never come. Both layers answer in the place of the service, whose body has to be
//! made for that: `ResBody: Default + From<Bytes>`, which axum's own `Body` is.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;

use axum::extract::{Path, Request};
use axum::routing::get;
use axum::{Extension, Router, ServiceExt, serve};
use bytes::Bytes;
use examples::help::NoArguments;
use examples::once;
use http_body_util::Full;
use mesh_core::attributes::MatchedRoute;
use mesh_core::config::MeshConfig;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::table::RouteTable;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

const YAML: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: { app: shop }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - match: [{ uri: { exact: /basket } }]
    redirect: { uri: /cart/mine, redirectCode: 308 }
  - match: [{ uri: { prefix: /cart/ }, headers: { end-user: { exact: jason } } }]
    rewrite: { uri: /items/ }
    route: [{ destination: { host: stock-v2.example } }]
  - match: [{ uri: { prefix: /cart/ } }]
    rewrite: { uri: /items/ }
    route: [{ destination: { host: stock-v1.example } }]
";

const HELP: NoArguments = NoArguments {
    name: "axum-routes",
    shows: "Route the requests of an axum service by a VirtualService, before axum matches their paths.",
    expect: "It serves itself on loopback, says which requests were rewritten and redirected, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    HELP.parse();
    // To axum, all requests are for items: it never sees a cart.
    let router = Router::new().route("/items/{item}", get(item));
    let service = ServiceBuilder::new()
        .layer(RoutingLayer::new(table()?))
        .layer(FiltersLayer::new())
        .service(router);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = ServiceExt::<Request>::into_make_service(service);
    tokio::spawn(serve(listener, service).into_future());

    let ask = async |path: &str, user: &str| {
        let request = http::Request::get(path).header("host", "shop.example");
        let request = request
            .header("end-user", user)
            .body(Full::<Bytes>::default())?;
        let (head, body) = once::send(address, request).await?.into_parts();
        let location = head.headers.get("location").cloned();
        let text = String::from_utf8(body.to_vec())?;
        Ok::<_, Box<dyn Error>>((head.status.as_u16(), text, location))
    };
    let (status, text, _) = ask("/cart/7", "jason").await?;
    assert_eq!((status, &*text), (200, "item 7 of stock-v2.example"));
    let (_, text, _) = ask("/cart/7", "alice").await?;
    assert_eq!(text, "item 7 of stock-v1.example");
    let (status, _, location) = ask("/basket", "alice").await?;
    let location = location.ok_or("a redirect says where")?;
    assert_eq!(
        (status, location.to_str()?),
        (308, "http://shop.example/cart/mine")
    );
    // What no rule takes does not reach axum, though it has a handler for it.
    assert_eq!(ask("/items/7", "alice").await?.0, 404);
    println!("carts were rewritten to items of two stocks, and a basket was sent to a cart");
    Ok(())
}

/// A handler, which knows by the route what the rules have chosen for its request.
async fn item(Path(item): Path<u32>, Extension(route): Extension<MatchedRoute>) -> String {
    let host = route.cluster().and_then(|cluster| cluster.host());
    format!("item {item} of {}", host.unwrap_or("nobody"))
}

/// The routes that the rules make for the service.
fn table() -> Result<RouteTable, Box<dyn Error>> {
    let mut loaded = Loaded::default();
    loaded.add("shop.yaml", YAML);
    let loaded = loaded.build(MeshConfig::builder(), 1);
    let (config, warnings) = loaded.map_err(|found| found.to_string())?;
    print!("{warnings}");
    // The Gateways of this workload are those that select `app: shop`.
    let workload = Workload::gateway("shop").with_label("app", "shop");
    let model = resolve(&config, &workload);
    // Each listener of the model names its routes: all servers of HTTP at one port share `http.PORT`, a
    // server of HTTPS has `https.PORT.PORTNAME.GATEWAY.NAMESPACE` of its own. What a sidecar sends is
    // routed by `PORT` alone.
    Ok(RouteTable::compile(&model.route_configurations["http.80"])?)
}
