//! Servers of Gateways: what they take, and how those of several Gateways are put together.

use std::collections::BTreeSet;

use mesh_core::model::Model;
use mesh_core::resource::istio::gateway::Server;
use mesh_core::workload::Workload;
use serde_json::{Value, json};

use super::world::World;
use super::{Row, Run, go};
use crate::case::{Outcome, text};

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("gateway_test.go", "TestIsTLSServer") => Some(|row| about(row, Server::is_tls)),
        ("gateway_test.go", "TestIsHTTPServer") => Some(|row| about(row, Server::is_http)),
        ("gateway_test.go", "TestIsPassThroughServer") => {
            Some(|row| about(row, Server::is_passthrough))
        }
        ("gateway_test.go", "TestIsHTTPSServerWithTLSTermination") => {
            Some(|row| about(row, |server| server.is_http() && server.is_tls()))
        }
        ("conversion_test.go", "TestGatewayReferenceAllowedParentHostnameParsing") => {
            Some(attached)
        }
        ("gateway_test.go", "TestMergeGateways") => Some(merged),
        _ => None,
    }
}

fn about(row: &Row<'_>, question: impl Fn(&Server) -> bool) -> Option<Outcome> {
    let server: Server = go::read(row.field("server")?)?;
    Some(Outcome::equal(&row.flag("expected")?, &question(&server)))
}

/// The Gateways of a row, the oldest first, are those of one workload, whatever they select.
/// Something is bound to each of their servers, so that none is without work.
///
/// Listeners and route configurations are counted, and the servers: all but those that are left out.
fn merged(row: &Row<'_>) -> Option<Outcome> {
    let mut world = World::default();
    let mut declared = 0;
    for (age, config) in row.field("gwConfig")?.as_array()?.iter().enumerate() {
        let meta = Row(config.get("Meta")?);
        let (namespace, name) = (meta.text("Namespace")?, meta.text("Name")?);
        let mut spec = go::json(config.get("Spec")?);
        spec["selector"] = json!({});
        let servers = spec.get("servers")?.as_array()?;
        declared += servers.len();
        let rules = bound(&format!("{namespace}/{name}"), servers);
        world = world
            .with_object(json!({
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "creationTimestamp": format!("2026-01-01T00:00:{age:02}Z"),
                },
                "spec": spec,
            }))
            .with_in(namespace, "VirtualService", name, &rules);
    }
    let ports = json!([{"number": 80, "name": "tcp", "protocol": "TCP"}]);
    let model = world
        .with_service("svc.example", &ports)
        .resolve(&Workload::gateway("default"));
    let model = match model {
        Ok(model) => model,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let routes = row.field("serversForRouteNum")?.as_object()?.keys();
    let expected = (
        row.number("mergedServersNum")?,
        row.number("serverNum")?,
        routes.map(String::as_str).collect::<BTreeSet<_>>(),
    );
    let routes = model.route_configurations.keys().map(String::as_str);
    let found = (
        served(&model),
        u64::try_from(declared - left_out(&model)).ok()?,
        routes.collect(),
    );
    Some(Outcome::equal(&expected, &found))
}

/// A route whose host is one of those of a listener, which Istio writes after a namespace.
fn attached(row: &Row<'_>) -> Option<Outcome> {
    let own = row.texts("ParentHostnames")?.into_iter();
    let own = own.map(|host| host.rsplit_once('/').map_or(host, |(_, host)| host));
    let listeners = own.enumerate().map(|(index, host)| {
        json!({"name": format!("l{index}"), "port": 80, "protocol": "HTTP", "hostname": host})
    });
    let hosts = row.texts("RouteHostnames")?;
    let model = World::default()
        .with_object(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "istio", "listeners": listeners.collect::<Vec<_>>()},
        }))
        .with_object(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "route", "namespace": "default"},
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": hosts, "rules": [{}]},
        }))
        .resolve(
            &Workload::gateway("default")
                .with_label("gateway.networking.k8s.io/gateway-name", "edge"),
        );
    Some(match model {
        Ok(model) => {
            let served = model.route_configurations.values();
            let served = served.flat_map(|routes| &routes.virtual_hosts);
            let domains: BTreeSet<&str> = served
                .flat_map(|host| &host.domains)
                .map(String::as_str)
                .collect();
            Outcome::equal(&true, &hosts.iter().all(|host| domains.contains(host)))
        }
        Err(why) => Outcome::Failed(why),
    })
}

/// Routes for requests and connections of all hosts of the servers of a gateway.
fn bound(gateway: &str, servers: &[Value]) -> Value {
    let hosts = servers.iter().flat_map(|server| {
        let hosts = server.get("hosts").and_then(Value::as_array);
        hosts.into_iter().flatten().filter_map(Value::as_str)
    });
    let hosts: BTreeSet<&str> = hosts
        .map(|host| host.rsplit_once('/').map_or(host, |(_, host)| host))
        .collect();
    let names: Vec<&&str> = hosts.iter().collect();
    let route = json!([{"destination": {"host": "svc.example"}}]);
    let is_passed_on = servers
        .iter()
        .any(|server| text(&server["tls"], "mode") == "PASSTHROUGH");
    let mut rules = json!({
        "hosts": names,
        "gateways": [gateway],
        "http": [{"directResponse": {"status": 200}}],
        "tcp": [{"route": route}],
    });
    if is_passed_on {
        rules["tls"] = json!([{"match": [{"sniHosts": names}], "route": route}]);
    }
    rules
}

/// Istio counts filter chains with TLS one by one, and what shares a chain once.
fn served(model: &Model) -> u64 {
    let chains = model.listeners.iter();
    let chains = chains.map(|listener| listener.filter_chains.len());
    chains.sum::<usize>().try_into().unwrap_or(u64::MAX)
}

fn left_out(model: &Model) -> usize {
    let notices = model.notices.iter();
    let left_out = notices.filter(|notice| notice.message.contains("left out"));
    left_out.count()
}
