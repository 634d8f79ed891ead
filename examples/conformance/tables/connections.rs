//! Connections that go to one place whole: which rules take them, and how they are sent on.

use std::net::IpAddr;

use mesh_core::duration::Duration;
use mesh_core::model::Model;
use mesh_core::model::listener::{FilterChain, NetworkFilter, TcpProxy};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use serde_json::{Map, Value, json};

use super::world::{NAMESPACE, World, cluster};
use super::{Row, Run, go};
use crate::case::{Outcome, text};

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("tls_test.go", "TestMatchTCP") => Some(|row| connection(row, "TCP")),
        ("tls_test.go", "TestMatchTLS") => Some(|row| connection(row, "TLS")),
        ("networkfilter_test.go", "TestBuildOutboundNetworkFiltersTunnelingConfig") => Some(tunnel),
        ("networkfilter_test.go", "TestOutboundNetworkFilterIdleTimeout") => Some(idle_timeout),
        _ => None,
    }
}

/// Whether a rule for connections applies, told by where those to the service go.
fn connection(row: &Row<'_>, protocol: &str) -> Option<Outcome> {
    let arguments = Row(row.field("args")?);
    let condition = arguments.field("match")?;
    if !arguments.texts("gateways")?.is_empty() || condition.get("gateways").is_some() {
        return None;
    }
    let port = match arguments.number("port")? {
        0 => 9000,
        port => port,
    };
    let mut condition = go::json(condition);
    if protocol == "TLS" && condition.get("sniHosts").is_none() {
        condition["sniHosts"] = json!(["svc.example"]);
    }
    let rules = json!({
        "hosts": ["svc.example"],
        protocol.to_ascii_lowercase(): [{
            "match": [condition],
            "route": [{"destination": {"host": "other.example"}}],
        }],
    });
    let ports = |number| json!([{"number": number, "name": "port", "protocol": protocol}]);
    let mut workload = Workload::sidecar(arguments.text("namespace")?);
    for (key, value) in object(arguments.field("proxyLabels"))? {
        workload = workload.with_label(key, value.as_str()?);
    }
    let model = World::default()
        .with_service("svc.example", &ports(port))
        .with_service("other.example", &ports(9001))
        .with("VirtualService", "svc", &rules)
        .resolve(&workload);
    Some(match model {
        Ok(model) => {
            let routed = leads_to(&model, port, "other.example");
            Outcome::equal(&row.flag("want")?, &routed)
        }
        Err(why) => Outcome::Failed(why),
    })
}

fn object(value: Option<&Value>) -> Option<Map<String, Value>> {
    value.map_or_else(|| Some(Map::new()), |value| value.as_object().cloned())
}

fn leads_to(model: &Model, port: u64, host: &str) -> bool {
    let listeners = model.listeners.iter();
    let listeners = listeners.filter(|listener| u64::from(listener.declared_port) == port);
    let chains = listeners.flat_map(|listener| &listener.filter_chains);
    chains.filter_map(tcp_proxy).any(|proxy| names(proxy, host))
}

/// Where connections go whole.
fn tcp_proxies(model: &Model) -> impl Iterator<Item = &TcpProxy> {
    let chains = model.listeners.iter();
    let chains = chains.flat_map(|listener| &listener.filter_chains);
    chains.filter_map(tcp_proxy)
}

fn tcp_proxy(chain: &FilterChain) -> Option<&TcpProxy> {
    match &chain.filter {
        NetworkFilter::Tcp(proxy) => Some(proxy),
        NetworkFilter::Http(_) | NetworkFilter::SniCluster => None,
    }
}

/// Whether a host is among the destinations.
fn names(proxy: &TcpProxy, host: &str) -> bool {
    let mut destinations = proxy.destinations.iter();
    destinations.any(|destination| match &destination.cluster {
        ClusterSpecifier::Name(name) => name.host() == Some(host),
        ClusterSpecifier::Header(_) | ClusterSpecifier::Refused(_) => false,
    })
}

/// Where the connections of a rule go. Of several destinations Istio takes no settings of subsets.
fn tunnel(row: &Row<'_>) -> Option<Outcome> {
    let expected = match row.field("expectedTunnelingConfig") {
        None => None,
        Some(config) => {
            let config = Row(config);
            Some((config.text("hostname")?.to_owned(), config.flag("usePost")?))
        }
    };
    let destinations = row.field("routeDestinations")?.as_array()?;
    let ports = json!([{"number": 3128, "name": "http", "protocol": "HTTP"}]);
    let rule = go::json(row.field("destinationRule")?);
    let model = World::default()
        .with_service(text(&rule, "host"), &ports)
        .with("DestinationRule", "rule", &rule)
        .resolve(&Workload::sidecar(NAMESPACE));
    let model = match model {
        Ok(model) => model,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let [Value::Object(only)] = destinations.as_slice() else {
        return None;
    };
    let destination = Row(only.get("destination")?);
    let port = Row(destination.field("port")?).number("number")?;
    let port = u16::try_from(port).ok()?;
    let (subset, host) = (destination.text("subset")?, destination.text("host")?);
    // A subset that no rule has makes no cluster, and so no tunnel.
    let cluster = cluster(&model, &ClusterName::outbound(port, subset, host)).ok();
    let settings = cluster.and_then(|cluster| cluster.policy.tunnel.as_deref());
    let found = settings.map(|tunnel| {
        let host = match tunnel.target_host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => tunnel.target_host.clone(),
        };
        let port = tunnel.target_port;
        (format!("{host}:{port}"), tunnel.protocol == "POST")
    });
    Some(Outcome::equal(&expected, &found))
}

/// The idle timeout of connections to the first destination. Istio's environment variable for it is
/// one of its agent.
fn idle_timeout(row: &Row<'_>) -> Option<Outcome> {
    let written = row.text("istioMetaIdleTimeout")?;
    let rule = row.field("destRule");
    let is_by_agent = rule.is_none() && row.field("expected").is_some();
    if is_by_agent && !written.is_empty() {
        return Some(Outcome::unsupported(
            "ISTIO_META_IDLE_TIMEOUT is an environment variable of Istio's agent",
        ));
    }
    let expected: Option<Duration> = match row.field("expected") {
        None => None,
        Some(text) => Some(text.as_str()?.parse().ok()?),
    };
    let routes = row.field("routes")?.clone();
    let ports = json!([{"number": 443, "name": "tls", "protocol": "TCP"}]);
    let rules = json!({"hosts": ["entry.example"], "tcp": [{"route": routes}]});
    let mut world = World::default()
        .with_service("entry.example", &ports)
        .with_service("example.com", &ports)
        .with_service("example-canary.com", &ports)
        .with("VirtualService", "rules", &rules);
    if let Some(rule) = rule {
        world = world.with("DestinationRule", "rule", rule);
    }
    let model = match world.resolve(&Workload::sidecar(NAMESPACE)) {
        Ok(model) => model,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let found = tcp_proxies(&model)
        .find(|proxy| names(proxy, "example.com"))
        .map(|proxy| proxy.idle_timeout);
    let expected = expected.and_then(Duration::as_std);
    Some(Outcome::equal(&Some(expected), &found))
}
