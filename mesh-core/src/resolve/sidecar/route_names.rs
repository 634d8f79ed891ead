//! Names of the route configurations of outbound listeners.

use std::collections::HashMap;

use crate::model::listener::Bind;
use crate::resolve::sidecar::entries;

/// The names that are given, and to the routes of which egress listener, by index.
#[derive(Default)]
pub(super) struct RouteNames {
    owners: HashMap<String, usize>,
}

impl RouteNames {
    /// The name of routes of an egress listener for what listens at `bind`: `name`, which is Istio's,
    /// unless an egress listener that comes before has it. Istio gives the routes of the first to all
    /// (`GetEgressListenerForRDS`), though the others see other services.
    pub(super) fn name(&mut self, egress: usize, bind: &Bind, name: String) -> String {
        let owner = *self.owners.entry(name.clone()).or_insert(egress);
        match owner == egress {
            true => name,
            false => entries::name(bind),
        }
    }
}
