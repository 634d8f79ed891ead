//! What a registry makes of the updates of its sources, in simulated time.
#![cfg(feature = "yaml")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use mesh_core::config::MeshConfig;
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use mesh_discovery::registry::{Change, ClusterEndpoints, Debounce, Freshness, Registry};
use mesh_discovery::source::{ObjectName, Update};
use mesh_discovery::vip::Vips;

const QUIET: Duration = Duration::from_millis(100);

const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z' }
spec: { ports: [{ name: http, port: 80 }] }
";

#[test]
fn there_is_no_configuration_until_every_source_is_known() {
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder());
    let files = registry.add_source("files");
    let cluster = registry.add_cluster("cluster");
    registry.handle_update(files, Update::All(objects(CART)), now);
    registry.handle_update(cluster, Update::Failed(vec![error("refused")]), now);
    assert_eq!(registry.deadline(), None);
    assert!(registry.poll(now + 100 * QUIET).is_none());
    assert_eq!(registry.unknown().collect::<Vec<_>>(), ["cluster"]);
    let why = &registry.status()[1].diagnostics[0];
    assert_eq!(why.message, "refused");

    registry.handle_update(cluster, Update::All(Vec::new()), now);
    let config = config(registry.poll(now + QUIET));
    assert_eq!(config.resources().services.len(), 1);
    assert!(registry.status()[1].is_live());
}

#[test]
fn changes_are_collected_until_there_is_none_for_a_while() {
    let (mut registry, source, now) = known(CART);
    let entry = |name: &str| {
        objects(&format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec: {{ hosts: [{name}.example], ports: [{{ number: 80, name: http, protocol: HTTP }}] }}
"
        ))
    };
    for (step, name) in ["a", "b", "c"].into_iter().enumerate() {
        let now = now + QUIET / 2 * u32::try_from(step).unwrap();
        assert!(registry.poll(now).is_none(), "{name}");
        registry.handle_update(source, changes(entry(name), []), now);
    }
    let config = config(registry.poll(now + 2 * QUIET));
    assert_eq!(config.version(), 2);
    assert_eq!(config.resources().service_entries.len(), 3);
}

#[test]
fn an_update_without_change_is_no_change() {
    let (mut registry, source, now) = known(CART);
    registry.handle_update(source, Update::All(objects(CART)), now);
    assert_eq!(registry.deadline(), None);
}

#[test]
fn of_two_objects_of_one_name_that_of_the_earlier_source_counts_and_the_other_is_reported() {
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let first = registry.add_source("first");
    let second = registry.add_source("second");
    let other = CART.replace("port: 80", "port: 81");
    registry.handle_update(second, Update::All(objects(&other)), now);
    registry.handle_update(first, Update::All(objects(CART)), now);
    let built = config(registry.poll(now));
    assert_eq!(built.resources().services[0].spec.spec.ports[0].port, 80);
    let status = registry.status();
    assert!(status[0].diagnostics.is_empty());
    let shadowed = status[1].diagnostics[0].to_string();
    assert!(shadowed.contains("does not count"), "{shadowed}");

    let gone = ObjectName::of(&objects(CART)[0]);
    registry.handle_update(first, changes([], [gone]), now);
    let built = config(registry.poll(now));
    assert_eq!(built.resources().services[0].spec.spec.ports[0].port, 81);
}

#[test]
fn a_source_that_fails_keeps_what_it_had_and_is_stale() {
    let (mut registry, source, now) = known(CART);
    let failure = now + QUIET;
    registry.handle_update(source, Update::Failed(vec![error("gone")]), failure);
    registry.handle_update(
        source,
        Update::Failed(vec![error("still")]),
        failure + QUIET,
    );
    assert_eq!(registry.deadline(), None, "nothing changed");
    let status = &registry.status()[0];
    assert_eq!(status.freshness, Freshness::Stale { since: failure });
    assert_eq!(status.objects, 1);
    assert_eq!(status.diagnostics[0].message, "still");

    registry.handle_update(source, Update::Recovered, failure + 2 * QUIET);
    assert!(registry.status()[0].is_live());
    assert!(registry.status()[0].diagnostics.is_empty());
}

