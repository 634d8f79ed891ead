//! What a workload sees of the mesh: services and VirtualServices.
//!
//! A gateway sees all that is exported to its namespace. A sidecar sees what the Sidecar resource
//! that selects it imports, and the destinations of what it imports of VirtualServices and of routes
//! that are attached to services (`pilot/pkg/model/sidecar.go`).

mod destinations;
mod egress;
mod imports;
mod selection;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::options::OutboundMode;
use crate::config::services::{Provider, Service};
use crate::config::visibility::Visibility;
use crate::host::HostPattern;
use crate::model::Notice;
use crate::origin::Origin;
use crate::resolve::gateway_api;
use crate::resolve::scope::imports::Imports;
use crate::resource::Resource;
use crate::resource::istio::sidecar::{
    IstioEgressListener, OutboundTrafficPolicyMode as SidecarMode,
};
use crate::resource::istio::{Sidecar, VirtualService};
use crate::workload::{Workload, WorkloadKind};

/// What a workload sees of the mesh.
#[derive(Debug)]
pub(in crate::resolve) struct Scope<'a> {
    /// The Sidecar that selects the workload. `None` for a gateway.
    pub(in crate::resolve) sidecar: Option<&'a Arc<Resource<Sidecar>>>,
    /// VirtualServices that are exported to the workload's namespace, in the order in which they
    /// compete: those that nobody else sees, those that are exported to it by name, and public
    /// ones; each the oldest first. Delegates, which have no hosts, are not among them.
    pub(in crate::resolve) virtual_services: Vec<&'a Arc<Resource<VirtualService>>>,
    /// What a sidecar's outbound listeners see; a gateway has none. There is at least one, and only
    /// the last can be without a port.
    pub(in crate::resolve) egress: Vec<EgressListener<'a>>,
    /// What becomes of calls to hosts that the workload does not see.
    pub(in crate::resolve) outbound_mode: OutboundMode,
    /// What was written in vain.
    pub(in crate::resolve) notices: Vec<Notice>,
    services: Vec<Arc<Service>>,
    by_hostname: HashMap<String, usize>,
    // Entries that have further ports of hosts of `services`, with these ports only.
    further: Vec<Arc<Service>>,
}

/// What one outbound listener of a sidecar sees.
#[derive(Debug)]
pub(in crate::resolve) struct EgressListener<'a> {
    /// The listener as written. `None` sees everything, at all ports.
    pub(in crate::resolve) written: Option<&'a IstioEgressListener>,
    /// What asked for it.
    pub(in crate::resolve) origin: Origin,
    /// The services that it imports, in order. Where it has a port, they have only that one. Of
    /// one host all are of the same namespace.
    pub(in crate::resolve) services: Vec<Arc<Service>>,
    /// The VirtualServices for sidecars that it imports, in the order in which they compete.
    pub(in crate::resolve) virtual_services: Vec<&'a Arc<Resource<VirtualService>>>,
    imports: Imports,
}

impl EgressListener<'_> {
    /// Whether it imports a route of `namespace` that is attached to the service `host`, in lower
    /// case. As for services, the host has to be covered whole (`VSMatches`).
    pub(in crate::resolve) fn imports_route(&self, namespace: &str, host: &str) -> bool {
        self.imports.service(namespace, &HostPattern::new(host))
    }

    /// The port, unless the listener is for all ports that no other is for.
    pub(in crate::resolve) fn port(&self) -> Option<u16> {
        let port = self.written?.port.as_ref()?;
        u16::try_from(port.number).ok()
    }
}

impl<'a> Scope<'a> {
    pub(in crate::resolve) fn new(config: &'a MeshConfig, workload: &'a Workload) -> Self {
        let mut scope = Self {
            sidecar: None,
            virtual_services: virtual_services(config, &workload.namespace),
            egress: Vec::new(),
            outbound_mode: config.options().outbound_mode(),
            notices: Vec::new(),
            services: Vec::new(),
            by_hostname: HashMap::new(),
            further: Vec::new(),
        };
        match workload.kind {
            WorkloadKind::Gateway => {
                for service in exported_services(config, &workload.namespace) {
                    scope.add(Arc::clone(service));
                }
            }
            WorkloadKind::Sidecar => scope.see_as_sidecar(config, workload),
        }
        scope
    }

    fn see_as_sidecar(&mut self, config: &'a MeshConfig, workload: &Workload) {
        self.sidecar = selection::sidecar(config, workload, &mut self.notices);
        let policy = self
            .sidecar
            .and_then(|sidecar| sidecar.spec.outbound_traffic_policy.as_ref());
        if let Some(policy) = policy {
            self.outbound_mode = match policy.mode {
                SidecarMode::AllowAny => OutboundMode::AllowAny,
                SidecarMode::RegistryOnly => OutboundMode::RegistryOnly,
            };
        }
        let namespace = &workload.namespace;
        let egress = egress::listeners(config, namespace, self);
        let of_routes = gateway_api::mesh_destinations(config, workload);
        for listener in &egress {
            // What is asked for by name comes before what VirtualServices and routes lead to.
            for service in &listener.services {
                self.add(Arc::clone(service));
            }
            for service in destinations::services(config, namespace, listener, &of_routes) {
                self.add(service);
            }
        }
        self.egress = egress;
    }

