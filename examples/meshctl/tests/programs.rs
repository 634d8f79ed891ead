//! What programs read: the status that a command exits with, and JSON.

use serde_json::Value;

use super::*;

/// What the program exits with.
fn status_of(arguments: &[&str]) -> i32 {
    let line = ["meshctl"].iter().chain(arguments);
    match Arguments::try_parse_from(line) {
        Ok(arguments) => status(&run(arguments)).into(),
        Err(error) => error.exit_code(),
    }
}

fn explain<'a>(request: &'a str, further: &[&'a str]) -> Vec<&'a str> {
    let asked = [
        "explain",
        "--request",
        request,
        "--workload",
        GATEWAY,
        CONFIG,
    ];
    [&asked[..], further].concat()
}

#[test]
fn the_status_is_0_where_all_is_well() {
    for arguments in [
        &["validate", CONFIG][..],
        &["routes", "--workload", GATEWAY, CONFIG],
        &explain("GET http://shop.example/", &[]),
        &["--help"],
    ] {
        assert_eq!(status_of(arguments), 0, "{arguments:?}");
    }
}

#[test]
fn the_status_is_1_where_configuration_or_request_are_not_good() {
    for arguments in [
        &["validate", "/nowhere"][..],
        &["routes", "--workload", GATEWAY, "/nowhere"],
        &explain("GET http://shop.example/nothing", &[]),
        &explain("GET http://shop.example:81/", &[]),
    ] {
        assert_eq!(status_of(arguments), 1, "{arguments:?}");
    }
}

#[test]
fn the_status_is_2_where_the_command_line_is_wrong() {
    let good = "GET http://shop.example/";
    for arguments in [
        &["validate"][..],
        &explain("GET", &[]),
        &explain("G,T http://shop.example/", &[]),
        &explain("GET http:///", &[]),
        &explain("GET ftp://shop.example/", &[]),
        &explain(good, &["-H", "end-user"]),
        &explain(good, &["--claims", "[]"]),
        &explain(good, &["--peer", "jason"]),
    ] {
        assert_eq!(status_of(arguments), 2, "{arguments:?}");
    }
}

/// What a command writes about `yaml`, for programs; and the file that it was in.
fn json_about(yaml: &str, command: &[&str]) -> (Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    let answer = meshctl(&[command, &["-o", "json", file]].concat()).unwrap();
    (serde_json::from_str(&answer.text).unwrap(), file.to_owned())
}

const SHOP: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: bookstore }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: bookstore }
spec:
  hosts: [shop.example]
  gateways: [shop]
  http: [{ name: cart, route: [{ destination: { host: cart } }] }]
";

#[test]
fn problems_have_their_severity_message_and_place() {
    let misspelt = SHOP.replace("selector", "selectr");
    let (problems, file) = json_about(&misspelt, &["validate"]);
    let problem = &problems[0];
    assert_eq!(problem["severity"], "error", "{problems}");
    assert_eq!(problem["file"], file, "{problems}");
    let place = serde_json::json!({"line": 6, "column": 3});
    assert_eq!(problem["position"], place, "{problems}");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("`selectr`"), "{problems}");
    let help = problem["help"].as_str().unwrap();
    assert!(help.contains("`selector`"), "{problems}");

    let (none, _) = json_about(SHOP, &["validate"]);
    assert_eq!(none, serde_json::json!([]));
}

#[test]
fn messages_of_analysis_have_their_code_level_and_origin() {
    let (messages, file) = json_about(SHOP, &["analyze"]);
    let about = |message: &&Value| message["code"] == "IST0101";
    let message = messages.as_array().unwrap().iter().find(about).unwrap();
    assert_eq!(message["level"], "error", "{message}");
    let origin = &message["origin"];
    assert_eq!(origin["kind"], "VirtualService", "{message}");
    assert_eq!(origin["namespace"], "bookstore", "{message}");
    assert_eq!(origin["name"], "shop", "{message}");
    assert_eq!(origin["file"], file, "{message}");
    assert_eq!(origin["line"], 15, "{message}");
    let text = message["message"].as_str().unwrap();
    assert!(text.contains("cart"), "{message}");
}

#[test]
fn routes_are_listed_by_configuration_and_host() {
    let (routes, file) = json_about(SHOP, &["routes", "--workload", GATEWAY]);
    let host = &routes["http.80"]["virtual_hosts"][0];
    assert_eq!(host["domains"][0], "shop.example", "{routes}");
    let route = &host["routes"][0];
    assert_eq!(route["name"], "cart", "{routes}");
    assert_eq!(route["origin"]["file"], file, "{routes}");
    let destination = &route["action"]["forward"]["destinations"][0];
    let cluster = "outbound|80||cart.bookstore.svc.cluster.local";
    assert_eq!(destination["cluster"]["name"], cluster, "{routes}");
}
