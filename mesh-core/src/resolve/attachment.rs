//! Which policies are attached to a workload: by selector, or by reference to its gateway
//! (`pilot/pkg/model/policyattachment.go`).

use std::collections::BTreeMap;

use crate::labels::Labels;
use crate::resource::Resource;
use crate::resource::istio::selector::PolicyTargetReference;
use crate::resource::istio::{AuthorizationPolicy, EnvoyFilter, RequestAuthentication, Telemetry};
use crate::workload::Workload;

/// Label of the workloads of a Gateway API gateway, with its name.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// A policy that says which workloads it is for.
pub(super) trait Attachable {
    /// The labels that workloads need.
    fn labels(&self) -> Option<&BTreeMap<String, String>>;

    /// What it is attached to, as one reference.
    fn target_ref(&self) -> Option<&PolicyTargetReference>;

    /// What it is attached to.
    fn target_refs(&self) -> &[PolicyTargetReference];

    /// Whether it is for all workloads of its namespace.
    fn is_for_namespace(&self) -> bool {
        let selects_all = self.labels().is_none_or(BTreeMap::is_empty);
        selects_all && self.target_ref().is_none() && self.target_refs().is_empty()
    }

    /// Whether it is for `workload`, being of `namespace`, which is that of the workload or the
    /// root namespace.
    ///
    /// A workload that is no gateway of the Gateway API ignores policies with references. A
    /// gateway obeys those that refer to it, and those without references that select it.
    fn is_for(&self, namespace: &str, workload: &Workload) -> bool {
        let references = match self.target_refs() {
            [] => self.target_ref().map_or(&[][..], std::slice::from_ref),
            references => references,
        };
        if references.is_empty() {
            return self.labels().is_none_or(|labels| {
                let labels: Labels = labels.iter().collect();
                labels.is_subset_of(&workload.labels)
            });
        }
        let Some(gateway) = workload.labels.value(GATEWAY_NAME) else {
            return false;
        };
        let of_own = |reference: &&PolicyTargetReference| {
            reference.namespace.is_empty() || reference.namespace == workload.namespace
        };
        namespace == workload.namespace
            && references.iter().filter(of_own).any(|reference| {
                reference.group == "gateway.networking.k8s.io"
                    && reference.kind == "Gateway"
                    && reference.name == gateway
            })
    }
}

macro_rules! attachable {
    ($($policy:ty),*) => {
        $(impl Attachable for $policy {
            fn labels(&self) -> Option<&BTreeMap<String, String>> {
                self.selector.as_ref().map(|selector| &selector.match_labels)
            }

            fn target_ref(&self) -> Option<&PolicyTargetReference> {
                self.target_ref.as_ref()
            }

            fn target_refs(&self) -> &[PolicyTargetReference] {
                &self.target_refs
            }
        })*
    };
}

attachable!(AuthorizationPolicy, RequestAuthentication, Telemetry);

impl Attachable for EnvoyFilter {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        let selector = self.workload_selector.as_ref();
        selector.map(|selector| &selector.labels)
    }

    fn target_ref(&self) -> Option<&PolicyTargetReference> {
        None
    }

    fn target_refs(&self) -> &[PolicyTargetReference] {
        &self.target_refs
    }
}

/// Whether `filter` is for `workload`, in a mesh whose root namespace is `root_namespace`: by its
/// namespace, its `targetRefs`, or else its `workloadSelector`, as policies are attached.
///
/// # Example
///
/// ```
/// use mesh_core::resolve::is_for_workload;
/// use mesh_core::resource::Resource;
/// use mesh_core::resource::istio::EnvoyFilter;
/// use mesh_core::workload::Workload;
///
/// let mut filter = Resource::<EnvoyFilter>::default();
/// filter.metadata.namespace = "shop".into();
/// filter.spec = serde_json::from_str(
///     r#"{"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}]}"#,
/// )?;
/// let name = "gateway.networking.k8s.io/gateway-name";
/// let web = Workload::gateway("shop").with_label(name, "web");
/// assert!(is_for_workload(&filter, &web, "istio-system"));
/// assert!(!is_for_workload(&filter, &Workload::sidecar("shop"), "istio-system"));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn is_for_workload(
    filter: &Resource<EnvoyFilter>,
    workload: &Workload,
    root_namespace: &str,
) -> bool {
    let namespace = filter.metadata.namespace.as_str();
    (namespace == root_namespace || namespace == workload.namespace)
        && filter.spec.is_for(namespace, workload)
}
