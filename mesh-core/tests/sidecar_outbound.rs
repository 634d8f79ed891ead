//! Outbound listeners and virtual hosts of sidecars.
#![cfg(feature = "yaml")]

#[path = "support/sidecar.rs"]
mod sidecar;
mod support;

use std::time::Duration;

use mesh_core::model::Model;
use mesh_core::model::listener::{NetworkFilter, Transport};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::sidecar::{chain_cluster, first_clusters, listener, model, service, sidecar};

fn entry(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec: {spec}
---
"
    )
}

fn virtual_service(name: &str, year: u16, spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: {name}
  namespace: shop
  creationTimestamp: '{year}-01-01T00:00:00Z'
spec: {spec}
---
"
    )
}

fn cart() -> String {
    service(
        "cart",
        "shop",
        "{ clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }] }",
    )
}

fn has_listener(model: &Model, name: &str) -> bool {
    model.listeners.iter().any(|found| found.name == name)
}

#[test]
fn a_service_is_called_by_all_of_its_names() {
    let text = cart()
        + &service(
            "teller",
            "bank",
            "{ clusterIP: 10.0.0.2, ports: [{ name: http, port: 80 }] }",
        );
    let model = model(&text);
    let routes = &model.route_configurations["80"];
    assert!(routes.ignore_port);
    let domains = |name: &str| {
        let mut hosts = routes.virtual_hosts.iter();
        let host = hosts.find(|host| host.name == name).expect(name);
        let mut domains = host.domains.clone();
        domains.sort();
        domains
    };
    assert_eq!(
        domains("cart.shop.svc.cluster.local:80"),
        [
            "10.0.0.1",
            "cart",
            "cart.shop",
            "cart.shop.svc",
            "cart.shop.svc.cluster.local",
            "cart.shop.svc.cluster.local.",
        ]
    );
    assert_eq!(
        domains("teller.bank.svc.cluster.local:80"),
        [
            "10.0.0.2",
            "teller.bank",
            "teller.bank.svc",
            "teller.bank.svc.cluster.local",
            "teller.bank.svc.cluster.local.",
        ]
    );
}

#[test]
fn pods_of_a_headless_service_are_called_below_its_names() {
    let spec = "{ clusterIP: None, ports: [{ name: http, port: 80 }] }";
    let model = model(&service("db", "shop", spec));
    let host = &model.route_configurations["80"].virtual_hosts[0];
    let has = |domain: &str| host.domains.iter().any(|found| found == domain);
    assert!(has("*.db") && has("*.db.shop.svc.cluster.local"));
    assert!(has("db"));
}

#[test]
fn a_short_form_gives_way_to_a_whole_name() {
    let own = entry(
        "own",
        "{ hosts: [cart.shop], resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }",
    );
    let model = model(&(cart() + &own));
    let routes = &model.route_configurations["80"];
    let clusters = first_clusters(routes);
    assert!(clusters.contains(&("cart.shop", "outbound|80||cart.shop".to_owned())));
    let hosts = routes.virtual_hosts.iter();
    let claims = hosts.filter(|host| host.domains.iter().any(|found| found == "cart.shop"));
    assert_eq!(claims.count(), 1);
}

#[test]
fn the_oldest_virtual_service_of_a_host_has_it_whole() {
    let old = "{ hosts: [cart], http: [{ match: [{ uri: { exact: /old } }], \
               route: [{ destination: { host: old.example } }] }] }";
    let new = "{ hosts: [cart], http: [{ route: [{ destination: { host: new.example } }] }] }";
    let text = cart() + &virtual_service("new", 2021, new) + &virtual_service("old", 2019, old);
    let model = model(&text);
    let mut hosts = model.route_configurations["80"].virtual_hosts.iter();
    let host = hosts
        .find(|host| host.domains.iter().any(|found| found == "cart"))
        .unwrap();
    assert_eq!(host.routes.len(), 1);
    assert_eq!(host.origin.name(), "old");
    assert!(model.notices.iter().any(|notice| {
        notice.origin.name() == "new" && notice.message.contains("comes before")
    }));
}

