//! Which Sidecar resource selects a workload.

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::labels::Labels;
use crate::model::Notice;
use crate::resource::Resource;
use crate::resource::istio::Sidecar;
use crate::workload::Workload;

/// The Sidecar of a workload: the oldest of its namespace that selects it by labels, else the
/// oldest of its namespace that selects by nothing, else that of the root namespace.
pub(super) fn sidecar<'a>(
    config: &'a MeshConfig,
    workload: &Workload,
    notices: &mut Vec<Notice>,
) -> Option<&'a Arc<Resource<Sidecar>>> {
    let all = &config.resources().sidecars;
    let of = |namespace: &str| {
        let own = all
            .iter()
            .filter(|found| found.metadata.namespace == namespace);
        own.collect::<Vec<_>>()
    };
    let own = of(&workload.namespace);
    let selective = own.iter().filter(|found| {
        let selector = found.spec.workload_selector.as_ref();
        selector.is_some_and(|selector| {
            let labels: Labels = selector.labels.iter().collect();
            labels.is_subset_of(&workload.labels)
        })
    });
    let unselective = |found: &&&Arc<Resource<Sidecar>>| found.spec.workload_selector.is_none();
    let mut candidates = selective.chain(own.iter().filter(unselective));
    let chosen = candidates.next().copied();
    for loser in candidates {
        notices.push(Notice {
            origin: loser.origin(),
            message: "another Sidecar of the namespace selects the workload, which comes before"
                .into(),
        });
    }
    chosen.or_else(|| {
        let root = of(config.options().root_namespace());
        root.iter().find(unselective).copied()
    })
}
