//! What becomes of routes at Services and ServiceEntries, whose clients they are for.

use std::collections::{BTreeMap, HashMap};

use crate::analyze::status::condition::Verdict;
use crate::analyze::status::route;
use crate::analyze::status::scene::Scene;
use crate::config::MeshConfig;
use crate::config::services::Provider;
use crate::resolve::gateway_api::attach::RouteSpec;
use crate::resolve::gateway_api::class::CONTROLLER;
use crate::resolve::gateway_api::mesh;
use crate::resolve::gateway_api::review::Site;
use crate::resource::gateway_api::parent_reference::ParentReference;
use crate::resource::kind::Kind;
use crate::resource::{Metadata, Resource};

/// The controller of waypoints.
pub(super) const MESH_CONTROLLER: &str = "istio.io/mesh-controller";
/// Label of a service, or of its namespace, with the Gateway that its clients go through.
const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// Label with the namespace of that Gateway.
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// The Services and ServiceEntries, by provider, namespace and name.
pub(super) type ByName<'a> = HashMap<(Provider, &'a str, &'a str), &'a Metadata>;

pub(super) fn by_name(config: &MeshConfig) -> ByName<'_> {
    let resources = config.resources();
    let services = resources.services.iter();
    let services = services.map(|service| (Provider::Kubernetes, &service.metadata));
    let entries = resources.service_entries.iter();
    let entries = entries.map(|entry| (Provider::External, &entry.metadata));
    let all = services.chain(entries);
    all.map(|(provider, metadata)| ((provider, &*metadata.namespace, &*metadata.name), metadata))
        .collect()
}

/// What becomes of a route at a service. `None` if the reference is to none, or to one that another
/// controller has.
pub(super) fn parent<'s, S: RouteSpec>(
    scene: &Scene<'_>,
    route: &Resource<S>,
    reference: &ParentReference,
) -> Option<(Site<'s>, Verdict)> {
    let provider = mesh::provider(reference)?;
    let namespace = reference.namespace.as_ref();
    let namespace = namespace.unwrap_or(&route.metadata.namespace);
    let key = (provider, &**namespace, &*reference.name);
    let Some(service) = scene.services.get(&key) else {
        let refusal = mesh::no_such_service(reference);
        return Some((Site::Mesh, Verdict::refused(&refusal)));
    };
    if is_of_another_controller(scene, service) {
        return None;
    }
    let accepted = match S::KIND {
        kind @ Kind::UdpRoute => Verdict::refused(&mesh::no_effect(kind)),
        _ => route::valid(),
    };
    Some((Site::Mesh, accepted))
}

/// Whether clients of the service go through a Gateway of another controller
/// (`waypointManagedByAnotherController`).
fn is_of_another_controller(scene: &Scene<'_>, service: &Metadata) -> bool {
    let resources = scene.config.resources();
    let of_namespace = || resources.namespace(&service.namespace);
    let labels: &BTreeMap<String, String> = match service.labels.contains_key(USE_WAYPOINT) {
        true => &service.labels,
        false => match of_namespace() {
            Some(namespace) => &namespace.metadata.labels,
            None => return false,
        },
    };
    let waypoint = labels.get(USE_WAYPOINT);
    let is_named = |name: &&String| !name.is_empty() && !name.eq_ignore_ascii_case("none");
    let Some(waypoint) = waypoint.filter(is_named) else {
        return false;
    };
    let namespace = labels.get(USE_WAYPOINT_NAMESPACE);
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(&service.namespace);
    let mut gateways = resources.gateway_api.gateways.iter();
    let gateway = gateways.find(|gateway| {
        gateway.metadata.name == *waypoint && gateway.metadata.namespace == *namespace
    });
    let class = gateway.and_then(|gateway| {
        let mut classes = resources.gateway_api.gateway_classes.iter();
        classes.find(|class| class.metadata.name == gateway.spec.gateway_class_name)
    });
    class.is_some_and(|class| {
        let controller = class.spec.controller_name.as_str();
        let own = scene.options.controller.as_str();
        ![MESH_CONTROLLER, CONTROLLER, own].contains(&controller)
    })
}