#[test]
fn a_virtual_service_of_unknown_hosts_serves_port_80_only() {
    let other = service(
        "other",
        "shop",
        "{ clusterIP: 10.0.0.3, ports: [{ name: http, port: 8080 }] }",
    );
    let spec = "{ hosts: [nobody.example], http: [{ route: [{ destination: { host: cart } }] }] }";
    let model = model(&(cart() + &other + &virtual_service("a", 2020, spec)));
    let serves = |port: &str| {
        let clusters = first_clusters(&model.route_configurations[port]);
        clusters
            .iter()
            .any(|(domain, _)| *domain == "nobody.example")
    };
    assert!(serves("80"));
    assert!(!serves("8080"));
}

#[test]
fn a_wildcard_takes_the_services_that_nothing_more_specific_takes() {
    let second = service(
        "second",
        "shop",
        "{ clusterIP: 10.0.0.4, ports: [{ name: http, port: 80 }] }",
    );
    let to = |hosts: &str, host: &str| {
        format!(
            "{{ hosts: [{hosts}], http: [{{ route: [{{ destination: {{ host: {host} }} }}] }}] }}"
        )
    };
    let text = cart()
        + &second
        + &virtual_service("broad", 2019, &to("'*.local'", "broad.example"))
        + &virtual_service(
            "narrow",
            2020,
            &to("'*.svc.cluster.local'", "narrow.example"),
        )
        + &virtual_service("exact", 2021, &to("cart", "exact.example"))
        + &virtual_service("none", 2021, &to("'*.test'", "none.example"));
    let model = model(&text);
    assert_eq!(
        first_clusters(&model.route_configurations["80"]),
        [
            ("*.test", "outbound|80||none.example".to_owned()),
            (
                "cart.shop.svc.cluster.local",
                "outbound|80||exact.example".to_owned()
            ),
            (
                "second.shop.svc.cluster.local",
                "outbound|80||narrow.example".to_owned()
            ),
            ("*", "PassthroughCluster".to_owned()),
        ]
    );
}

#[test]
fn unknown_hosts_are_treated_as_the_outbound_policy_says() {
    for (policy, http, tcp) in [
        ("{}", "502", "BlackHoleCluster"),
        (
            "{ mode: ALLOW_ANY }",
            "PassthroughCluster",
            "PassthroughCluster",
        ),
        (
            "{ mode: ALLOW_ANY, egressProxy: { host: cart, port: { number: 90 } } }",
            "outbound|90||cart.shop.svc.cluster.local",
            "outbound|90||cart.shop.svc.cluster.local",
        ),
    ] {
        let text = cart() + &sidecar(&format!("{{ outboundTrafficPolicy: {policy} }}"));
        let model = model(&text);
        let clusters = first_clusters(&model.route_configurations["80"]);
        let (domain, cluster) = clusters.last().unwrap();
        assert_eq!((*domain, &**cluster), ("*", http), "{policy}");
        for name in ["0.0.0.0_80", "virtualOutbound"] {
            let default = listener(&model, name).default_filter_chain.as_ref();
            assert_eq!(chain_cluster(default.unwrap()), tcp, "{policy} {name}");
        }
    }
}

#[test]
fn http_ports_share_a_listener_that_lets_other_protocols_pass() {
    let model = model(
        &(cart()
            + &service(
                "second",
                "shop",
                "{ clusterIP: 10.0.0.4, ports: [{ name: grpc, port: 80 }] }",
            )),
    );
    let shared = listener(&model, "0.0.0.0_80");
    assert!(shared.captured);
    assert_eq!(shared.filter_chains.len(), 1);
    let chain = &shared.filter_chains[0];
    assert_eq!(chain_cluster(chain), "80");
    assert_eq!(chain.matches.transport, Some(Transport::Plaintext));
    assert_eq!(chain.matches.application_protocols, ["http/1.1", "h2c"]);
}

#[test]
fn tcp_services_have_listeners_at_their_addresses() {
    let spec =
        "{ clusterIP: 10.0.0.5, ports: [{ name: tcp-a, port: 3000 }, { name: x, port: 4000 }] }";
    let model = model(&service("db", "shop", spec));
    let tcp = listener(&model, "10.0.0.5_3000");
    assert_eq!(
        chain_cluster(&tcp.filter_chains[0]),
        "outbound|3000||db.shop.svc.cluster.local"
    );
    assert!(tcp.default_filter_chain.is_none());

    let detected = listener(&model, "10.0.0.5_4000");
    assert_eq!(
        chain_cluster(&detected.filter_chains[0]),
        "db.shop.svc.cluster.local:4000"
    );
    let default = detected.default_filter_chain.as_ref().unwrap();
    assert_eq!(
        chain_cluster(default),
        "outbound|4000||db.shop.svc.cluster.local"
    );
    let own = &model.route_configurations["db.shop.svc.cluster.local:4000"];
    assert_eq!(first_clusters(own)[0].0, "*");
}

