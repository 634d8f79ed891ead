//! Calls to hosts that nobody declared, where their names are resolved (`ALLOW_ANY_DYNAMIC_DNS`).
#![cfg(feature = "yaml")]

#[path = "support/sidecar.rs"]
mod sidecar;
mod support;

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::cluster::UpstreamTls;
use mesh_core::model::listener::Transport;
use mesh_core::resolve::resolve;
use mesh_core::resource::istio::destination_rule::ClientTlsMode;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use crate::sidecar::{chain_cluster, first_clusters, listener, model, service, sidecar};
use crate::support::config_of;

const CLUSTER: &str = "AllowAnyDynamicDNSCluster";

fn cart() -> String {
    let spec = "{ clusterIP: 10.0.0.7, ports: [{ name: http, port: 80 }] }";
    service("cart", "shop", spec)
}

/// A sidecar beside the Service `cart`, with this `outboundTrafficPolicy` of the mesh.
fn of_mesh(policy: &str) -> Model {
    let mesh = format!(r#"{{"outboundTrafficPolicy": {policy}}}"#);
    let mesh = serde_json::from_str(&mesh).expect("settings of a mesh");
    let config = config_of(MeshConfig::builder().mesh(mesh), &cart());
    resolve(&config, &Workload::sidecar("shop"))
}

#[test]
fn requests_for_unknown_hosts_go_where_their_name_leads() {
    let model = of_mesh(r#"{"mode": "ALLOW_ANY_DYNAMIC_DNS"}"#);
    for name in ["80", "allow_any_dynamic_dns"] {
        let routes = &model.route_configurations[name];
        assert_eq!(routes.name, name);
        let clusters = first_clusters(routes);
        assert_eq!(clusters.last(), Some(&("*", CLUSTER.to_owned())), "{name}");
        let host = routes.virtual_hosts.last().unwrap();
        assert_eq!(host.name, "allow_any_dynamic_dns");
    }
}

#[test]
fn at_a_port_that_no_service_has_requests_are_told_from_what_passes() {
    let with_names = of_mesh(r#"{"mode": "ALLOW_ANY_DYNAMIC_DNS"}"#);
    let outbound = listener(&with_names, "virtualOutbound");
    let [black_hole, http] = outbound.filter_chains.as_slice() else {
        panic!("{:?}", outbound.filter_chains)
    };
    assert_eq!(chain_cluster(black_hole), "BlackHoleCluster");
    assert_eq!(black_hole.matches.destination_port, Some(15001));
    assert_eq!(chain_cluster(http), "allow_any_dynamic_dns");
    assert_eq!(http.matches.transport, Some(Transport::Plaintext));
    assert_eq!(http.matches.application_protocols, ["http/1.1", "h2c"]);
    // TLS, too, goes to the address that the client connected to.
    for name in ["virtualOutbound", "0.0.0.0_80"] {
        let rest = listener(&with_names, name).default_filter_chain.as_ref();
        assert_eq!(chain_cluster(rest.unwrap()), "PassthroughCluster", "{name}");
    }

    let policy = sidecar("{ outboundTrafficPolicy: { mode: ALLOW_ANY } }");
    let by_address = model(&(cart() + &policy));
    assert_eq!(
        listener(&by_address, "virtualOutbound").filter_chains.len(),
        1
    );
    let routes = &by_address.route_configurations;
    assert!(!routes.contains_key("allow_any_dynamic_dns"));
    assert_eq!(routes["80"].virtual_hosts.last().unwrap().name, "allow_any");
}

#[test]
fn tls_towards_unknown_hosts_is_that_of_the_policy() {
    let tls = |policy: &str| {
        let model = of_mesh(policy);
        model.clusters[&ClusterName::from(CLUSTER)].tls.clone()
    };
    let plaintext = tls(r#"{"mode": "ALLOW_ANY_DYNAMIC_DNS"}"#);
    assert_eq!(plaintext, UpstreamTls::Plaintext);
    let simple =
        tls(r#"{"mode": "ALLOW_ANY_DYNAMIC_DNS", "tls": {"mode": "SIMPLE", "sni": "a.example"}}"#);
    let UpstreamTls::Settings(settings) = simple else {
        panic!("{simple:?}")
    };
    assert_eq!(
        (settings.mode, &*settings.sni),
        (ClientTlsMode::Simple, "a.example")
    );
}
