//! What a sidecar sees of the mesh, and the limits and routes it makes of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::resolve::{resolve, visible_services};
use mesh_core::resource::istio::destination_rule::ConnectionPoolSettings;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use serde_json::{Value, json};

use super::world::{NAMESPACE, World, cluster};
use super::{Row, Run, go};
use crate::case::{Outcome, text};

/// The address of the workload.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("cluster_test.go", "TestConnectionPoolSettings") => Some(pools),
        ("sidecar_test.go", "TestInboundConnectionPoolForPort") => Some(inbound_pools),
        ("sidecar_test.go", "TestContainsEgressDependencies") => Some(dependencies),
        ("sidecar_test.go", "TestIstioEgressListenerWrapper") => Some(selected_services),
        ("util_test.go", "TestIsAllowAnyOutbound") => Some(allows_any),
        _ => None,
    }
}

fn workload() -> Workload {
    let mut workload = Workload::sidecar(NAMESPACE);
    workload.addresses.push(IpAddr::from(ADDRESS));
    workload
}

/// A Sidecar whose ports have names, as they must.
fn sidecar(written: &Value) -> Value {
    let mut spec = go::json(written);
    let listeners = spec.get_mut("ingress").and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten() {
        let number = listener["port"]["number"].clone();
        listener["port"]["name"] = format!("port-{number}").into();
    }
    spec
}

/// The ports 8080 and 9090 of a service lead to 10001 and 10002 of the workload.
fn pools(row: &Row<'_>) -> Option<Outcome> {
    let rule = row.field("destrule")?;
    let host = text(rule, "host");
    let service = json!({
        "hosts": [host],
        "resolution": "STATIC",
        "location": "MESH_INTERNAL",
        "ports": [
            {"number": 8080, "name": "http", "protocol": "HTTP", "targetPort": 10001},
            {"number": 9090, "name": "auto", "protocol": "HTTP", "targetPort": 10002},
        ],
        "endpoints": [{"address": ADDRESS}],
    });
    let mut world = World::default()
        .with("ServiceEntry", "service", &service)
        .with("DestinationRule", "rule", rule);
    if let Some(written) = row.field("sidecar") {
        world = world.with("Sidecar", "sidecar", &sidecar(written));
    }
    Some(compare_pools(world, row.field("want")?, |name| {
        Some(ClusterName::from(name))
    }))
}

/// The workload has the ports that are listed.
fn inbound_pools(row: &Row<'_>) -> Option<Outcome> {
    let written = sidecar(row.field("sidecar")?);
    let wanted = row.field("want")?;
    let ports = wanted.as_object()?.keys().map(|number| {
        let number: u32 = number.parse().ok()?;
        let name = format!("tcp-{number}");
        Some(json!({"number": number, "name": name, "protocol": "TCP"}))
    });
    let ports: Option<Vec<Value>> = ports.collect();
    let service = json!({
        "hosts": ["svc.example"],
        "resolution": "STATIC",
        "location": "MESH_INTERNAL",
        "ports": ports?,
        "endpoints": [{"address": ADDRESS}],
    });
    // Of a Sidecar that lists ports, only those are there. The limits of others are never used.
    let listed: BTreeSet<u64> = listed_ports(&written);
    let mut asked = wanted.as_object()?.clone();
    asked.retain(|number, _| {
        let number = number.parse().unwrap_or_default();
        listed.is_empty() || listed.contains(&number)
    });
    let world = World::default()
        .with("ServiceEntry", "service", &service)
        .with("Sidecar", "sidecar", &written);
    Some(compare_pools(world, &Value::Object(asked), |number| {
        Some(ClusterName::inbound(number.parse().ok()?))
    }))
}

fn listed_ports(sidecar: &Value) -> BTreeSet<u64> {
    let listeners = sidecar.get("ingress").and_then(Value::as_array);
    let listeners = listeners.into_iter().flatten();
    listeners
        .filter_map(|listener| listener.pointer("/port/number")?.as_u64())
        .collect()
}

