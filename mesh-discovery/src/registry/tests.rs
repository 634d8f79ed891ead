use std::time::Instant;

use mesh_core::config::MeshConfig;
use mesh_core::model::cluster::{Endpoint, UpstreamTls};
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;

use super::*;
use crate::cluster::Clusters;
use crate::locality::Client;
use crate::source::ObjectName;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
";
const ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec: { hosts: [cart], http: [{ route: [{ destination: { host: cart } }] }] }
";
const A: &str = "10.0.0.1:8080";
const B: &str = "10.0.0.2:8080";

#[test]
fn an_endpoint_that_goes_together_with_a_change_of_routes_is_gone() {
    let (mut registry, source) = known(Registry::new(MeshConfig::builder()), &[A]);
    let first = changed(&mut registry, source, ROUTE);
    let clusters = Clusters::new(Client::default());
    let mut live = published(&clusters, first);
    assert_eq!(addresses(&clusters), [A]);

    let Some(Change::Endpoints(updates)) = changed(&mut registry, source, &slice(&[A, B])) else {
        panic!("a slice is no configuration");
    };
    for cluster in live.apply(&updates) {
        clusters.replace_endpoints(&cluster.name, cluster.endpoints.iter().cloned(), start());
    }
    assert_eq!(addresses(&clusters), [A, B]);

    let route = ROUTE.replace("hosts: [cart]", "hosts: [cart, shop.example]");
    let both = changed(&mut registry, source, &(slice(&[A]) + "---" + &route));
    published(&clusters, both);
    assert_eq!(addresses(&clusters), [A]);
}

#[test]
fn endpoints_are_kept_up_with_while_a_configuration_cannot_be_built() {
    let registry = Registry::new(MeshConfig::builder()).with_settings_from_config_map();
    let (mut registry, source) = known(registry, &[A]);
    let broken = settings("trustDomain: [broken") + "---" + &slice(&[B]);
    let updates = endpoints(changed(&mut registry, source, &broken));
    assert_eq!(updates, [B], "with the settings");
    assert!(!registry.problems().is_empty());
    let updates = endpoints(changed(&mut registry, source, &slice(&[A, B])));
    assert_eq!(updates, [A, B], "after the settings");
    assert!(!registry.problems().is_empty());
    let settings = settings("trustDomain: other.org");
    let Some(Change::Config(config)) = changed(&mut registry, source, &settings) else {
        panic!("all is well again");
    };
    assert_eq!(config.options().trust_domain(), "other.org");
    assert!(registry.problems().is_empty());
}

#[test]
fn an_endpoint_that_only_a_configuration_can_have_holds_no_other_up() {
    let registry = Registry::new(MeshConfig::builder())
        .with_settings_from_config_map()
        .with_own_addresses([[10, 0, 0, 9].into()]);
    let (mut registry, source) = known(registry, &[A]);
    let broken = settings("trustDomain: [broken") + "---" + &slice(&[B, "10.0.0.9:8080"]);
    let updates = endpoints(changed(&mut registry, source, &broken));
    assert_eq!(updates, [B, "10.0.0.9:8080"]);
}

#[test]
fn callers_are_told_of_another_identity_among_the_endpoints_of_a_service() {
    let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let source = registry.add_source("files");
    let service = SERVICE.replace("ports:", "selector: { app: cart }, ports:");
    registry.handle_update(source, Update::All(objects(&service)), start());
    assert!(matches!(registry.poll(start()), Some(Change::Config(_))));

    let first = changed(&mut registry, source, &pod("one", "10.0.0.1", "cart"));
    assert_eq!(demanded(first), ["spiffe://cluster.local/ns/shop/sa/cart"]);
    let same = changed(&mut registry, source, &pod("two", "10.0.0.2", "cart"));
    assert!(matches!(same, Some(Change::Endpoints(_))), "{same:?}");
    let other = changed(&mut registry, source, &pod("three", "10.0.0.3", "new"));
    let both = [
        "spiffe://cluster.local/ns/shop/sa/cart",
        "spiffe://cluster.local/ns/shop/sa/new",
    ];
    assert_eq!(demanded(other), both);
    let again = changed(&mut registry, source, &pod("three", "10.0.0.3", "cart"));
    assert_eq!(demanded(again), both[..1]);

    let mut gone = |names: &[&str]| {
        let removed = names.iter().map(|name| ObjectName {
            kind: Kind::Pod,
            namespace: "shop".into(),
            name: (*name).into(),
        });
        let (applied, removed) = (Vec::new(), removed.collect());
        registry.handle_update(source, Update::Changes { applied, removed }, start());
        registry.poll(start())
    };
    let none = gone(&["one", "two", "three"]);
    assert!(matches!(none, Some(Change::Endpoints(_))), "{none:?}");
    let back = changed(&mut registry, source, &pod("one", "10.0.0.1", "cart"));
    assert!(matches!(back, Some(Change::Endpoints(_))), "{back:?}");
}

#[test]
fn endpoints_that_are_called_one_by_one_are_a_configuration() {
    let cases = [
        ("http", false, false),
        ("tcp", false, true),
        ("mine", false, true),
        ("tcp", true, false),
    ];
    for (port, is_for_gateways, is_config) in cases {
        let name = format!("{port}, for gateways: {is_for_gateways}");
        let named = |text: &str| text.replace("name: http", &format!("name: {port}"));
        let headless = named(SERVICE).replace("ports:", "clusterIP: None, ports:");
        let registry = Registry::new(MeshConfig::builder());
        let registry = match is_for_gateways {
            true => registry.for_gateways(),
            false => registry,
        };
        let (mut registry, source) = known(registry, &[]);
        changed(&mut registry, source, &headless);
        let change = changed(&mut registry, source, &named(&slice(&[A])));
        match change {
            Some(Change::Config(_)) => assert!(is_config, "{name}"),
            other => assert!(!is_config && endpoints(other) == [A], "{name}"),
        }
    }
}

