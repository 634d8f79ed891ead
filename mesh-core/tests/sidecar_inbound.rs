//! Inbound listeners of sidecars.
#![cfg(feature = "yaml")]

#[path = "support/sidecar.rs"]
mod sidecar;
mod support;

use std::net::IpAddr;

use mesh_core::config::MeshConfig;
use mesh_core::config::features::Features;
use mesh_core::model::Model;
use mesh_core::model::cluster::{Discovery, EndpointAddress};
use mesh_core::model::listener::{Bind, NetworkFilter, ServerTls, Transport};
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::sidecar::{chain_cluster, first_clusters, listener, model, service, sidecar};
use crate::support::config_of;

/// The chains of the port that the workload listens on, as `protocols/transport/TLS/cluster`.
fn inbound(model: &Model, port: Option<u16>) -> Vec<String> {
    let chains = listener(model, "virtualInbound").filter_chains.iter();
    let own = chains.filter(|chain| chain.matches.destination_port == port);
    let described = own.map(|chain| {
        let transport = match chain.matches.transport {
            None => "any",
            Some(Transport::Plaintext) => "plaintext",
            Some(Transport::Tls) => "tls",
        };
        let mesh = match &chain.tls {
            Some(ServerTls::Mesh { .. }) => "mesh",
            Some(_) => "own",
            None => "-",
        };
        let kind = match chain.filter {
            NetworkFilter::Http(_) => "http",
            _ => "tcp",
        };
        let first = chain.matches.application_protocols.first();
        let first = first.map_or("*", String::as_str);
        format!("{transport} {first} {mesh} {kind}")
    });
    described.collect()
}

fn web(port_name: &str) -> String {
    service(
        "web",
        "shop",
        &format!(
            "{{ clusterIP: 10.0.0.8, selector: {{ app: web }}, \
             ports: [{{ name: {port_name}, port: 80, targetPort: 8080 }}] }}"
        ),
    )
}

fn peer(mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: shop }}
spec: {{ mtls: {{ mode: {mode} }} }}
---
"
    )
}

#[test]
fn inbound_chains_depend_on_protocol_and_mode() {
    for (protocol, mode, expected) in [
        (
            "http",
            "PERMISSIVE",
            &["tls istio mesh http", "plaintext * - http"][..],
        ),
        ("http", "STRICT", &["tls * mesh http"]),
        ("http", "DISABLE", &["any * - http"]),
        (
            "tcp",
            "PERMISSIVE",
            &["tls istio mesh tcp", "plaintext * - tcp", "tls * - tcp"],
        ),
        ("tcp", "STRICT", &["tls * mesh tcp"]),
        ("tcp", "DISABLE", &["any * - tcp"]),
        (
            "what",
            "PERMISSIVE",
            &[
                "tls istio-http/1.0 mesh http",
                "plaintext http/1.1 - http",
                "tls istio-peer-exchange mesh tcp",
                "plaintext * - tcp",
                "tls * - tcp",
            ],
        ),
        (
            "what",
            "STRICT",
            &["tls istio-http/1.0 mesh http", "tls * mesh tcp"],
        ),
        (
            "what",
            "DISABLE",
            &[
                "plaintext http/1.1 - http",
                "plaintext * - tcp",
                "tls * - tcp",
            ],
        ),
    ] {
        let model = model(&(web(protocol) + &peer(mode)));
        assert_eq!(inbound(&model, Some(8080)), expected, "{protocol} {mode}");
    }
}

#[test]
fn ports_that_nobody_declared_pass_through_as_their_mode_says() {
    let policy = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  mtls: { mode: STRICT }
  portLevelMtls: { 8080: { mode: DISABLE }, 9000: { mode: DISABLE } }
---
";
    let model = model(&(web("http") + policy));
    let strict = ["tls istio-http/1.0 mesh http", "tls * mesh tcp"];
    assert_eq!(inbound(&model, None), strict);
    assert_eq!(inbound(&model, Some(8080)), ["any * - http"]);
    assert_eq!(inbound(&model, Some(9000)).len(), 3);
    let chains = listener(&model, "virtualInbound").filter_chains.iter();
    let own = chains.filter(|chain| chain.matches.destination_port == Some(9000));
    assert!(
        own.into_iter()
            .all(|chain| chain_cluster(chain) == "InboundPassthroughCluster")
    );
}

#[test]
fn the_application_is_called_at_the_port_that_it_listens_on() {
    let model = model(&web("http"));
    let routes = &model.route_configurations["inbound|8080||"];
    assert_eq!(routes.virtual_hosts[0].name, "inbound|http|80");
    assert_eq!(first_clusters(routes), [("*", "inbound|8080||".to_owned())]);
    let forward = routes.virtual_hosts[0].routes[0].forward_to().unwrap();
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!(retry.retry_on, ["reset-before-request"]);
    assert_eq!(forward.timeout, None);
    let cluster = &model.clusters[&ClusterName::inbound(8080)];
    assert_eq!(cluster.discovery, Discovery::OriginalDestination);
}

