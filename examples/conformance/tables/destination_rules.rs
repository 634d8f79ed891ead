//! DestinationRules and the mesh's defaults: what is effective of them in a cluster.

use mesh_core::model::cluster::{Cluster, LocalityBalancing, TrafficPolicy};
use mesh_core::resource::istio::destination_rule::{
    LocalityLoadBalancerSetting, TcpKeepalive, TrafficPolicy as Written,
    ZoneAwareLoadBalancerSetting,
};
use mesh_core::service::{ClusterName, Protocol};
use mesh_discovery::balance::Settings;
use mesh_discovery::balance::slow_start::SlowStart;
use mesh_discovery::locality::Client;
use serde_json::{Value, json};

use super::world::World;
use super::{Row, Run, go};
use crate::case::Outcome;

/// The service that the rules are about.
const HOST: &str = "svc.example";

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("loadbalancer_test.go", "TestGetEffectiveLbSetting") => Some(locality),
        ("util_test.go", "TestMergeSubsetTrafficPolicy") => Some(subset),
        ("cluster_test.go", "TestWarmup") => Some(warmup),
        ("cluster_test.go", "TestDefaultTrafficPolicy") => Some(default_policy),
        ("cluster_test.go", "TestDisablePanicThresholdAsDefault") => Some(panic),
        ("cluster_builder_test.go", "TestShouldH2Upgrade") => Some(h2_upgrade),
        ("cluster_builder_test.go", "TestApplyTCPKeepalive") => Some(keepalive),
        _ => None,
    }
}

/// The cluster of port 80 of [`HOST`] by a traffic policy and the mesh's settings.
fn cluster(policy: &Value, mesh: &Value) -> Result<Cluster, String> {
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    World::default()
        .with_service(HOST, &ports)
        .with(
            "DestinationRule",
            "rule",
            &json!({"host": HOST, "trafficPolicy": policy}),
        )
        .with_mesh(mesh)
        .cluster(&ClusterName::outbound(80, "", HOST))
}

fn compared(
    cluster: Result<Cluster, String>,
    compare: impl FnOnce(&Cluster) -> Outcome,
) -> Outcome {
    match cluster {
        Ok(cluster) => compare(&cluster),
        Err(why) => Outcome::Failed(why),
    }
}

/// Settings of the mesh that are not there are those that are disabled: here, an absent setting
/// means Istio's default.
fn locality(row: &Row<'_>) -> Option<Outcome> {
    if row.field("svc").is_some() {
        return None;
    }
    let locality = row.field("meshLocality").map(go::json);
    let mut mesh = json!({
        "localityLbSetting": locality.unwrap_or_else(|| json!({"enabled": false})),
    });
    if let Some(zones) = row.field("meshZoneAware") {
        mesh["zoneAwareLbSetting"] = go::json(zones);
    }
    let policy = match row.field("dr") {
        None => json!({}),
        Some(settings) => json!({"loadBalancer": go::json(settings)}),
    };
    let by_place: Option<LocalityLoadBalancerSetting> =
        go::read_optional(row.field("expectedLocality"))?;
    let by_zone: Option<ZoneAwareLoadBalancerSetting> =
        go::read_optional(row.field("expectedZoneAware"))?;
    let is_forced = row.flag("expectedForce")?;
    let expected = match (by_place, by_zone) {
        (Some(setting), None) => LocalityBalancing::Locality {
            setting: Box::new(setting),
            force: is_forced,
        },
        (None, Some(setting)) => LocalityBalancing::ZoneAware(Box::new(setting)),
        (None, None) => LocalityBalancing::Off,
        (Some(_), Some(_)) => return None,
    };
    let routes_by_zone = row.flag("expectedRoutingEnabled")?;
    Some(compared(
        cluster(&policy, &mesh),
        |cluster| match Outcome::equal(&expected, &cluster.locality) {
            Outcome::Passed => Outcome::equal(&routes_by_zone, &counts_zones(cluster)),
            other => other,
        },
    ))
}

/// Whether zones share the load, and their regions are told apart.
fn counts_zones(cluster: &Cluster) -> bool {
    let settings = Settings::compile(cluster, &Client::default());
    settings.rules.zone_aware_minimum().is_some()
}

fn subset(row: &Row<'_>) -> Option<Outcome> {
    let port = match row.field("port") {
        // No port that any rule names.
        None => 1,
        Some(port) => Row(port).number("Port")?,
    };
    let [original, subset] = ["original", "subset"].map(|name| row.field(name));
    let mut rule = json!({"host": HOST});
    if let Some(policy) = original {
        rule["trafficPolicy"] = policy.clone();
    }
    if let Some(policy) = subset {
        rule["subsets"] = json!([{"name": "subset", "trafficPolicy": policy}]);
    }
    let expected = effective(go::read_optional(row.field("expected"))?.unwrap_or_default())?;
    let number = u16::try_from(port).ok()?;
    let name = subset.map_or("", |_| "subset");
    let ports = json!([{"number": port, "name": "http", "protocol": "HTTP"}]);
    let cluster = World::default()
        .with_service(HOST, &ports)
        .with("DestinationRule", "rule", &rule)
        .cluster(&ClusterName::outbound(number, name, HOST));
    Some(compared(cluster, |cluster| {
        Outcome::equal(&expected, &cluster.policy)
    }))
}