#[test]
fn whether_all_endpoints_have_mesh_mtls_is_a_configuration() {
    let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    let headless = SERVICE.replace("ports:", "clusterIP: None, selector: { app: cart }, ports:");
    let with_sidecar = pod("one", "10.0.0.1", "cart");
    let without = with_sidecar.replace(", security.istio.io/tlsMode: istio", "");
    let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let source = registry.add_source("files");
    let all = objects(&(headless + "---" + &without));
    registry.handle_update(source, Update::All(all), start());
    assert!(matches!(registry.poll(start()), Some(Change::Config(_))));

    for (pod, is_plain) in [(&with_sidecar, false), (&without, true)] {
        let Some(Change::Config(config)) = changed(&mut registry, source, pod) else {
            panic!("callers went on as before")
        };
        let clusters = resolve(&config, &Workload::sidecar("shop")).clusters;
        assert_eq!(clusters[&name].tls == UpstreamTls::Plaintext, is_plain);
    }
    let again = changed(
        &mut registry,
        source,
        &without.replace("10.0.0.1", "10.0.0.2"),
    );
    assert!(matches!(again, Some(Change::Endpoints(_))), "{again:?}");
}

/// The registry with a source that says that `cart` has these endpoints, its first configuration
/// given out.
fn known(registry: Registry, addresses: &[&str]) -> (Registry, SourceId) {
    let mut registry = registry.with_debounce(Debounce::NONE);
    let source = registry.add_source("files");
    let text = SERVICE.to_owned() + "---" + &slice(addresses);
    registry.handle_update(source, Update::All(objects(&text)), start());
    assert!(matches!(registry.poll(start()), Some(Change::Config(_))));
    (registry, source)
}

/// What comes of objects that a source has as well, or in another version.
fn changed(registry: &mut Registry, source: SourceId, text: &str) -> Option<Change> {
    let update = Update::Changes {
        applied: objects(text),
        removed: Vec::new(),
    };
    registry.handle_update(source, update, start());
    registry.poll(start())
}

/// Has the clusters of a new configuration served, and keeps them to be kept up with.
fn published(clusters: &Clusters, change: Option<Change>) -> ClusterEndpoints {
    let Some(Change::Config(config)) = change else {
        panic!("no configuration but {change:?}");
    };
    let model = resolve(&config, &Workload::sidecar("shop"));
    clusters.publish(&model.clusters, start());
    ClusterEndpoints::new(model.clusters)
}

fn addresses(clusters: &Clusters) -> Vec<String> {
    let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    let upstream = clusters.get(&name).unwrap();
    let endpoints = upstream.balancer().endpoints();
    texts(endpoints.iter().map(|endpoint| &**endpoint))
}

/// The endpoints of the only service that may have others.
fn endpoints(change: Option<Change>) -> Vec<String> {
    let Some(Change::Endpoints(updates)) = change else {
        panic!("no endpoints but {change:?}");
    };
    let [update] = updates.as_slice() else {
        panic!("{updates:?}");
    };
    let service = update.service();
    texts(service.endpoints(&service.ports[0]))
}

fn texts<'a>(endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Vec<String> {
    let endpoints = endpoints.into_iter();
    let text = |endpoint: &Endpoint| crate::endpoint::AddressText(&endpoint.address).to_string();
    let mut texts: Vec<String> = endpoints.map(text).collect();
    texts.sort();
    texts
}

/// The identities that a caller demands of `cart` by a new configuration.
fn demanded(change: Option<Change>) -> Vec<String> {
    let Some(Change::Config(config)) = change else {
        panic!("no configuration but {change:?}");
    };
    let clusters = resolve(&config, &Workload::sidecar("shop")).clusters;
    let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    match &clusters[&name].tls {
        UpstreamTls::Auto(mesh) => mesh.subject_alt_names.clone(),
        other => panic!("{other:?}"),
    }
}

/// A pod of `cart` that is ready, and of the mesh.
fn pod(name: &str, address: &str, account: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
  labels: {{ app: cart, security.istio.io/tlsMode: istio }}
spec: {{ serviceAccountName: {account} }}
status: {{ podIP: {address}, conditions: [{{ type: Ready, status: 'True' }}] }}
"
    )
}

/// A slice of `cart` with these addresses.
fn slice(addresses: &[&str]) -> String {
    let endpoint = |address: &&str| {
        let (ip, _) = address.split_once(':').unwrap();
        format!("{{ addresses: ['{ip}'] }}")
    };
    let endpoints: Vec<String> = addresses.iter().map(endpoint).collect();
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: cart-x, namespace: shop, labels: {{ kubernetes.io/service-name: cart }} }}
addressType: IPv4
ports: [{{ name: http, port: 8080 }}]
endpoints: [{}]
",
        endpoints.join(", ")
    )
}

/// The mesh-wide settings.
fn settings(mesh: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data: {{ mesh: '{mesh}' }}
"
    )
}

fn objects(text: &str) -> Vec<Object> {
    let parsed = parse("test.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.objects
}

fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}
