//! The objects that services and their endpoints are read from, indexed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::options::MeshOptions;
use crate::config::resources::Resources;
use crate::config::services::instance::{
    self, InstanceHost, NETWORK, WorkloadInstance, labelled_locality, node_locality,
};
use crate::config::services::peer_modes::PeerModes;
use crate::config::services::{Service, kubernetes, service_entry};
use crate::labels::Labels;
use crate::resource::istio::{MeshNetworks, WorkloadEntry};
use crate::resource::kubernetes::endpoint_slice::EndpointSlice;
use crate::resource::kubernetes::endpoints::Endpoints;
use crate::resource::kubernetes::pod::Pod;
use crate::resource::{Resource, Value};

/// Label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Annotation of a WorkloadEntry whose health is probed.
const HEALTH_CHECKS: &str = "proxy.istio.io/health-checks-enabled";

type NamespacedName<'a> = (&'a str, &'a str);

/// The objects that services and their endpoints are read from.
pub(in crate::config) struct Sources<'a> {
    pub(super) resources: &'a Resources,
    pub(super) options: &'a MeshOptions,
    pub(super) domain: &'a str,
    networks: Networks<'a>,
    nodes: HashMap<&'a str, String>,
    slices: HashMap<NamespacedName<'a>, Vec<&'a Resource<EndpointSlice>>>,
    endpoints: HashMap<NamespacedName<'a>, &'a Resource<Endpoints>>,
    instances: HashMap<&'a str, Vec<WorkloadInstance>>,
    pods_by_name: HashMap<NamespacedName<'a>, WorkloadInstance>,
    pods_by_address: HashMap<IpAddr, NamespacedName<'a>>,
}

impl<'a> Sources<'a> {
    pub(in crate::config) fn new(
        resources: &'a Resources,
        options: &'a MeshOptions,
        networks: &'a MeshNetworks,
        domain: &'a str,
    ) -> Self {
        let mut sources = Self {
            resources,
            options,
            domain,
            networks: Networks::new(resources, options, networks),
            nodes: HashMap::new(),
            slices: HashMap::new(),
            endpoints: HashMap::new(),
            instances: HashMap::new(),
            pods_by_name: HashMap::new(),
            pods_by_address: HashMap::new(),
        };
        sources.index_nodes();
        sources.index_endpoints();
        sources.index_pods();
        sources.index_workload_entries();
        sources
    }

    /// All services, in no particular order.
    pub(in crate::config) fn services(&self) -> Vec<Service> {
        let kubernetes = self.resources.services.iter();
        let kubernetes = kubernetes.map(|written| kubernetes::service(written, self));
        let entries = self.resources.service_entries.iter();
        let entries = entries.flat_map(|written| service_entry::services(written, self));
        let mut services: Vec<Service> = kubernetes.chain(entries).collect();
        PeerModes::new(self.resources, self.options.root_namespace()).apply(&mut services);
        services
    }

    /// The slices of a Kubernetes Service.
    pub(super) fn slices(
        &self,
        namespace: &'a str,
        name: &'a str,
    ) -> &[&'a Resource<EndpointSlice>] {
        self.slices
            .get(&(namespace, name))
            .map_or(&[], Vec::as_slice)
    }

