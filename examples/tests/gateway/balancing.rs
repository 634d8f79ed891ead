use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use examples::body::Body;
use examples::config::Loaded;
use examples::gateway::MeshWide;
use examples::serve::{Connection, Limits, Workers};
use http::Response;
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tower::service_fn;

use crate::scene::{Scene, ask};

/// To the replicas, each request once.
pub(crate) const REPLICAS: &str = "
  - retries: { attempts: 0 }
    route: [{ destination: { host: replicas.example } }]
";

#[test]
fn an_endpoint_that_fails_is_left_alone() {
    let replicas = Replicas::open(&[503, 200]);
    let mut scene = Scene::new(REPLICAS);
    let rule = replicas.yaml(
        "outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: 1h, maxEjectionPercent: 50 }",
    );
    assert_eq!(scene.publish(REPLICAS, &rule), [""; 0]);
    let statuses: Vec<String> = (0..40).map(|_| status(&scene.get("/", ""))).collect();
    let failures = statuses.iter().filter(|status| *status == "503").count();
    assert!(failures <= 1, "{statuses:?}");

    // What is known of the endpoint outlives the configuration.
    let other = REPLICAS.replace("  - retries", "  - timeout: 5s\n    retries");
    assert_eq!(scene.publish(&other, &rule), [""; 0]);
    let again = (0..20).filter(|_| status(&scene.get("/", "")) == "503");
    assert!(
        again.count() + failures <= 1,
        "an ejected endpoint came back"
    );
}

#[test]
fn a_user_stays_at_one_endpoint() {
    let replicas = Replicas::open(&[200, 200, 200, 200]);
    let mut scene = Scene::new(REPLICAS);
    let rule = replicas.yaml("loadBalancer: { consistentHash: { httpHeaderName: x-user } }");
    assert_eq!(scene.publish(REPLICAS, &rule), [""; 0]);
    let mut endpoints = BTreeMap::new();
    for user in 0..16 {
        let header = format!("x-user: {user}\r\n");
        let first = body(&scene.get("/", &header));
        for _ in 0..3 {
            assert_eq!(body(&scene.get("/", &header)), first, "user {user}");
        }
        *endpoints.entry(first).or_insert(0) += 1;
    }
    // One in 4^15 sets of users has the same endpoint for all.
    assert!(endpoints.len() > 1, "{endpoints:?}");
}

#[test]
fn subsets_are_endpoints_by_their_labels() {
    let replicas = Replicas::open(&[200, 200]);
    let rules = "
  - route: [{ destination: { host: replicas.example, subset: second } }]
";
    let mut scene = Scene::new(REPLICAS);
    let rule = replicas.yaml("loadBalancer: { simple: ROUND_ROBIN }");
    let rule = format!("{rule}  subsets: [{{ name: second, labels: {{ version: v1 }} }}]\n");
    assert_eq!(scene.publish(rules, &rule), [""; 0]);
    for _ in 0..6 {
        assert_eq!(body(&scene.get("/", "")), "replica 1");
    }
}

#[test]
fn load_moves_to_another_place_when_the_endpoints_nearby_fail() {
    let replicas = Replicas::open(&[503, 200]);
    let mut scene = Scene::new(REPLICAS);
    let rule = replicas.yaml_at(
        &["eu/a/1", "us/b/1"],
        "outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: 1h, maxEjectionPercent: 100 }",
    );
    let mut loaded = Loaded::default();
    loaded.add("shop.yaml", format!("{}---{rule}", scene.yaml(REPLICAS)));
    let (config, _) = loaded.build(MeshConfig::builder(), 1).unwrap();
    let mut workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    workload.locality = "eu/a/1".into();
    let model = resolve(&config, &workload);
    let warnings = scene.gateway.publish_in(&model, &MeshWide::of(&config));
    assert_eq!(warnings.unwrap(), [""; 0]);

    let answers: Vec<String> = (0..10).map(|_| body(&scene.get("/", ""))).collect();
    assert_eq!(answers[0], "replica 0", "the one nearby is asked first");
    assert!(
        answers[1..].iter().all(|answer| answer == "replica 1"),
        "{answers:?}"
    );
}

#[test]
fn a_host_that_a_request_names_is_looked_up_for_it() {
    const ANY: &str = "
  - retries: { attempts: 0 }
    route: [{ destination: { host: '*.example' } }]
";
    let mut scene = Scene::new(REPLICAS);
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: any, namespace: shop }
spec:
  hosts: ['*.example']
  resolution: DYNAMIC_DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
