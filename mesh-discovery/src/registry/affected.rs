//! Which services have other endpoints after some objects changed.
//!
//! Slices, Endpoints, pods and WorkloadEntries only say where services are. As long as nothing else
//! changes, the services in question are found and their endpoints alone are read again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use mesh_core::resource::istio::ServiceEntry;
use mesh_core::resource::istio::service_entry::Resolution;
use mesh_core::resource::kind::Kind;
use mesh_core::resource::kubernetes::endpoint_slice::{EndpointSlice, TargetReference};
use mesh_core::resource::kubernetes::endpoints::Endpoints;
use mesh_core::resource::{Object, Resource};

use crate::registry::store::{Changed, Name, addresses};
use crate::registry::view::View;

/// Label of an EndpointSlice that names its Service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Labels that workloads are given by where they are, and so may match a selector without being
/// written.
const GIVEN_LABELS: [&str; 5] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
    "topology.istio.io/network",
];

/// Services and ServiceEntries, by kind and name.
pub(super) type ServiceNames = BTreeSet<(Kind, Name)>;

/// Whether objects of the kind only say where services are.
pub(super) fn is_endpoint_kind(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::EndpointSlice | Kind::Endpoints | Kind::Pod | Kind::WorkloadEntry
    )
}

/// What may be other than before after changes of endpoint kinds.
#[derive(Debug, Default)]
pub(super) struct Affected {
    /// The services that may have other endpoints.
    pub(super) services: ServiceNames,
    /// Whether more than endpoints may be other: the workload itself is behind other services, or a name
    /// is to be resolved that was not before.
    pub(super) needs_config: bool,
}

impl Affected {
    /// What `changes` affect, for the workload at the addresses `own`.
    pub(super) fn by(changes: &[Changed], view: &View<'_>, own: &[IpAddr]) -> Self {
        let mut touched = Touched::default();
        for object in changes.iter().flat_map(Changed::both) {
            touched.add(object);
        }
        touched.add_services_of_pods(view);
        touched.add_selecting_services(view);
        touched.add_namesakes(view);
        let is_touched = |address| touched.addresses.contains(address);
        Self {
            needs_config: touched.needs_names || own.iter().any(is_touched),
            services: touched.services,
        }
    }
}

#[derive(Debug, Default)]
struct Touched<'a> {
    services: ServiceNames,
    pods: HashSet<Name>,
    /// Addresses of all that was touched.
    addresses: HashSet<IpAddr>,
    labels: Vec<(&'a str, BTreeMap<&'a str, &'a str>)>,
    /// Whether a service that is resolved by DNS may select one of the labels, or shares a host with an entry.
    needs_names: bool,
}

impl<'a> Touched<'a> {
    fn add(&mut self, object: &'a Object) {
        let metadata = object.metadata();
        let namespace = &*metadata.namespace;
        match object {
            Object::EndpointSlice(slice) => {
                self.services.extend(service_of(slice));
                self.addresses.extend(slice_addresses(slice));
            }
            Object::Endpoints(endpoints) => {
                let name = Name::new(namespace, &metadata.name);
                self.services.insert((Kind::Service, name));
                self.addresses.extend(endpoints_addresses(endpoints));
            }
            Object::Pod(_) => {
                self.pods.insert(Name::new(namespace, &metadata.name));
                self.addresses.extend(addresses(object));
                let labels = metadata.labels.iter();
                let labels = labels.map(|(key, value)| (&**key, &**value));
                self.labels.push((namespace, labels.collect()));
            }
            Object::WorkloadEntry(entry) => {
                self.addresses.extend(entry.spec.address.parse::<IpAddr>());
                let labels = entry.spec.labels.iter().chain(&metadata.labels);
                let labels = labels.map(|(key, value)| (&**key, &**value));
                self.labels.push((namespace, labels.collect()));
            }
            _ => {}
        }
    }

    /// The services that list one of the pods, by its name or its address.
    fn add_services_of_pods(&mut self, view: &View<'_>) {
        if self.pods.is_empty() {
            return;
        }
        for address in &self.addresses {
            let slices = view.slices(|index| index.at(*address));
            self.services.extend(slices.filter_map(service_of));
        }
        for pod in &self.pods {
            let slices = view.slices(|index| index.with_pod(pod));
            self.services.extend(slices.filter_map(service_of));
        }
        for object in view.of_kind(Kind::Endpoints) {
            let Object::Endpoints(endpoints) = object else {
                continue;
            };
            let namespace = &endpoints.metadata.namespace;
            let lists = endpoints_addresses(endpoints).any(|ip| self.addresses.contains(&ip))
                || endpoints_targets(endpoints).any(|target| self.is_touched(target, namespace));
            if lists {
                let name = Name::new(namespace, &endpoints.metadata.name);
                self.services.insert((Kind::Service, name));
            }
        }
    }

    fn is_touched(&self, target: &TargetReference, namespace: &str) -> bool {
        pod_of(target, namespace).is_some_and(|pod| self.pods.contains(&pod))
    }