#[test]
fn a_headless_service_has_a_listener_for_each_other_endpoint() {
    let text = service(
        "db",
        "shop",
        "{ clusterIP: None, ports: [{ name: tcp, port: 3000 }] }",
    ) + "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: db-1, namespace: shop, labels: { kubernetes.io/service-name: db } }
addressType: IPv4
ports: [{ name: tcp, port: 3000 }]
endpoints: [{ addresses: [192.0.2.1] }, { addresses: [192.0.2.2] }, { addresses: [192.0.2.9] }]
";
    let model = model(&text);
    assert!(has_listener(&model, "192.0.2.1_3000"));
    assert!(has_listener(&model, "192.0.2.2_3000"));
    assert!(!has_listener(&model, "192.0.2.9_3000"), "its own address");
    assert!(!has_listener(&model, "0.0.0.0_3000"));
}

#[test]
fn tls_without_an_address_is_told_by_server_name() {
    let tls = |name: &str| {
        entry(
            name,
            &format!(
                "{{ hosts: [{name}.example], resolution: DNS, \
                 ports: [{{ number: 443, name: tls, protocol: TLS }}] }}"
            ),
        )
    };
    let rule = "{ hosts: [b.example], tls: [{ match: [{ sniHosts: [b.example], port: 443 }], \
                route: [{ destination: { host: other.example } }] }] }";
    let model = model(&(tls("a") + &tls("b") + &virtual_service("b", 2020, rule)));
    let shared = listener(&model, "0.0.0.0_443");
    let chains = shared.filter_chains.iter();
    let chains = chains.map(|chain| (&*chain.matches.server_names[0], chain_cluster(chain)));
    assert_eq!(
        chains.collect::<Vec<_>>(),
        [
            ("a.example", "outbound|443||a.example"),
            ("b.example", "outbound|443||other.example"),
        ]
    );
    let default = shared.default_filter_chain.as_ref().unwrap();
    assert_eq!(chain_cluster(default), "PassthroughCluster");
}

#[test]
fn networks_are_told_apart_at_a_shared_listener() {
    let network = |name: &str, network: &str| {
        entry(
            name,
            &format!(
                "{{ hosts: [{name}.example], addresses: [{network}], resolution: NONE, \
                 ports: [{{ number: 9000, name: tcp, protocol: TCP }}] }}"
            ),
        )
    };
    let model = model(&(network("a", "10.1.0.0/16") + &network("b", "10.2.0.0/16")));
    let shared = listener(&model, "0.0.0.0_9000");
    let chains = shared.filter_chains.iter();
    let chains = chains.map(|chain| {
        let network = chain.matches.destination_networks[0].to_string();
        (network, chain_cluster(chain))
    });
    assert_eq!(
        chains.collect::<Vec<_>>(),
        [
            ("10.1.0.0/16".to_owned(), "outbound|9000||a.example"),
            ("10.2.0.0/16".to_owned(), "outbound|9000||b.example"),
        ]
    );
}

#[test]
fn networks_are_told_apart_where_protocols_are_detected() {
    let network = |name: &str, network: &str| {
        entry(
            name,
            &format!(
                "{{ hosts: [{name}.example], addresses: [{network}], resolution: NONE, \
                 ports: [{{ number: 9000, name: p }}] }}"
            ),
        )
    };
    let model = model(&(network("a", "10.1.0.0/16") + &network("b", "10.2.0.0/16")));
    let shared = listener(&model, "0.0.0.0_9000");
    let chains = shared.filter_chains.iter();
    let chains = chains.map(|chain| {
        let networks = chain.matches.destination_networks.iter();
        let networks: Vec<_> = networks.map(ToString::to_string).collect();
        (networks.join(" "), chain_cluster(chain))
    });
    assert_eq!(
        chains.collect::<Vec<_>>(),
        [
            ("10.1.0.0/16".to_owned(), "outbound|9000||a.example"),
            (String::new(), "9000"),
            ("10.2.0.0/16".to_owned(), "outbound|9000||b.example"),
        ]
    );
    assert_eq!(model.notices, []);
}

