//! What the parts of a resolution share.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::destination_rules::MergedRule;
use crate::config::services::Service;
use crate::model::Notice;
use crate::model::cluster::{Cluster, NODE_LABEL};
use crate::model::listener::Listener;
use crate::model::route::RouteConfiguration;
use crate::resolve::locality;
use crate::resolve::peer::NamespaceModes;
use crate::resolve::scope::Scope;
use crate::workload::Workload;

/// For whom a configuration is resolved, and what of it they see.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The whole configuration.
    pub(super) config: &'a MeshConfig,
    /// For whom it is resolved.
    pub(super) workload: &'a Workload,
    /// What they see.
    pub(super) scope: Scope<'a>,
    /// Whether the namespaces of services ask for mesh mTLS.
    pub(super) namespace_modes: NamespaceModes<'a>,
    // Looked for when it is asked for first: it takes a look at all services.
    node: OnceCell<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(config: &'a MeshConfig, workload: &'a Workload) -> Self {
        Self {
            config,
            workload,
            scope: Scope::new(config, workload),
            namespace_modes: NamespaceModes::new(config),
            node: OnceCell::new(),
        }
    }

    /// The node that the workload is on; empty if unknown.
    pub(super) fn node(&self) -> &str {
        self.node.get_or_init(|| {
            let located = locality::located(self.config.services(), self.workload);
            let node = located.labels.value(NODE_LABEL);
            node.unwrap_or_default().to_owned()
        })
    }

    /// The DestinationRule that applies to calls of the workload to `service`.
    pub(super) fn destination_rule(&self, service: &Service) -> Option<&'a MergedRule> {
        let rules = self.config.destination_rules();
        rules.lookup(service, self.workload)
    }

    /// The DestinationRule that applies to calls that the workload gets as one behind `service`. Only those
    /// of services that it sees itself do (`SidecarScope.DestinationRule`).
    pub(super) fn inbound_rule(&self, service: &Service) -> Option<&'a MergedRule> {
        let seen = self.scope.service(&service.hostname)?;
        let rules = self.config.destination_rules();
        rules.lookup_inbound(seen, &self.workload.namespace)
    }
}

/// What a gateway or a sidecar makes of the configuration. The clusters that it names are resolved
/// later, and need not be among `clusters`.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// What the workload listens on.
    pub(super) listeners: Vec<Listener>,
    /// The route configurations that the listeners name, by name.
    pub(super) route_configurations: BTreeMap<String, Arc<RouteConfiguration>>,
    /// Clusters that are not those of a service's port, such as inbound ones.
    pub(super) clusters: Vec<Cluster>,
    /// What was written in vain.
    pub(super) notices: Vec<Notice>,
}