#[test]
fn problems_of_single_objects_leave_the_source_live() {
    let (mut registry, source, now) = known(CART);
    registry.handle_update(source, Update::Problems(vec![error("odd")]), now);
    let status = &registry.status()[0];
    assert!(status.is_live());
    assert_eq!(status.diagnostics.len(), 1);
    registry.handle_update(source, Update::Problems(Vec::new()), now);
    assert!(registry.status()[0].diagnostics.is_empty());
}

#[test]
fn a_kubernetes_service_stands_before_an_entry_and_the_older_entry_before_the_younger() {
    let entry = |name: &str, host: &str, day: u32| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: other, creationTimestamp: '2026-01-0{day}T00:00:00Z' }}
spec:
  hosts: [{host}]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
"
        )
    };
    let host = "cart.shop.svc.cluster.local";
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let files = registry.add_source("files");
    let cluster = registry.add_cluster("cluster");
    let entries =
        entry("decoy", host, 1) + &entry("b", "b.example", 3) + &entry("a", "b.example", 2);
    registry.handle_update(files, Update::All(objects(&entries)), now);
    registry.handle_update(cluster, Update::All(objects(CART)), now);
    let config = config(registry.poll(now));
    let declared = |host| {
        config
            .services()
            .lookup(host, "elsewhere")
            .unwrap()
            .name
            .clone()
    };
    assert_eq!(declared(host), "cart");
    assert_eq!(declared("b.example"), "a");
}

#[test]
fn mesh_wide_settings_are_read_from_the_config_map() {
    let map = |mesh: &str| {
        objects(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data: {{ mesh: '{mesh}' }}
"
        ))
    };
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder())
        .with_debounce(Debounce::NONE)
        .with_settings_from_config_map();
    let source = registry.add_cluster("cluster");
    registry.handle_update(source, Update::All(map("trustDomain: example.org")), now);
    let built = config(registry.poll(now));
    assert_eq!(built.options().trust_domain(), "example.org");

    registry.handle_update(source, changes(map("trustDomain: [broken"), []), now);
    assert!(registry.poll(now).is_none(), "the one before stays");
    assert!(!registry.problems().is_empty());

    registry.handle_update(source, changes(map("trustDomain: other.org"), []), now);
    let built = config(registry.poll(now));
    assert_eq!(built.options().trust_domain(), "other.org");
    assert!(registry.problems().is_empty());
}

#[test]
fn namespaces_that_no_discovery_selector_chooses_do_not_count() {
    let namespaces = |label: &str, further: &str| {
        format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{ name: istio, namespace: istio-system }}
data:
  mesh: |
    trustDomain: example.org
    discoverySelectors: [{{ matchLabels: {{ mesh: \"yes\" }} }}{further}]
---
apiVersion: v1
kind: Namespace
metadata: {{ name: shop, labels: {{ mesh: '{label}' }} }}
---{CART}"
        )
    };
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder())
        .with_debounce(Debounce::NONE)
        .with_settings_from_config_map();
    let cluster = registry.add_cluster("cluster");
    // Of selectors of which one has no sense, none counts.
    let senseless = ", { matchExpressions: [{ key: mesh, operator: In }] }";
    for (label, further, services) in [
        ("no", "", 0),
        ("yes", "", 1),
        ("no", "", 0),
        ("no", senseless, 1),
    ] {
        let all = Update::All(objects(&namespaces(label, further)));
        registry.handle_update(cluster, all, now);
        let config = config(registry.poll(now));
        assert_eq!(config.services().iter().count(), services, "{label}");
        assert_eq!(
            config.resources().namespaces.len(),
            1,
            "the namespace itself counts"
        );
        let domain = config.options().trust_domain();
        assert_eq!(
            domain, "example.org",
            "no selector has to choose the settings"
        );
    }
}

#[test]
fn entries_without_addresses_are_given_some_that_stay() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec: { hosts: [books.example], resolution: DNS, ports: [{ number: 80, name: http }] }
";
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder())
        .with_debounce(Debounce::NONE)
        .with_vips(Vips::default());
    let source = registry.add_source("files");
    registry.handle_update(source, Update::All(objects(entry)), now);
    let given = |config: &MeshConfig| {
        let service = config.services().lookup("books.example", "shop").unwrap();
        service.allocated_addresses.clone()
    };
    let first = given(&config(registry.poll(now)));
    assert_eq!(first[0].to_string(), "240.240.0.1");

    registry.handle_update(source, changes(objects(CART), []), now);
    assert_eq!(given(&config(registry.poll(now))), first);
}

