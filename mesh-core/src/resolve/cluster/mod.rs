//! The clusters that a workload calls: endpoints, and how they are reached.

pub(in crate::resolve) mod connections;
mod destination;
mod extensions;
mod locality;
mod references;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::destination_rules::MergedRule;
use crate::config::options::OutboundMode;
use crate::config::services::Service;
use crate::model::Notice;
use crate::model::cluster::{Cluster, Discovery, UpstreamTls};
use crate::resolve::context::{Context, Parts};
use crate::service::{ClusterName, Direction, Protocol};
use crate::workload::WorkloadKind;

use self::destination::Destination;

/// The cluster that resolves the name of a host nobody declared (`ALLOW_ANY_DYNAMIC_DNS`).
pub(in crate::resolve) const ALLOW_ANY_DYNAMIC_DNS_CLUSTER: &str = "AllowAnyDynamicDNSCluster";

type Clusters = BTreeMap<ClusterName, Arc<Cluster>>;

/// The clusters that `parts` name, and for a sidecar those of all services that it sees.
///
/// A cluster that cannot be made is left out, so that requests to it are answered `503` with the
/// flag `NC`, and noticed where it is named.
pub(super) fn resolve(context: &Context<'_>, parts: &Parts, notices: &mut Vec<Notice>) -> Clusters {
    let mut clusters = Clusters::new();
    let known = parts.clusters.iter().cloned();
    clusters.extend(known.map(|cluster| (cluster.name.clone(), Arc::new(cluster))));
    for cluster in special(context) {
        clusters.insert(cluster.name.clone(), Arc::new(cluster));
    }
    if context.workload.kind == WorkloadKind::Sidecar {
        for service in context.scope.destinations() {
            add_service(context, service, &mut clusters, notices);
        }
    }
    if references::uses_sni_clusters(parts) {
        for service in context.scope.destinations() {
            add_sni_clusters(context, service, &mut clusters);
        }
    }
    for (name, origin) in references::named(parts) {
        if clusters.contains_key(&name) {
            continue;
        }
        match named(context, &name, notices) {
            Ok(cluster) => {
                clusters.insert(name, Arc::new(cluster));
            }
            Err(why) => notices.push(Notice {
                origin,
                message: format!("the cluster `{name}` does not exist: {why}"),
            }),
        }
    }
    for name in extensions::named(context.config) {
        // One that cannot be made is missed by those who would call it.
        if !clusters.contains_key(&name)
            && let Ok(cluster) = named(context, &name, notices)
        {
            clusters.insert(name, Arc::new(cluster));
        }
    }
    clusters
}

/// Clusters that stand for no service.
fn special(context: &Context<'_>) -> Vec<Cluster> {
    let options = context.config.options();
    let empty = |name| {
        let mut cluster = Cluster::new(name);
        cluster.protocol = Protocol::Unsupported;
        cluster
    };
    let mut clusters = vec![empty(ClusterName::black_hole())];
    if context.workload.kind == WorkloadKind::Sidecar {
        let mut passthrough = empty(ClusterName::passthrough());
        passthrough.discovery = Discovery::OriginalDestination;
        passthrough.policy.connection_pool = connections::default_pool(options);
        clusters.push(passthrough);
    }
    if context.scope.outbound_mode == OutboundMode::AllowAnyDynamicDns {
        let mut dynamic = empty(ClusterName::from(ALLOW_ANY_DYNAMIC_DNS_CLUSTER));
        dynamic.discovery = Discovery::DynamicDns;
        let policy = options.as_written().outbound_traffic_policy.as_ref();
        if let Some(settings) = policy.and_then(|policy| policy.tls.as_ref()) {
            dynamic.tls = tls::of_settings(settings);
        }
        clusters.push(dynamic);
    }
    for cluster in &mut clusters {
        connections::settle(cluster, options);
    }
    clusters
}

/// Adds the clusters of all ports of a service, and of their subsets.
fn add_service(
    context: &Context<'_>,
    service: &Arc<Service>,
    clusters: &mut Clusters,
    notices: &mut Vec<Notice>,
) {
    if service.alias_of.is_some() {
        return;
    }
    let rule = context.destination_rule(service);
    if let Some(rule) = rule {
        notices.extend_from_slice(rule.notices());
    }
    for port in &service.ports {
        let destination = Destination {
            context,
            service,
            port,
            rule,
        };
        let whole = std::iter::once(None);
        let subsets = rule.into_iter().flat_map(MergedRule::subsets).map(Some);
        for subset in whole.chain(subsets) {
            let subset = subset.map(|(subset, _)| subset);
            if let Ok(cluster) = destination.cluster(subset, notices) {
                clusters.insert(cluster.name.clone(), Arc::new(cluster));
            }
        }
    }
}

/// Adds the clusters that a gateway finds by server name. They are not encrypted again: what is
/// forwarded is mesh mTLS already, as far as the gateway knows. So they have only endpoints that
/// mesh mTLS is sent to.
fn add_sni_clusters(context: &Context<'_>, service: &Arc<Service>, clusters: &mut Clusters) {
    if service.external {
        return;
    }
    let mut outbound = Clusters::new();
    add_service(context, service, &mut outbound, &mut Vec::new());
    let rule = context.destination_rule(service);
    for (name, cluster) in outbound {
        let Some(sni) = name.to_sni() else {
            continue;
        };
        let mut cluster = Arc::unwrap_or_clone(cluster);
        cluster.endpoint_tls = tls::forwarded_to(rule, &name);
        cluster.name = ClusterName::from(sni);
        cluster.tls = UpstreamTls::Plaintext;
        let all = std::mem::take(&mut cluster.endpoints).into_iter();
        cluster.endpoints = all.filter(|endpoint| cluster.takes(endpoint)).collect();
        clusters.insert(cluster.name.clone(), Arc::new(cluster));
    }
}

/// The outbound cluster of that name.
///
/// # Errors
///
/// Why there is none.
fn named(
    context: &Context<'_>,
    name: &ClusterName,
    notices: &mut Vec<Notice>,
) -> Result<Cluster, String> {
    let (Some(Direction::Outbound), Some(number), Some(host)) =
        (name.direction(), name.port(), name.host())
    else {
        return Err("it stands for no service".into());
    };
    let Some(service) = context.scope.service(host) else {
        return Err(format!("no service `{host}` is visible"));
    };
    if let Some(other) = &service.alias_of {
        return Err(format!("`{host}` is another name of `{other}`"));
    }
    let found = context.scope.destination(host, number);
    let found = found.and_then(|service| Some((service, service.port(number)?)));
    let Some((service, port)) = found else {
        return Err(format!("the service `{host}` has no port {number}"));
    };
    let rule = context.destination_rule(service);
    let subset = match name.subset() {
        None => None,
        Some(subset) => match rule.and_then(|rule| rule.subset(subset)) {
            Some((subset, _)) => Some(subset),
            None => return Err(format!("no DestinationRule has the subset `{subset}`")),
        },
    };
    if let Some(rule) = rule {
        notices.extend_from_slice(rule.notices());
    }
    let destination = Destination {
        context,
        service,
        port,
        rule,
    };
    destination.cluster(subset, notices)
}

#[cfg(test)]
mod tests;
