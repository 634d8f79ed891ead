//! Match requests to routes, without a runtime, a socket or a control plane.
//!
//! ```sh
//! cargo run --example match-routes
//! ```
//!
//! The VirtualService is Istio's own format. It is resolved for a gateway, compiled once, and asked
//! as often as there are requests; a question allocates nothing.
#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;

use examples::config::Loaded;
use examples::help::NoArguments;
use http::Request;
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_routing::request::RequestHead;
use mesh_routing::table::RouteTable;

const YAML: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: bookinfo }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews.example]
  gateways: [bookinfo]
  http:
  - name: testers
    match: [{ headers: { end-user: { exact: jason } } }]
    route: [{ destination: { host: reviews-v2.example } }]
  - name: everybody
    route:
    - { destination: { host: reviews-v1.example }, weight: 75 }
    - { destination: { host: reviews-v3.example }, weight: 25 }
";

const HELP: NoArguments = NoArguments {
    name: "match-routes",
    shows: "Match requests to the routes of a VirtualService, without a runtime or a socket.",
    expect: "It says how 100 requests are shared among the destinations of a route, and ends.",
};

fn main() -> Result<(), Box<dyn Error>> {
    HELP.parse();
    let mut loaded = Loaded::default();
    loaded.add("reviews.yaml", YAML.to_owned());
    let (config, _) = loaded
        .build(MeshConfig::builder(), 1)
        .map_err(|found| found.to_string())?;
    let gateway = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    let model = resolve(&config, &gateway);
    let table = RouteTable::compile(&model.route_configurations["http.80"])?;

    let tester = Request::get("http://reviews.example/1").header("end-user", "jason");
    let tester = tester.body(())?;
    let anybody = Request::get("http://reviews.example/1").body(())?;
    let stranger = Request::get("http://ratings.example/1").body(())?;

    assert_eq!(route(&table, &tester, 0).as_deref(), Some("testers"));
    assert_eq!(route(&table, &anybody, 0).as_deref(), Some("everybody"));
    assert_eq!(route(&table, &stranger, 0), None);

    // Which of several destinations it is depends on a number that the caller draws.
    let numbers = 0..100_u64;
    let to_v3 = numbers.filter(|number| goes_to(&table, &anybody, *number, "reviews-v3"));
    assert_eq!(to_v3.count(), 25);
    println!("75 of 100 requests go to v1, 25 to v3, and those of testers to v2");
    Ok(())
}

/// The name of the route of a request.
fn route(table: &RouteTable, request: &Request<()>, random: u64) -> Option<String> {
    let matched = table
        .lookup(&RequestHead::from(request), random)
        .matched()?;
    Some(matched.name().to_owned())
}

/// Whether the destination that `random` draws is a cluster of `service`.
fn goes_to(table: &RouteTable, request: &Request<()>, random: u64, service: &str) -> bool {
    let matched = table.lookup(&RequestHead::from(request), random).matched();
    let matched = matched.expect("a route takes every request to the host");
    let cluster = matched.cluster().and_then(|cluster| cluster.host());
    cluster.is_some_and(|host| host.starts_with(service))
}