    /// The addresses of a Kubernetes Service, in the old form.
    pub(super) fn endpoints(
        &self,
        namespace: &'a str,
        name: &'a str,
    ) -> Option<&'a Resource<Endpoints>> {
        self.endpoints.get(&(namespace, name)).copied()
    }

    /// The pods and WorkloadEntries of a namespace that have all labels of `selector`: pods before
    /// WorkloadEntries, each by name.
    pub(super) fn selected(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = &WorkloadInstance> {
        let instances = self.instances.get(namespace).into_iter().flatten();
        instances.filter(|instance| selector.is_subset_of(&instance.labels))
    }

    /// The pod `namespace`/`name`, else the one at `address`.
    pub(super) fn pod(
        &self,
        name: Option<NamespacedName<'a>>,
        address: IpAddr,
    ) -> Option<&WorkloadInstance> {
        let named = name.and_then(|name| self.pods_by_name.get(&name));
        named.or_else(|| self.pods_by_name.get(self.pods_by_address.get(&address)?))
    }

    /// Where a node is; empty if unknown.
    pub(super) fn node_locality(&self, node: &str) -> &str {
        self.nodes.get(node).map_or("", String::as_str)
    }

    /// The network that an address without workload is in.
    pub(super) fn network(&self, host: &InstanceHost) -> String {
        self.networks.of(&Labels::default(), host)
    }

    fn index_nodes(&mut self) {
        for node in &self.resources.nodes {
            let locality = node_locality(&node.metadata.labels);
            self.nodes.insert(&node.metadata.name, locality);
        }
    }

    fn index_endpoints(&mut self) {
        for slice in &self.resources.endpoint_slices {
            let metadata = &slice.metadata;
            if let Some(service) = metadata.labels.get(SERVICE_NAME) {
                let slices = self.slices.entry((&metadata.namespace, service));
                slices.or_default().push(slice);
            }
        }
        for endpoints in &self.resources.endpoints {
            let metadata = &endpoints.metadata;
            let name = (&*metadata.namespace, &*metadata.name);
            self.endpoints.insert(name, endpoints);
        }
    }

    fn index_pods(&mut self) {
        for pod in &self.resources.pods {
            let metadata = &pod.metadata;
            let name = (&*metadata.namespace, &*metadata.name);
            let Some(instance) = self.pod_instance(pod) else {
                continue;
            };
            if let InstanceHost::Ip(ip) = instance.host {
                // Pods of the host network share an address; none of them is told by it.
                let shared = pod.spec.spec.host_network == Some(true);
                if !shared {
                    self.pods_by_address.insert(ip, name);
                }
            }
            self.pods_by_name.insert(name, instance.clone());
            self.instances.entry(name.0).or_default().push(instance);
        }
        for instances in self.instances.values_mut() {
            instances.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }

    fn index_workload_entries(&mut self) {
        let mut entries: Vec<_> = self.resources.workload_entries.iter().collect();
        entries.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        for entry in entries {
            let namespace = &*entry.metadata.namespace;
            let labels = merged_labels(entry);
            let instance = self.entry_instance(&entry.spec, &labels, namespace);
            if let Some(mut instance) = instance {
                instance.name.clone_from(&entry.metadata.name);
                instance.healthy = is_healthy(entry);
                self.instances.entry(namespace).or_default().push(instance);
            }
        }
    }

    fn pod_instance(&self, pod: &Resource<Pod>) -> Option<WorkloadInstance> {
        let status = &pod.spec.status;
        let address = status.pod_ip.as_deref();
        let address = address.or_else(|| status.pod_ips.first().map(|ip| &*ip.ip))?;
        let ip: IpAddr = address.parse().ok()?;
        if instance::has_ended(&pod.spec) {
            return None;
        }
        let spec = &pod.spec.spec;
        let node = spec.node_name.as_deref().unwrap_or_default();
        let labels: Labels = pod.metadata.labels.iter().collect();
        let locality = labelled_locality(&labels);
        let account = spec.service_account_name.as_deref().unwrap_or_default();
        let host = InstanceHost::Ip(ip);
        let mut instance = WorkloadInstance {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            is_pod: true,
            ports: named_ports(&pod.spec),
            locality: locality.unwrap_or_else(|| self.node_locality(node).to_owned()),
            network: self.networks.of(&labels, &host),
            weight: 1,
            service_account: if account.is_empty() {
                "default"
            } else {
                account
            }
            .to_owned(),
            mesh_tls: instance::mesh_tls(&labels).unwrap_or(false),
            healthy: instance::is_ready(&pod.spec),
            is_ending: pod.metadata.deletion_timestamp.is_some(),
            labels,
            host,
        };
        instance.augment_labels(node);
        Some(instance)
    }

    /// The workload of a WorkloadEntry, or of an endpoint of a ServiceEntry of `namespace`. `None`
    /// if it has no address.
    pub(super) fn entry_instance(
        &self,
        entry: &WorkloadEntry,
        labels: &Labels,
        namespace: &str,
    ) -> Option<WorkloadInstance> {
        let host = InstanceHost::parse(&entry.address)?;
        let locality = match entry.locality.as_str() {
            "" => labelled_locality(labels).unwrap_or_default(),
            locality => locality.to_owned(),
        };
        let network = match entry.network.as_str() {
            "" => self.networks.of(labels, &host),
            network => network.to_owned(),
        };
        let ports = entry.ports.iter();
        let ports = ports.filter_map(|(name, port)| {
            let port = u16::try_from(*port).ok().filter(|port| *port != 0)?;
            Some((name.clone(), port))
        });
        let mut instance = WorkloadInstance {
            name: String::new(),
            namespace: namespace.to_owned(),
            is_pod: false,
            ports: ports.collect(),
            labels: labels.clone(),
            locality,
            network,
            weight: entry.weight.max(1),
            service_account: entry.service_account.clone(),
            mesh_tls: instance::mesh_tls(labels).unwrap_or(!entry.service_account.is_empty()),
            healthy: true,
            is_ending: false,
            host,
        };
        instance.augment_labels("");
        Some(instance)
    }
}

/// Which network an address is in: by the label of its workload, the label of the root namespace,
/// or the ranges of MeshNetworks, in this order.
struct Networks<'a> {
    of_root: Option<&'a str>,
    ranges: Vec<(IpNet, &'a str)>,
}

impl<'a> Networks<'a> {
    fn new(resources: &'a Resources, options: &MeshOptions, networks: &'a MeshNetworks) -> Self {
        let root = options.root_namespace();
        let root = resources.namespace(root);
        let of_root = root.and_then(|root| root.metadata.labels.get(NETWORK));
        let ranges = networks.networks.iter().flat_map(|(name, network)| {
            let endpoints = network.endpoints.iter();
            let ranges = endpoints.filter_map(|range| range.from_cidr.as_deref()?.parse().ok());
            ranges.map(|range: IpNet| (range, &**name))
        });
        Self {
            of_root: of_root.map(String::as_str).filter(|name| !name.is_empty()),
            ranges: ranges.collect(),
        }
    }

    fn of(&self, labels: &Labels, host: &InstanceHost) -> String {
        let labelled = labels.value(NETWORK).filter(|name| !name.is_empty());
        let known = labelled.or(self.of_root);
        known
            .or_else(|| self.by_range(host))
            .unwrap_or_default()
            .to_owned()
    }

    fn by_range(&self, host: &InstanceHost) -> Option<&'a str> {
        let InstanceHost::Ip(ip) = host else {
            return None;
        };
        let ranges = self.ranges.iter().filter(|(range, _)| range.contains(ip));
        let narrowest = ranges.max_by_key(|(range, _)| range.prefix_len());
        narrowest.map(|(_, name)| *name)
    }
}

