//! The clusters of a workload.
#![cfg(feature = "yaml")]

mod support;

use std::time::Duration;

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, Discovery, LocalityBalancing, MeshTls, UpstreamTls};
use mesh_core::resolve::resolve;
use mesh_core::resource::istio::destination_rule::ClientTlsMode;
use mesh_core::service::{ClusterName, Protocol};
use mesh_core::workload::Workload;

use crate::support::{config, config_of};

const HOST: &str = "cart.shop.svc.cluster.local";

/// A service with two pods, of which one speaks mesh mTLS.
const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec:
  clusterIP: 10.0.0.1
  selector: { app: cart }
  ports:
  - { name: http, port: 80 }
  - { name: tcp, port: 90 }
  - { name: udp, port: 53, protocol: UDP }
---
apiVersion: v1
kind: Pod
metadata:
  name: v1
  namespace: shop
  labels: { app: cart, version: v1, security.istio.io/tlsMode: istio }
spec: { serviceAccountName: cart }
status: { podIP: 10.1.0.1 }
---
apiVersion: v1
kind: Pod
metadata: { name: v2, namespace: shop, labels: { app: cart, version: v2 } }
status: { podIP: 10.1.0.2 }
---
";

fn rule(policy: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: cart, namespace: shop }}
spec:
  host: cart
  subsets: [{{ name: v1, labels: {{ version: v1 }} }}, {{ name: v3, labels: {{ version: v3 }} }}]
  {policy}
---
"
    )
}

fn sidecar_model(text: &str) -> Model {
    resolve(&config(text), &Workload::sidecar("shop"))
}

fn cluster<'a>(model: &'a Model, port: u16, subset: &str) -> &'a Cluster {
    let name = ClusterName::outbound(port, subset, HOST);
    model.clusters.get(&name).expect("the cluster exists")
}

#[test]
fn a_sidecar_has_a_cluster_for_each_port_and_subset_that_it_sees() {
    let model = sidecar_model(&format!("{CART}{}", rule("")));
    let names: Vec<_> = model.clusters.keys().map(ClusterName::as_str).collect();
    assert_eq!(
        names,
        [
            "BlackHoleCluster",
            "InboundPassthroughCluster",
            "PassthroughCluster",
            "outbound|80|v1|cart.shop.svc.cluster.local",
            "outbound|80|v3|cart.shop.svc.cluster.local",
            "outbound|80||cart.shop.svc.cluster.local",
            "outbound|90|v1|cart.shop.svc.cluster.local",
            "outbound|90|v3|cart.shop.svc.cluster.local",
            "outbound|90||cart.shop.svc.cluster.local",
        ]
    );
    for (subset, endpoints) in [("", 2), ("v1", 1), ("v3", 0)] {
        assert_eq!(
            cluster(&model, 80, subset).endpoints.len(),
            endpoints,
            "{subset}"
        );
    }
}

#[test]
fn a_gateway_has_only_clusters_that_it_names() {
    let model = resolve(&config(CART), &Workload::gateway("istio-system"));
    let names: Vec<_> = model.clusters.keys().map(ClusterName::as_str).collect();
    assert_eq!(names, ["BlackHoleCluster"]);
}

#[test]
fn mesh_mtls_is_used_where_neither_rule_nor_policy_says_otherwise() {
    let auto = |subset: &str| {
        UpstreamTls::Auto(MeshTls {
            sni: format!("outbound_.80_.{subset}_.{HOST}"),
            subject_alt_names: vec![
                "spiffe://cluster.local/ns/shop/sa/cart".into(),
                "spiffe://cluster.local/ns/shop/sa/default".into(),
            ],
        })
    };
    let peer = |namespace: &str, mode: &str| {
        format!(
            "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: {namespace} }}
spec: {{ mtls: {{ mode: {mode} }} }}
"
        )
    };
    for (rest, expected) in [
        (String::new(), auto("")),
        (rule(""), auto("")),
        (peer("shop", "STRICT"), auto("")),
        (peer("shop", "DISABLE"), UpstreamTls::Plaintext),
        (peer("istio-system", "DISABLE"), UpstreamTls::Plaintext),
        (peer("bank", "DISABLE"), auto("")),
        (
            rule("trafficPolicy: { tls: { mode: DISABLE } }"),
            UpstreamTls::Plaintext,
        ),
        (
            rule(
                "trafficPolicy: { tls: { mode: DISABLE }, portLevelSettings: \
                 [{ port: { number: 80 }, loadBalancer: { simple: RANDOM } }] }",
            ),
            auto(""),
        ),
    ] {
        let model = sidecar_model(&format!("{CART}{rest}"));
        assert_eq!(cluster(&model, 80, "").tls, expected, "{rest}");
    }
    let model = sidecar_model(&format!("{CART}{}", rule("")));
    assert_eq!(cluster(&model, 80, "v1").tls, auto("v1"));
}

