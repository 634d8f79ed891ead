//! Services that differ between clusters.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::resource::Resource;
use crate::resource::kubernetes::service::{Service, ServicePort};

type ByCluster<'a> = BTreeMap<&'a str, &'a Resource<Service>>;

/// A Service that several clusters have is to be the same in all: of one type, with or without an
/// address, and with the same ports.
pub(super) fn services(context: &Context<'_>, report: &mut Report) {
    let mut services: BTreeMap<(&str, &str), ByCluster<'_>> = BTreeMap::new();
    for (cluster, resources) in &context.clusters {
        for service in &resources.services {
            let metadata = &service.metadata;
            let by_cluster = services
                .entry((&metadata.namespace, &metadata.name))
                .or_default();
            by_cluster.insert(cluster, service);
        }
    }
    for ((namespace, name), by_cluster) in &services {
        let (clusters, reasons) = inconsistencies(by_cluster);
        if let (Some(service), false) = (by_cluster.values().next(), reasons.is_empty()) {
            let clusters: Vec<&str> = clusters.into_iter().collect();
            let clusters = format!("[{}]", clusters.join(" "));
            let reasons: Vec<&str> = reasons.into_iter().collect();
            let reasons = reasons.join("; ");
            let code = Code::MultiClusterInconsistentService;
            report.about(service, code, &[name, namespace, &clusters, &reasons]);
        }
    }
}

/// The clusters that differ from the first, with it, and in what they do.
fn inconsistencies<'a>(services: &ByCluster<'a>) -> (BTreeSet<&'a str>, BTreeSet<&'static str>) {
    let (mut clusters, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    let Some((first_cluster, first)) = services.first_key_value() else {
        return (clusters, reasons);
    };
    let is_headless = |service: &Service| service.spec.cluster_ip.as_deref() == Some("None");
    for (cluster, service) in services {
        if is_headless(&first.spec) != is_headless(&service.spec) {
            clusters.extend(services.keys());
            reasons.insert("service has mixed mode like headless and clusterIP");
        }
        if first.spec.spec.r#type != service.spec.spec.r#type {
            clusters.extend([first_cluster, cluster]);
            reasons.insert("service type is inconsistent");
        }
        if ports(&first.spec) != ports(&service.spec) {
            clusters.extend([first_cluster, cluster]);
            reasons.insert("service ports are inconsistent");
        }
    }
    (clusters, reasons)
}

/// The ports of a Service, in an order of their own.
fn ports(service: &Service) -> Vec<&ServicePort> {
    let mut ports: Vec<&ServicePort> = service.spec.ports.iter().collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports
}
