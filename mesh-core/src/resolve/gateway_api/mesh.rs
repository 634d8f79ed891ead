//! Routes that are attached to Services, for the sidecars that call them.
//!
//! The routes of one namespace for a port of a service are one list. Those of the service's own
//! namespace are for all clients, those of another for the clients there. A sidecar has those that
//! its Sidecar imports: an entry of the route's namespace has to cover the service. Where
//! `defaultVirtualServiceExportTo` keeps VirtualServices to some clients, it does so with routes.
//!
//! Some differences to Istio are on purpose, and as the Gateway API has it:
//!
//! - A route that names no port is for all of them, and joins those of its namespace that name one:
//!   the rules of all routes of a parent are in one order. Istio keeps the two apart, and the older
//!   has the host whole.
//! - `sectionName` names a port of the service. Istio does not read it.
//! - Of another namespace than the service's, routes for connections are for clients of theirs alone,
//!   as those for requests are. In Istio every client has them that imports them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::config::resources::cmp_by_age;
use crate::config::services::{Provider, Service};
use crate::host::HostPattern;
use crate::model::Notice;
use crate::origin::Origin;
use crate::resolve::context::Context;
use crate::resolve::gateway_api::attach::{RouteSpec, not_exported};
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::l4::{self, ConnectionRoute};
use crate::resolve::gateway_api::routes::{self, RankedRoute};
use crate::resolve::gateway_api::rule::RequestRoute;
use crate::resolve::gateway_api::waypoint::is_of_another_controller;
use crate::resolve::place::Place;
use crate::resolve::sidecar::mesh_route::{MeshConnections, MeshRoute, MeshRoutes};
use crate::resolve::virtual_service::is_exported_by_default;
use crate::resource::gateway_api::parent_reference::ParentReference;
use crate::resource::kind::Kind;
use crate::resource::{Metadata, Resource};

/// That routes of a service are for another controller, which has the status, too.
const LEFT_TO_ANOTHER: &str =
    "the waypoint of the service is another controller's; the route is left to it";

/// The routes that the workload has for the services that it calls.
pub(in crate::resolve) fn mesh_routes<'a>(
    context: &'a Context<'a>,
    notices: &mut Vec<Notice>,
) -> MeshRoutes<'a> {
    let resources = &context.config.resources().gateway_api;
    let mut mesh = Mesh::new(context);
    mesh.add(&resources.http_routes, notices);
    mesh.add(&resources.grpc_routes, notices);
    mesh.connect(&resources.tls_routes, notices);
    mesh.connect(&resources.tcp_routes, notices);
    let own = &context.workload.namespace;
    mesh.connections.sort_by(|a, b| {
        let is_foreign = |found: &MeshConnections<'_>| found.metadata.namespace != *own;
        let by_age = cmp_by_age(a.metadata, b.metadata);
        is_foreign(a).cmp(&is_foreign(b)).then(by_age)
    });
    let lists = mesh.by_port.into_iter();
    let requests = lists.filter_map(|((_, hostname, port), list)| mesh_route(hostname, port, list));
    MeshRoutes {
        requests: requests.collect(),
        connections: mesh.connections,
    }
}

fn mesh_route<'a>(hostname: &str, port: u16, mut list: Vec<Attached<'a>>) -> Option<MeshRoute<'a>> {
    list.sort_by(|a, b| cmp_by_age(a.metadata, b.metadata));
    let first = list.first()?;
    Some(MeshRoute {
        metadata: first.metadata,
        hosts: vec![hostname.to_owned()],
        port: Some(port),
        routes: routes::in_order(list.iter().flat_map(|attached| &attached.ranked)).to_vec(),
        origin: first.origin.clone(),
    })
}

/// A route at a port of a service.
struct Attached<'a> {
    metadata: &'a Metadata,
    ranked: Vec<RankedRoute>,
    origin: Origin,
}

struct Mesh<'a> {
    context: &'a Context<'a>,
    // By provider, namespace and name.
    services: BTreeMap<(Provider, &'a str, &'a str), Vec<&'a Service>>,
    // By the routes' namespace, and the service's hostname and port.
    by_port: BTreeMap<(&'a str, &'a str, u16), Vec<Attached<'a>>>,
    connections: Vec<MeshConnections<'a>>,
}

