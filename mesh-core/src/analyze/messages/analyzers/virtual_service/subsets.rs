//! Subsets that no DestinationRule defines.

use std::collections::BTreeSet;

use super::places;
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::analyze::messages::hosts::service_name;

/// The subset of a destination has to be one of a DestinationRule for its host. As in Istio, a host
/// that is no service of Kubernetes counts as one of the namespace that names it.
pub(in crate::analyze::messages) fn subsets(context: &Context<'_>, report: &mut Report) {
    let rules = context.resources.destination_rules.iter();
    let known: BTreeSet<((&str, &str), &str)> = rules
        .flat_map(|rule| {
            let host = service_name(&rule.spec.host, &rule.metadata.namespace);
            let subsets = rule.spec.subsets.iter();
            subsets.map(move |subset| (host, subset.name.as_str()))
        })
        .collect();
    for rule in &context.resources.virtual_services {
        for place in places(rule) {
            let (host, subset) = (place.host, place.subset);
            let key = (service_name(host, &rule.metadata.namespace), subset);
            if subset.is_empty() || known.contains(&key) {
                continue;
            }
            let what = match place.is_mirror {
                true => "mirror+subset in destinationrule",
                false => "host+subset in destinationrule",
            };
            let name = format!("{host}+{subset}");
            report.push(
                place.origin,
                Code::ReferencedResourceNotFound,
                &[&what, &name],
            );
        }
    }
}
