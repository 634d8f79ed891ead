//! How traffic to a destination is treated.

use super::{
    validate_client_tls, validate_connection_pool, validate_load_balancer,
    validate_outlier_detection,
};
use crate::dns;
use crate::resource::istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, RetryBudget, TrafficPolicy, TunnelSettings,
};
use crate::validate::address::is_ip;
use crate::validate::{At, port};

/// The most policies of single ports.
const MAX_PORTS: usize = 4096;

/// Checks a traffic policy of a rule in `namespace` (`validateTrafficPolicy`).
pub fn validate_traffic_policy(policy: &TrafficPolicy, namespace: &str, at: At<'_>) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    if *policy == TrafficPolicy::default() {
        at.error("a traffic policy has at least one field");
        return;
    }
    at.at_most_one(&[
        ("tunnel", tunnel.is_some()),
        ("proxyProtocol", proxy_protocol.is_some()),
    ]);
    let blocks = Blocks {
        load_balancer: load_balancer.as_ref(),
        connection_pool: connection_pool.as_ref(),
        outlier_detection: outlier_detection.as_ref(),
        tls: tls.as_ref(),
    };
    blocks.validate(namespace, at);
    let ports = at.field("portLevelSettings");
    if port_level_settings.len() > MAX_PORTS {
        ports.error(format_args!("more than {MAX_PORTS} ports"));
    }
    ports.each(port_level_settings, |policy, at| {
        validate_port_policy(policy, namespace, at);
    });
    if let Some(tunnel) = tunnel {
        validate_tunnel(tunnel, at.field("tunnel"));
    }
    if let Some(budget) = retry_budget {
        validate_retry_budget(budget, at.field("retryBudget"));
    }
}

/// The blocks that policies of a destination and of a port have in common.
struct Blocks<'p> {
    load_balancer: Option<&'p LoadBalancerSettings>,
    connection_pool: Option<&'p ConnectionPoolSettings>,
    outlier_detection: Option<&'p OutlierDetection>,
    tls: Option<&'p ClientTlsSettings>,
}

impl Blocks<'_> {
    fn validate(&self, namespace: &str, at: At<'_>) {
        if let Some(outlier_detection) = self.outlier_detection {
            validate_outlier_detection(outlier_detection, at.field("outlierDetection"));
        }
        if let Some(pool) = self.connection_pool {
            validate_connection_pool(pool, at.field("connectionPool"));
        }
        if let Some(balancer) = self.load_balancer {
            let at = at.field("loadBalancer");
            validate_load_balancer(balancer, self.outlier_detection, at);
        }
        if let Some(tls) = self.tls {
            validate_client_tls(tls, namespace, at.field("tls"));
        }
    }
}

fn validate_port_policy(policy: &PortTrafficPolicy, namespace: &str, at: At<'_>) {
    let PortTrafficPolicy {
        port,
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
    } = policy;
    if port.is_none() {
        at.error("a policy of a port has a `port`");
    }
    let is_empty = load_balancer.is_none()
        && connection_pool.is_none()
        && outlier_detection.is_none()
        && tls.is_none();
    at.require(
        !is_empty,
        "a policy of a port has at least one field beside `port`",
    );
    let blocks = Blocks {
        load_balancer: load_balancer.as_ref(),
        connection_pool: connection_pool.as_ref(),
        outlier_detection: outlier_detection.as_ref(),
        tls: tls.as_ref(),
    };
    blocks.validate(namespace, at);
}

/// Checks a tunnel by which TCP reaches a host (`validateTunnelSettings`).
fn validate_tunnel(tunnel: &TunnelSettings, at: At<'_>) {
    let TunnelSettings {
        protocol,
        target_host,
        target_port,
    } = tunnel;
    if !matches!(protocol.as_str(), "" | "CONNECT" | "POST") {
        at.field("protocol")
            .error("the protocol is `CONNECT` or `POST`");
    }
    if !is_ip(target_host) {
        at.field("targetHost")
            .check(dns::validate_fqdn(target_host));
    }
    port::validate_number(*target_port, at.field("targetPort"));
}

fn validate_retry_budget(budget: &RetryBudget, at: At<'_>) {
    if let Some(percent) = budget
        .percent
        .filter(|percent| !(0.0..=100.0).contains(percent))
    {
        at.field("percent")
            .error(format_args!("percentage `{percent}` is not from 0 to 100"));
    }
}
