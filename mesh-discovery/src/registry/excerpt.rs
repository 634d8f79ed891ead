//! The objects that the endpoints of some services are read from.
//!
//! A configuration of these objects alone has the same endpoints for these services as that of all
//! objects, at a cost that does not depend on how many others there are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use mesh_core::resource::Object;
use mesh_core::resource::kind::Kind;

use crate::registry::affected::{
    ServiceNames, endpoints_addresses, endpoints_targets, may_select, pod_of, service_of,
    slice_addresses,
};
use crate::registry::store::Name;
use crate::registry::view::View;

/// The objects of `view` that decide on the endpoints of `services`. `root` is the root namespace,
/// whose label names the network.
pub(super) fn excerpt(view: &View<'_>, services: &ServiceNames, root: &str) -> Vec<Object> {
    let mut excerpt = Excerpt::default();
    let found = services
        .iter()
        .filter_map(|(kind, name)| view.find(*kind, name));
    let services: Vec<&Object> = found.collect();
    for object in &services {
        excerpt.objects.push((*object).clone());
        excerpt
            .namespaces
            .insert(object.metadata().namespace.clone());
    }
    excerpt.add_slices(view);
    excerpt.add_endpoints(view, &services);
    for service in services {
        excerpt.add_selected_pods(view, service);
    }
    excerpt.add_listed_pods(view);
    excerpt.add_workload_entries(view);
    excerpt.add_nodes(view);
    excerpt.namespaces.insert(root.to_owned());
    excerpt.add_namespaces(view);
    excerpt.add_peer_authentications(view);
    excerpt.objects
}

#[derive(Debug, Default)]
struct Excerpt {
    objects: Vec<Object>,
    namespaces: BTreeSet<String>,
    // Services that slices or Endpoints were found of.
    listed: HashSet<Name>,
    addresses: BTreeSet<IpAddr>,
    pods: BTreeSet<Name>,
    nodes: BTreeSet<String>,
}

impl Excerpt {
    /// The slices of all services that are in the excerpt.
    fn add_slices(&mut self, view: &View<'_>) {
        let services: Vec<Name> = self.services().collect();
        let slices = services.iter().flat_map(|service| {
            let slices = view.slices(|index| index.of_service(service));
            let of = move |slice: &&_| service_of(slice).is_some_and(|(_, name)| name == *service);
            slices.filter(of).map(move |slice| (service, slice))
        });
        for (service, slice) in slices {
            self.listed.insert(service.clone());
            self.addresses.extend(slice_addresses(slice));
            for endpoint in &slice.spec.endpoints {
                self.nodes.extend(endpoint.node_name.clone());
                let target = endpoint.target_ref.as_ref();
                let pod = target.and_then(|target| pod_of(target, &slice.metadata.namespace));
                self.pods.extend(pod);
            }
            let name = Name::new(&slice.metadata.namespace, &slice.metadata.name);
            let object = view.find(Kind::EndpointSlice, &name);
            self.objects.extend(object.cloned());
        }
    }

    fn add_endpoints(&mut self, view: &View<'_>, services: &[&Object]) {
        for service in services {
            let metadata = service.metadata();
            let name = Name::new(&metadata.namespace, &metadata.name);
            let Some(object @ Object::Endpoints(endpoints)) = view.find(Kind::Endpoints, &name)
            else {
                continue;
            };
            self.listed.insert(name);
            self.addresses.extend(endpoints_addresses(endpoints));
            let targets = endpoints_targets(endpoints);
            self.pods
                .extend(targets.filter_map(|target| pod_of(target, &metadata.namespace)));
            let subsets = endpoints.spec.subsets.iter();
            let all = subsets.flat_map(|set| set.addresses.iter().chain(&set.not_ready_addresses));
            self.nodes
                .extend(all.filter_map(|address| address.node_name.clone()));
            self.objects.push(object.clone());
        }
    }

    /// The pods that a service without slices, or an entry, selects.
    fn add_selected_pods(&mut self, view: &View<'_>, service: &Object) {
        let metadata = service.metadata();
        let selector = match service {
            Object::Service(service) => {
                let name = Name::new(&metadata.namespace, &metadata.name);
                let selector = &service.spec.spec.selector;
                Some(selector).filter(|all| !all.is_empty() && !self.listed.contains(&name))
            }
            Object::ServiceEntry(entry) => {
                let selector = entry.spec.workload_selector.as_ref();
                selector.map(|selector| &selector.labels)
            }
            _ => None,
        };
        let Some(selector) = selector else {
            return;
        };
        for pod in view.in_namespace(Kind::Pod, &metadata.namespace) {
            let labels = pod.metadata().labels.iter();
            let labels: BTreeMap<_, _> = labels.map(|(key, value)| (&**key, &**value)).collect();
            if may_select(selector, &labels) {
                let metadata = pod.metadata();
                self.pods
                    .insert(Name::new(&metadata.namespace, &metadata.name));
            }
        }
    }

    /// The pods that were met by name or address, once each.
    fn add_listed_pods(&mut self, view: &View<'_>) {
        for address in &self.addresses {
            for pod in view.pods_at(*address) {
                let metadata = pod.metadata();
                self.pods
                    .insert(Name::new(&metadata.namespace, &metadata.name));
            }
        }
        let pods = self.pods.iter();
        for object in pods.filter_map(|name| view.find(Kind::Pod, name)) {
            if let Object::Pod(pod) = object {
                self.nodes.extend(pod.spec.spec.node_name.clone());
            }
            self.objects.push(object.clone());
        }
    }

    fn add_workload_entries(&mut self, view: &View<'_>) {
        let namespaces = self.namespaces.iter();
        let entries = namespaces.flat_map(|ns| view.in_namespace(Kind::WorkloadEntry, ns));
        self.objects.extend(entries.cloned());
    }

    fn add_nodes(&mut self, view: &View<'_>) {
        let names = self.nodes.iter().map(|name| Name::new("", name));
        let nodes = names.filter_map(|name| view.find(Kind::Node, &name));
        self.objects.extend(nodes.cloned());
    }

    fn add_namespaces(&mut self, view: &View<'_>) {
        let names = self.namespaces.iter().map(|name| Name::new("", name));
        let found = names.filter_map(|name| view.find(Kind::Namespace, &name));
        self.objects.extend(found.cloned());
    }

    /// The policies that say to which of the workloads mesh mTLS is not sent.
    fn add_peer_authentications(&mut self, view: &View<'_>) {
        let of_pods = self.pods.iter().map(|name| &*name.namespace);
        let namespaces: BTreeSet<&str> = self
            .namespaces
            .iter()
            .map(|name| &**name)
            .chain(of_pods)
            .collect();
        let policies = namespaces
            .iter()
            .flat_map(|namespace| view.in_namespace(Kind::PeerAuthentication, namespace));
        self.objects.extend(policies.cloned());
    }

    fn services(&self) -> impl Iterator<Item = Name> {
        let objects = self.objects.iter();
        let services = objects.filter(|object| object.kind() == Kind::Service);
        services.map(|object| {
            let metadata = object.metadata();
            Name::new(&metadata.namespace, &metadata.name)
        })
    }
}
