use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use examples::body::Body;
use examples::config::Loaded;
use examples::gateway::{Gateway, MeshWide, Settings};
use examples::serve::{Connection, Limits, Workers};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::telemetry::access_log::{LogLines, channel};
use tower::service_fn;

pub(crate) const LISTEN: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
";

/// A gateway, and a service behind it that answers with the request line it saw.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) service: SocketAddr,
    _workers: Workers,
}

impl Scene {
    /// Serves `rules` with usual settings.
    pub(crate) fn new(rules: &str) -> Self {
        Self::with(settings(), rules)
    }

    /// The same, whose access log can be read.
    pub(crate) fn logging(mut settings: Settings, rules: &str) -> (Self, LogLines) {
        let (sink, lines) = channel(10);
        settings.access_log = Some(sink);
        (Self::with(settings, rules), lines)
    }

    /// Serves `rules` with these settings.
    pub(crate) fn with(settings: Settings, rules: &str) -> Self {
        let workers = Workers::start(1, Limits::default(), || {
            |_: &Connection| {
                service_fn(|request| async move { Ok::<_, Infallible>(echo(request).await) })
            }
        })
        .unwrap();
        let service = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
        let mut scene = Self {
            gateway: Gateway::start(settings).unwrap(),
            service,
            _workers: workers,
        };
        let model = scene.model(rules);
        let warnings = scene.gateway.publish(&model).unwrap();
        assert_eq!(warnings, [""; 0]);
        scene
    }

    /// Serves the routes `rules` and the further documents `policies`; returns the warnings.
    pub(crate) fn publish(&mut self, rules: &str, policies: &str) -> Vec<String> {
        let yaml = format!("{}---{policies}", self.yaml(rules));
        publish(&mut self.gateway, &yaml)
    }

    pub(crate) fn model(&self, rules: &str) -> Model {
        model_of(&self.yaml(rules))
    }

    pub(crate) fn yaml(&self, rules: &str) -> String {
        let port = self.service.port();
        format!(
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
        )
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.gateway.address(80).unwrap()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
    }

    /// Posts a body of text.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let mut client = self.connect();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        let mut client = self.connect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}connection: close\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Answers as `server: cart` with the request line and the body, and in `x-seen` the field that
/// `x-echo` names.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut line = format!("{} {}", head.method, head.uri);
    let body = body.collect().await.unwrap().to_bytes();
    if !body.is_empty() {
        line = line + " " + std::str::from_utf8(&body).unwrap();
    }
    let mut response = Response::new(Body::from(bytes::Bytes::from(line)));
    let server = HeaderValue::from_static("cart");
    response.headers_mut().insert("server", server);
    let fields = &head.headers;
    let named = fields.get("x-echo").and_then(|name| name.to_str().ok());
    if let Some(seen) = named.and_then(|name| fields.get(name)) {
        response.headers_mut().insert("x-seen", seen.clone());
    }
    response
}

/// Asks on a connection that stays open.
pub(crate) fn ask(client: &mut (impl Read + Write), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    read(client)
}

/// One answer, whose head says how long its body is.
pub(crate) fn read(client: &mut impl Read) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 1024]);
    loop {
        let length = client.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            continue;
        };
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.lines().next().unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return answer;
        }
    }
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings {
        bind: [127, 0, 0, 1].into(),
        ..Settings::default()
    };
    settings.ports.extend([(80, 0), (443, 0)]);
    settings
}

pub(crate) fn model_of(yaml: &str) -> Model {
    resolve(&config_of(yaml), &workload())
}

/// Asks for `/` of `host` on a connection of its own.
pub(crate) fn get(gateway: &Gateway, host: &str) -> String {
    let mut client = TcpStream::connect(gateway.address(80).unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Serves a configuration; returns the warnings.
pub(crate) fn publish(gateway: &mut Gateway, yaml: &str) -> Vec<String> {
    let config = config_of(yaml);
    let model = resolve(&config, &workload());
    gateway.publish_in(&model, &MeshWide::of(&config)).unwrap()
}

pub(crate) fn config_of(yaml: &str) -> MeshConfig {
    let mut loaded = Loaded::default();
    loaded.add("shop.yaml", yaml.to_owned());
    loaded.build(MeshConfig::builder(), 1).unwrap().0
}

pub(crate) fn workload() -> Workload {
    Workload::gateway("istio-system").with_label("istio", "ingressgateway")
}
