//! Virtual hosts of a gateway's route configurations.
//!
//! Each host that a server and the routes bound to it have in common is a virtual host. What is
//! bound to the same host from several places is put together in order, and the routes that take
//! every request come last (`buildGatewayHTTPRouteConfig` in
//! `pilot/pkg/networking/core/gateway.go`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::host::HostPattern;
use crate::model::filter::HeaderMutations;
use crate::model::route::{Route, RouteConfiguration, VirtualHost};
use crate::origin::Origin;
use crate::resolve::gateway::server::{GatewayServer, HttpBinding};

/// The routes of `servers`, which share them and are at least one.
pub(super) fn route_configuration(name: &str, servers: &[&GatewayServer]) -> RouteConfiguration {
    let mut hosts = Hosts::default();
    for server in servers {
        hosts.add_server(server);
    }
    let mut virtual_hosts = hosts.into_virtual_hosts();
    if virtual_hosts.is_empty() {
        virtual_hosts.extend(servers.first().map(|server| black_hole(server)));
    }
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        ignore_port: true,
        headers: HeaderMutations::default(),
    }
}

/// Answers every request with 404, where nothing is bound.
fn black_hole(server: &GatewayServer) -> VirtualHost {
    VirtualHost {
        origin: server.origin.clone(),
        ..VirtualHost::new(format!("blackhole:{}", server.port), ["*"], [])
    }
}

/// The hosts of a route configuration, in the order in which they came.
#[derive(Default)]
struct Hosts {
    all: Vec<Host>,
    indices: HashMap<HostPattern, usize>,
}

struct Host {
    pattern: HostPattern,
    port: u16,
    require_tls: bool,
    origin: Origin,
    // Lists of routes, shared with other hosts. None is here twice.
    lists: Vec<Arc<[Arc<Route>]>>,
}

impl Hosts {
    fn add_server(&mut self, server: &GatewayServer) {
        for binding in &server.bindings.http {
            for pattern in &binding.hosts {
                let host = self.host(pattern, server, &binding.origin);
                host.require_tls |= server.redirects_to_https();
                host.add(binding);
            }
        }
        if server.redirects_to_https() {
            for scoped in &server.hosts {
                let host = self.host(scoped.host(), server, &server.origin);
                host.require_tls = true;
            }
        }
    }

    fn host(
        &mut self,
        pattern: &HostPattern,
        server: &GatewayServer,
        origin: &Origin,
    ) -> &mut Host {
        let next = self.all.len();
        let index = *self.indices.entry(pattern.clone()).or_insert(next);
        if index == next {
            self.all.push(Host {
                pattern: pattern.clone(),
                port: server.port,
                require_tls: false,
                origin: origin.clone(),
                lists: Vec::new(),
            });
        }
        &mut self.all[index]
    }

    /// The virtual hosts by name. Hosts with the same routes are one, which is named after the
    /// most specific of them (`collapseDuplicateRoutes`).
    fn into_virtual_hosts(mut self) -> Vec<VirtualHost> {
        self.all
            .sort_by(|a, b| a.pattern.cmp_specificity(&b.pattern));
        let mut virtual_hosts: Vec<VirtualHost> = Vec::new();
        let mut known: HashMap<(bool, Vec<*const Arc<Route>>), usize> = HashMap::new();
        for host in self.all {
            let next = virtual_hosts.len();
            let lists = host.lists.iter().map(|list| list.as_ptr()).collect();
            let index = *known.entry((host.require_tls, lists)).or_insert(next);
            match virtual_hosts.get_mut(index) {
                Some(virtual_host) => virtual_host.domains.push(host.pattern.into()),
                None => virtual_hosts.push(host.into_virtual_host()),
            }
        }
        virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
        virtual_hosts
    }
}

impl Host {
    /// Adds the routes of a binding, unless another server has added them already.
    fn add(&mut self, binding: &HttpBinding) {
        let routes = &binding.routes;
        if !self.lists.iter().any(|list| Arc::ptr_eq(list, routes)) {
            self.lists.push(Arc::clone(routes));
        }
    }

    fn into_virtual_host(self) -> VirtualHost {
        let mut routes: Vec<Arc<Route>> = self
            .lists
            .iter()
            .flat_map(|list| &**list)
            .cloned()
            .collect();
        // A list by itself has nothing after its catch-all.
        if self.lists.len() > 1 {
            routes.sort_by_key(|route| route.matches.is_catch_all());
        }
        let name = match self.pattern.as_str() {
            // As a socket address is written.
            address if address.contains(':') => format!("[{address}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        };
        VirtualHost {
            name,
            domains: vec![self.pattern.into()],
            routes,
            require_tls: self.require_tls,
            headers: HeaderMutations::default(),
            origin: self.origin,
        }
    }
}
