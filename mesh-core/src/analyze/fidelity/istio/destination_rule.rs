//! Fields of a DestinationRule.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::resource::istio::destination_rule::{DestinationRule, Subset};

impl Classify for DestinationRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            host,
            traffic_policy,
            subsets,
            export_to,
            workload_selector,
        } = self;
        fields.leaf("host", host, Capability::Discovery);
        fields.nest("trafficPolicy", traffic_policy);
        fields.nest("subsets", subsets);
        fields.leaf("exportTo", export_to, Capability::Discovery);
        fields.leaf("workloadSelector", workload_selector, Capability::Discovery);
    }
}

impl Classify for Subset {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            labels,
            traffic_policy,
        } = self;
        fields.leaf("name", name, Capability::Discovery);
        fields.leaf("labels", labels, Capability::Discovery);
        fields.nest("trafficPolicy", traffic_policy);
    }
}
