//! What VirtualServices bind to the servers of Gateways.
//!
//! A VirtualService binds to a server if it names the Gateway, its namespace is one of those that
//! the server's hosts are for, and they have hosts in common.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::host::{self, HostPattern};
use crate::model::Notice;
use crate::model::route::Route;
use crate::resolve::context::Context;
use crate::resolve::gateway::host_index::HostIndex;
use crate::resolve::gateway::l4;
use crate::resolve::gateway::server::{Bindings, GatewayServer, HttpBinding};
use crate::resolve::virtual_service::{Delegates, RouteContext, gateways, hosts, http};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;

/// A VirtualService that names a Gateway.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    /// The VirtualService.
    pub(super) resource: &'a Resource<VirtualService>,
    /// The whole names of its hosts.
    pub(super) hosts: Vec<HostPattern>,
}

/// What the routes of a candidate depend on.
#[derive(Debug, Eq, Hash, PartialEq)]
struct RoutesKey {
    candidate: usize,
    gateway: String,
    port: u16,
    tls: bool,
}

/// Binds the VirtualServices that a workload sees.
pub(super) struct Binder<'a> {
    context: &'a Context<'a>,
    delegates: Delegates<'a>,
    // In the order in which they compete.
    candidates: Vec<Candidate<'a>>,
    // The hosts of the candidates that name a gateway.
    by_gateway: HashMap<String, HostIndex>,
    // `None` where no rule of the candidate applies.
    routes: HashMap<RoutesKey, Option<Arc<[Arc<Route>]>>>,
    bound: Vec<bool>,
    notices: Vec<Notice>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        let mut candidates = Vec::new();
        let mut by_gateway: HashMap<String, HostIndex> = HashMap::new();
        for resource in &context.scope.virtual_services {
            let hosts = hosts(context.config, resource);
            for gateway in gateways(resource) {
                let index = by_gateway.entry(gateway).or_default();
                for host in &hosts {
                    index.insert(host, candidates.len());
                }
            }
            candidates.push(Candidate { resource, hosts });
        }
        Self {
            context,
            delegates: Delegates::new(context.config),
            bound: vec![false; candidates.len()],
            candidates,
            by_gateway,
            routes: HashMap::new(),
            notices: Vec::new(),
        }
    }

    /// Binds to `servers` all that binds to them.
    pub(super) fn bind(mut self, servers: &mut [GatewayServer], notices: &mut Vec<Notice>) {
        for server in servers.iter_mut() {
            server.bindings = self.bindings(server);
        }
        self.unbound(servers);
        notices.append(&mut self.notices);
    }

    fn bindings(&mut self, server: &GatewayServer) -> Bindings {
        let gateway = server.gateway.to_string();
        let mut bindings = Bindings::default();
        for (index, served) in self.matching(server, &gateway) {
            let hosts = host::intersection(&served, &self.candidates[index].hosts);
            self.bound[index] = true;
            self.add(index, (server, &gateway), hosts, &mut bindings);
        }
        bindings
    }

    /// The candidates that bind to a server, each with the hosts of the server that it matches.
    fn matching(&self, server: &GatewayServer, gateway: &str) -> BTreeMap<usize, Vec<HostPattern>> {
        let mut matching: BTreeMap<usize, Vec<HostPattern>> = BTreeMap::new();
        let Some(candidates) = self.by_gateway.get(gateway) else {
            return matching;
        };
        let own = &server.gateway.namespace;
        for served in &server.hosts {
            for index in candidates.matching(served.host()) {
                let namespace = &self.candidates[index].resource.metadata.namespace;
                if served.namespace().includes(namespace, own) {
                    let hosts = matching.entry(index).or_default();
                    hosts.push(served.host().clone());
                }
            }
        }
        matching
    }

    fn add(
        &mut self,
        index: usize,
        (server, gateway): (&GatewayServer, &str),
        hosts: Vec<HostPattern>,
        bindings: &mut Bindings,
    ) {
        let resource = self.candidates[index].resource;
        if server.is_http() {
            let binding = self
                .routes(index, server, gateway)
                .map(|routes| HttpBinding {
                    hosts,
                    routes,
                    origin: resource.origin(),
                });
            bindings.http.extend(binding);
            return;
        }
        let gateways = [gateway];
        let context = route_context(self.context, &self.delegates, server, &gateways);
        if server.is_passthrough() {
            bindings
                .tls
                .extend(l4::tls(&context, resource, &mut self.notices));
        } else if bindings.tcp.is_none() {
            bindings.tcp = l4::tcp(&context, resource, &mut self.notices);
        }
    }

    /// The routes of a candidate at a server. Without a rule that applies there it has none of the
    /// server's hosts, which others may then have.
    fn routes(
        &mut self,
        index: usize,
        server: &GatewayServer,
        gateway: &str,
    ) -> Option<Arc<[Arc<Route>]>> {
        let key = RoutesKey {
            candidate: index,
            gateway: gateway.to_owned(),
            port: server.port,
            tls: server.tls.is_some(),
        };
        if let Some(routes) = self.routes.get(&key) {
            return routes.clone();
        }
        let resource = self.candidates[index].resource;
        let gateways = [gateway];
        let context = route_context(self.context, &self.delegates, server, &gateways);
        let routes = http::http_routes(&context, resource, &mut self.notices);
        let routes = routes.map(|routes| routes.into_iter().map(Arc::new).collect::<Arc<[_]>>());
        self.routes.insert(key, routes.clone());
        routes
    }

    /// Says of each VirtualService that names a Gateway of the workload in vain that it does.
    fn unbound(&mut self, servers: &[GatewayServer]) {
        let mut named = BTreeSet::new();
        for server in servers {
            let candidates = self.by_gateway.remove(&server.gateway.to_string());
            named.extend(candidates.iter().flat_map(HostIndex::owners));
        }
        for index in named.into_iter().filter(|&index| !self.bound[index]) {
            self.notices.push(Notice {
                origin: self.candidates[index].resource.origin(),
                message: "no server of the gateways it names has one of its hosts for its \
                          namespace"
                    .into(),
            });
        }
    }
}

fn route_context<'a>(
    context: &'a Context<'a>,
    delegates: &'a Delegates<'a>,
    server: &GatewayServer,
    gateways: &'a [&'a str],
) -> RouteContext<'a> {
    RouteContext {
        config: context.config,
        workload: context.workload,
        delegates,
        gateways,
        port: server.port,
        tls: server.tls.is_some(),
    }
}
