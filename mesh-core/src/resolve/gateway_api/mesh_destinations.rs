//! Where routes lead that are attached to services: a sidecar that imports them sees these services
//! too, whether or not its Sidecar lists them (`collectImportedServices` in
//! `pilot/pkg/model/sidecar.go`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::services::{Provider, Service};
use crate::resolve::gateway_api::attach::RouteSpec;
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::l4::ConnectionRoute;
use crate::resolve::gateway_api::mesh::provider;
use crate::resolve::gateway_api::rule::{Filter, Reference, RequestRoute};
use crate::resolve::gateway_api::waypoint::is_of_another_controller;
use crate::resolve::sidecar::mesh_route::MeshDestinations;
use crate::resolve::virtual_service::is_exported_by_default;
use crate::resource::Resource;
use crate::workload::Workload;

/// Where the routes lead that `workload` may have for the services that it calls.
pub(in crate::resolve) fn mesh_destinations<'a>(
    config: &'a MeshConfig,
    workload: &Workload,
) -> Vec<MeshDestinations<'a>> {
    let mut collector = Collector {
        config,
        workload,
        by_parent: HashMap::new(),
    };
    let resources = &config.resources().gateway_api;
    collector.add(&resources.http_routes, of_requests);
    collector.add(&resources.grpc_routes, of_requests);
    collector.add(&resources.tls_routes, of_connections);
    collector.add(&resources.tcp_routes, of_connections);
    collector.at_services()
}

/// The destinations of routes of one namespace.
type Led<'a> = (&'a str, Vec<(String, u16)>);

struct Collector<'a, 'w> {
    config: &'a MeshConfig,
    workload: &'w Workload,
    // By provider, namespace and name of the service.
    by_parent: HashMap<(Provider, &'a str, &'a str), Vec<Led<'a>>>,
}

impl<'a> Collector<'a, '_> {
    /// Adds where `routes` lead that are attached to services, by the backends of each.
    fn add<S: RouteSpec>(
        &mut self,
        routes: &'a [Arc<Resource<S>>],
        backends: fn(&S) -> Vec<Reference<'_>>,
    ) {
        for route in routes {
            let own = route.metadata.namespace.as_str();
            if !is_exported_by_default(self.config, own, &self.workload.namespace) {
                continue;
            }
            let parents = route.spec.parent_refs().iter().filter_map(|parent| {
                let namespace = parent.namespace.as_deref().unwrap_or(own);
                let is_for_workload = own == namespace || own == self.workload.namespace;
                let provider = provider(parent).filter(|_| is_for_workload)?;
                Some((provider, namespace, parent.name.as_str()))
            });
            let parents: Vec<_> = parents.collect();
            if parents.is_empty() {
                continue;
            }
            let to = self.addresses(route, &backends(&route.spec));
            for parent in parents {
                let led = self.by_parent.entry(parent).or_default();
                led.push((own, to.clone()));
            }
        }
    }

    fn addresses<S: RouteSpec>(
        &self,
        route: &Resource<S>,
        backends: &[Reference<'_>],
    ) -> Vec<(String, u16)> {
        let context = RuleContext {
            config: self.config,
            workload: self.workload,
            scope: None,
            kind: S::KIND,
            namespace: &route.metadata.namespace,
            port: 0,
            tls: false,
            mesh: true,
        };
        let addresses = backends.iter();
        let addresses = addresses.filter_map(|backend| context.address(backend).ok());
        let lower = addresses.map(|(host, port)| (host.to_ascii_lowercase(), port));
        lower.collect()
    }

    /// What was added, at each host of the services.
    fn at_services(self) -> Vec<MeshDestinations<'a>> {
        if self.by_parent.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for service in self.config.services().iter() {
            let service: &'a Service = service;
            let key = (service.provider, &*service.namespace, &*service.name);
            let Some(led) = self.by_parent.get(&key) else {
                continue;
            };
            if is_of_another_controller(self.config, &service.namespace, &service.labels) {
                continue;
            }
            all.extend(led.iter().map(|(namespace, to)| MeshDestinations {
                namespace,
                host: &service.hostname,
                to: to.clone(),
            }));
        }
        all
    }
}

/// The backends of requests that have a share, and those of copies.
fn of_requests<S: RequestRoute>(spec: &S) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    for rule in spec.rules() {
        let chosen = rule.backends.iter().filter(|backend| backend.weight != 0);
        references.extend(chosen.map(|backend| backend.reference));
        references.extend(rule.filters.iter().filter_map(|filter| match filter {
            Filter::Mirror(written) => Some(Reference::from(&written.backend_ref)),
            _ => None,
        }));
    }
    references
}

/// The backends of connections that have a share.
fn of_connections<S: ConnectionRoute>(spec: &S) -> Vec<Reference<'_>> {
    let chosen = spec.backends().iter();
    let chosen = chosen.filter(|backend| backend.weight != Some(0));
    chosen.map(Reference::from).collect()
}