#[test]
fn the_ports_of_the_proxy_itself_are_nobody_else_s() {
    let text = ["15001", "15006", "15021", "15090", "15020"].map(|port| {
        service(
            &format!("p{port}"),
            "shop",
            &format!("{{ clusterIP: 10.0.0.1, ports: [{{ name: http, port: {port} }}] }}"),
        )
    });
    let model = model(&text.concat());
    let at_all_addresses = |port: &str| has_listener(&model, &format!("0.0.0.0_{port}"));
    assert!(at_all_addresses("15020"));
    for port in ["15001", "15006", "15021", "15090"] {
        assert!(!at_all_addresses(port), "{port}");
        let name = format!("p{port}");
        let mut notices = model.notices.iter();
        assert!(notices.any(|notice| notice.origin.name() == name), "{port}");
    }

    let own_address = service(
        "tcp",
        "shop",
        "{ clusterIP: 10.0.0.1, ports: [{ name: tcp, port: 15001 }] }",
    );
    let model = sidecar::model(&own_address);
    assert!(has_listener(&model, "10.0.0.1_15001"));
}

#[test]
fn hosts_that_are_resolved_by_request_are_told_by_server_name_everywhere() {
    let any = entry(
        "any",
        "{ hosts: ['*.example'], resolution: DYNAMIC_DNS, \
         ports: [{ number: 443, name: tls, protocol: TLS }] }",
    );
    let egress = sidecar("{ egress: [{ bind: 10.0.0.9, hosts: ['*/*'] }] }");
    let model = model(&(any + &egress));
    let chain = &listener(&model, "10.0.0.9_443").filter_chains[0];
    assert_eq!(chain.matches.server_names, ["*.example"]);
}

#[test]
fn the_older_of_two_services_at_the_same_address_has_it() {
    let at = |name: &str, protocol: &str| {
        entry(
            name,
            &format!(
                "{{ hosts: [{name}.example], resolution: DNS, \
                 ports: [{{ number: 9000, name: p, protocol: {protocol} }}] }}"
            ),
        )
    };
    let model_a = model(&(at("a", "TCP") + &at("b", "TCP")));
    let shared = listener(&model_a, "0.0.0.0_9000");
    assert_eq!(
        chain_cluster(&shared.filter_chains[0]),
        "outbound|9000||a.example"
    );
    assert!(
        model_a.notices.iter().any(|notice| {
            notice.origin.name() == "b" && notice.message.contains("comes before")
        })
    );

    // HTTP and TCP get along.
    let model_b = model(&(at("a", "TCP") + &at("b", "HTTP")));
    let shared = listener(&model_b, "0.0.0.0_9000");
    assert_eq!(chain_cluster(&shared.filter_chains[0]), "9000");
    let default = shared.default_filter_chain.as_ref().unwrap();
    assert_eq!(chain_cluster(default), "outbound|9000||a.example");

    // A protocol whose server speaks first does not.
    let model_c = model(&(at("a", "MONGO") + &at("b", "HTTP")));
    let shared = listener(&model_c, "0.0.0.0_9000");
    assert_eq!(shared.filter_chains.len(), 1);
    assert_eq!(
        chain_cluster(&shared.filter_chains[0]),
        "outbound|9000||a.example"
    );
}

#[test]
fn connections_last_as_long_as_the_rule_for_the_first_destination_says() {
    let db = |name: &str| {
        service(
            name,
            "shop",
            "{ clusterIP: 10.0.0.5, ports: [{ name: tcp, port: 3000 }] }",
        )
    };
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: db, namespace: shop }
spec:
  host: db
  trafficPolicy:
    connectionPool: { tcp: { idleTimeout: 5s, maxConnectionDuration: 60s } }
    portLevelSettings:
    - { port: { number: 3000 }, connectionPool: { tcp: { idleTimeout: 7s } } }
