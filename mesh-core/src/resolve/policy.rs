//! The policies of a workload, in the order in which they apply.

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::model::Notice;
use crate::model::policy::Policies;
use crate::resolve::attachment::Attachable;
use crate::resolve::peer;
use crate::resource::istio::Telemetry;
use crate::resource::{Resource, Spec};
use crate::workload::Workload;

/// The policies that are attached to a workload.
pub(super) fn resolve(
    config: &MeshConfig,
    workload: &Workload,
    notices: &mut Vec<Notice>,
) -> Policies {
    let resources = config.resources();
    let root = config.options().root_namespace();
    let own = &*workload.namespace;
    Policies {
        peer: peer::policy(config, workload, notices),
        request_authentication: attached(&resources.request_authentications, [own, root], workload),
        authorization: attached(&resources.authorization_policies, [root, own], workload),
        telemetry: telemetry(config, workload, notices),
    }
}

/// The policies of the two namespaces that are for `workload`, in this order, each the oldest first.
fn attached<S: Attachable>(
    policies: &[Arc<Resource<S>>],
    namespaces: [&str; 2],
    workload: &Workload,
) -> Vec<Arc<Resource<S>>> {
    let [first, second] = namespaces;
    let distinct = std::iter::once(first).chain((first != second).then_some(second));
    let found = distinct.flat_map(|namespace| {
        policies.iter().filter(move |policy| {
            policy.metadata.namespace == namespace && policy.spec.is_for(namespace, workload)
        })
    });
    found.cloned().collect()
}

/// What is recorded, the more general first: one policy of the mesh, one of the namespace, and
/// those that select the workload (`applicableTelemetries`).
fn telemetry(
    config: &MeshConfig,
    workload: &Workload,
    notices: &mut Vec<Notice>,
) -> Vec<Arc<Resource<Telemetry>>> {
    let all = &config.resources().telemetries;
    let root = config.options().root_namespace();
    let own = &*workload.namespace;
    let namespaces = std::iter::once(root).chain((root != own).then_some(own));
    let mut found = Vec::new();
    for namespace in namespaces {
        let of_namespace = all.iter().filter(|policy| {
            policy.metadata.namespace == namespace && policy.spec.is_for_namespace()
        });
        let mut of_namespace = of_namespace.cloned();
        found.extend(of_namespace.next());
        notices.extend(of_namespace.map(|loser| {
            notice(
                &loser,
                "an older policy for the same workloads comes before",
            )
        }));
    }
    for policy in all.iter().filter(|policy| !policy.spec.is_for_namespace()) {
        let namespace = &*policy.metadata.namespace;
        if !policy.spec.is_for(namespace, workload) {
            continue;
        }
        if namespace == own {
            found.push(Arc::clone(policy));
        } else if namespace == root {
            notices.push(notice(
                policy,
                "a policy of the root namespace is not for single workloads",
            ));
        }
    }
    found
}

fn notice<S: Spec>(policy: &Resource<S>, message: &str) -> Notice {
    Notice {
        origin: policy.origin(),
        message: message.to_owned(),
    }
}