#[test]
fn mesh_mtls_that_a_rule_asks_for_has_the_rules_names_first() {
    let mutual = |rest: &str| {
        rule(&format!(
            "trafficPolicy: {{ tls: {{ mode: ISTIO_MUTUAL{rest} }} }}"
        ))
    };
    let model = sidecar_model(&format!("{CART}{}", mutual("")));
    let UpstreamTls::Mesh(mesh) = &cluster(&model, 80, "").tls else {
        panic!("{:?}", cluster(&model, 80, "").tls);
    };
    assert_eq!(mesh.sni, format!("outbound_.80_._.{HOST}"));
    assert_eq!(mesh.subject_alt_names.len(), 2);

    let named = mutual(", sni: egress, subjectAltNames: ['spiffe://td/ns/a/sa/b']");
    let model = sidecar_model(&format!("{CART}{named}"));
    let expected = UpstreamTls::Mesh(MeshTls {
        sni: "egress".into(),
        subject_alt_names: vec!["spiffe://td/ns/a/sa/b".into()],
    });
    assert_eq!(cluster(&model, 80, "").tls, expected);
}

#[test]
fn auto_mtls_can_be_switched_off_and_trust_domains_have_aliases() {
    let off = serde_json::from_str(r#"{"enableAutoMtls": false}"#).unwrap();
    let config = config_of(MeshConfig::builder().mesh(off), CART);
    let model = resolve(&config, &Workload::sidecar("shop"));
    assert_eq!(cluster(&model, 80, "").tls, UpstreamTls::Plaintext);

    let aliased =
        serde_json::from_str(r#"{"trustDomain": "new", "trustDomainAliases": ["old"]}"#).unwrap();
    let config = config_of(MeshConfig::builder().mesh(aliased), CART);
    let model = resolve(&config, &Workload::sidecar("shop"));
    let UpstreamTls::Auto(mesh) = &cluster(&model, 80, "").tls else {
        panic!("{:?}", cluster(&model, 80, "").tls);
    };
    assert_eq!(
        mesh.subject_alt_names,
        [
            "spiffe://new/ns/shop/sa/cart",
            "spiffe://new/ns/shop/sa/default",
            "spiffe://old/ns/shop/sa/cart",
            "spiffe://old/ns/shop/sa/default",
        ]
    );
}

#[test]
fn a_headless_service_speaks_mesh_mtls_if_all_its_endpoints_do() {
    let headless = CART.replace("clusterIP: 10.0.0.1", "clusterIP: None");
    let model = sidecar_model(&headless);
    assert_eq!(
        cluster(&model, 80, "").discovery,
        Discovery::OriginalDestination
    );
    assert_eq!(cluster(&model, 80, "").tls, UpstreamTls::Plaintext);

    let all = headless.replace(
        "version: v2",
        "version: v2, security.istio.io/tlsMode: istio",
    );
    let model = sidecar_model(&all);
    assert!(matches!(cluster(&model, 80, "").tls, UpstreamTls::Mesh(_)));
    assert!(cluster(&model, 80, "").endpoints.is_empty());
}

#[test]
fn a_rule_may_let_connections_pass_to_where_they_go() {
    let model = sidecar_model(&format!(
        "{CART}{}",
        rule("trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } }")
    ));
    assert_eq!(
        cluster(&model, 80, "").discovery,
        Discovery::OriginalDestination
    );
    assert_eq!(cluster(&model, 80, "").tls, UpstreamTls::Plaintext);
}

#[test]
fn credentials_reach_gateways_and_sidecars_that_a_rule_selects() {
    let settings = "trafficPolicy: { tls: { mode: SIMPLE, credentialName: ca } }";
    let model = sidecar_model(&format!("{CART}{}", rule(settings)));
    assert_eq!(cluster(&model, 80, "").tls, UpstreamTls::Plaintext);
    assert!(
        model.notices[0].message.contains("credentialName"),
        "{:?}",
        model.notices
    );

    let selecting = format!("{settings}\n  workloadSelector: {{}}");
    let model = sidecar_model(&format!("{CART}{}", rule(&selecting)));
    let UpstreamTls::Settings(tls) = &cluster(&model, 80, "").tls else {
        panic!("{:?}", cluster(&model, 80, "").tls);
    };
    assert_eq!(
        (tls.mode, &*tls.credential_name),
        (ClientTlsMode::Simple, "ca")
    );
}

#[test]
fn an_entry_proves_its_names_and_is_never_given_mesh_mtls() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example]
  resolution: DNS
  ports: [{ number: 443, name: http, protocol: HTTP }]
  subjectAltNames: [api.example]
---
";
    let name = ClusterName::outbound(443, "", "api.example");
    let model = sidecar_model(entry);
    assert_eq!(model.clusters[&name].tls, UpstreamTls::Plaintext);
    assert!(model.clusters[&name].external);

    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api, namespace: shop }
