//! Services that a sidecar sees because a VirtualService, or a route that is attached to a service,
//! leads to them (`collectImportedServices`).

use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::services::{Provider, Service};
use crate::resolve::scope::EgressListener;
use crate::resolve::scope::egress::{own_port, with_port};
use crate::resolve::sidecar::mesh_route::MeshDestinations;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::{Destination, HttpRoute};

/// The services that the VirtualServices of `listener` lead to, and those of `routes` that it imports,
/// for a sidecar in `namespace`.
///
/// Of those with the same host, the one of the sidecar's namespace is meant, else a Kubernetes
/// Service, else the oldest entry. The ports are those of the listener, else those that the
/// destinations name.
pub(super) fn services<'a>(
    config: &'a MeshConfig,
    namespace: &'a str,
    listener: &EgressListener<'a>,
    routes: &[MeshDestinations<'_>],
) -> Vec<Arc<Service>> {
    let port = listener.written.and_then(own_port);
    let virtual_services = listener.virtual_services.iter();
    let of_virtual_services = virtual_services.flat_map(|vs| destinations(config, vs, namespace));
    let imported = routes.iter();
    let imported = imported.filter(|route| listener.imports_route(route.namespace, route.host));
    let of_routes = imported.flat_map(|route| &route.to);
    let of_routes = of_routes.map(|(host, port)| (host.clone(), vec![u32::from(*port)]));
    let found = of_virtual_services.chain(of_routes);
    let found = found.filter_map(|(host, ports)| {
        let service = meant(config, &host, namespace)?;
        match port {
            Some(_) => with_port(service, port),
            None => with_ports(service, &ports),
        }
    });
    found.collect()
}

/// The hosts that a VirtualService leads to, whole and in lower case, each with its ports; 0 is any.
fn destinations(
    config: &MeshConfig,
    virtual_service: &Resource<VirtualService>,
    namespace: &str,
) -> Vec<(String, Vec<u32>)> {
    let mut hosts: Vec<(String, Vec<u32>)> = Vec::new();
    let mut add = |destination: &Destination, own: &str| {
        let host = config.resolve_host(&destination.host, own);
        let port = destination.port.as_ref().map_or(0, |port| port.number);
        match hosts.iter_mut().find(|(known, _)| *known == host) {
            Some((_, ports)) => ports.push(port),
            None => hosts.push((host, vec![port])),
        }
    };
    let own = &*virtual_service.metadata.namespace;
    let spec = &virtual_service.spec;
    for rule in spec.http.iter().filter(|rule| is_for(rule, namespace)) {
        for destination in http_destinations(rule) {
            add(destination, own);
        }
        if let Some(delegate) = delegate(config, rule, own) {
            let rules = delegate.spec.http.iter();
            for rule in rules.filter(|rule| is_for(rule, namespace)) {
                for destination in http_destinations(rule) {
                    add(destination, &delegate.metadata.namespace);
                }
            }
        }
    }
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.route);
    let tls = spec.tls.iter().flat_map(|rule| &rule.route);
    for destination in tcp
        .chain(tls)
        .filter_map(|route| route.destination.as_ref())
    {
        add(destination, own);
    }
    hosts
}

fn http_destinations(rule: &HttpRoute) -> impl Iterator<Item = &Destination> {
    let routes = rule
        .route
        .iter()
        .filter_map(|route| route.destination.as_ref());
    let mirrors = rule.mirrors.iter();
    let mirrors = mirrors.filter_map(|mirror| mirror.destination.as_ref());
    routes.chain(&rule.mirror).chain(mirrors)
}

/// Whether a rule is for callers of `namespace`: one of its matches is, of those that say.
fn is_for(rule: &HttpRoute, namespace: &str) -> bool {
    let namespaces = rule
        .r#match
        .iter()
        .map(|found| found.source_namespace.as_str());
    let mut namespaces = namespaces.filter(|found| !found.is_empty()).peekable();
    namespaces.peek().is_none() || namespaces.any(|found| found == namespace)
}

fn delegate<'a>(
    config: &'a MeshConfig,
    rule: &HttpRoute,
    own: &str,
) -> Option<&'a Arc<Resource<VirtualService>>> {
    let reference = rule.delegate.as_ref()?;
    let namespace = match reference.namespace.as_str() {
        "" => own,
        namespace => namespace,
    };
    let resources = config.resources();
    let found = resources.virtual_service(namespace, &reference.name);
    found.filter(|found| found.spec.hosts.is_empty())
}

fn meant<'a>(config: &'a MeshConfig, host: &str, namespace: &str) -> Option<&'a Arc<Service>> {
    let declared = || config.services().declared(host);
    let own = declared().find(|service| service.namespace == namespace);
    own.or_else(|| {
        let visible = || declared().filter(|service| service.visibility.admits(namespace));
        let kubernetes = visible().find(|service| service.provider == Provider::Kubernetes);
        kubernetes.or_else(|| visible().next())
    })
}

/// The service with those of `ports` that it has. `None` if it has none of them.
fn with_ports(service: &Arc<Service>, ports: &[u32]) -> Option<Arc<Service>> {
    let mut service = Arc::clone(service);
    if ports.contains(&0) {
        return Some(service);
    }
    let is_named = |number: u16| ports.contains(&number.into());
    let named = service.ports.iter().filter(|port| is_named(port.number));
    let named: Vec<_> = named.cloned().collect();
    if named.is_empty() {
        return None;
    }
    if named.len() < service.ports.len() {
        Arc::make_mut(&mut service).ports = named;
    }
    Some(service)
}
