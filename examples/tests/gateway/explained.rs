//! What is explained of a request is what becomes of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use examples::explain::{Asked, explain};
use examples::gateway::{Gateway, MeshWide};
use http::{HeaderName, HeaderValue, Request};
use mesh_core::resolve::resolve;

use crate::scene::{LISTEN, config_of, settings, workload};

/// Routes that answer with their names, and policies.
const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
  - name: steered
    match: [{ headers: { x-envoy-retry-on: {} } }]
    directResponse: { status: 200, body: { string: steered } }
  - name: secret
    match: [{ headers: { x-secret: {} } }]
    directResponse: { status: 200, body: { string: secret } }
  - name: encrypted
    match: [{ headers: { x-forwarded-proto: { exact: https } } }, { scheme: { exact: https } }]
    directResponse: { status: 200, body: { string: encrypted } }
  - name: certified
    match: [{ headers: { x-forwarded-client-cert: {} } }]
    directResponse: { status: 200, body: { string: certified } }
  - name: external
    match: [{ uri: { exact: /external }, headers: { x-envoy-external-address: { exact: 127.0.0.1 } } }]
    directResponse: { status: 200, body: { string: external } }
  - name: forwarded
    match: [{ uri: { exact: /forwarded }, headers: { x-forwarded-for: { exact: '192.0.2.1,127.0.0.1' } } }]
    directResponse: { status: 200, body: { string: forwarded } }
  - name: cart
    match: [{ uri: { exact: /cart } }]
    directResponse: { status: 200, body: { string: cart } }
  - name: denied
    match: [{ uri: { prefix: /denied } }]
    directResponse: { status: 200, body: { string: denied } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: some, namespace: istio-system }
spec:
  action: DENY
  rules:
  - to: [{ operation: { paths: [/denied/*] } }]
  - from: [{ source: { remoteIpBlocks: [192.0.2.1] } }]
";

/// Method, path and headers of a request, and what becomes of it.
type Case = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const CART: &str = "route `cart`";
const DENIED: &str = "denied with 403, `RBAC: access denied`";

const CASES: [Case; 25] = [
    ("GET", "/cart", &[], CART),
    ("GET", "/nowhere", &[], "no route"),
    ("GET", "/denied", &[], "route `denied`"),
    ("GET", "/denied/x", &[], DENIED),
    // Paths are normalized before anything looks at them.
    ("GET", "/x/../cart", &[], CART),
    ("GET", "/./cart?x=/../y", &[], CART),
    ("GET", "/%63art", &[], CART),
    ("GET", "/x\\..\\cart", &[], CART),
    ("GET", "//cart", &[], "no route"),
    ("GET", "/x/../denied/x", &[], DENIED),
    ("GET", "/x/%2e%2e/denied/x", &[], DENIED),
    ("GET", "/cart%00", &[], "refused with 400: invalid path"),
    // What only peers inside the mesh may say.
    ("GET", "/cart", &[("x-envoy-retry-on", "5xx")], CART),
    ("GET", "/cart", &[("x-forwarded-proto", "https")], CART),
    (
        "GET",
        "/cart",
        &[("x-forwarded-client-cert", "Hash=0c")],
        CART,
    ),
    (
        "GET",
        "/external",
        &[("x-envoy-external-address", "192.0.2.1")],
        "route `external`",
    ),
    (
        "GET",
        "/forwarded",
        &[("x-forwarded-for", "192.0.2.1")],
        "route `forwarded`",
    ),
    // What concerns the connection only.
    ("GET", "/cart", &[("x-secret", "s")], "route `secret`"),
    (
        "GET",
        "/cart",
        &[("x-secret", "s"), ("connection", "x-secret")],
        CART,
    ),
    ("GET", "/cart", &[("keep-alive", "5"), ("te", "gzip")], CART),
    // What is not allowed.
    ("BREW", "/cart", &[], "refused with 400: unknown method"),
    ("PROPFIND", "/cart", &[], CART),
    (
        "GET",
        "/cart",
        &[("connection", "upgrade"), ("upgrade", "foo")],
        "refused with 403: upgrade is not allowed",
    ),
    (
        "GET",
        "/cart",
        &[("connection", "upgrade"), ("upgrade", "websocket")],
        CART,
    ),
    ("OPTIONS", "*", &[], "no route"),
];

#[test]
fn a_request_is_explained_as_it_is_answered() {
    let config = config_of(&format!("{LISTEN}---{ROUTES}"));
    let (model, wide) = (resolve(&config, &workload()), MeshWide::of(&config));
    let mut gateway = Gateway::start(settings()).unwrap();
    assert_eq!(gateway.publish_in(&model, &wide).unwrap(), [""; 0]);
    for case in CASES {
        let explained = explain((&model, &wide), &asked(case), 0, SystemTime::UNIX_EPOCH);
        let explained = explained.unwrap();
        let (_, _, _, expected) = case;
        let decision = &explained.decision;
        assert_eq!(decision.outcome, expected, "{case:?}: {decision}");
        let (begin, end) = match expected.strip_prefix("route `") {
            Some(route) => ("200 OK".to_owned(), route.trim_end_matches('`')),
            None if expected == DENIED => ("403 ".to_owned(), "RBAC: access denied"),
            None if expected == "no route" => ("404 ".to_owned(), ""),
            None => {
                let status = expected.strip_prefix("refused with ").unwrap();
                (status[..3].to_owned(), "")
            }
        };
        let answer = answer(&gateway, case);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {begin}")),
            "{case:?}: {answer}"
        );
        assert!(answer.ends_with(end), "{case:?}: {answer}");
        assert_eq!(explained.is_good, expected.starts_with("route"), "{case:?}");
    }
}

#[test]
fn an_explanation_tells_what_was_done_to_the_request() {
    let config = config_of(&format!("{LISTEN}---{ROUTES}"));
    let (model, wide) = (resolve(&config, &workload()), MeshWide::of(&config));
    let asked = asked(("GET", "/x/../cart", &[("x-envoy-retry-on", "5xx")], CART));
    let explained = explain((&model, &wide), &asked, 0, SystemTime::UNIX_EPOCH).unwrap();
    let text = explained.decision.to_string();
    for expected in [
        "path: normalized to `/cart`",
        "headers: without `x-envoy-retry-on`, which clients may not send on",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

fn asked((method, path, headers, _): Case) -> Asked {
    let mut request = Request::builder().method(method);
    request = match path {
        "*" => request.uri("*").header("host", "shop.example"),
        path => request.uri(format!("http://shop.example{path}")),
    };
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        parts.headers.append(name, HeaderValue::from_static(value));
    }
    Asked::new(parts, 80)
}

fn answer(gateway: &Gateway, (method, path, headers, _): Case) -> String {
    let mut client = TcpStream::connect(gateway.address(80).unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let fields = headers.iter();
    let fields: String = fields
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{fields}connection: close\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}
