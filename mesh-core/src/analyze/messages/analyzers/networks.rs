//! Networks whose endpoints come from registries that do not exist.

use std::collections::BTreeSet;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, is_labelled};
use crate::origin::{Origin, Source};

/// The label of Secrets that give access to other clusters.
const REMOTE_CLUSTERS: &str = "istio/multiCluster";

/// Registries that there always are.
const REGISTRIES: [&str; 3] = ["External", "Kubernetes", "Mock"];

/// A network's registry has to be a cluster that istiod knows.
pub(super) fn registries(context: &Context<'_>, report: &mut Report) {
    let secrets = context.resources.secrets.iter();
    let remote = secrets.filter(|secret| is_labelled(secret, REMOTE_CLUSTERS, "true"));
    let clusters = remote.flat_map(|secret| {
        let spec = &secret.spec;
        spec.data.keys().chain(spec.string_data.keys())
    });
    let known: BTreeSet<&str> = clusters.map(String::as_str).chain(REGISTRIES).collect();
    for (name, network) in &context.networks.networks {
        let registries = network
            .endpoints
            .iter()
            .filter_map(|found| found.from_registry.as_ref());
        for registry in registries.filter(|registry| !known.contains(registry.as_str())) {
            let origin = Origin::new(
                "MeshNetworks",
                "istio-system",
                "meshnetworks",
                &Source::unknown(),
            );
            report.push(
                origin,
                Code::UnknownMeshNetworksServiceRegistry,
                &[registry, name],
            );
        }
    }
}
