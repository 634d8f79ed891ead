//! Whose routes of a service are, whose clients go through a Gateway before it, a waypoint.

use crate::config::MeshConfig;
use crate::labels::Labels;
use crate::resolve::gateway_api::class::CONTROLLER;

/// The controller of Istio's waypoints.
pub(crate) const MESH_CONTROLLER: &str = "istio.io/mesh-controller";
/// Label of a service, or of its namespace, with the Gateway that its clients go through.
const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// Label with the namespace of that Gateway.
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// Whether a service of `namespace` with these labels has a waypoint of another controller than
/// Istio's and `own`: routes are left to it then (`waypointManagedByAnotherController`).
pub(crate) fn is_of_another_controller(
    config: &MeshConfig,
    namespace: &str,
    labels: &Labels,
    own: &str,
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
    let mut gateways = resources.gateway_api.gateways.iter();
    let gateway = gateways.find(|gateway| {
        gateway.metadata.name == waypoint && gateway.metadata.namespace == namespace
    });
    let class = gateway.and_then(|gateway| {
        let mut classes = resources.gateway_api.gateway_classes.iter();
        classes.find(|class| class.metadata.name == gateway.spec.gateway_class_name)
    });
    class.is_some_and(|class| {
        let controller = class.spec.controller_name.as_str();
        ![MESH_CONTROLLER, CONTROLLER, own].contains(&controller)
    })
}
