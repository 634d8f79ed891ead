//! Which resources concern a workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Collector;
use super::fields::Classify;
use crate::config::MeshConfig;
use crate::config::visibility::Visibility;
use crate::labels::Labels;
use crate::origin::{FieldPath, Origin, Source};
use crate::resolve::is_for_workload;
use crate::resource::istio::selector::{NetworkingWorkloadSelector, WorkloadSelector};
use crate::resource::istio::{
    AuthorizationPolicy, RequestAuthentication, Telemetry, WorkloadEntry,
};
use crate::resource::{Metadata, Resource, Spec};
use crate::workload::{Workload, WorkloadKind};

/// Collects the fields of everything that concerns `workload`, or of everything.
pub(super) fn walk(config: &MeshConfig, workload: Option<&Workload>, into: &mut Collector<'_>) {
    let scope = Scope { config, workload };
    scope.traffic(into);
    scope.policies(into);
    scope.extensions(into);
    scope.mesh(into);
    #[cfg(feature = "gateway-api")]
    super::gateway_api::walk(&config.resources().gateway_api, workload, into);
}

struct Scope<'a> {
    config: &'a MeshConfig,
    workload: Option<&'a Workload>,
}

impl Scope<'_> {
    fn traffic(&self, into: &mut Collector<'_>) {
        let resources = self.config.resources();
        let options = self.config.options();
        let visible = |tokens: &[String], default: &[String], metadata: &Metadata| {
            let tokens = if tokens.is_empty() { default } else { tokens };
            self.sees(tokens, &metadata.namespace)
        };
        filter(&resources.virtual_services, into, |rule| {
            let default = options.default_virtual_service_export_to();
            visible(&rule.spec.export_to, default, &rule.metadata)
        });
        filter(&resources.destination_rules, into, |rule| {
            let selector = rule.spec.workload_selector.as_ref();
            visible(&rule.spec.export_to, &[], &rule.metadata)
                && self.has(selector.map(|selector| &selector.match_labels))
        });
        filter(&resources.gateways, into, |gateway| {
            self.is_of(WorkloadKind::Gateway) && self.has(Some(&gateway.spec.selector))
        });
        filter(&resources.service_entries, into, |entry| {
            let default = options.default_service_export_to();
            visible(&entry.spec.export_to, default, &entry.metadata)
        });
        filter(&resources.sidecars, into, |sidecar| {
            self.is_of(WorkloadKind::Sidecar)
                && self.is_near(&sidecar.metadata)
                && self.is_selected_by(sidecar.spec.workload_selector.as_ref())
        });
        filter::<WorkloadEntry>(&resources.workload_entries, into, |_| true);
        filter(&resources.workload_groups, into, |_| true);
    }

    fn policies(&self, into: &mut Collector<'_>) {
        let resources = self.config.resources();
        // Istio's PeerAuthentication is for servers, and no gateway is one.
        filter(&resources.peer_authentications, into, |policy| {
            self.is_of(WorkloadKind::Sidecar)
                && self.is_near(&policy.metadata)
                && self.obeys(policy.spec.selector.as_ref())
        });
        let Some(workload) = self.workload else {
            filter::<RequestAuthentication>(&resources.request_authentications, into, |_| true);
            filter::<AuthorizationPolicy>(&resources.authorization_policies, into, |_| true);
            filter::<Telemetry>(&resources.telemetries, into, |_| true);
            return;
        };
        let attached = crate::resolve::policies(self.config, workload);
        into.resources(attached.request_authentication.iter().map(AsRef::as_ref));
        into.resources(attached.authorization.iter().map(AsRef::as_ref));
        into.resources(attached.telemetry.iter().map(AsRef::as_ref));
    }

    fn extensions(&self, into: &mut Collector<'_>) {
        let resources = self.config.resources();
        let root = self.config.options().root_namespace();
        filter(&resources.envoy_filters, into, |patch| {
            self.workload
                .is_none_or(|workload| is_for_workload(patch, workload, root))
        });
        filter(&resources.wasm_plugins, into, |plugin| {
            self.is_near(&plugin.metadata) && self.obeys(plugin.spec.selector.as_ref())
        });
        filter(&resources.traffic_extensions, into, |extension| {
            self.is_near(&extension.metadata) && self.obeys(extension.spec.selector.as_ref())
        });
        filter(&resources.proxy_configs, into, |config| {
            self.is_near(&config.metadata) && self.obeys(config.spec.selector.as_ref())
        });
    }

    /// Mesh-wide settings, which have no place in a file.
    fn mesh(&self, into: &mut Collector<'_>) {
        let unknown = Source::unknown();
        let options = Origin::new("MeshConfig", "", "mesh", &unknown);
        let written = self.config.options().as_written();
        into.value(written, FieldPath::root(), &options, &unknown);
        let networks = Origin::new("MeshNetworks", "", "networks", &unknown);
        into.value(
            self.config.networks(),
            FieldPath::root(),
            &networks,
            &unknown,
        );
    }

    fn is_of(&self, kind: WorkloadKind) -> bool {
        self.workload.is_none_or(|workload| workload.kind == kind)
    }

    /// Whether the workload sees what is exported to `tokens` by `namespace`.
    fn sees(&self, tokens: &[String], namespace: &str) -> bool {
        self.workload
            .is_none_or(|workload| Visibility::parse(tokens, namespace).admits(&workload.namespace))
    }

    /// Whether a resource is of the workload's namespace or of the root namespace.
    fn is_near(&self, metadata: &Metadata) -> bool {
        let root = self.config.options().root_namespace();
        self.workload.is_none_or(|workload| {
            metadata.namespace == workload.namespace || metadata.namespace == root
        })
    }

    fn obeys(&self, selector: Option<&WorkloadSelector>) -> bool {
        self.has(selector.map(|selector| &selector.match_labels))
    }

    fn is_selected_by(&self, selector: Option<&NetworkingWorkloadSelector>) -> bool {
        self.has(selector.map(|selector| &selector.labels))
    }

    /// Whether the workload has all of `labels`, if there are any.
    fn has(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let Some((workload, labels)) = self.workload.zip(labels) else {
            return true;
        };
        let labels: Labels = labels.iter().collect();
        labels.is_subset_of(&workload.labels)
    }
}

/// Collects the fields of those of `resources` that `concern` the workload.
fn filter<S: Classify + Spec>(
    resources: &[Arc<Resource<S>>],
    into: &mut Collector<'_>,
    concern: impl Fn(&Resource<S>) -> bool,
) {
    let resources = resources.iter().map(AsRef::as_ref);
    into.resources(resources.filter(|resource| concern(resource)));
}