---
";
    let limits = |routes: &str| {
        let model = model(&(db("db") + rule + routes));
        let chain = &listener(&model, "10.0.0.5_3000").filter_chains[0];
        let NetworkFilter::Tcp(proxy) = &chain.filter else {
            panic!("{chain:?}")
        };
        (proxy.idle_timeout, proxy.max_duration)
    };
    let written = [5, 60].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!(limits(""), written.into());
    let to = |first: &str, second: &str| {
        let rule = format!(
            "{{ hosts: [db], tcp: [{{ route: [\
             {{ destination: {{ host: {first} }}, weight: 1 }}, \
             {{ destination: {{ host: {second} }}, weight: 1 }}] }}] }}"
        );
        virtual_service("db", 2020, &rule)
    };
    assert_eq!(limits(&to("db", "other.example")), written.into());
    assert_eq!(limits(&to("other.example", "db")), (None, None));
}

#[test]
fn rules_for_tcp_take_connections_by_network_or_all() {
    let db = service(
        "db",
        "shop",
        "{ clusterIP: 10.0.0.5, ports: [{ name: tcp, port: 3000 }] }",
    );
    let to = |block: &str| {
        format!(
            "{{ hosts: [db], tcp: [{{ match: [{block}], \
             route: [{{ destination: {{ host: other.example, port: {{ number: 1 }} }} }}] }}] }}"
        )
    };
    let own = "outbound|3000||db.shop.svc.cluster.local";
    let other = "outbound|1||other.example";
    for (block, expected) in [
        ("{ port: 3000 }", &[other][..]),
        ("{ port: 4000 }", &[own]),
        ("{ sourceLabels: { app: other } }", &[own]),
        ("{ gateways: [mesh], sourceNamespace: bank }", &[own]),
        ("{ destinationSubnets: [10.0.0.0/8] }", &[other, own]),
    ] {
        let model = model(&(db.clone() + &virtual_service("db", 2020, &to(block))));
        let listener = listener(&model, "10.0.0.5_3000");
        let chains = listener.filter_chains.iter();
        let all = chains.chain(listener.default_filter_chain.as_deref());
        let clusters: Vec<_> = all.map(chain_cluster).collect();
        assert_eq!(clusters, expected, "{block}");
    }
}

