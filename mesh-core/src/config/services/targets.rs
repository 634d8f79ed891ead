//! Which services a workload is behind.

use crate::config::services::{Provider, Service, ServicePort, Services, TargetPort};
use crate::model::cluster::{Endpoint, EndpointAddress};
use crate::workload::Workload;

/// A port of a service that a workload is behind.
#[derive(Clone, Copy, Debug)]
pub struct ServiceTarget<'a> {
    /// The service.
    pub service: &'a Service,
    /// Its port.
    pub port: &'a ServicePort,
    /// The port that the workload listens on.
    pub target_port: u16,
}

impl Services {
    /// The service ports that `workload` is behind, those of the oldest service first.
    ///
    /// A workload is behind a service of its namespace if the service selects its labels, or lists
    /// one of its addresses.
    pub fn targets(&self, workload: &Workload) -> Vec<ServiceTarget<'_>> {
        let services = self.iter();
        services
            .flat_map(|service| service.targets(workload))
            .collect()
    }
}

impl Service {
    /// The ports of the service that `workload` is behind, see [`Services::targets`].
    pub fn targets(&self, workload: &Workload) -> impl Iterator<Item = ServiceTarget<'_>> {
        let is_near = self.namespace == workload.namespace;
        let ports = self.ports.iter().filter(move |_| is_near);
        let selected = self.selects(workload);
        ports.filter_map(move |port| {
            let endpoints = self.endpoints(port);
            let own = endpoints
                .iter()
                .find_map(|endpoint| own_port(endpoint, workload));
            let target_port = match (own, selected) {
                (Some(port), _) => port,
                (None, false) => return None,
                (None, true) => port.selected_target(endpoints),
            };
            Some(ServiceTarget {
                service: self,
                port,
                target_port,
            })
        })
    }

    /// Whether the service selects the workload by its labels.
    pub fn selects(&self, workload: &Workload) -> bool {
        let selector = self.selector.as_ref();
        // An empty selector of a Kubernetes Service selects nothing, one of an entry everything.
        let selector =
            selector.filter(|selector| self.provider == Provider::External || !selector.is_empty());
        self.namespace == workload.namespace
            && selector.is_some_and(|selector| selector.is_subset_of(&workload.labels))
    }
}

impl ServicePort {
    /// The port of a selected workload that no endpoint is known of. A named one is taken from
    /// the other workloads behind the service, which rarely differ.
    fn selected_target(&self, others: &[Endpoint]) -> u16 {
        match &self.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(_) => {
                let port = others.iter().find_map(|endpoint| endpoint.address.port());
                port.unwrap_or(self.number)
            }
        }
    }
}

fn own_port(endpoint: &Endpoint, workload: &Workload) -> Option<u16> {
    match &endpoint.address {
        EndpointAddress::Ip(socket) if workload.addresses.contains(&socket.ip()) => {
            Some(socket.port())
        }
        _ => None,
    }
}
