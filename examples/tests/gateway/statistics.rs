//! What the gateway counts, and how it is scraped.

use std::net::TcpListener;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::policies::{CART, NO_ADMIN, eventually};
use crate::scene::{Scene, settings};

#[test]
fn what_takes_longer_than_its_route_allows_is_504_and_counted() {
    // A service that takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let service = format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: silent, namespace: shop }}
spec:
  hosts: [silent.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
"
    );
    let rules = "
  - timeout: 200ms
    route: [{ destination: { host: silent.example } }]
";
    let mut settings = settings();
    settings.metrics = true;
    let mut scene = Scene::with(settings, CART);
    assert_eq!(scene.publish(rules, &service), [""; 0]);
    let late = scene.get("/", "");
    assert!(late.starts_with("HTTP/1.1 504 "), "{late}");
    assert!(late.ends_with("upstream request timeout"), "{late}");

    let statistics = scene.gateway.statistics();
    let is_counted = |text: &String| {
        let mut lines = text.lines();
        lines.any(|line| {
            line.starts_with("istio_requests_total{")
                && line.contains("response_code=\"504\"")
                && line.contains("response_flags=\"UT\"")
        })
    };
    eventually(|| statistics.encode(), is_counted);
    for (accept, kind, family) in [
        ("*/*", "text/plain; version=0.0.4", "istio_requests_total"),
        (
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0",
            "istio_requests",
        ),
    ] {
        let asked = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
        let counts = statistics.scrape(&asked);
        let is_kind = |given: &HeaderValue| given.to_str().unwrap().starts_with(kind);
        assert!(counts.headers().get(CONTENT_TYPE).is_some_and(is_kind));
        let counts = counts.into_body();
        assert!(is_counted(&counts), "{counts}");
        assert!(
            counts.contains(&format!("# TYPE {family} counter")),
            "{counts}"
        );
    }
}

#[test]
fn what_is_tried_out_is_counted_and_refuses_nothing() {
    let mut scene = Scene::new(CART);
    let trial = NO_ADMIN.replace(
        "name: no-admin,",
        "name: no-admin, annotations: { istio.io/dry-run: 'true' },",
    );
    assert_eq!(scene.publish(CART, &trial), [""; 0]);
    assert!(scene.get("/admin", "").starts_with("HTTP/1.1 200 "));
    let counts = scene.gateway.statistics().encode();
    let line = "mesh_authorization_dry_run_total{authz_dry_run_action=\"deny\",\
                authz_dry_run_result=\"denied\"} 1\n";
    assert!(counts.contains(line), "{counts}");
}