/// A policy that has no ports of its own.
fn effective(written: Written) -> Option<TrafficPolicy> {
    let Written {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = written;
    port_level_settings.is_empty().then_some(TrafficPolicy {
        load_balancer: load_balancer.map(Box::new),
        connection_pool: connection_pool.map(Box::new),
        outlier_detection: outlier_detection.map(Box::new),
        tls: tls.map(Box::new),
        tunnel: tunnel.map(Box::new),
        proxy_protocol,
        retry_budget,
    })
}

/// What the test's own code expects: nothing for `PASSTHROUGH`, else what is written, with Envoy's
/// defaults.
fn warmup(row: &Row<'_>) -> Option<Outcome> {
    let mut balancer = json!({});
    let policy = row.text("lbType")?;
    if !policy.is_empty() {
        balancer["simple"] = policy.into();
    }
    let mut expected = None;
    if let Some(written) = row.field("warmup") {
        balancer["warmup"] = written.clone();
        let warmup = Row(written);
        let window: mesh_core::duration::Duration = warmup.text("duration")?.parse().ok()?;
        let mut start = SlowStart::new(window.as_std()?);
        if !row.flag("defaultConfig")? {
            start = start
                .with_minimum(warmup.field("minimumPercent")?.as_f64()? / 100.0)
                .with_aggression(warmup.field("aggression")?.as_f64()?);
        }
        expected = (policy != "PASSTHROUGH").then_some(start);
    }
    let cluster = cluster(&json!({"loadBalancer": balancer}), &json!({}));
    Some(compared(cluster, |cluster| {
        let settings = Settings::compile(cluster, &Client::default());
        Outcome::equal(&expected, &settings.warmup)
    }))
}

/// The rows are settings that say nothing of a threshold: endpoints that fail are never called.
fn panic(row: &Row<'_>) -> Option<Outcome> {
    let cluster = cluster(&json!({"outlierDetection": go::json(row.0)}), &json!({}));
    Some(compared(cluster, |cluster| {
        let settings = Settings::compile(cluster, &Client::default());
        Outcome::equal(&0, &settings.panic_threshold)
    }))
}

fn default_policy(row: &Row<'_>) -> Option<Outcome> {
    let rule = Row(row.field("destRule")?);
    let policy = rule.field("trafficPolicy").cloned().unwrap_or_default();
    let mut mesh = json!({});
    if let Some(policy) = row.field("defaultTrafficPolicy") {
        mesh["defaultTrafficPolicy"] = policy.clone();
    }
    let expected = (
        row.number("wantMaxConnections")?,
        row.flag("wantOutlier")?,
        row.number("wantPassthroughMaxConnections")?,
    );
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let world = || {
        World::default()
            .with_service(HOST, &ports)
            .with(
                "DestinationRule",
                "rule",
                &json!({"host": HOST, "trafficPolicy": policy}),
            )
            .with_mesh(&mesh)
    };
    let passthrough = world().cluster(&ClusterName::passthrough());
    Some(compared(
        world().cluster(&ClusterName::outbound(80, "", HOST)),
        |cluster| {
            let found = |passthrough: &Cluster| {
                let outlier = cluster.policy.outlier_detection.is_some();
                let found = (
                    max_connections(cluster),
                    outlier,
                    max_connections(passthrough),
                );
                Outcome::equal(&expected, &found)
            };
            compared(passthrough, found)
        },
    ))
}

/// Where nothing limits them Istio sets the largest number there is.
fn max_connections(cluster: &Cluster) -> u64 {
    let pool = cluster.policy.connection_pool.as_ref();
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let written = tcp.map_or(0, |tcp| tcp.max_connections);
    match u64::try_from(written) {
        Ok(0) | Err(_) => u64::from(u32::MAX),
        Ok(limit) => limit,
    }
}

/// A port of a Kubernetes Service, whose name says the protocol, or nothing.
fn h2_upgrade(row: &Row<'_>) -> Option<Outcome> {
    let protocol = Row(row.field("port")?).text("Protocol")?;
    let name = match protocol {
        "UnsupportedProtocol" => "other".to_owned(),
        known => known.to_ascii_lowercase(),
    };
    let host = "svc.default.svc.cluster.local";
    let pool = row.field("connectionPool").cloned().unwrap_or_default();
    let rule = json!({"host": host, "trafficPolicy": {"connectionPool": pool}});
    let cluster = World::default()
        .with_object(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "svc", "namespace": "default"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": name, "port": 80}]},
        }))
        .with("DestinationRule", "rule", &rule)
        .with_mesh(&row.field("mesh").cloned().unwrap_or_else(|| json!({})))
        .cluster(&ClusterName::outbound(80, "", host));
    let upgrade = row.flag("upgrade")?;
    Some(compared(cluster, |cluster| {
        Outcome::equal(&upgrade, &(cluster.protocol == Protocol::Http2))
    }))
}

fn keepalive(row: &Row<'_>) -> Option<Outcome> {
    let expected = match row.field("wantConnOpts") {
        None => None,
        Some(options) => Some(probing(Row(options.get("TcpKeepalive")?))?),
    };
    let pool = row.field("connectionPool").cloned().unwrap_or_default();
    let mesh = row.field("mesh").cloned().unwrap_or_else(|| json!({}));
    let cluster = cluster(&json!({"connectionPool": pool}), &mesh);
    Some(compared(cluster, |cluster| {
        Outcome::equal(&expected, &cluster.tcp_keepalive)
    }))
}

fn probing(row: Row<'_>) -> Option<TcpKeepalive> {
    let number = |name| match row.field(name) {
        None => Some(None),
        Some(value) => value.get("Value")?.as_u64().map(Some),
    };
    let seconds = |name| match number(name)? {
        None => Some(None),
        Some(seconds) => format!("{seconds}s").parse().ok().map(Some),
    };
    Some(TcpKeepalive {
        probes: u32::try_from(number("KeepaliveProbes")?.unwrap_or_default()).ok()?,
        time: seconds("KeepaliveTime")?,
        interval: seconds("KeepaliveInterval")?,
    })
}
