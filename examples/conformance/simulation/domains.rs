//! The clusters of a sidecar's virtual hosts.

use std::collections::BTreeMap;

use mesh_core::model::Model;
use mesh_core::model::route::{RouteConfiguration, VirtualHost};
use serde_json::Value;

use super::call::only_cluster;
use crate::case::{Outcome, text};

/// Compares the clusters of each expected domain. One without a list must not be there.
pub(super) fn compare(case: &Value, model: &Model) -> Outcome {
    let name = text(case, "route_config");
    let found = model.route_configurations.get(name);
    let found = found.map(|routes| clusters(routes)).unwrap_or_default();
    let Some(expected) = case
        .get("expect_virtual_host_clusters")
        .and_then(Value::as_object)
    else {
        return Outcome::equal(&true, &found.keys().all(|domain| *domain == "*"));
    };
    for (domain, clusters) in expected {
        let clusters = clusters.as_array().map(|clusters| {
            clusters
                .iter()
                .map(|name| name.as_str().unwrap_or_default().to_owned())
                .collect()
        });
        let actual: Option<&Vec<String>> = found.get(domain.as_str());
        if actual != clusters.as_ref() {
            return Outcome::Failed(format!("{domain}: expected {clusters:?}, got {actual:?}"));
        }
    }
    Outcome::Passed
}

/// The clusters of each domain, in the order of their names.
fn clusters(routes: &RouteConfiguration) -> BTreeMap<&str, Vec<String>> {
    let of = |host: &VirtualHost| {
        let routes = host.routes.iter().filter_map(|route| route.forward_to());
        let clusters = routes.map(|forward| only_cluster(&forward.destinations));
        let mut clusters: Vec<String> = clusters.filter(|name| !name.is_empty()).collect();
        clusters.sort();
        clusters
    };
    let hosts = routes.virtual_hosts.iter();
    let domains = hosts.flat_map(|host| {
        let clusters = of(host);
        host.domains
            .iter()
            .map(move |domain| (domain.as_str(), clusters.clone()))
    });
    domains.collect()
}
