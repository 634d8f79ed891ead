//! The gateway over real sockets: what a client sees of a configuration.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use examples::body::Body;
use examples::config::Loaded;
use examples::gateway::{Gateway, Settings};
use examples::serve::{Connection, Limits, Workers};
use http::{Request, Response};
use hyper::body::Incoming;
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tower::service_fn;

const LISTEN: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
";

#[test]
fn a_request_reaches_the_service_of_its_route_as_rewritten() {
    let scene = Scene::new(
        "
  - match: [{ uri: { prefix: /cart/ }, headers: { end-user: { exact: jason } } }]
    rewrite: { uri: /v2/ }
    route: [{ destination: { host: cart.example } }]
    headers: { response: { set: { x-route: cart } } }",
    );
    let answer = scene.get("/cart/7?x=1", "end-user: jason\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-route: cart\r\n"), "{answer}");
    assert!(answer.ends_with("GET /v2/7?x=1"), "{answer}");
}

#[test]
fn what_no_route_takes_is_404() {
    let scene = Scene::new(
        "
  - match: [{ uri: { exact: /cart } }]
    route: [{ destination: { host: cart.example } }]",
    );
    let answer = scene.get("/other", "");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn a_destination_that_nobody_declared_is_503() {
    let scene = Scene::new(
        "
  - route: [{ destination: { host: nowhere.example } }]",
    );
    let answer = scene.get("/", "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn redirects_direct_responses_and_faults_are_answered_by_the_gateway() {
    let scene = Scene::new(
        "
  - match: [{ uri: { exact: /old } }]
    redirect: { uri: /new, redirectCode: 302 }
  - match: [{ uri: { exact: /status } }]
    directResponse: { status: 200, body: { string: open } }
  - match: [{ uri: { exact: /broken } }]
    fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
    route: [{ destination: { host: cart.example } }]",
    );
    let moved = scene.get("/old", "");
    assert!(moved.starts_with("HTTP/1.1 302 "), "{moved}");
    assert!(
        moved.contains("location: http://shop.example/new\r\n"),
        "{moved}"
    );
    assert!(scene.get("/status", "").ends_with("open"));
    let broken = scene.get("/broken", "");
    assert!(broken.starts_with("HTTP/1.1 418 "), "{broken}");
    assert!(broken.ends_with("fault filter abort"), "{broken}");
}

#[test]
fn a_published_configuration_takes_effect_on_the_next_request() {
    let mut scene = Scene::new(
        "
  - directResponse: { status: 200, body: { string: first } }",
    );
    assert!(scene.get("/", "").ends_with("first"));
    let second = scene.model(
        "
  - directResponse: { status: 200, body: { string: second } }",
    );
    scene.gateway.publish(&second).unwrap();
    assert!(scene.get("/", "").ends_with("second"));
}

#[test]
fn a_listener_that_needs_tls_is_named_and_not_served() {
    let yaml = LISTEN.replace("protocol: HTTP", "protocol: HTTPS").replace(
        "hosts: ['*']",
        "hosts: ['*'], tls: { mode: SIMPLE, credentialName: shop }",
    );
    let mut gateway = Gateway::start(settings()).unwrap();
    let warnings = gateway.publish(&model_of(&yaml)).unwrap();
    assert!(
        warnings.iter().any(|warning| warning.contains("needs TLS")),
        "{warnings:?}"
    );
    assert_eq!(gateway.address(80), None);
}

#[test]
fn a_policy_that_is_not_enforced_keeps_the_configuration_from_being_served() {
    let yaml = format!(
        "{LISTEN}---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: nobody, namespace: istio-system }}
spec: {{}}
"
    );
    let mut gateway = Gateway::start(settings()).unwrap();
    let refused = gateway.publish(&model_of(&yaml)).unwrap_err().to_string();
    assert!(refused.contains("istio-system/nobody"), "{refused}");
    assert_eq!(gateway.address(80), None);
}

/// A gateway, and a service behind it that answers with the request line it saw.
struct Scene {
    gateway: Gateway,
    service: SocketAddr,
    _workers: Workers,
}

impl Scene {
    fn new(rules: &str) -> Self {
        let workers = Workers::start(1, Limits::default(), || {
            |_: &Connection| {
                service_fn(|request: Request<Incoming>| async move {
                    let line = format!("{} {}", request.method(), request.uri());
                    Ok::<_, Infallible>(Response::new(Body::from(bytes::Bytes::from(line))))
                })
            }
        })
        .unwrap();
        let service = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
        let mut scene = Self {
            gateway: Gateway::start(settings()).unwrap(),
            service,
            _workers: workers,
        };
        let model = scene.model(rules);
        let warnings = scene.gateway.publish(&model).unwrap();
        assert_eq!(warnings, [""; 0]);
        scene
    }

    fn model(&self, rules: &str) -> Model {
        let port = self.service.port();
        model_of(&format!(
            "{LISTEN}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*']
  gateways: [shop]
  http:{rules}
"
        ))
    }

    fn get(&self, path: &str, headers: &str) -> String {
        let mut client = TcpStream::connect(self.gateway.address(80).unwrap()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}connection: close\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn settings() -> Settings {
    let mut settings = Settings {
        bind: [127, 0, 0, 1].into(),
        ..Settings::default()
    };
    settings.ports.insert(80, 0);
    settings
}

fn model_of(yaml: &str) -> Model {
    let mut loaded = Loaded::default();
    loaded.add("shop.yaml", yaml.to_owned());
    let (config, _) = loaded.build(MeshConfig::builder(), 1).unwrap();
    let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    resolve(&config, &workload)
}
