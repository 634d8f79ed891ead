//! Endpoints of ServiceEntries that declare the same host.

use std::collections::{HashMap, HashSet};

use crate::config::services::{PortEndpoints, Provider, Service, ServicePort};
use crate::model::cluster::{Discovery, Endpoint, EndpointAddress};

/// Gives ServiceEntries of one host and namespace the endpoints of all of them, those of the older
/// first, whoever sees which (`mergeServicesInstancesByNamespaceHost`). `services` are the oldest first.
pub(super) fn pool(services: &mut [Service]) {
    let mut entries: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        if service.provider == Provider::External {
            let same = entries.entry((&service.hostname, &service.namespace));
            same.or_default().push(index);
        }
    }
    let shared = entries.into_values().filter(|same| same.len() > 1);
    let pooled: Vec<(usize, Vec<PortEndpoints>)> = shared
        .flat_map(|same| {
            let entries: Vec<&Service> = same.iter().map(|&index| &services[index]).collect();
            let sets = sets(&entries);
            let of = |service: &Service| -> Vec<PortEndpoints> {
                let ports = service.ports.iter();
                ports.map(|port| of_port(service, port, &sets)).collect()
            };
            let pooled: Vec<_> = entries.iter().map(|entry| of(entry)).collect();
            same.into_iter().zip(pooled)
        })
        .collect();
    for (index, endpoints) in pooled {
        services[index].endpoints = endpoints;
    }
}

/// The endpoints of one port of one entry.
struct Set<'a> {
    port: &'a ServicePort,
    endpoints: &'a [Endpoint],
}

/// The endpoints of each port of each entry. Of names of which one address is used at a time, only the
/// first for a port counts, and only if no other entry has endpoints for it before.
fn sets<'a>(entries: &[&'a Service]) -> Vec<Set<'a>> {
    let mut taken = HashSet::new();
    let mut sets = Vec::new();
    for entry in entries {
        for port in &entry.ports {
            let mut endpoints = entry.endpoints(port);
            if entry.discovery == Discovery::LogicalDns {
                let most = usize::from(!taken.contains(&port.number));
                endpoints = &endpoints[..endpoints.len().min(most)];
            }
            if !endpoints.is_empty() {
                taken.insert(port.number);
                sets.push(Set { port, endpoints });
            }
        }
    }
    sets
}

/// The endpoints of a port of `service`: of all ports of its name if they are listed, which names that
/// are to be resolved cannot be, and of all ports of its number if they are resolved.
fn of_port(service: &Service, port: &ServicePort, sets: &[Set<'_>]) -> PortEndpoints {
    let by_dns = matches!(
        service.discovery,
        Discovery::LogicalDns | Discovery::StrictDns
    );
    let own = sets.iter().filter(|set| match by_dns {
        true => set.port.number == port.number,
        false => set.port.name == port.name,
    });
    let endpoints = own.flat_map(|set| set.endpoints).filter(|endpoint| {
        let is_name = matches!(endpoint.address, EndpointAddress::Dns { .. });
        by_dns || !is_name
    });
    PortEndpoints {
        port: port.number,
        name: port.name.as_str().into(),
        endpoints: endpoints.cloned().collect(),
    }
}
