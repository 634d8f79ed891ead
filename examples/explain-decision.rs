//! Ask why a request goes where it goes, and get the answer as a value.
//!
//! ```sh
//! cargo run --example explain-decision
//! ```
//!
//! The same configuration answers two questions: the hot path asks *where*, a person asks *why*.
//! The answer to the second names every rule that was considered, what it lacked, and the file and
//! line where it was written.
#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::time::SystemTime;

use examples::config::Loaded;
use examples::help::NoArguments;
use http::Request;
use mesh_core::config::MeshConfig;
use mesh_core::decision::Verdict;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_routing::table::RouteTable;

const YAML: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - name: beta
    match: [{ uri: { prefix: /cart }, headers: { x-beta: { exact: 'yes' } } }]
    route: [{ destination: { host: cart-beta.example } }]
  - name: stable
    match: [{ uri: { prefix: /cart } }]
    rewrite: { uri: /v1/cart }
    route: [{ destination: { host: cart.example } }]
";

const HELP: NoArguments = NoArguments {
    name: "explain-decision",
    shows: "Ask why a request goes where it goes, and get the answer as a value.",
    expect: "It prints the rules that were considered, with what they lacked and where they are, and ends.",
};

fn main() -> Result<(), Box<dyn Error>> {
    HELP.parse();
    let mut loaded = Loaded::default();
    loaded.add("shop.yaml", YAML.to_owned());
    let (config, _) = loaded
        .build(MeshConfig::builder(), 1)
        .map_err(|found| found.to_string())?;
    let gateway = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    let model = resolve(&config, &gateway);
    let table = RouteTable::compile(&model.route_configurations["http.80"])?;

    let request = Request::get("http://shop.example/cart/7").body(())?;
    let (parts, ()) = request.into_parts();
    let decision = table.explain_with_filters(&parts, 0, SystemTime::UNIX_EPOCH);
    println!("{decision}");

    let considered = |name: &str| {
        let mut steps = decision.steps.iter();
        steps.find(|step| step.subject.contains(name))
    };
    let beta = considered("beta").expect("it was considered first");
    let Verdict::Failed(why) = &beta.verdict else {
        return Err("beta takes only requests that ask for it".into());
    };
    assert!(why.contains("x-beta"), "{why}");
    let position = beta.origin.to_string();
    assert!(position.contains("shop.yaml:17"), "{position}");

    let stable = considered("stable").expect("it was considered next");
    assert_eq!(stable.verdict, Verdict::Matched);
    Ok(())
}