/// Compares the connection pools of clusters, by name.
fn compare_pools(
    world: World,
    wanted: &Value,
    name: impl Fn(&str) -> Option<ClusterName>,
) -> Outcome {
    let model = match world.resolve(&workload()) {
        Ok(model) => model,
        Err(why) => return Outcome::Failed(why),
    };
    for (key, pool) in wanted.as_object().into_iter().flatten() {
        let pool = Some(pool).filter(|pool| !pool.is_null());
        let Some(expected) = go::read_optional::<ConnectionPoolSettings>(pool) else {
            return Outcome::unsupported("limits that are not read");
        };
        let found = name(key)
            .ok_or_else(|| format!("`{key}` names no cluster"))
            .and_then(|name| cluster(&model, &name).cloned());
        let outcome = match found {
            Ok(cluster) => {
                let found = cluster.policy.connection_pool.map(|pool| *pool);
                Outcome::equal(&(key, expected), &(key, found))
            }
            Err(why) => Outcome::Failed(why),
        };
        if outcome != Outcome::Passed {
            return outcome;
        }
    }
    Outcome::Passed
}

/// The service `svc1.com` of the namespace `ns`, and the rules that are written for it there.
fn dependencies(row: &Row<'_>) -> Option<Outcome> {
    let rules = json!({
        "hosts": ["svc1.com"],
        "http": [{"route": [{"destination": {"host": "svc1.com"}}]}],
    });
    let mut world = World::default()
        .with_in("nomatch", "ServiceEntry", "nomatch", &entry("nomatch"))
        .with_in("ns", "ServiceEntry", "svc1", &entry("svc1.com"))
        .with_in("ns", "VirtualService", "vs1", &rules)
        .with_in(
            "ns",
            "DestinationRule",
            "dr1",
            &json!({"host": "svc1.com", "exportTo": ["*"]}),
        );
    let egress = row.texts("egress")?;
    if !egress.is_empty() {
        let spec = json!({"egress": [{"hosts": egress}]});
        world = world.with("Sidecar", "foo", &spec);
    }
    let seen = match world.build() {
        Ok(config) => seen(&config),
        Err(why) => return Some(Outcome::Failed(why)),
    };
    for (resource, expected) in row.field("contains")?.as_object()? {
        let resource = named(resource)?;
        let known = ["ServiceEntry", "VirtualService", "DestinationRule"];
        if !known.contains(&&*resource.0) {
            return None;
        }
        let outcome = Outcome::equal(
            &(&resource, expected.as_bool()?),
            &(&resource, seen.contains(&resource)),
        );
        if outcome != Outcome::Passed {
            return Some(outcome);
        }
    }
    Some(Outcome::Passed)
}

/// Kind, name and namespace of what is in effect for the workload. Services are named by their host.
fn seen(config: &MeshConfig) -> BTreeSet<(String, String, String)> {
    let services = visible_services(config, &workload());
    let services = services.iter().map(|service| {
        let kind = "ServiceEntry".to_owned();
        (kind, service.hostname.clone(), service.namespace.clone())
    });
    let model = resolve(config, &workload());
    let routes = model.route_configurations.values();
    let hosts = routes.flat_map(|routes| &routes.virtual_hosts);
    let rules = hosts.flat_map(|host| host.routes.iter().map(|route| &route.origin));
    let policies = model.clusters.values();
    let policies = policies.filter_map(|cluster| cluster.policy_origin.as_ref());
    let origins = rules.chain(policies).map(|origin| {
        let parts = [origin.kind(), origin.name(), origin.namespace()];
        parts.map(str::to_owned).into()
    });
    services.chain(origins).collect()
}

fn entry(host: &str) -> Value {
    json!({
        "hosts": [host],
        "resolution": "NONE",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    })
}

