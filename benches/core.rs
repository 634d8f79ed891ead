//! From text to model: what a change of the configuration costs.
//!
//! The 10,000 resources are of the kinds that grow with a mesh: VirtualServices, ServiceEntries and
//! DestinationRules in hundred namespaces, with one Gateway before them.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::validate::validate;
use mesh_core::workload::Workload;

const SERVICES: usize = 3_333;

fn whole(c: &mut Criterion) {
    let yaml = resources();
    assert_eq!(
        yaml.matches("\n---\n").count(),
        3 * SERVICES,
        "one less than resources"
    );
    let model = model(&yaml);
    let hosts = &model.route_configurations["http.80"].virtual_hosts;
    assert_eq!(hosts.len(), SERVICES);
    assert_eq!(
        model.clusters.len(),
        2 * SERVICES + 1,
        "each service, its subset, and the black hole"
    );

    let mut group = c.benchmark_group("10000 resources");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    group.bench_function("parse, validate and resolve", |b| {
        b.iter(|| self::model(black_box(&yaml)));
    });
    group.finish();
}

fn model(yaml: &str) -> Model {
    let parsed = parse("mesh.yaml", yaml, &Limits::default());
    assert!(parsed.problems.is_empty(), "{}", parsed.problems[0]);
    for object in &parsed.objects {
        let violations = validate(object);
        assert!(violations.is_empty(), "{object:?}");
    }
    let config = MeshConfig::builder()
        .extend(parsed.objects)
        .build(1)
        .unwrap();
    let gateway = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
    resolve(&config, &gateway)
}

fn resources() -> String {
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*/*'] }]
";
    let services = (0..SERVICES).map(service);
    [gateway.to_owned()].into_iter().chain(services).collect()
}

fn service(number: usize) -> String {
    let namespace = number % 100;
    let address = format!("10.{}.{}.7", number / 250, number % 250);
    format!(
        "\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop-{number}, namespace: ns-{namespace} }}
spec:
  hosts: [shop-{number}.example]
  gateways: [istio-system/shop]
  http:
  - name: beta
    match:
    - uri: {{ prefix: /cart }}
      headers: {{ end-user: {{ regex: 'tester-[0-9]+' }} }}
    rewrite: {{ uri: /v2/cart }}
    route: [{{ destination: {{ host: svc-{number}.internal, subset: v2 }} }}]
  - name: stable
    timeout: 5s
    route: [{{ destination: {{ host: svc-{number}.internal }} }}]
    headers: {{ response: {{ set: {{ x-shop: '{number}' }} }} }}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: svc-{number}, namespace: ns-{namespace} }}
spec:
  hosts: [svc-{number}.internal]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: {address}, labels: {{ version: v2 }} }}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: svc-{number}, namespace: ns-{namespace} }}
spec:
  host: svc-{number}.internal
  trafficPolicy: {{ loadBalancer: {{ simple: ROUND_ROBIN }} }}
  subsets: [{{ name: v2, labels: {{ version: v2 }} }}]
"
    )
}

criterion_group!(benches, whole);
criterion_main!(benches);