impl<'a> Mesh<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let mut services: BTreeMap<_, Vec<&'a Service>> = BTreeMap::new();
        for service in context.scope.services() {
            let key = (service.provider, &*service.namespace, &*service.name);
            services.entry(key).or_default().push(service);
        }
        Self {
            context,
            services,
            by_port: BTreeMap::new(),
            connections: Vec::new(),
        }
    }

    fn add<S: RequestRoute>(&mut self, routes: &'a [Arc<Resource<S>>], notices: &mut Vec<Notice>) {
        for route in routes {
            for (service, port) in self.targets(route, notices) {
                self.add_at(route, service, port, notices);
            }
        }
    }

    fn add_at<S: RequestRoute>(
        &mut self,
        route: &'a Resource<S>,
        service: &'a Service,
        port: u16,
        notices: &mut Vec<Notice>,
    ) {
        let context = self.at(route, port);
        let key = (context.namespace, &*service.hostname, port);
        let mut findings = Vec::new();
        self.by_port.entry(key).or_default().push(Attached {
            metadata: &route.metadata,
            ranked: routes::routes(&context, route, &mut findings),
            origin: route.origin(),
        });
        notices.extend(findings.into_iter().map(Notice::from));
    }

    /// How the rules of a route are read at a port of a service.
    fn at<S: RouteSpec>(&self, route: &'a Resource<S>, port: u16) -> RuleContext<'a> {
        RuleContext {
            config: self.context.config,
            workload: self.context.workload,
            scope: Some(&self.context.scope),
            kind: S::KIND,
            namespace: &route.metadata.namespace,
            port,
            tls: false,
            mesh: true,
        }
    }

    /// Adds routes of connections.
    fn connect<S: ConnectionRoute>(
        &mut self,
        routes: &'a [Arc<Resource<S>>],
        notices: &mut Vec<Notice>,
    ) {
        for route in routes {
            for (service, port) in self.targets(route, notices) {
                let context = self.at(route, port);
                self.connections.push(MeshConnections {
                    metadata: &route.metadata,
                    host: &service.hostname,
                    port,
                    server_names: server_names(route, &service.hostname),
                    proxy: l4::proxy(&context, route, notices),
                    origin: route.origin(),
                });
            }
        }
    }

    /// The ports of services that the route is attached to and the workload has it for, each once.
    fn targets<S: RouteSpec>(
        &self,
        route: &'a Resource<S>,
        notices: &mut Vec<Notice>,
    ) -> Vec<(&'a Service, u16)> {
        let namespace = route.metadata.namespace.as_str();
        let client = self.context.workload.namespace.as_str();
        if !is_exported_by_default(self.context.config, namespace, client) {
            let mut parents = route.spec.parent_refs().iter();
            if namespace == client && parents.any(|parent| provider(parent).is_some()) {
                notices.push(not_exported(route, client));
            }
            return Vec::new();
        }
        let mut targets: Vec<(&'a Service, u16)> = Vec::new();
        for (index, parent) in route.spec.parent_refs().iter().enumerate() {
            for service in self.parents(route, (index, parent), notices) {
                let ports = ports(service, parent, S::KIND);
                targets.extend(ports.map(|port| (service, port)));
            }
        }
        let mut seen = HashSet::new();
        targets.retain(|(service, port)| seen.insert((&*service.hostname, *port)));
        targets
    }

    /// The services that a reference is to, without those whose routes the workload does not have.
    fn parents<S: RouteSpec>(
        &self,
        route: &Resource<S>,
        (index, parent): (usize, &ParentReference),
        notices: &mut Vec<Notice>,
    ) -> Vec<&'a Service> {
        let namespace = route.metadata.namespace.as_str();
        let is_own = namespace == self.context.workload.namespace;
        let Some(provider) = provider(parent) else {
            return Vec::new();
        };
        let of = parent.namespace.as_deref().unwrap_or(namespace);
        let found = self.services.get(&(provider, of, &*parent.name));
        if found.is_none() && is_own {
            notices.push(notice(route, index, no_such_service(parent)));
        }
        let mut services = found.cloned().unwrap_or_default();
        services.retain(|service| is_own || service.namespace == namespace);
        let count = services.len();
        let config = self.context.config;
        services.retain(|service| {
            !is_of_another_controller(config, &service.namespace, &service.labels)
        });
        if is_own && services.len() < count {
            notices.push(notice(route, index, LEFT_TO_ANOTHER));
        }
        services
    }
}

/// The kind of services that a reference is to, if it is to one.
pub(crate) fn provider(parent: &ParentReference) -> Option<Provider> {
    match parent.group_kind() {
        ("", "Service") => Some(Provider::Kubernetes),
        ("networking.istio.io", "ServiceEntry") => Some(Provider::External),
        _ => None,
    }
}

/// That there is no service that a reference is to.
pub(crate) fn no_such_service(parent: &ParentReference) -> Refusal {
    let name = &parent.name;
    let what = match provider(parent) {
        Some(Provider::External) => "service entry",
        Some(Provider::Kubernetes) | None => "service",
    };
    let message = format!("parent {what}: \"{name}\" not found");
    Refusal::new(Reason::NoMatchingParent, message)
}

/// The server names that a TLSRoute has at the service `host`: its own, if it has any, of several
/// those that have to do with the service (`compatibleRoutesForHost`).
fn server_names<S: RouteSpec>(route: &Resource<S>, host: &str) -> Option<Vec<String>> {
    if S::KIND != Kind::TlsRoute {
        return None;
    }
    let service = HostPattern::new(host);
    Some(match route.spec.hostnames() {
        [] => vec![host.to_owned()],
        [only] => vec![only.clone()],
        several => {
            let own = several.iter();
            let own = own.filter(|name| HostPattern::new(name).matches(&service));
            own.cloned().collect()
        }
    })
}

/// That routes of `kind` are not for clients of services.
pub(crate) fn no_effect(kind: Kind) -> Refusal {
    let kind = kind.name();
    let message = format!("a {kind} of a Service has no effect on its clients");
    Refusal::new(Reason::UnsupportedValue, message)
}

/// The ports of a service that a reference is to, and that can carry requests.
fn ports(service: &Service, parent: &ParentReference, kind: Kind) -> impl Iterator<Item = u16> {
    let number = parent.port.filter(|port| *port != 0);
    let name = parent.section_name.as_deref();
    let name = name.filter(|name| !name.is_empty());
    let is_request = matches!(kind, Kind::HttpRoute | Kind::GrpcRoute);
    let ports = service.ports.iter().filter(move |port| {
        let carries = port.protocol.is_http() || port.protocol.is_unsupported();
        (carries || !is_request)
            && number.is_none_or(|number| number == port.number)
            && name.is_none_or(|name| name == port.name)
    });
    ports.map(|port| port.number)
}

/// Says what becomes of a route at its parent `index`.
fn notice<S: RouteSpec>(route: &Resource<S>, index: usize, message: impl fmt::Display) -> Notice {
    let origin = route.origin();
    let root = Place::root(&origin, &route.source);
    let spec = root.field("spec");
    let parents = spec.field("parentRefs");
    parents.index(index).notice(message)
}
