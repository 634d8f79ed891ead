//! A cluster whose API server is on loopback and does all that API servers do to their clients.
#![cfg(feature = "kubernetes")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "no test uses all of it")]
#[path = "support/api_server.rs"]
mod api_server;

use std::future::poll_fn;
use std::time::Duration;

use mesh_core::config::MeshConfig;
use mesh_core::resource::Object;
use mesh_core::resource::istio::authorization_policy::{Action, Rule};
use mesh_core::resource::kind::Kind;
use mesh_discovery::registry::{Change, Debounce, Driver, Registry};
use mesh_discovery::source::kubernetes::{Cluster, Kubernetes, Pauses, connect};
use mesh_discovery::source::{Source, Update};
use serde_json::{Value, json};
use tokio::time::timeout;

use api_server::{ApiServer, TOKEN};

/// Far more than any of the exchanges takes.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICES: &str = "v1/services";
const POLICIES: &str = "security.istio.io/v1/authorizationpolicies";
const ENTRIES: &str = "networking.istio.io/v1/serviceentries";

/// A source of these kinds, connected by a kubeconfig.
async fn source(server: &ApiServer, kinds: &[Kind]) -> Kubernetes {
    // Fails only if another test was faster.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, &server.certificate_pem).unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{ "name": "tests", "cluster": {
            "server": format!("https://{}", server.address),
            "certificate-authority": ca,
        }}],
        "users": [{ "name": "tests", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "tests" } }],
    });
    let path = directory.path().join("config");
    std::fs::write(&path, config.to_string()).unwrap();
    let client = connect(&Cluster::Kubeconfig {
        path,
        context: None,
    })
    .await
    .unwrap();
    let pauses = Pauses {
        base: Duration::from_millis(20),
        max: Duration::from_millis(100),
        recheck: Duration::from_millis(50),
    };
    Kubernetes::new(client)
        .with_kinds(kinds.iter().copied())
        .with_pauses(pauses)
        .with_page_size(2)
}

async fn next(source: &mut Kubernetes) -> Update {
    let update = poll_fn(|cx| source.poll_update(cx));
    timeout(PATIENCE, update).await.unwrap().unwrap()
}

fn service(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes" },
        },
        "spec": { "clusterIP": "10.96.0.1", "ports": [{ "name": "http", "port": 80 }] },
    })
}

fn names(objects: &[Object]) -> Vec<&str> {
    let mut names: Vec<&str> = objects
        .iter()
        .map(|object| &*object.metadata().name)
        .collect();
    names.sort_unstable();
    names
}

/// The next update, as names: applied with `+`, removed with `-`, a whole kind as it is.
async fn told(source: &mut Kubernetes) -> Vec<String> {
    match next(source).await {
        Update::All(objects) | Update::AllOf { objects, .. } => {
            names(&objects).into_iter().map(str::to_owned).collect()
        }
        Update::Changes { applied, removed } => {
            let applied = names(&applied).into_iter().map(|name| format!("+{name}"));
            applied
                .chain(removed.iter().map(|name| format!("-{}", name.name)))
                .collect()
        }
        Update::Failed(_) => vec!["failed".to_owned()],
        Update::Recovered => vec!["recovered".to_owned()],
        Update::Problems(found) => vec![format!("problems {}", found.len())],
    }
}

#[tokio::test]
async fn pages_are_listed_and_changes_watched() {
    let server = ApiServer::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.apply(SERVICES, service(name));
    }
    let mut source = source(&server, &[Kind::Service]).await;
    let Update::All(objects) = next(&mut source).await else {
        panic!()
    };
    assert_eq!(names(&objects), ["a", "b", "c", "d", "e"]);
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|made| *made == "list v1/services")
            .count(),
        3
    );
    let metadata = objects[0].metadata();
    assert!(metadata.managed_fields.is_empty());
    assert_eq!(metadata.annotations.keys().collect::<Vec<_>>(), ["kept"]);
    assert_eq!(objects[0].origin().file(), "kubernetes");

    server.wait_for("watch v1/services 5").await;
    server.apply(SERVICES, service("f"));
    assert_eq!(told(&mut source).await, ["+f"]);
    server.delete(SERVICES, "shop", "a");
    assert_eq!(told(&mut source).await, ["-a"]);
}

