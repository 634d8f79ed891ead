//! The endpoints of Kubernetes Services.
//!
//! They are those of the service's EndpointSlices; without any, those of its Endpoints; without
//! both, the pods that it selects, so that a few pods written by hand are enough. WorkloadEntries
//! that the service selects are added, unless it is headless
//! (`serviceInstancesFromWorkloadInstances`).
//!
//! Endpoints that are not ready stay, as such; those that are about to go are withdrawn
//! (`endpointHealthStatus`).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::config::services::instance::{InstanceHost, WorkloadInstance, locality};
use crate::config::services::{PortEndpoints, ServicePort, Sources, TargetPort};
use crate::labels::Labels;
use crate::model::cluster::{Endpoint, EndpointAddress};
use crate::resource::Resource;
use crate::resource::kubernetes::endpoint_slice::{
    self, AddressType, EndpointSlice, TargetReference,
};
use crate::resource::kubernetes::endpoints::{EndpointAddress as WrittenAddress, Endpoints};
use crate::resource::kubernetes::service::Service;

/// The endpoints of each of `ports` of a Kubernetes Service, which may be headless.
pub(super) fn of_kubernetes<'a>(
    service: &'a Resource<Service>,
    ports: &[ServicePort],
    headless: bool,
    sources: &Sources<'a>,
) -> Vec<PortEndpoints> {
    let metadata = &service.metadata;
    let (namespace, name) = (&*metadata.namespace, &*metadata.name);
    let spec = &service.spec.spec;
    let selector: Labels = spec.selector.iter().collect();
    let slices = sources.slices(namespace, name);
    let endpoints = sources.endpoints(namespace, name);
    let of_port = |port: &ServicePort| {
        let mut found = if !slices.is_empty() {
            of_slices(slices, port, sources)
        } else if let Some(endpoints) = endpoints {
            of_endpoints(endpoints, port, sources)
        } else {
            of_instances(namespace, &selector, port, sources, true)
        };
        if spec.publish_not_ready_addresses == Some(true) {
            for endpoint in &mut found {
                set_health(endpoint, true, false);
            }
        }
        if !headless {
            found.extend(of_instances(namespace, &selector, port, sources, false));
        }
        PortEndpoints {
            port: port.number,
            name: port.name.as_str().into(),
            endpoints: found,
        }
    };
    ports.iter().map(of_port).collect()
}

/// The pods, or else the WorkloadEntries, that `selector` selects. An empty one selects none.
fn of_instances(
    namespace: &str,
    selector: &Labels,
    port: &ServicePort,
    sources: &Sources<'_>,
    pods: bool,
) -> Vec<Endpoint> {
    if selector.is_empty() {
        return Vec::new();
    }
    sources
        .selected(namespace, selector)
        .filter(|instance| instance.is_pod == pods)
        .filter(|instance| matches!(instance.host, InstanceHost::Ip(_)))
        .filter_map(|instance| {
            let mut endpoint = instance.endpoint(target_port(instance, port)?);
            if pods {
                let ready = instance.healthy && !instance.is_ending;
                set_health(&mut endpoint, ready, instance.is_ending);
            }
            Some(endpoint)
        })
        .collect()
}

/// Notes whether an endpoint is ready, and whether it is about to go. One that is ready stays.
fn set_health(endpoint: &mut Endpoint, ready: bool, ending: bool) {
    endpoint.healthy = ready;
    endpoint.withdrawn = !ready && ending;
}

/// The port of a workload behind a Kubernetes Service: the target port by its name, or its number, in
/// the place of which a WorkloadEntry may have one for the name of the service port
/// (`findServiceTargetPort`).
fn target_port(instance: &WorkloadInstance, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Name(name) => instance.ports.get(name).copied(),
        TargetPort::Number(number) => {
            let own = instance.ports.get(&port.name);
            let own = own.filter(|_| !instance.is_pod);
            Some(own.copied().unwrap_or(*number))
        }
    }
}