spec: { host: api.example, trafficPolicy: { tls: { mode: SIMPLE } } }
";
    let model = sidecar_model(&format!("{entry}{rule}"));
    let UpstreamTls::Settings(tls) = &model.clusters[&name].tls else {
        panic!("{:?}", model.clusters[&name].tls);
    };
    assert_eq!(tls.subject_alt_names, ["api.example"]);
}

#[test]
fn http_is_upgraded_where_the_rule_or_the_mesh_says() {
    let policy = |http: &str| {
        rule(&format!(
            "trafficPolicy: {{ connectionPool: {{ http: {{ {http} }} }} }}"
        ))
    };
    for (mesh, http, on_http, on_tcp) in [
        ("DO_NOT_UPGRADE", "", Protocol::Http, Protocol::Tcp),
        ("UPGRADE", "", Protocol::Http2, Protocol::Tcp),
        (
            "DO_NOT_UPGRADE",
            "h2UpgradePolicy: UPGRADE",
            Protocol::Http2,
            Protocol::Http2,
        ),
        (
            "UPGRADE",
            "h2UpgradePolicy: DO_NOT_UPGRADE",
            Protocol::Http,
            Protocol::Tcp,
        ),
        (
            "UPGRADE",
            "useClientProtocol: true",
            Protocol::Http,
            Protocol::Tcp,
        ),
    ] {
        let options = serde_json::json!({"h2UpgradePolicy": mesh});
        let options = serde_json::from_value(options).unwrap();
        let text = format!("{CART}{}", policy(http));
        let config = config_of(MeshConfig::builder().mesh(options), &text);
        let model = resolve(&config, &Workload::sidecar("shop"));
        let protocols = (
            cluster(&model, 80, "").protocol,
            cluster(&model, 90, "").protocol,
        );
        assert_eq!(protocols, (on_http, on_tcp), "{mesh} {http}");
    }
}

#[test]
fn connections_take_what_the_rule_says_over_what_the_mesh_says() {
    let options = serde_json::from_str(
        r#"{"connectTimeout": "3s", "tcpKeepalive": {"probes": 3, "time": "60s"}}"#,
    )
    .unwrap();
    let policy = "trafficPolicy: { portLevelSettings: [{ port: { number: 90 }, connectionPool: \
                  { tcp: { connectTimeout: 1s, tcpKeepalive: { time: 5s } } } }] }";
    let text = format!("{CART}{}", rule(policy));
    let config = config_of(MeshConfig::builder().mesh(options), &text);
    let model = resolve(&config, &Workload::sidecar("shop"));
    for (port, timeout, keepalive) in [(80, 3, 60), (90, 1, 5)] {
        let cluster = cluster(&model, port, "");
        assert_eq!(
            cluster.connect_timeout,
            Duration::from_secs(timeout),
            "{port}"
        );
        let found = cluster.tcp_keepalive.as_ref().unwrap();
        assert_eq!(found.probes, 3, "{port}");
        assert_eq!(found.time.unwrap().as_secs(), keepalive, "{port}");
    }
}