#[tokio::test]
async fn a_watch_that_ends_is_taken_up_at_the_last_bookmark() {
    let server = ApiServer::start().await;
    server.apply(SERVICES, service("a"));
    let mut source = source(&server, &[Kind::Service]).await;
    assert_eq!(told(&mut source).await, ["a"]);
    server.wait_for("watch v1/services 1").await;

    server.bookmark(SERVICES);
    server.end_watches();
    server.wait_for("watch v1/services 2").await;
    server.apply(SERVICES, service("b"));
    assert_eq!(told(&mut source).await, ["+b"]);
}

#[tokio::test]
async fn what_happened_while_a_watch_was_gone_is_found_by_a_list() {
    for as_status in [false, true] {
        let server = ApiServer::start().await;
        server.apply(SERVICES, service("a"));
        server.apply(SERVICES, service("b"));
        let mut source = source(&server, &[Kind::Service]).await;
        assert_eq!(told(&mut source).await, ["a", "b"]);
        server.wait_for("watch v1/services 2").await;

        server.delete(SERVICES, "shop", "a");
        server.apply(SERVICES, service("c"));
        server.compact(as_status);
        server.end_watches();
        loop {
            let told = told(&mut source).await;
            if told == ["b", "c"] {
                break;
            }
            // Events that were on their way before the past was forgotten.
            assert!(told == ["-a"] || told == ["+c"], "{told:?} {as_status}");
        }
        server.apply(SERVICES, service("d"));
        assert_eq!(told(&mut source).await, ["+d"], "{as_status}");
    }
}

#[tokio::test]
async fn a_server_that_breaks_down_makes_the_source_stale_until_it_answers_again() {
    let server = ApiServer::start().await;
    server.apply(SERVICES, service("a"));
    let mut source = source(&server, &[Kind::Service]).await;
    assert_eq!(told(&mut source).await, ["a"]);
    server.wait_for("watch v1/services 1").await;
    server.break_down(true);
    let Update::Failed(why) = next(&mut source).await else {
        panic!()
    };
    assert!(
        why[0].message.contains("`Service` cannot be read"),
        "{}",
        why[0]
    );
    server.break_down(false);
    server.apply(SERVICES, service("b"));
    let mut seen = Vec::new();
    while !(seen.contains(&"+b".to_owned()) && seen.contains(&"recovered".to_owned())) {
        seen.extend(told(&mut source).await);
    }
}