#[test]
fn a_sidecar_s_own_ports_are_for_what_it_imports_there() {
    let text = cart()
        + &service(
            "db",
            "shop",
            "{ clusterIP: 10.0.0.5, ports: [{ name: http, port: 80 }, { name: web, port: 81, appProtocol: http }] }",
        )
        + &sidecar(
            "
  egress:
  - { port: { number: 80, protocol: HTTP, name: web }, hosts: [./cart.shop.svc.cluster.local] }
  - { port: { number: 9999, protocol: HTTP, name: own }, captureMode: NONE, hosts: [./*] }
  - { hosts: [./*] }",
        );
    let model = model(&text);
    let clusters = first_clusters(&model.route_configurations["80"]);
    let domains: Vec<_> = clusters.iter().map(|(domain, _)| *domain).collect();
    assert_eq!(domains, ["cart.shop.svc.cluster.local", "*"]);
    assert!(model.route_configurations.contains_key("81"));
    assert!(!has_listener(&model, "0.0.0.0_9999"));
    assert!(
        !has_listener(&model, "127.0.0.1_9999"),
        "no service has the port"
    );
}

#[test]
fn two_egress_listeners_of_one_port_have_each_their_own_routes() {
    let spec =
        "{ clusterIP: 10.0.0.5, ports: [{ name: http, port: 80 }, { name: what, port: 85 }] }";
    let text = cart()
        + &service("db", "shop", spec)
        + &sidecar(
            "
  egress:
  - port: { number: 80, protocol: HTTP, name: web }
    bind: 127.0.0.5
    captureMode: NONE
    hosts: [./cart.shop.svc.cluster.local]
  - { hosts: [./*] }",
        );
    let model = model(&text);
    let domains = |name: &str| {
        let chain = &listener(&model, name).filter_chains[0];
        let routes = &model.route_configurations[chain_cluster(chain)];
        assert_eq!(routes.name, chain_cluster(chain));
        let hosts = first_clusters(routes).into_iter();
        hosts
            .map(|(domain, _)| domain.to_owned())
            .collect::<Vec<_>>()
    };
    let (cart, db) = ("cart.shop.svc.cluster.local", "db.shop.svc.cluster.local");
    assert_eq!(domains("127.0.0.5_80"), [cart, "*"]);
    assert_eq!(domains("0.0.0.0_80"), [cart, db, "*"]);
    let names: Vec<_> = model.route_configurations.keys().collect();
    assert!(model.route_configurations.contains_key("80"), "{names:?}");
    assert!(
        model
            .route_configurations
            .contains_key("db.shop.svc.cluster.local:85"),
        "{names:?}"
    );
}

#[test]
fn a_forward_proxy_tells_services_by_their_ports() {
    let text = service(
        "db",
        "shop",
        "{ clusterIP: 10.0.0.5, ports: [{ name: http, port: 80 }, { name: http-b, port: 81 }] }",
    ) + &sidecar(
        "
  egress:
  - { port: { number: 7443, protocol: HTTP_PROXY, name: p }, captureMode: NONE, hosts: [./*] }",
    );
    let model = model(&text);
    let proxy = listener(&model, "127.0.0.1_7443");
    assert!(!proxy.captured);
    let routes = &model.route_configurations["7443"];
    assert!(!routes.ignore_port);
    let cluster_of = |domain: &str| {
        let mut hosts = routes.virtual_hosts.iter();
        let host = hosts.find(|host| host.domains.iter().any(|found| found == domain))?;
        host.routes[0]
            .forward_to()
            .map(|forward| forward.destinations[0].cluster.clone())
    };
    let cluster = |port| {
        let name = ClusterName::outbound(port, "", "db.shop.svc.cluster.local");
        Some(ClusterSpecifier::Name(name))
    };
    assert_eq!(cluster_of("db"), cluster(80));
    assert_eq!(cluster_of("db:80"), cluster(80));
    assert_eq!(cluster_of("db:81"), cluster(81));
}

/// Two databases without addresses of their own, to which a controller gave some, and a web server.
const ALLOCATED: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: one, namespace: shop }
spec: { hosts: [one.example], resolution: DNS, ports: [{ number: 5432, name: tcp, protocol: TCP }] }
status: { addresses: [{ value: 240.240.0.1, host: one.example }, { value: '2001:2::1', host: one.example }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: two, namespace: shop }
spec: { hosts: [two.example], resolution: DNS, ports: [{ number: 5432, name: tcp, protocol: TCP }] }
status: { addresses: [{ value: 240.240.0.2, host: two.example }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web, namespace: shop }
spec: { hosts: [web.example], resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP }] }
status: { addresses: [{ value: 240.240.0.3, host: web.example }] }
";

#[test]
fn with_dns_capture_entries_are_called_by_the_addresses_that_were_allocated() {
    let config = support::config(ALLOCATED);
    let mut workload = Workload::sidecar("shop");
    workload.addresses = vec![[192, 0, 2, 9].into()];
    workload.dns_capture = true;
    let model = resolve(&config, &workload);
    for (address, host) in [("240.240.0.1", "one"), ("240.240.0.2", "two")] {
        let chains = &listener(&model, &format!("{address}_5432")).filter_chains;
        let cluster = format!("outbound|5432||{host}.example");
        assert_eq!(chain_cluster(&chains[0]), cluster, "{address}");
    }
    assert!(!has_listener(&model, "0.0.0.0_5432"));
    let is_spoken = |name: &str| !name.contains("2001");
    let mut names = model.listeners.iter().map(|found| &*found.name);
    assert!(names.all(is_spoken), "the workload has no address of IPv6");
    let web = &model.route_configurations["80"].virtual_hosts[0];
    assert!(web.domains.iter().any(|domain| domain == "240.240.0.3"));
}

#[test]
fn without_dns_capture_nobody_knows_the_addresses_that_were_allocated() {
    let model = model(ALLOCATED);
    let listeners = model.listeners.iter();
    let on_port = listeners.filter(|found| found.name.ends_with("_5432"));
    let names: Vec<_> = on_port.map(|found| &*found.name).collect();
    assert_eq!(names, ["0.0.0.0_5432"]);
    let web = &model.route_configurations["80"].virtual_hosts[0];
    assert!(!web.domains.iter().any(|domain| domain == "240.240.0.3"));
}