/// A slice of the Service `cart` with these addresses, all of them ready.
fn slice(addresses: &[&str]) -> Vec<Object> {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| format!("{{ addresses: ['{address}'] }}"))
        .collect();
    objects(&format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: cart-x, namespace: shop, labels: {{ kubernetes.io/service-name: cart }} }}
addressType: IPv4
ports: [{{ name: http, port: 8080 }}]
endpoints: [{}]
",
        endpoints.join(", ")
    ))
}

#[test]
fn a_slice_alone_changes_endpoints_and_builds_no_configuration() {
    let (mut registry, source, now) = known(CART);
    registry.handle_update(source, changes(slice(&["10.0.0.1"]), []), now);
    let config = match registry.poll(now + QUIET) {
        Some(Change::Endpoints(updates)) => {
            assert_eq!(updates.len(), 1);
            assert_eq!(updates[0].service().name, "cart");
            updates
        }
        other => panic!("{other:?}"),
    };

    let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
    let (registry_config, workload) = (build(CART), Workload::sidecar("shop"));
    let model = resolve(&registry_config, &workload);
    let mut clusters = ClusterEndpoints::new(model.clusters);
    let changed = clusters.apply(&config);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].name, name);
    let address: std::net::SocketAddr = "10.0.0.1:8080".parse().unwrap();
    let endpoint = &clusters.clusters()[&name].endpoints[0];
    assert_eq!(endpoint.address, EndpointAddress::Ip(address));
    assert!(clusters.apply(&config).is_empty(), "nothing changed again");
}

#[test]
fn an_endpoint_at_the_workloads_own_address_builds_a_configuration() {
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder())
        .with_debounce(Debounce::NONE)
        .with_own_addresses([[10, 0, 0, 7].into()]);
    let source = registry.add_source("files");
    registry.handle_update(source, Update::All(objects(CART)), now);
    registry.poll(now);
    registry.handle_update(source, changes(slice(&["10.0.0.1"]), []), now);
    assert!(matches!(registry.poll(now), Some(Change::Endpoints(_))));
    registry.handle_update(source, changes(slice(&["10.0.0.7"]), []), now);
    assert!(
        matches!(registry.poll(now), Some(Change::Config(_))),
        "it came"
    );
    registry.handle_update(source, changes(slice(&["10.0.0.1"]), []), now);
    assert!(
        matches!(registry.poll(now), Some(Change::Config(_))),
        "it went"
    );
}

#[test]
fn a_kind_that_is_listed_anew_replaces_that_kind_alone() {
    let (mut registry, source, now) = known(CART);
    let listed = |addresses| Update::AllOf {
        kind: Kind::EndpointSlice,
        objects: slice(addresses),
    };
    registry.handle_update(source, listed(&["10.0.0.1"]), now);
    assert!(matches!(
        registry.poll(now + QUIET),
        Some(Change::Endpoints(_))
    ));
    registry.handle_update(source, listed(&["10.0.0.1"]), now + QUIET);
    assert_eq!(registry.deadline(), None, "the same again");
    assert_eq!(registry.status()[0].objects, 2);
}

/// A registry of one source with what `text` says, its configuration already given out.
fn known(text: &str) -> (Registry, mesh_discovery::registry::SourceId, Instant) {
    let now = start();
    let mut registry = Registry::new(MeshConfig::builder());
    let source = registry.add_source("files");
    registry.handle_update(source, Update::All(objects(text)), now);
    let now = now + QUIET;
    config(registry.poll(now));
    (registry, source, now)
}

fn config(change: Option<Change>) -> std::sync::Arc<MeshConfig> {
    match change {
        Some(Change::Config(config)) => config,
        other => panic!("no configuration but {other:?}"),
    }
}

fn build(text: &str) -> MeshConfig {
    MeshConfig::builder()
        .extend(objects(text))
        .build(1)
        .unwrap()
}

fn changes(
    applied: impl IntoIterator<Item = Object>,
    removed: impl IntoIterator<Item = ObjectName>,
) -> Update {
    Update::Changes {
        applied: applied.into_iter().collect(),
        removed: removed.into_iter().collect(),
    }
}

fn objects(text: &str) -> Vec<Object> {
    let parsed = parse("test.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.objects
}

fn error(message: &str) -> Diagnostic {
    Diagnostic::new(Severity::Error, "", message)
}

fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}