fn of_slices<'a>(
    slices: &[&'a Resource<EndpointSlice>],
    port: &ServicePort,
    sources: &Sources<'a>,
) -> Vec<Endpoint> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for slice in slices {
        let spec = &slice.spec;
        let mut ports = spec.ports.iter();
        let written = ports.find(|written| written.name.as_deref().unwrap_or("") == port.name);
        let number = written.and_then(|written| written.port);
        let Some(number) = number.filter(|_| spec.address_type != Some(AddressType::Fqdn)) else {
            continue;
        };
        for written in &spec.endpoints {
            let addresses = written
                .addresses
                .iter()
                .filter_map(|text| text.parse().ok());
            for address in addresses.filter(|address| seen.insert((*address, number))) {
                let place = Place {
                    address: SocketAddr::new(address, number),
                    namespace: &slice.metadata.namespace,
                    target: written.target_ref.as_ref(),
                    locality: slice_locality(written, sources),
                };
                let mut endpoint = place.endpoint(sources);
                let conditions = &written.conditions;
                let ready = conditions.ready.unwrap_or(true);
                // What does not say that it stays goes.
                let ending = conditions.terminating.unwrap_or(true);
                set_health(&mut endpoint, ready, ending);
                found.push(endpoint);
            }
        }
    }
    found
}

fn slice_locality(written: &endpoint_slice::Endpoint, sources: &Sources<'_>) -> String {
    let node = written.node_name.as_deref();
    let known = node.map_or("", |node| sources.node_locality(node));
    if !known.is_empty() {
        return known.to_owned();
    }
    let topology = |key| {
        written
            .deprecated_topology
            .get(key)
            .map_or("", String::as_str)
    };
    let zone = written.zone.as_deref();
    locality([
        topology("topology.kubernetes.io/region"),
        zone.unwrap_or_else(|| topology("topology.kubernetes.io/zone")),
        "",
    ])
}

fn of_endpoints<'a>(
    endpoints: &'a Resource<Endpoints>,
    port: &ServicePort,
    sources: &Sources<'a>,
) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for subset in &endpoints.spec.subsets {
        let mut ports = subset.ports.iter();
        let written = ports.find(|written| written.name.as_deref().unwrap_or("") == port.name);
        let Some(number) = written.map(|written| written.port) else {
            continue;
        };
        let namespace = &endpoints.metadata.namespace;
        let endpoint = |written: &'a WrittenAddress, healthy| {
            let address: IpAddr = written.ip.parse().ok()?;
            let node = written.node_name.as_deref();
            let place = Place {
                address: SocketAddr::new(address, number),
                namespace,
                target: written.target_ref.as_ref(),
                locality: node
                    .map_or("", |node| sources.node_locality(node))
                    .to_owned(),
            };
            let mut endpoint = place.endpoint(sources);
            // The slices that Kubernetes makes of them do not say that any of them stays.
            set_health(&mut endpoint, healthy, true);
            Some(endpoint)
        };
        let ready = subset
            .addresses
            .iter()
            .filter_map(|written| endpoint(written, true));
        found.extend(ready);
        let unready = subset.not_ready_addresses.iter();
        found.extend(unready.filter_map(|written| endpoint(written, false)));
    }
    found
}

/// An address that an object lists, and what it says of the workload there.
struct Place<'a> {
    address: SocketAddr,
    namespace: &'a str,
    target: Option<&'a TargetReference>,
    locality: String,
}

impl<'a> Place<'a> {
    /// The endpoint, with what its pod tells. One whose pod was not given is kept all the same.
    fn endpoint(self, sources: &Sources<'a>) -> Endpoint {
        let address = self.address;
        let pod = self
            .target
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let name = pod.and_then(|target| {
            let namespace = target.namespace.as_deref().unwrap_or(self.namespace);
            Some((namespace, target.name.as_deref()?))
        });
        match sources.pod(name, address.ip()) {
            Some(pod) => {
                let mut endpoint = pod.endpoint(address.port());
                endpoint.address = EndpointAddress::Ip(address);
                if endpoint.locality.is_empty() {
                    endpoint.locality = self.locality;
                }
                endpoint
            }
            None => Endpoint {
                locality: self.locality,
                network: sources.network(&InstanceHost::Ip(address.ip())),
                namespace: self.namespace.to_owned(),
                ..Endpoint::new(EndpointAddress::Ip(address))
            },
        }
    }
}
