//! Which policies are attached to a workload: by selector, or by reference to its gateway
//! (`pilot/pkg/model/policyattachment.go`).

use crate::labels::Labels;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};
use crate::resource::istio::{AuthorizationPolicy, RequestAuthentication, Telemetry};
use crate::workload::Workload;

/// Label of the workloads of a Gateway API gateway, with its name.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// A policy that says which workloads it is for.
pub(super) trait Attachable {
    /// The labels that workloads need.
    fn selector(&self) -> Option<&WorkloadSelector>;

    /// What it is attached to, as one reference.
    fn target_ref(&self) -> Option<&PolicyTargetReference>;

    /// What it is attached to.
    fn target_refs(&self) -> &[PolicyTargetReference];

    /// Whether it is for all workloads of its namespace.
    fn is_for_namespace(&self) -> bool {
        let selector = self.selector();
        let selects_all = selector.is_none_or(|selector| selector.match_labels.is_empty());
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
            let selector = self.selector();
            return selector.is_none_or(|selector| {
                let labels: Labels = selector.match_labels.iter().collect();
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
            fn selector(&self) -> Option<&WorkloadSelector> {
                self.selector.as_ref()
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