    /// The services that select one of the labels.
    fn add_selecting_services(&mut self, view: &View<'_>) {
        for (namespace, labels) in &self.labels {
            for object in view.in_namespace(Kind::Service, namespace) {
                let Object::Service(service) = object else {
                    continue;
                };
                let selector = &service.spec.spec.selector;
                if !selector.is_empty() && may_select(selector, labels) {
                    let name = Name::new(namespace, &service.metadata.name);
                    self.services.insert((Kind::Service, name));
                }
            }
            for object in view.in_namespace(Kind::ServiceEntry, namespace) {
                let Object::ServiceEntry(entry) = object else {
                    continue;
                };
                let selector = entry.spec.workload_selector.as_ref();
                if !selector.is_some_and(|selector| may_select(&selector.labels, labels)) {
                    continue;
                }
                if entry.spec.resolution != Resolution::Static {
                    self.needs_names = true;
                    continue;
                }
                let name = Name::new(namespace, &entry.metadata.name);
                self.services.insert((Kind::ServiceEntry, name));
            }
        }
    }

    /// The entries that share a host with one of the entries, whose endpoints are theirs, too.
    fn add_namesakes(&mut self, view: &View<'_>) {
        let entries = self
            .services
            .iter()
            .filter(|(kind, _)| *kind == Kind::ServiceEntry);
        let mut waiting: Vec<Name> = entries.map(|(_, name)| name.clone()).collect();
        let mut namespaces = HashMap::new();
        while let Some(name) = waiting.pop() {
            let Some(Object::ServiceEntry(entry)) = view.find(Kind::ServiceEntry, &name) else {
                continue;
            };
            let namespace = &*entry.metadata.namespace;
            let by_host = namespaces
                .entry(namespace)
                .or_insert_with(|| entries_by_host(view, namespace));
            let hosts = entry.spec.hosts.iter();
            let same = hosts.filter_map(|host| by_host.get(&host.to_ascii_lowercase()));
            for other in same.flatten() {
                let name = Name::new(namespace, &other.metadata.name);
                if other.spec.resolution != Resolution::Static {
                    self.needs_names = true;
                } else if self.services.insert((Kind::ServiceEntry, name.clone())) {
                    waiting.push(name);
                }
            }
        }
    }
}

fn entries_by_host<'a>(
    view: &View<'a>,
    namespace: &'a str,
) -> HashMap<String, Vec<&'a Resource<ServiceEntry>>> {
    let mut by_host: HashMap<String, Vec<_>> = HashMap::new();
    for object in view.in_namespace(Kind::ServiceEntry, namespace) {
        let Object::ServiceEntry(entry) = object else {
            continue;
        };
        for host in &entry.spec.hosts {
            let same = by_host.entry(host.to_ascii_lowercase()).or_default();
            same.push(&**entry);
        }
    }
    by_host
}

/// Whether `selector` may select a workload of these written labels, given where it is.
pub(super) fn may_select(
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<&str, &str>,
) -> bool {
    let mut wanted = selector.iter();
    wanted
        .all(|(key, value)| labels.get(&**key) == Some(&&**value) || GIVEN_LABELS.contains(&&**key))
}

/// The Service that a slice is of.
pub(super) fn service_of(slice: &Resource<EndpointSlice>) -> Option<(Kind, Name)> {
    let metadata = &slice.metadata;
    let service = metadata.labels.get(SERVICE_NAME)?;
    Some((Kind::Service, Name::new(&metadata.namespace, service)))
}

pub(super) fn slice_addresses(slice: &Resource<EndpointSlice>) -> impl Iterator<Item = IpAddr> {
    let endpoints = slice.spec.endpoints.iter();
    let texts = endpoints.flat_map(|endpoint| &endpoint.addresses);
    texts.filter_map(|text| text.parse().ok())
}

pub(super) fn endpoints_addresses(endpoints: &Resource<Endpoints>) -> impl Iterator<Item = IpAddr> {
    let subsets = endpoints.spec.subsets.iter();
    let all = subsets.flat_map(|set| set.addresses.iter().chain(&set.not_ready_addresses));
    all.filter_map(|address| address.ip.parse().ok())
}

pub(super) fn endpoints_targets(
    endpoints: &Resource<Endpoints>,
) -> impl Iterator<Item = &TargetReference> {
    let subsets = endpoints.spec.subsets.iter();
    let all = subsets.flat_map(|set| set.addresses.iter().chain(&set.not_ready_addresses));
    all.filter_map(|address| address.target_ref.as_ref())
}

/// The pod that an object of `namespace` refers to.
pub(super) fn pod_of(target: &TargetReference, namespace: &str) -> Option<Name> {
    if target.kind.as_deref() != Some("Pod") {
        return None;
    }
    let namespace = target.namespace.as_deref().unwrap_or(namespace);
    Some(Name::new(namespace, target.name.as_deref()?))
}
