//! Whether callers must prove an identity: PeerAuthentications, composed
//! (`ComposePeerAuthentication`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::labels::Labels;
use crate::model::Notice;
use crate::model::policy::{MtlsMode, PeerPolicy};
use crate::resource::Resource;
use crate::resource::istio::PeerAuthentication;
use crate::resource::istio::peer_authentication::MutualTlsMode;
use crate::workload::Workload;

type Policy = Arc<Resource<PeerAuthentication>>;

/// The mode of a workload's ports: what the mesh says, then the namespace, then the policy that
/// selects the workload. Of each the oldest counts, and a mode that is not set is inherited.
pub(super) fn policy(
    config: &MeshConfig,
    workload: &Workload,
    notices: &mut Vec<Notice>,
) -> PeerPolicy {
    let root = config.options().root_namespace();
    let mut composed = PeerPolicy::default();
    let mesh = Level::of_namespace(config, root);
    let namespace = Level::of_namespace(config, &workload.namespace);
    let selecting = Level::of_workload(config, workload);
    let levels = if workload.namespace == root {
        selecting.notice(
            "a policy of the root namespace is not for single workloads",
            notices,
        );
        vec![mesh]
    } else {
        let of_root = Level::of_root_workload(config, root, workload);
        of_root.notice(
            "a policy of the root namespace is not for single workloads",
            notices,
        );
        vec![mesh, namespace, selecting]
    };
    for level in levels {
        level.notice_losers(notices);
        let Some(policy) = level.chosen() else {
            continue;
        };
        let mode = own_mode(policy);
        let ports = policy.spec.port_level_mtls.as_ref();
        let ports = ports.filter(|ports| !ports.is_empty() && !is_selectorless(policy));
        if mode.is_some() || ports.is_some() {
            composed.origins.push(policy.origin());
        }
        composed.mode = mode.unwrap_or(composed.mode);
        let inherited = composed.mode;
        let ports = ports.into_iter().flatten().filter_map(|(port, mtls)| {
            let mode = mode_of(mtls.mode).unwrap_or(inherited);
            Some((port.parse().ok()?, mode))
        });
        composed.ports = ports.collect::<BTreeMap<u16, MtlsMode>>();
    }
    composed
}

/// The modes of namespaces as their clients see them, who know nothing of single workloads.
#[derive(Debug, Default)]
pub(super) struct NamespaceModes<'a> {
    of_mesh: MtlsMode,
    by_namespace: HashMap<&'a str, MtlsMode>,
}

impl<'a> NamespaceModes<'a> {
    pub(super) fn new(config: &'a MeshConfig) -> Self {
        let root = config.options().root_namespace();
        let mut seen: HashMap<&str, Option<MtlsMode>> = HashMap::new();
        for policy in &config.resources().peer_authentications {
            if is_selectorless(policy) {
                let namespace = seen.entry(&policy.metadata.namespace);
                namespace.or_insert_with(|| own_mode(policy));
            }
        }
        let of_mesh = seen.remove(root).flatten().unwrap_or_default();
        let by_namespace = seen.into_iter();
        let by_namespace =
            by_namespace.map(|(namespace, mode)| (namespace, mode.unwrap_or(of_mesh)));
        Self {
            of_mesh,
            by_namespace: by_namespace.collect(),
        }
    }

    pub(super) fn of(&self, namespace: &str) -> MtlsMode {
        let own = self.by_namespace.get(namespace);
        own.copied().unwrap_or(self.of_mesh)
    }
}

/// Policies that compete, the oldest first.
struct Level<'a>(Vec<&'a Policy>);

impl<'a> Level<'a> {
    /// The policies for all workloads of a namespace, or of the mesh.
    fn of_namespace(config: &'a MeshConfig, namespace: &str) -> Self {
        let all = config.resources().peer_authentications.iter();
        let own = all.filter(|policy| policy.metadata.namespace == namespace);
        Self(own.filter(|policy| is_selectorless(policy)).collect())
    }

    /// The policies that select the workload by its labels.
    fn of_workload(config: &'a MeshConfig, workload: &Workload) -> Self {
        Self::of_root_workload(config, &workload.namespace, workload)
    }

    fn of_root_workload(config: &'a MeshConfig, namespace: &str, workload: &Workload) -> Self {
        let all = config.resources().peer_authentications.iter();
        let own = all.filter(|policy| policy.metadata.namespace == namespace);
        let selecting = own.filter(|policy| !is_selectorless(policy));
        Self(
            selecting
                .filter(|policy| selects(policy, workload))
                .collect(),
        )
    }

    fn chosen(&self) -> Option<&'a Policy> {
        self.0.first().copied()
    }

    fn notice_losers(&self, notices: &mut Vec<Notice>) {
        let losers = Self(self.0.iter().skip(1).copied().collect());
        losers.notice(
            "an older policy for the same workloads comes before",
            notices,
        );
    }

    fn notice(&self, message: &str, notices: &mut Vec<Notice>) {
        notices.extend(self.0.iter().map(|policy| Notice {
            origin: policy.origin(),
            message: message.to_owned(),
        }));
    }
}

fn is_selectorless(policy: &Policy) -> bool {
    let selector = policy.spec.selector.as_ref();
    selector.is_none_or(|selector| selector.match_labels.is_empty())
}

fn selects(policy: &Policy, workload: &Workload) -> bool {
    let selector = policy.spec.selector.as_ref();
    selector.is_some_and(|selector| {
        let labels: Labels = selector.match_labels.iter().collect();
        labels.is_subset_of(&workload.labels)
    })
}

fn own_mode(policy: &Policy) -> Option<MtlsMode> {
    mode_of(policy.spec.mtls.as_ref()?.mode)
}

fn mode_of(written: MutualTlsMode) -> Option<MtlsMode> {
    match written {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(MtlsMode::Disable),
        MutualTlsMode::Permissive => Some(MtlsMode::Permissive),
        MutualTlsMode::Strict => Some(MtlsMode::Strict),
    }
}
