//! The traffic policy that a DestinationRule gives to a port or a subset.
//!
//! Blocks (`loadBalancer`, `connectionPool`, `outlierDetection`, `tls`) replace each other whole;
//! nothing is merged within a block. An entry for a port replaces all four, so that what it leaves
//! out has its default and not what the rule says elsewhere (`MergeSubsetTrafficPolicy`).

use crate::config::destination_rules::MergedRule;
use crate::config::options::MeshOptions;
use crate::model::cluster::TrafficPolicy;
use crate::model::listener::TcpProxy;
use crate::model::route::WeightedDestination;
use crate::resolve::cluster::connections;
use crate::resource::istio::destination_rule::{
    PortTrafficPolicy, Subset, TrafficPolicy as Written,
};

/// The policy of `port`, for all endpoints or for those of `subset`.
pub(in crate::resolve) fn effective(
    rule: Option<&MergedRule>,
    subset: Option<&Subset>,
    port: u16,
    options: &MeshOptions,
) -> TrafficPolicy {
    let written = rule.and_then(MergedRule::traffic_policy);
    let mut policy = match written {
        Some((written, _)) => of_port(written, port).policy,
        None => TrafficPolicy::default(),
    };
    fill_defaults(&mut policy, options);
    if let Some(written) = subset.and_then(|subset| subset.traffic_policy.as_ref()) {
        override_blocks(&mut policy, of_port(written, port));
    }
    policy
}

/// The proxy that leads to `destinations`, with the limits that `rule` sets for all ports of the
/// first: those of ports and subsets do not count here (`buildOutboundNetworkFilters`).
pub(in crate::resolve) fn tcp_proxy(
    destinations: Vec<WeightedDestination>,
    rule: Option<&MergedRule>,
) -> TcpProxy {
    let policy = rule.and_then(MergedRule::traffic_policy);
    let pool = policy.and_then(|(policy, _)| policy.connection_pool.as_ref());
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    TcpProxy {
        destinations,
        idle_timeout: tcp.and_then(|tcp| tcp.idle_timeout?.as_std()),
        max_duration: tcp
            .and_then(|tcp| tcp.max_connection_duration?.as_std())
            .filter(|longest| !longest.is_zero()),
    }
}

/// What a policy says of one port.
struct PortPolicy {
    policy: TrafficPolicy,
    /// Whether it is an entry for the port, which says all of its four blocks.
    is_whole: bool,
}

fn of_port(written: &Written, port: u16) -> PortPolicy {
    let mut entries = written.port_level_settings.iter();
    let entry = entries.find(|entry| {
        let selector = entry.port.as_ref();
        selector.is_some_and(|selector| selector.number == u32::from(port))
    });
    match entry {
        Some(entry) => PortPolicy {
            policy: of_entry(entry),
            is_whole: true,
        },
        None => PortPolicy {
            policy: of_all_ports(written),
            is_whole: false,
        },
    }
}

fn of_all_ports(written: &Written) -> TrafficPolicy {
    let Written {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings: _,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = written;
    TrafficPolicy {
        load_balancer: load_balancer.clone().map(Box::new),
        connection_pool: connection_pool.clone().map(Box::new),
        outlier_detection: outlier_detection.clone().map(Box::new),
        tls: tls.clone().map(Box::new),
        tunnel: tunnel.clone().map(Box::new),
        proxy_protocol: proxy_protocol.clone(),
        retry_budget: retry_budget.clone(),
    }
}

fn of_entry(written: &PortTrafficPolicy) -> TrafficPolicy {
    let PortTrafficPolicy {
        port: _,
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
    } = written;
    TrafficPolicy {
        load_balancer: load_balancer.clone().map(Box::new),
        connection_pool: connection_pool.clone().map(Box::new),
        outlier_detection: outlier_detection.clone().map(Box::new),
        tls: tls.clone().map(Box::new),
        ..TrafficPolicy::default()
    }
}

/// Puts the mesh's defaults where the rule says nothing (`applyDefaultTrafficPolicy`).
fn fill_defaults(policy: &mut TrafficPolicy, options: &MeshOptions) {
    if policy.connection_pool.is_none() {
        policy.connection_pool = connections::default_pool(options);
    }
    if policy.outlier_detection.is_none() {
        policy.outlier_detection = options.default_outlier_detection().cloned().map(Box::new);
    }
}

/// Puts what a subset says over what holds for all endpoints (`MergeTrafficPolicy`).
fn override_blocks(policy: &mut TrafficPolicy, subset: PortPolicy) {
    let PortPolicy {
        policy: subset,
        is_whole,
    } = subset;
    replace(&mut policy.load_balancer, subset.load_balancer, is_whole);
    replace(
        &mut policy.connection_pool,
        subset.connection_pool,
        is_whole,
    );
    replace(
        &mut policy.outlier_detection,
        subset.outlier_detection,
        is_whole,
    );
    replace(&mut policy.tls, subset.tls, is_whole);
    replace(&mut policy.tunnel, subset.tunnel, false);
    replace(&mut policy.proxy_protocol, subset.proxy_protocol, false);
    replace(&mut policy.retry_budget, subset.retry_budget, false);
}

fn replace<T>(block: &mut Option<T>, by: Option<T>, even_by_nothing: bool) {
    if by.is_some() || even_by_nothing {
        *block = by;
    }
}
