//! Rules of DestinationRule (`ValidateDestinationRule`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::DestinationRule;
//! use mesh_core::resource::istio::destination_rule::TrafficPolicy;
//! use mesh_core::validate::{Report, destination_rule};
//!
//! let mut resource = Resource::<DestinationRule>::default();
//! resource.spec.host = "reviews".into();
//! resource.spec.traffic_policy = Some(TrafficPolicy::default());
//! let report = Report::default();
//! destination_rule::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "a traffic policy has at least one field");
//! ```

use std::collections::BTreeSet;

mod client_tls;
mod connection_pool;
mod load_balancer;
mod locality;
mod outlier_detection;
mod traffic_policy;

pub(in crate::validate) use connection_pool::validate_limits;
pub(in crate::validate) use outlier_detection::validate_ejection;

pub use client_tls::validate_client_tls;
pub use connection_pool::validate_connection_pool;
pub use load_balancer::validate_load_balancer;
pub use locality::{
    validate_localities, validate_locality_lb_setting, validate_zone_aware_lb_setting,
};
pub use outlier_detection::validate_outlier_detection;
pub use traffic_policy::validate_traffic_policy;

use super::destination::validate_subset_name;
use super::export_to::{self, Exporter};
use super::{At, selector};
use crate::dns;
use crate::resource::Resource;
use crate::resource::istio::DestinationRule;

/// Checks a DestinationRule.
pub fn validate(resource: &Resource<DestinationRule>, at: At<'_>) {
    let DestinationRule {
        host,
        traffic_policy,
        subsets,
        export_to,
        workload_selector,
    } = &resource.spec;
    let namespace = &resource.metadata.namespace;
    let at = at.field("spec");

    at.field("host").check(dns::validate_wildcard_domain(host));
    if let Some(policy) = traffic_policy {
        validate_traffic_policy(policy, namespace, at.field("trafficPolicy"));
    }
    let mut names = BTreeSet::new();
    at.field("subsets").each(subsets, |subset, at| {
        let name = at.field("name");
        if !names.insert(subset.name.as_str()) {
            name.error(format_args!("subset `{}` is there twice", subset.name));
        }
        validate_subset_name(&subset.name, name);
        selector::validate_labels(&subset.labels, at.field("labels"));
        if let Some(policy) = &subset.traffic_policy {
            validate_traffic_policy(policy, namespace, at.field("trafficPolicy"));
        }
    });
    let exporter = match workload_selector {
        Some(_) => Exporter::SelectedRule,
        None => Exporter::Routes,
    };
    export_to::validate(export_to, exporter, namespace, at.field("exportTo"));
    if let Some(selector) = workload_selector {
        selector::validate_workload(selector, at.field("workloadSelector"));
    }
}

#[cfg(test)]
mod tests;
