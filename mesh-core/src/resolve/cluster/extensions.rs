//! The clusters that a workload calls itself, to decide about requests or to report them: those of
//! the extension providers of the mesh, and those that EnvoyFilters name.

use std::collections::BTreeSet;

use crate::config::MeshConfig;
use crate::resource::Value;
use crate::resource::istio::mesh_config::ExtensionProvider;
use crate::service::{ClusterName, Direction};

/// The clusters that may be called. Which of them are is decided where policies are compiled.
pub(super) fn named(config: &MeshConfig) -> BTreeSet<ClusterName> {
    let providers = config.options().extension_providers();
    let mut named: BTreeSet<_> = providers.filter_map(of_provider).collect();
    for filter in &config.resources().envoy_filters {
        for patch in &filter.spec.config_patches {
            let values = patch.patch.iter().filter_map(|patch| patch.value.as_ref());
            for (name, value) in values.flatten() {
                of_value(name, value, &mut named);
            }
        }
    }
    named
}

/// The cluster of an authorizer or a collector of spans.
fn of_provider(provider: &ExtensionProvider) -> Option<ClusterName> {
    let http = provider.envoy_ext_authz_http.as_ref();
    let grpc = provider.envoy_ext_authz_grpc.as_ref();
    let spans = provider.opentelemetry.as_ref();
    let (service, port) = http
        .map(|http| (&http.service, http.port))
        .or_else(|| grpc.map(|grpc| (&grpc.service, grpc.port)))
        .or_else(|| spans.map(|spans| (&spans.service, spans.port)))?;
    ClusterName::of_provider(service, port)
}

/// The clusters in the value of a patch, at any depth, under the name `cluster_name`.
fn of_value(name: &str, value: &Value, named: &mut BTreeSet<ClusterName>) {
    match value {
        Value::String(text) if matches!(name, "cluster_name" | "clusterName") => {
            let cluster = ClusterName::from(text.as_str());
            if cluster.direction() == Some(Direction::Outbound) {
                named.insert(cluster);
            }
        }
        Value::List(values) => values.iter().for_each(|value| of_value(name, value, named)),
        Value::Map(fields) => fields
            .iter()
            .for_each(|(name, value)| of_value(name, value, named)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
