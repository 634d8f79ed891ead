//! Whose routes of a service are, whose clients go through a Gateway before it, a waypoint.

use crate::config::MeshConfig;
use crate::labels::{Labels, USE_WAYPOINT};
use crate::resolve::gateway_api::class::{self, CONTROLLER};

/// The controller of Istio's waypoints.
pub(crate) const MESH_CONTROLLER: &str = "istio.io/mesh-controller";
/// Label with the namespace of the Gateway that [`USE_WAYPOINT`] names.
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// Whether a service of `namespace` with these labels has a waypoint of another controller than
/// Istio's: routes are left to it then (`waypointManagedByAnotherController`).
pub(crate) fn is_of_another_controller(
    config: &MeshConfig,
    namespace: &str,
    labels: &Labels,
) -> bool {
    let resources = config.resources();
    let has_own = labels.value(USE_WAYPOINT).is_some();
    let label = |key: &str| match has_own {
        true => labels.value(key),
        false => {
            let labels = &resources.namespace(namespace)?.metadata.labels;
            labels.get(key).map(String::as_str)
        }
    };
    let is_named = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case("none");
    let Some(waypoint) = label(USE_WAYPOINT).filter(is_named) else {
        return false;
    };
    let elsewhere = label(USE_WAYPOINT_NAMESPACE).filter(|namespace| !namespace.is_empty());
    let namespace = elsewhere.unwrap_or(namespace);
    let gateway = resources.kubernetes_gateway(namespace, waypoint);
    let class = gateway.map(|gateway| gateway.spec.gateway_class_name.as_str());
    let controller = class.and_then(|class| class::controller(config, class));
    controller.is_some_and(|controller| ![MESH_CONTROLLER, CONTROLLER].contains(&controller))
}