#[test]
fn grpc_is_never_tried_again_at_the_server() {
    let model = model(&web("grpc"));
    let routes = &model.route_configurations["inbound|8080||"];
    let forward = routes.virtual_hosts[0].routes[0].forward_to().unwrap();
    assert!(forward.retry.is_none());
}

#[test]
fn a_sidecar_may_list_the_ports_itself() {
    let text = web("http")
        + &sidecar(
            "
  ingress:
  - { port: { number: 7000, protocol: HTTP, name: a }, defaultEndpoint: '127.0.0.1:7001' }
  - { port: { number: 7010, protocol: TCP, name: b }, defaultEndpoint: 'unix:///run/b.sock' }
  - { port: { number: 7020, protocol: TCP, name: c }, captureMode: NONE, bind: 192.0.2.9 }
  - { port: { number: 7030, protocol: TCP, name: d }, defaultEndpoint: '0.0.0.0:7031' }
  - { port: { number: 7040, protocol: TCP, name: e }, defaultEndpoint: nonsense }
  - { port: { number: 7050, protocol: TCP, name: f }, defaultEndpoint: ':7051' }",
        );
    let model = model(&text);
    assert_eq!(
        inbound(&model, Some(8080)),
        [""; 0],
        "services do not count"
    );
    assert_eq!(inbound(&model, Some(7000)).len(), 2);
    let endpoint = |port| {
        let cluster = &model.clusters[&ClusterName::inbound(port)];
        cluster
            .endpoints
            .first()
            .map(|endpoint| endpoint.address.clone())
    };
    let socket = |text: &str| Some(EndpointAddress::Ip(text.parse().unwrap()));
    assert_eq!(endpoint(7000), socket("127.0.0.1:7001"));
    assert_eq!(
        endpoint(7010),
        Some(EndpointAddress::Unix("/run/b.sock".into()))
    );
    assert_eq!(endpoint(7020), None);
    assert_eq!(endpoint(7030), socket("192.0.2.9:7031"));
    assert_eq!(endpoint(7050), None);
    let any_host = &model.clusters[&ClusterName::inbound(7050)];
    assert_eq!(any_host.discovery, Discovery::OriginalDestination);
    let bound = listener(&model, "192.0.2.9_7020");
    let address: IpAddr = "192.0.2.9".parse().unwrap();
    assert_eq!(
        bound.bind,
        Bind::Ip {
            address,
            port: 7020
        }
    );
    assert!(!model.clusters.contains_key(&ClusterName::inbound(7040)));
    assert!(
        model
            .notices
            .iter()
            .any(|notice| { notice.origin.path() == "spec.ingress[4].defaultEndpoint" })
    );
}

#[test]
fn tls_of_an_ingress_port_ends_where_it_is_enabled_and_the_mesh_s_is_off() {
    let ingress = sidecar(
        "
  ingress:
  - port: { number: 7000, protocol: HTTPS, name: a }
    defaultEndpoint: '127.0.0.1:7001'
    tls: { mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem }",
    );
    let is_told = |model: &Model| {
        let mut notices = model.notices.iter();
        notices.any(|notice| notice.message.starts_with("`tls` is ignored"))
    };
    let enabled = |text: &str| {
        let features = Features {
            tls_on_sidecar_ingress: true,
            ..Features::default()
        };
        let config = config_of(MeshConfig::builder().features(features), text);
        resolve(&config, &Workload::sidecar("shop"))
    };
    let off = enabled(&(ingress.clone() + &peer("DISABLE")));
    assert_eq!(inbound(&off, Some(7000)), ["tls * own http"]);
    assert!(!is_told(&off));
    let on = enabled(&(ingress.clone() + &peer("STRICT")));
    assert_eq!(inbound(&on, Some(7000)), ["tls * mesh http"]);
    assert!(is_told(&on) && is_told(&enabled(&ingress)));

    let disabled = model(&(ingress + &peer("DISABLE")));
    assert_eq!(inbound(&disabled, Some(7000)), ["any * - tcp"]);
    assert!(is_told(&disabled));
}

#[test]
fn a_service_does_not_lead_to_the_ports_of_the_proxy_itself() {
    for port in [15001, 15006, 15021, 15090] {
        let text = service(
            "web",
            "shop",
            &format!(
                "{{ clusterIP: 10.0.0.8, selector: {{ app: web }}, \
                 ports: [{{ name: http, port: 80, targetPort: {port} }}] }}"
            ),
        );
        let model = model(&text);
        let inbound = ClusterName::inbound(port);
        assert!(!model.clusters.contains_key(&inbound), "{port}");
        let mut notices = model.notices.iter();
        assert!(
            notices.any(|notice| notice.origin.name() == "web"),
            "{port}"
        );
    }
}

