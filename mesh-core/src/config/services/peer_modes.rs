//! To which endpoints PeerAuthentications keep mesh mTLS from being sent (`checkMtlsEnabled`).
//!
//! A client knows the policies of the workloads that it calls, those for single workloads and ports
//! among them.

use std::collections::HashMap;

use crate::config::resources::Resources;
use crate::config::services::Service;
use crate::labels::Labels;
use crate::model::cluster::Endpoint;
use crate::resource::istio::PeerAuthentication;
use crate::resource::istio::peer_authentication::{MutualTls, MutualTlsMode};

/// The PeerAuthentications of the mesh. Empty if none of them disables mTLS.
#[derive(Debug, Default)]
pub(super) struct PeerModes<'a> {
    root: &'a str,
    by_namespace: HashMap<&'a str, Policies<'a>>,
}

/// The PeerAuthentications of a namespace.
#[derive(Debug, Default)]
struct Policies<'a> {
    /// What the oldest for all workloads says.
    whole: Option<MutualTlsMode>,
    /// Those for workloads with certain labels, the oldest first.
    selecting: Vec<(Labels, &'a PeerAuthentication)>,
}

impl<'a> PeerModes<'a> {
    /// The policies of `resources`, which are the oldest first.
    pub(super) fn new(resources: &'a Resources, root: &'a str) -> Self {
        let all = &resources.peer_authentications;
        if !all.iter().any(|policy| disables(&policy.spec)) {
            return Self::default();
        }
        let mut by_namespace: HashMap<&str, Policies<'_>> = HashMap::new();
        for policy in all {
            let policies = by_namespace.entry(&policy.metadata.namespace).or_default();
            let selector = policy.spec.selector.as_ref();
            let labels = selector.map(|selector| selector.match_labels.iter().collect());
            match labels.filter(|labels: &Labels| !labels.is_empty()) {
                Some(labels) => policies.selecting.push((labels, &policy.spec)),
                None => {
                    policies
                        .whole
                        .get_or_insert_with(|| mode(policy.spec.mtls.as_ref()));
                }
            }
        }
        Self { root, by_namespace }
    }

    /// Notes at the endpoints of `services` to which of them mesh mTLS is not sent.
    pub(super) fn apply(&self, services: &mut [Service]) {
        if self.by_namespace.is_empty() {
            return;
        }
        let sets = services
            .iter_mut()
            .flat_map(|service| &mut service.endpoints);
        for endpoint in sets.flat_map(|set| &mut set.endpoints) {
            if endpoint.mesh_tls && self.of(endpoint) == MutualTlsMode::Disable {
                endpoint.mesh_tls = false;
                endpoint.mesh_tls_disabled = true;
            }
        }
    }

    /// The mode at the port of an endpoint: what the mesh says, then the namespace, then the policy
    /// that selects the workload.
    fn of(&self, endpoint: &Endpoint) -> MutualTlsMode {
        let whole = |namespace| self.by_namespace.get(namespace)?.whole;
        let of_mesh = whole(self.root).unwrap_or_default();
        let namespace = &*endpoint.namespace;
        // A policy of the root namespace is not for single workloads.
        let own = self.by_namespace.get(namespace);
        let Some(own) = own.filter(|_| namespace != self.root) else {
            return of_mesh;
        };
        let of_namespace = set_or(own.whole.unwrap_or_default(), of_mesh);
        let mut selecting = own.selecting.iter();
        let found = selecting.find(|(labels, _)| labels.is_subset_of(&endpoint.labels));
        let Some((_, policy)) = found else {
            return of_namespace;
        };
        let of_workload = set_or(mode(policy.mtls.as_ref()), of_namespace);
        let port = endpoint.address.port().map(|port| port.to_string());
        let of_port = port.and_then(|port| policy.port_level_mtls.as_ref()?.get(&port));
        set_or(mode(of_port), of_workload)
    }
}

fn disables(policy: &PeerAuthentication) -> bool {
    let ports = policy
        .port_level_mtls
        .iter()
        .flat_map(|ports| ports.values());
    let mut all = policy.mtls.iter().chain(ports);
    all.any(|mtls| mtls.mode == MutualTlsMode::Disable)
}

fn mode(written: Option<&MutualTls>) -> MutualTlsMode {
    written.map_or(MutualTlsMode::Unset, |mtls| mtls.mode)
}

/// The narrower mode, unless it is not set.
fn set_or(narrow: MutualTlsMode, wide: MutualTlsMode) -> MutualTlsMode {
    match narrow {
        MutualTlsMode::Unset => wide,
        set => set,
    }
}