#[test]
fn locality_is_set_by_rule_then_service_then_mesh() {
    let rule = |setting: &str| {
        rule(&format!(
            "trafficPolicy: {{ loadBalancer: {{ {setting} }} }}"
        ))
    };
    let preferring = CART.replace(
        "metadata: { name: cart, namespace: shop }",
        "metadata: { name: cart, namespace: shop, annotations: \
         { networking.istio.io/traffic-distribution: PreferSameZone } }",
    );
    let kind = |locality: &LocalityBalancing| match locality {
        LocalityBalancing::Locality { setting, force } => {
            format!("locality {} {force}", setting.failover_priority.len())
        }
        LocalityBalancing::Off => "off".to_owned(),
        LocalityBalancing::ZoneAware(_) => "zone".to_owned(),
    };
    for (mesh, text, expected) in [
        ("{}", CART.to_owned(), "locality 0 false"),
        (
            r#"{"localityLbSetting": {"enabled": false}}"#,
            CART.to_owned(),
            "off",
        ),
        (r#"{"zoneAwareLbSetting": {}}"#, CART.to_owned(), "zone"),
        (
            r#"{"zoneAwareLbSetting": {}}"#,
            preferring.clone(),
            "locality 3 true",
        ),
        (
            "{}",
            format!(
                "{preferring}{}",
                rule("localityLbSetting: { enabled: false }")
            ),
            "off",
        ),
        (
            "{}",
            format!(
                "{CART}{}",
                rule("zoneAwareLbSetting: {}, localityLbSetting: {}")
            ),
            "zone",
        ),
        (
            r#"{"zoneAwareLbSetting": {}}"#,
            format!(
                "{CART}{}",
                rule("localityLbSetting: { failoverPriority: [a] }")
            ),
            "locality 1 false",
        ),
    ] {
        let options = serde_json::from_str(mesh).unwrap();
        let config = config_of(MeshConfig::builder().mesh(options), &text);
        let model = resolve(&config, &Workload::sidecar("shop"));
        assert_eq!(kind(&cluster(&model, 80, "").locality), expected, "{mesh}");
    }
}

#[test]
fn the_ports_of_a_host_may_be_those_of_several_entries() {
    let entry = |name: &str, rest: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [api.example]
  {rest}
---
"
        )
    };
    let first = entry(
        "a",
        "ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 192.0.2.1 }]",
    );
    let second = |resolution: &str| {
        entry(
            "b",
            &format!(
                "ports: [{{ number: 80, name: http, protocol: HTTP }}, \
                 {{ number: 443, name: tls, protocol: TLS }}]
  resolution: {resolution}
  endpoints: [{{ address: 192.0.2.2 }}]"
            ),
        )
    };
    let named = |model: &Model, port| {
        let cluster = model
            .clusters
            .get(&ClusterName::outbound(port, "", "api.example"))?;
        Some((cluster.origin.name().to_owned(), cluster.endpoints.len()))
    };
    let alike = sidecar_model(&(first.clone() + &second("STATIC")));
    assert_eq!(named(&alike, 80), Some(("a".to_owned(), 2)), "of both");
    assert_eq!(named(&alike, 443), Some(("b".to_owned(), 1)));

    let different = sidecar_model(&(first.clone() + &second("NONE")));
    assert_eq!(named(&different, 443), None, "the older has the host");

    let gateway = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: g, namespace: shop }
spec:
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example]
  gateways: [g]
  http: [{ route: [{ destination: { host: api.example, port: { number: 443 } } }] }]
---
";
    let text = first + &second("STATIC") + gateway;
    let model = resolve(&config(&text), &Workload::gateway("shop"));
    assert_eq!(named(&model, 443), Some(("b".to_owned(), 1)));
}

#[test]
fn what_is_resolved_by_name_needs_a_name() {
    let entry = |resolution: &str, host: &str, rest: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: api, namespace: shop }}
spec:
  hosts: ['{host}']
  resolution: {resolution}
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }}]
  {rest}
"
        )
    };
    let found = |text: &str, host: &str| {
        let model = sidecar_model(text);
        let cluster = model.clusters.get(&ClusterName::outbound(80, "", host))?;
        Some((
            cluster.discovery,
            cluster.endpoints.len(),
            cluster.port_override,
        ))
    };
    for (text, host, expected) in [
        (
            entry("DNS", "api.example", ""),
            "api.example",
            Some((Discovery::StrictDns, 1, None)),
        ),
        (
            entry(
                "DNS",
                "api.example",
                "workloadSelector: { labels: { app: api } }",
            ),
            "api.example",
            None,
        ),
        (
            entry("NONE", "api.example", ""),
            "api.example",
            Some((Discovery::OriginalDestination, 0, Some(8080))),
        ),
        (
            entry("DYNAMIC_DNS", "*.example", ""),
            "*.example",
            Some((Discovery::DynamicDns, 0, None)),
        ),
    ] {
        assert_eq!(found(&text, host), expected, "{text}");
    }
}

#[test]
fn unknown_hosts_have_a_cluster_where_they_are_resolved_by_name() {
    let options =
        serde_json::from_str(r#"{"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}"#)
            .unwrap();
    let config = config_of(MeshConfig::builder().mesh(options), CART);
    let model = resolve(&config, &Workload::sidecar("shop"));
    let cluster = &model.clusters[&ClusterName::from("AllowAnyDynamicDNSCluster")];
    assert_eq!(cluster.discovery, Discovery::DynamicDns);
}