fn named_ports(pod: &Pod) -> BTreeMap<String, u16> {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let ports = containers.flat_map(|container| &container.ports);
    ports
        .filter_map(|port| Some((port.name.clone()?, port.container_port)))
        .collect()
}

/// The labels of the entry and of its object, which wins.
fn merged_labels(entry: &Resource<WorkloadEntry>) -> Labels {
    let labels = entry.spec.labels.iter().chain(&entry.metadata.labels);
    labels.collect()
}

/// Whether probes of a WorkloadEntry succeed. One that is probed and was not yet is unhealthy.
fn is_healthy(entry: &Resource<WorkloadEntry>) -> bool {
    let probed = entry.metadata.annotations.get(HEALTH_CHECKS);
    if !probed.is_some_and(|probed| matches!(&**probed, "true" | "True" | "TRUE" | "t" | "1")) {
        return true;
    }
    let conditions = entry
        .status
        .as_ref()
        .and_then(|status| status.field("conditions"));
    let Some(Value::List(conditions)) = conditions else {
        return false;
    };
    let text = |condition: &Value, field| {
        let text = condition.field(field).and_then(Value::as_str);
        text.map(str::to_ascii_lowercase)
    };
    let mut conditions = conditions.iter();
    let healthy = conditions.find(|found| text(found, "type").as_deref() == Some("healthy"));
    healthy.is_some_and(|found| text(found, "status").as_deref() == Some("true"))
}
