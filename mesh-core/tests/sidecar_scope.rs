//! What a sidecar sees of the mesh, told by the clusters that it has.
#![cfg(feature = "yaml")]

mod support;

use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::support::config;

/// Services `a` and `b` of the namespaces `shop` and `bank`, with the ports 80 and 90.
fn services() -> String {
    let service = |namespace: &str, name: &str| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {{ clusterIP: 10.0.0.1, ports: [{{ name: http, port: 80 }}, {{ name: tcp, port: 90 }}] }}
---
"
        )
    };
    let names = [("shop", "a"), ("shop", "b"), ("bank", "a"), ("bank", "b")];
    names
        .map(|(namespace, name)| service(namespace, name))
        .concat()
}

fn sidecar(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{ name: {name}, namespace: shop }}
spec:
  {spec}
---
"
    )
}

fn virtual_service(namespace: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: route, namespace: {namespace} }}
spec:
  {spec}
---
"
    )
}

/// What a workload of the shop sees: `bank/a:80,90`.
fn seen_by(text: &str, workload: &Workload) -> Vec<String> {
    let model = resolve(&config(&format!("{}{text}", services())), workload);
    let mut seen: Vec<(String, Vec<String>)> = Vec::new();
    for name in model.clusters.keys() {
        let (Some(host), Some(port)) = (name.host(), name.port()) else {
            continue;
        };
        let parts: Vec<_> = host.split('.').collect();
        let service = format!("{}/{}", parts[1], parts[0]);
        match seen.iter_mut().find(|(known, _)| *known == service) {
            Some((_, ports)) => ports.push(port.to_string()),
            None => seen.push((service, vec![port.to_string()])),
        }
    }
    seen.sort();
    let describe =
        |(service, ports): (String, Vec<String>)| format!("{service}:{}", ports.join(","));
    seen.into_iter().map(describe).collect()
}

fn seen(text: &str) -> Vec<String> {
    seen_by(text, &Workload::sidecar("shop"))
}

#[test]
fn everything_is_seen_without_a_sidecar_resource() {
    let all = [
        "bank/a:80,90",
        "bank/b:80,90",
        "shop/a:80,90",
        "shop/b:80,90",
    ];
    assert_eq!(seen(""), all);
    assert_eq!(seen(&sidecar("s", "outboundTrafficPolicy: {}")), all);
}

#[test]
fn what_is_imported_and_not_excluded_is_seen() {
    for (hosts, expected) in [
        ("['./*']", &["shop/a:80,90", "shop/b:80,90"][..]),
        ("['bank/a.bank.svc.cluster.local']", &["bank/a:80,90"]),
        ("['*/*', '~bank/*']", &["shop/a:80,90", "shop/b:80,90"]),
        ("['~/*']", &[]),
    ] {
        let found = seen(&sidecar("s", &format!("egress: [{{ hosts: {hosts} }}]")));
        assert_eq!(found, expected, "{hosts}");
    }
}

#[test]
fn a_listener_with_a_port_sees_that_port_only() {
    let spec = "egress:
  - { port: { number: 80, protocol: HTTP, name: http }, hosts: ['bank/*'] }
  - { port: { number: 90, protocol: TCP, name: tcp }, hosts: ['bank/a.bank.svc.cluster.local'] }
  - { hosts: ['./a.shop.svc.cluster.local'] }";
    assert_eq!(
        seen(&sidecar("s", spec)),
        ["bank/a:80,90", "bank/b:80", "shop/a:80,90"]
    );
}

#[test]
fn a_forward_proxy_sees_all_ports() {
    let spec = "egress:
  - { port: { number: 3128, protocol: HTTP_PROXY, name: proxy }, hosts: ['bank/*'] }";
    assert_eq!(seen(&sidecar("s", spec)), ["bank/a:80,90", "bank/b:80,90"]);
}

#[test]
fn destinations_of_imported_virtual_services_are_seen() {
    let own_only = sidecar("s", "egress: [{ hosts: ['./a.shop.svc.cluster.local'] }]");
    let routes = |rest: &str| virtual_service("shop", &format!("hosts: [a]\n  {rest}"));
    for (text, expected) in [
        (
            routes("http: [{ route: [{ destination: { host: b } }] }]"),
            &["shop/a:80,90", "shop/b:80,90"][..],
        ),
        (
            routes("http: [{ route: [{ destination: { host: b, port: { number: 80 } } }] }]"),
            &["shop/a:80,90", "shop/b:80"],
        ),
        (
            routes("http: [{ route: [{ destination: { host: b, port: { number: 70 } } }] }]"),
            &["shop/a:80,90"],
        ),
        (
            routes(
                "http: [{ match: [{ sourceNamespace: bank }], \
                 route: [{ destination: { host: b } }] }]",
            ),
            &["shop/a:80,90"],
        ),
        (
            routes(
                "http: [{ route: [{ destination: { host: a } }], \
                 mirrors: [{ destination: { host: a.bank.svc.cluster.local } }] }]",
            ),
            &["bank/a:80,90", "shop/a:80,90"],
        ),
        (
            routes(
                "tcp: [{ route: [{ destination: { host: a.bank.svc.cluster.local, \
                 port: { number: 90 } } }] }]",
            ),
            &["bank/a:90", "shop/a:80,90"],
        ),
        (
            routes("gateways: [public]\n  http: [{ route: [{ destination: { host: b } }] }]"),
            &["shop/a:80,90"],
        ),
        (
            virtual_service(
                "bank",
                "hosts: [a]\n  http: [{ route: [{ destination: { host: b } }] }]",
            ),
            &["shop/a:80,90"],
        ),
    ] {
        assert_eq!(seen(&format!("{own_only}{text}")), expected, "{text}");
    }
}

#[test]
fn destinations_of_delegates_are_seen() {
    let own_only = sidecar("s", "egress: [{ hosts: ['./a.shop.svc.cluster.local'] }]");
    let root = virtual_service(
        "shop",
        "hosts: [a]\n  http: [{ delegate: { name: route, namespace: bank } }]",
    );
    let delegate = virtual_service("bank", "http: [{ route: [{ destination: { host: b } }] }]");
    assert_eq!(
        seen(&format!("{own_only}{root}{delegate}")),
        ["bank/b:80,90", "shop/a:80,90"]
    );
}

#[test]
fn a_sidecar_that_selects_the_workload_comes_before_one_for_all_and_that_of_the_root() {
    let root = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: root, namespace: istio-system }
spec: { egress: [{ hosts: ['bank/b.bank.svc.cluster.local'] }] }
---
";
    let all = sidecar("all", "egress: [{ hosts: ['./a.shop.svc.cluster.local'] }]");
    let some = sidecar(
        "some",
        "workloadSelector: { labels: { app: x } }\n  egress: [{ hosts: ['bank/a.bank.svc.cluster.local'] }]",
    );
    let own = Workload::sidecar("shop").with_label("app", "x");
    assert_eq!(
        seen_by(&format!("{all}{some}{root}"), &own),
        ["bank/a:80,90"]
    );
    assert_eq!(seen(&format!("{some}{all}{root}")), ["shop/a:80,90"]);
    assert_eq!(seen(&format!("{some}{root}")), ["bank/b:80,90"]);
}