";
    assert_eq!(scene.publish(ANY, entry), [""; 0]);
    let get = |host: &str| {
        let mut client = scene.connect();
        let request = format!("GET /7 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get(&format!("localhost:{}", scene.service.port()));
    assert_eq!(body(&answer), "GET /7", "{answer}");
    let answer = get("nowhere.invalid");
    assert_eq!(status(&answer), "503");
    assert_eq!(body(&answer), "DNS resolution failure");
}

#[test]
fn requests_beyond_the_limits_on_connections_are_refused_as_by_envoy() {
    let overloaded = "\r\nx-envoy-overloaded: true\r\n";
    let refused = refused_beyond_the_limits("");
    assert!(refused.contains(overloaded), "{refused}");
    let refused = refused_beyond_the_limits(
        "---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: 'defaultConfig: { proxyHeaders: { envoyDebugHeaders: { disabled: true } } }' }
",
    );
    assert!(!refused.contains(overloaded), "{refused}");
}

/// What is answered for want of connections, in a mesh with the settings of `further`.
fn refused_beyond_the_limits(further: &str) -> String {
    let (service, arrivals) = Raw::open();
    let mut scene = Scene::new(REPLICAS);
    let rule = service.yaml(
        "connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } }",
    );
    assert_eq!(scene.publish(REPLICAS, &(rule + further)), [""; 0]);
    let send = || {
        let mut client = scene.connect();
        let request = b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
        client.write_all(request).unwrap();
        client
    };
    let read = |mut client: TcpStream| {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let first = send();
    let mut upstream = arrivals.recv_timeout(PATIENCE).unwrap();
    let head = Raw::read_head(&mut upstream);
    assert!(head.starts_with("GET / "), "{head}");

    // One of these waits for the connection; there is no room for the other, which is answered.
    let (others, answers) = ([send(), send()], channel());
    let waiting = others.map(|client| {
        let answers = answers.0.clone();
        thread::spawn(move || answers.send(read(client)).unwrap())
    });
    let refused = answers.1.recv_timeout(PATIENCE).unwrap();
    assert_eq!(status(&refused), "503");
    let text = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
    assert_eq!(body(&refused), text);

    Raw::answer(&mut upstream);
    assert_eq!(body(&read(first)), "ok");
    Raw::read_head(&mut upstream);
    Raw::answer(&mut upstream);
    let served = answers.1.recv_timeout(PATIENCE).unwrap();
    assert_eq!(body(&served), "ok", "on the same connection");
    for thread in waiting {
        thread.join().unwrap();
    }
    assert!(arrivals.try_recv().is_err(), "there was one connection");
    refused
}

#[test]
fn a_connection_takes_as_many_requests_as_it_may() {
    let (service, arrivals) = Raw::open();
    let mut scene = Scene::new(REPLICAS);
    let rule = service.yaml("connectionPool: { http: { maxRequestsPerConnection: 2 } }");
    assert_eq!(scene.publish(REPLICAS, &rule), [""; 0]);
    let serving = thread::spawn(move || {
        for requests in [2, 1] {
            let mut upstream = arrivals.recv_timeout(PATIENCE).unwrap();
            for _ in 0..requests {
                Raw::read_head(&mut upstream);
                Raw::answer(&mut upstream);
            }
            if requests == 2 {
                let ended = upstream.read(&mut [0]).unwrap();
                assert_eq!(ended, 0, "it is closed after as many");
            }
        }
    });
    let mut client = scene.connect();
    for _ in 0..3 {
        assert_eq!(body(&ask(&mut client, "/")), "ok");
    }
    serving.join().unwrap();
}

/// How long is waited for what has to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service whose connections a test serves itself.
struct Raw {
    port: u16,
}

impl Raw {
    /// Listens, and hands out connections.
    fn open() -> (Self, Receiver<TcpStream>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, connections) = channel();
        thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                connection.set_read_timeout(Some(PATIENCE)).unwrap();
                if sender.send(connection).is_err() {
                    return;
                }
            }
        });
        (Self { port }, connections)
    }

    fn yaml(&self, policy: &str) -> String {
        yaml(&[self.port], &[], policy)
    }

    fn read_head(connection: &mut TcpStream) -> String {
        let (mut head, mut buffer) = (String::new(), [0; 1024]);
        while !head.ends_with("\r\n\r\n") {
            let length = connection.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "{head}");
            head.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        head
    }

    fn answer(connection: &mut TcpStream) {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        connection.write_all(answer).unwrap();
    }
}

/// Replicas of a service, each of which answers with a status and its number.
pub(crate) struct Replicas {
    ports: Vec<u16>,
    _workers: Vec<Workers>,
}

impl Replicas {
    pub(crate) fn open(statuses: &[u16]) -> Self {
        let (mut ports, mut all) = (Vec::new(), Vec::new());
        for (number, status) in statuses.iter().copied().enumerate() {
            let workers = Workers::start(1, Limits::default(), move || {
                move |_: &Connection| {
                    service_fn(move |_| std::future::ready(answer(number, status)))
                }
            });
            let workers = workers.unwrap();
            let address = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
            ports.push(address.port());
            all.push(workers);
        }
        Self {
            ports,
            _workers: all,
        }
    }

    /// The service, and a traffic policy for it.
    fn yaml(&self, policy: &str) -> String {
        yaml(&self.ports, &[], policy)
    }

    /// The same, each replica in a place.
    pub(crate) fn yaml_at(&self, places: &[&str], policy: &str) -> String {
        yaml(&self.ports, places, policy)
    }
}

/// A service with endpoints at these ports and places, and a traffic policy for it.
fn yaml(ports: &[u16], places: &[&str], policy: &str) -> String {
    let endpoints = ports.iter().enumerate().map(|(number, port)| {
        let place = places.get(number).copied().unwrap_or_default();
        format!(
            "  - {{ address: 127.0.0.1, ports: {{ http: {port} }}, labels: {{ version: v{number} }}, locality: '{place}' }}\n"
        )
    });
    let endpoints: String = endpoints.collect();
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: replicas, namespace: shop }}
spec:
  hosts: [replicas.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints:
{endpoints}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: replicas, namespace: shop }}
spec:
  host: replicas.example
  trafficPolicy: {{ {policy} }}
"
    )
}

fn answer(number: usize, status: u16) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from(format!("replica {number}")));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

fn status(answer: &str) -> String {
    answer.split(' ').nth(1).unwrap().to_owned()
}

pub(crate) fn body(answer: &str) -> String {
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