#[test]
fn limits_on_connections_are_those_of_the_port_the_sidecar_or_the_service() {
    let limit = |model: &Model, port| {
        let pool = &model.clusters[&ClusterName::inbound(port)]
            .policy
            .connection_pool;
        let tcp = pool.as_ref().and_then(|pool| pool.tcp.as_ref());
        tcp.map(|tcp| tcp.max_connections)
    };
    let ports = sidecar(
        "
  inboundConnectionPool: { tcp: { maxConnections: 7 } }
  ingress:
  - { port: { number: 7000, protocol: HTTP, name: a }, connectionPool: { tcp: { maxConnections: 1 } } }
  - { port: { number: 7010, protocol: HTTP, name: b } }",
    );
    let listed = model(&ports);
    assert_eq!(limit(&listed, 7000), Some(1));
    assert_eq!(limit(&listed, 7010), Some(7));

    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: shop }
spec: { host: web, trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } } }
---
";
    assert_eq!(limit(&model(&web("http")), 8080), None);
    assert_eq!(limit(&model(&(web("http") + rule)), 8080), Some(3));
    let all = sidecar("{ inboundConnectionPool: { tcp: { maxConnections: 7 } } }");
    assert_eq!(limit(&model(&(web("http") + rule + &all)), 8080), Some(7));

    let listed = sidecar("{ ingress: [{ port: { number: 8080, protocol: HTTP, name: a } }] }");
    let listed = model(&(web("http") + rule + &listed));
    assert_eq!(
        limit(&listed, 8080),
        Some(3),
        "the service leads to the listed port"
    );
}

#[test]
fn a_rule_that_selects_workloads_limits_no_calls_to_them_and_one_of_an_unseen_service_none() {
    let limit = |text: &str| {
        let model = model(text);
        let policy = &model.clusters[&ClusterName::inbound(8080)].policy;
        let pool = policy.connection_pool.as_ref();
        pool.and_then(|pool| Some(pool.tcp.as_ref()?.max_connections))
    };
    let rule = |name: &str, most: u32, selector: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: shop }}
spec:
  host: web
  trafficPolicy: {{ connectionPool: {{ tcp: {{ maxConnections: {most} }} }} }}
{selector}
---
"
        )
    };
    let selecting = rule(
        "web",
        3,
        "  workloadSelector: { matchLabels: { app: web } }",
    );
    let others = rule("others", 5, "");
    assert_eq!(limit(&(web("http") + &selecting)), None);
    assert_eq!(limit(&(web("http") + &selecting + &others)), Some(5));
    let unseen = sidecar("{ egress: [{ hosts: [elsewhere/*] }] }");
    assert_eq!(limit(&(web("http") + &others + &unseen)), None);
}

#[test]
fn connections_to_the_application_are_made_as_the_pool_and_the_mesh_say() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: shop }
spec:
  host: web
  trafficPolicy:
    connectionPool: { tcp: { connectTimeout: 3s, tcpKeepalive: { probes: 7 } } }
";
    let mesh = r#"{
        "connectTimeout": "5s",
        "tcpKeepalive": {"probes": 2, "time": "9s"},
        "defaultTrafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "4s"}}}
    }"#;
    let mesh = serde_json::from_str(mesh).unwrap();
    let config = config_of(MeshConfig::builder().mesh(mesh), &(web("http") + rule));
    let model = resolve(&config, &Workload::sidecar("shop").with_label("app", "web"));
    let made = |name: ClusterName| {
        let cluster = &model.clusters[&name];
        let keepalive = cluster.tcp_keepalive.as_ref().unwrap();
        (cluster.connect_timeout.as_secs(), keepalive.probes)
    };
    assert_eq!(made(ClusterName::inbound(8080)), (3, 7));
    let passthrough = ClusterName::from("InboundPassthroughCluster");
    assert!(
        model.clusters[&passthrough]
            .policy
            .connection_pool
            .is_some()
    );
    assert_eq!(made(passthrough), (4, 2));
    assert_eq!(made(ClusterName::passthrough()), (4, 2));
}

#[test]
fn any_address_is_of_the_family_that_was_written_and_loopback_of_one_that_the_workload_speaks() {
    let text = sidecar(
        "
  ingress:
  - { port: { number: 7000, protocol: HTTP, name: a }, defaultEndpoint: '127.0.0.1:1' }
  - { port: { number: 7001, protocol: HTTP, name: b }, defaultEndpoint: '[::1]:1' }
  - { port: { number: 7002, protocol: HTTP, name: c }, defaultEndpoint: '0.0.0.0:1' }
  - { port: { number: 7003, protocol: HTTP, name: d }, defaultEndpoint: '[::]:1' }",
    );
    for (own, expected) in [
        (
            "192.0.2.9",
            ["127.0.0.1:1", "127.0.0.1:1", "192.0.2.9:1", "[::1]:1"],
        ),
        (
            "2001:db8::9",
            ["[::1]:1", "[::1]:1", "127.0.0.1:1", "[2001:db8::9]:1"],
        ),
    ] {
        let mut workload = Workload::sidecar("shop");
        workload.addresses = vec![own.parse().unwrap()];
        let model = resolve(&support::config(&text), &workload);
        let found = [7000, 7001, 7002, 7003].map(|port| {
            let cluster = &model.clusters[&ClusterName::inbound(port)];
            match &cluster.endpoints[0].address {
                EndpointAddress::Ip(socket) => socket.to_string(),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(found, expected, "{own}");
    }
}
