use std::collections::BTreeMap;
use std::convert::Infallible;

use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::Response;
use tower::service_fn;

use crate::scene::Scene;

/// To the replicas, each request once.
const REPLICAS: &str = "
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

/// Replicas of a service, each of which answers with a status and its number.
struct Replicas {
    ports: Vec<u16>,
    _workers: Vec<Workers>,
}

impl Replicas {
    fn open(statuses: &[u16]) -> Self {
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
        let endpoints = self.ports.iter().enumerate().map(|(number, port)| {
            format!("  - {{ address: 127.0.0.1, ports: {{ http: {port} }}, labels: {{ version: v{number} }} }}\n")
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
}

fn answer(number: usize, status: u16) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from(format!("replica {number}")));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

fn status(answer: &str) -> String {
    answer.split(' ').nth(1).unwrap().to_owned()
}

fn body(answer: &str) -> String {
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