    /// The services that the workload sees, one for each host, in the order in which they compete.
    pub(in crate::resolve) fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The service that `hostname`, in lower case, means to the workload.
    pub(in crate::resolve) fn service(&self, hostname: &str) -> Option<&Arc<Service>> {
        let index = *self.by_hostname.get(hostname)?;
        self.services.get(index)
    }

    /// What has the ports of the services: these, and entries that have further ports of them.
    pub(in crate::resolve) fn destinations(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter().chain(&self.further)
    }

    /// What has the port of the service that `hostname`, in lower case, means to the workload.
    pub(in crate::resolve) fn destination(
        &self,
        hostname: &str,
        port: u16,
    ) -> Option<&Arc<Service>> {
        let has_port = |service: &&Arc<Service>| service.port(port).is_some();
        let further = || {
            let mut further = self.further.iter();
            further.find(|service| service.hostname == hostname && has_port(service))
        };
        self.service(hostname).filter(has_port).or_else(further)
    }

    /// Adds a service unless its host is taken. A Kubernetes Service takes the host from an entry;
    /// ports that different listeners import of the same service are put together, and so are those
    /// of entries of one namespace that differ in nothing else (`appendSidecarServices`).
    fn add(&mut self, service: Arc<Service>) {
        let Some(&index) = self.by_hostname.get(&service.hostname) else {
            let index = self.services.len();
            self.by_hostname.insert(service.hostname.clone(), index);
            self.services.push(service);
            return;
        };
        let existing = &mut self.services[index];
        if existing.provider != service.provider {
            if service.provider == Provider::Kubernetes {
                self.further
                    .retain(|other| other.hostname != service.hostname);
                *existing = service;
            }
        } else if existing.origin == service.origin {
            add_ports(existing, &service);
        } else if differ_in_ports(existing, &service) {
            self.add_further(service);
        }
    }

    fn add_further(&mut self, mut service: Arc<Service>) {
        let is_new = |number| self.destination(&service.hostname, number).is_none();
        let ports = service.ports.iter().filter(|port| is_new(port.number));
        let ports: Vec<_> = ports.cloned().collect();
        if ports.is_empty() {
            return;
        }
        if ports.len() < service.ports.len() {
            Arc::make_mut(&mut service).ports = ports;
        }
        self.further.push(service);
    }
}

/// Whether two services of the same host and provider are told apart by no more than their ports
/// (`canMergeServices`).
fn differ_in_ports(a: &Service, b: &Service) -> bool {
    a.namespace == b.namespace
        && a.discovery == b.discovery
        && a.labels == b.labels
        && a.selector == b.selector
        && a.visibility == b.visibility
}

fn add_ports(existing: &mut Arc<Service>, other: &Service) {
    let is_new = |number| existing.port(number).is_none();
    let ports = other.ports.iter().filter(|port| is_new(port.number));
    let ports: Vec<_> = ports.cloned().collect();
    if !ports.is_empty() {
        Arc::make_mut(existing).ports.extend(ports);
    }
}

/// Services that `namespace` sees: those that not everybody sees before public ones, each the
/// oldest first.
fn exported_services<'a>(
    config: &'a MeshConfig,
    namespace: &str,
) -> impl Iterator<Item = &'a Arc<Service>> {
    let is_public = |service: &&Arc<Service>| service.visibility == Visibility::Public;
    let by_name = config
        .services()
        .iter()
        .filter(move |service| !is_public(service) && service.visibility.admits(namespace));
    let by_name: Vec<_> = by_name.collect();
    let public = config.services().iter().filter(is_public);
    by_name.into_iter().chain(public)
}

/// VirtualServices with hosts that `namespace` sees, in the order in which they compete.
fn virtual_services<'a>(
    config: &'a MeshConfig,
    namespace: &str,
) -> Vec<&'a Arc<Resource<VirtualService>>> {
    let default = config.options().default_virtual_service_export_to();
    let all = config.resources().virtual_services.iter();
    let with_hosts = all.filter(|found| !found.spec.hosts.is_empty());
    let mut visible: Vec<_> = with_hosts
        .filter_map(|found| {
            let own = &found.metadata.namespace;
            let tokens = match found.spec.export_to.is_empty() {
                true => default,
                false => &found.spec.export_to,
            };
            let visibility = Visibility::parse(tokens, own);
            let rank = match &visibility {
                Visibility::Public => 2,
                Visibility::Namespaces(_) if own != namespace => 1,
                _ => 0,
            };
            visibility.admits(namespace).then_some((rank, found))
        })
        .collect();
    visible.sort_by_key(|(rank, _)| *rank);
    visible.into_iter().map(|(_, found)| found).collect()
}