#[tokio::test]
async fn a_kind_that_is_absent_is_lived_without_and_found_when_it_is_defined() {
    let server = ApiServer::start().await;
    server.apply(SERVICES, service("a"));
    let mut source = source(&server, &[Kind::Service, Kind::ServiceEntry]).await;
    assert_eq!(told(&mut source).await, ["a"]);

    server.apply(
        ENTRIES,
        json!({
            "metadata": { "name": "books", "namespace": "shop" },
            "spec": { "hosts": ["books.example"] },
        }),
    );
    assert_eq!(told(&mut source).await, ["books"]);
    server.wait_for("watch networking.istio.io").await;
    server.undefine(ENTRIES);
    assert_eq!(told(&mut source).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_old_version_of_a_kind_is_read_if_there_is_no_newer_one() {
    let server = ApiServer::start().await;
    server.apply(
        "networking.istio.io/v1beta1/serviceentries",
        json!({
            "metadata": { "name": "old", "namespace": "shop" },
            "spec": { "hosts": ["old.example"] },
        }),
    );
    let mut source = source(&server, &[Kind::ServiceEntry]).await;
    assert_eq!(told(&mut source).await, ["old"]);
}

#[tokio::test]
async fn a_kind_that_is_refused_is_a_problem_and_read_once_it_may_be() {
    let server = ApiServer::start().await;
    server.apply(SERVICES, service("a"));
    server.apply(
        "v1/secrets",
        json!({ "metadata": { "name": "s", "namespace": "shop" } }),
    );
    server.refuse("v1/secrets", true);
    let mut source = source(&server, &[Kind::Service, Kind::Secret]).await;
    assert_eq!(told(&mut source).await, ["a"]);
    let Update::Problems(found) = next(&mut source).await else {
        panic!()
    };
    assert!(found[0].message.contains("`Secret`"), "{}", found[0]);
    server.refuse("v1/secrets", false);
    assert_eq!(told(&mut source).await, ["s"]);
    assert_eq!(told(&mut source).await, ["problems 0"]);
}

#[tokio::test]
async fn a_server_that_does_not_know_us_is_not_one_without_objects() {
    let server = ApiServer::start().await;
    server.apply(SERVICES, service("a"));
    server.expire_token(true);
    let mut source = source(&server, &[Kind::Service]).await;
    assert_eq!(told(&mut source).await, ["failed"]);
    server.expire_token(false);
    assert_eq!(told(&mut source).await, ["a"]);
    assert_eq!(told(&mut source).await, ["recovered"]);

    server.wait_for("watch v1/services 1").await;
    server.expire_token(true);
    assert_eq!(told(&mut source).await, ["failed"]);
}

#[tokio::test]
async fn policies_that_are_refused_keep_the_source_from_being_known() {
    let server = ApiServer::start().await;
    server.define(POLICIES);
    server.apply(SERVICES, service("a"));
    server.refuse(POLICIES, true);
    let kinds = [Kind::Service, Kind::AuthorizationPolicy];
    let mut refused = source(&server, &kinds).await;
    assert_eq!(told(&mut refused).await, ["failed"]);
    let mut without = source(&server, &kinds)
        .await
        .without(Kind::AuthorizationPolicy);
    assert_eq!(told(&mut without).await, ["a"]);

    server.refuse(POLICIES, false);
    assert_eq!(told(&mut refused).await, ["a"]);
    assert_eq!(told(&mut refused).await, ["recovered"]);
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_denies_everything_until_it_can_be() {
    let server = ApiServer::start().await;
    let policy = |action: &str| {
        json!({
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": { "action": action, "rules": [{ "to": [{ "operation": { "paths": ["/x"] } }] }] },
        })
    };
    server.apply(POLICIES, policy("PERHAPS"));
    let mut source = source(&server, &[Kind::AuthorizationPolicy]).await;
    let Update::All(objects) = next(&mut source).await else {
        panic!()
    };
    let Object::AuthorizationPolicy(closed) = &objects[0] else {
        panic!()
    };
    assert_eq!(closed.spec.action, Action::Deny);
    assert_eq!(closed.spec.rules, Some(vec![Rule::default()]), "everything");
    let Update::Problems(found) = next(&mut source).await else {
        panic!()
    };
    assert!(found[0].message.contains("shop/p"), "{}", found[0]);

    server.apply(POLICIES, policy("DENY"));
    let Update::Changes { applied, .. } = next(&mut source).await else {
        panic!()
    };
    let Object::AuthorizationPolicy(read) = &applied[0] else {
        panic!()
    };
    assert_eq!(read.spec.rules.as_ref().map_or(0, Vec::len), 1);
    assert_eq!(told(&mut source).await, ["problems 0"]);
}

#[tokio::test]
async fn a_registry_sees_a_cluster_and_endpoints_alone_build_nothing() {
    let server = ApiServer::start().await;
    server.define("discovery.k8s.io/v1/endpointslices");
    server.apply(SERVICES, service("cart"));
    let source = source(&server, &[Kind::Service, Kind::EndpointSlice]).await;
    let registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
    let mut driver = Driver::new(registry);
    driver.add_cluster("cluster", source);
    let Some(Change::Config(config)) = timeout(PATIENCE, driver.next()).await.unwrap() else {
        panic!();
    };
    let host = "cart.shop.svc.cluster.local";
    assert!(config.services().lookup(host, "shop").is_some());
    server.apply(
        "discovery.k8s.io/v1/endpointslices",
        json!({
            "metadata": {
                "name": "cart-x", "namespace": "shop",
                "labels": { "kubernetes.io/service-name": "cart" },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }],
        }),
    );
    let Some(Change::Endpoints(updates)) = timeout(PATIENCE, driver.next()).await.unwrap() else {
        panic!();
    };
    let service = updates[0].service();
    assert_eq!(service.endpoints(&service.ports[0]).len(), 2);
}
