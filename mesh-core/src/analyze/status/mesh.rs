//! What becomes of routes at Services and ServiceEntries, whose clients they are for.

use std::collections::HashMap;

use crate::analyze::status::condition::Verdict;
use crate::analyze::status::route;
use crate::analyze::status::scene::Scene;
use crate::config::MeshConfig;
use crate::config::services::Provider;
use crate::labels::Labels;
use crate::resolve::gateway_api::attach::RouteSpec;
use crate::resolve::gateway_api::mesh;
use crate::resolve::gateway_api::review::Site;
use crate::resolve::gateway_api::waypoint::is_of_another_controller;
use crate::resource::gateway_api::parent_reference::ParentReference;
use crate::resource::kind::Kind;
use crate::resource::{Metadata, Resource};

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
    let labels: Labels = service.labels.iter().collect();
    if is_of_another_controller(scene.config, &service.namespace, &labels) {
        return None;
    }
    let accepted = match S::KIND {
        kind @ Kind::UdpRoute => Verdict::refused(&mesh::no_effect(kind)),
        _ => route::valid(),
    };
    Some((Site::Mesh, accepted))
}