/// Kind, name and namespace of a key such as `{"_pos": "[Sym(kind.ServiceEntry), 'svc', 'ns']"}`.
fn named(key: &str) -> Option<(String, String, String)> {
    let key: Value = serde_json::from_str(key).ok()?;
    let list = text(&key, "_pos").strip_prefix('[')?.strip_suffix(']')?;
    let mut parts = list.split(", ").map(|part| part.trim_matches('\''));
    let kind = parts
        .next()?
        .strip_prefix("Sym(kind.")?
        .strip_suffix(')')?
        .to_owned();
    Some((kind, parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// The services that an egress listener imports.
fn selected_services(row: &Row<'_>) -> Option<Outcome> {
    let mut hosts = Vec::new();
    for (namespace, listed) in row.field("listenerHosts")?.as_object()? {
        let namespace = match namespace.as_str() {
            "Sym(wildcardNamespace)" => "*",
            "Sym(currentNamespace)" => ".",
            namespace => namespace,
        };
        for host in Row(listed).texts("allHosts")? {
            hosts.push(format!("{namespace}/{host}"));
        }
    }
    let mut world = World::default();
    let services = row.field("services")?.as_array()?;
    for (index, service) in services.iter().enumerate() {
        let (host, namespace, ports) = service_parts(service)?;
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, number)| json!({"name": name, "number": number, "protocol": "HTTP"}))
            .collect();
        let spec = json!({"hosts": [host], "resolution": "NONE", "ports": ports});
        world = world.with_in(&namespace, "ServiceEntry", &format!("s{index}"), &spec);
    }
    let namespace = row.text("namespace")?;
    let spec = json!({"egress": [{"hosts": hosts}]});
    let config = match world
        .with_in(namespace, "Sidecar", "sidecar", &spec)
        .build()
    {
        Ok(config) => config,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let expected: Option<BTreeSet<_>> = match row.field("expected") {
        None => Some(BTreeSet::new()),
        Some(expected) => expected.as_array()?.iter().map(service_parts).collect(),
    };
    let expected = expected?;
    let owners: BTreeSet<_> = expected
        .iter()
        .map(|(host, owner, _)| (host, owner))
        .collect();
    if owners.len() < expected.len() {
        return Some(Outcome::unsupported(
            "of two services of one host and namespace one counts",
        ));
    }
    let found = visible_services(&config, &Workload::sidecar(namespace));
    let found = found.iter().map(|service| {
        let ports = service.ports.iter();
        let ports = ports.map(|port| (port.name.clone(), port.number.into()));
        (
            service.hostname.clone(),
            service.namespace.clone(),
            ports.collect(),
        )
    });
    Some(Outcome::equal(&expected, &found.collect()))
}

type Parts = (String, String, Vec<(String, u64)>);

fn service_parts(service: &Value) -> Option<Parts> {
    let service = Row(service);
    let namespace = Row(service.field("Attributes")?).text("Namespace")?;
    let ports = service.field("Ports")?;
    let ports = ports.get("_pos").unwrap_or(ports).as_array()?.iter();
    let ports: Option<Vec<_>> = ports
        .map(|port| Some((text(port, "Name").to_owned(), Row(port).number("Port")?)))
        .collect();
    let host = service.text("Hostname")?;
    Some((host.to_owned(), namespace.to_owned(), ports?))
}

/// A sidecar without a policy of its own has that of the mesh, which the row does not tell.
fn allows_any(row: &Row<'_>) -> Option<Outcome> {
    let node = Row(row.field("node")?);
    let policy = Row(node.field("SidecarScope")?).field("OutboundTrafficPolicy")?;
    let spec = json!({"outboundTrafficPolicy": policy, "egress": [{"hosts": ["*/*"]}]});
    let model = World::default()
        .with("ServiceEntry", "svc", &entry("svc.example"))
        .with("Sidecar", "sidecar", &spec)
        .resolve(&workload());
    Some(match model {
        Ok(model) => Outcome::equal(&row.flag("result")?, &has_host(&model, "allow_any")),
        Err(why) => Outcome::Failed(why),
    })
}

fn has_host(model: &Model, name: &str) -> bool {
    let routes = model.route_configurations.values();
    let mut hosts = routes.flat_map(|routes| &routes.virtual_hosts);
    hosts.any(|host| host.name == name)
}
