//! Listeners and filter chains of a gateway.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::model::Notice;
use crate::model::listener::{
    Direction, FilterChain, FilterChainMatch, HttpConnection, Listener, NetworkFilter, ServerTls,
    TcpProxy,
};
use crate::model::route::RouteConfiguration;
use crate::origin::Origin;
use crate::resolve::context::{Context, Parts};
use crate::resolve::gateway::auto_passthrough;
use crate::resolve::gateway::http;
use crate::resolve::gateway::merge::Socket;
use crate::resolve::gateway::server::{GatewayServer, server_names};
use crate::resource::istio::gateway::ServerTlsMode;

/// Makes the listeners of a gateway, and the route configurations that they name.
pub(super) struct Listeners<'a> {
    context: &'a Context<'a>,
    connection: HttpConnection,
    routes: BTreeMap<String, Arc<RouteConfiguration>>,
    notices: Vec<Notice>,
}

impl<'a> Listeners<'a> {
    pub(super) fn new(context: &'a Context<'a>, notices: Vec<Notice>) -> Self {
        Self {
            context,
            connection: connection(context),
            routes: BTreeMap::new(),
            notices,
        }
    }

    /// The listeners of `sockets`. One that takes no connection is left out.
    pub(super) fn build(mut self, sockets: &[Socket<'_>]) -> Parts {
        let mut listeners = Vec::new();
        for socket in sockets {
            let filter_chains = self.filter_chains(socket);
            if !filter_chains.is_empty() {
                listeners.push(self.listener(socket, filter_chains));
            }
        }
        Parts {
            listeners,
            route_configurations: self.routes,
            clusters: Vec::new(),
            notices: self.notices,
        }
    }

    fn listener(&self, socket: &Socket<'_>, filter_chains: Vec<FilterChain>) -> Listener {
        let first = socket.servers.first();
        let options = self.context.config.options();
        Listener {
            name: format!("{}_{}", socket.address, socket.port),
            bind: socket.bind.clone(),
            direction: Direction::Inbound,
            declared_port: first.map_or(socket.port, |server| server.port),
            captured: false,
            filter_chains,
            default_filter_chain: None,
            protocol_detection_timeout: options.protocol_detection_timeout(),
            proxy_protocol: options.proxy_protocol(),
            origin: first.map_or_else(Origin::default, |server| server.origin.clone()),
        }
    }

    fn filter_chains(&mut self, socket: &Socket<'_>) -> Vec<FilterChain> {
        let (http, others): (Vec<_>, Vec<_>) = socket
            .servers
            .iter()
            .copied()
            .partition(|server| server.protocol.is_http());
        let mut chains = Vec::new();
        chains.extend(self.plaintext_http(&http, socket.port));
        let mut passed_on = HashSet::new();
        for server in others {
            if server.terminates_https() {
                chains.extend(self.https(server));
            } else if server.is_passthrough() {
                chains.extend(self.passthrough(server, &mut passed_on));
            } else {
                chains.extend(self.tcp(server));
            }
        }
        chains
    }

    /// The chain that all plaintext HTTP servers of a socket share.
    fn plaintext_http(&mut self, servers: &[&GatewayServer], port: u16) -> Option<FilterChain> {
        let first = servers.first()?;
        let name = first.http_routes_name(port);
        let filter = self.http_filter(&name, servers);
        Some(FilterChain {
            origin: first.origin.clone(),
            ..FilterChain::new(filter)
        })
    }

    fn https(&mut self, server: &GatewayServer) -> Option<FilterChain> {
        let name = server.https_routes_name()?;
        let filter = self.http_filter(&name, &[server]);
        Some(chain(server, filter))
    }

    fn http_filter(&mut self, name: &str, servers: &[&GatewayServer]) -> NetworkFilter {
        let routes = http::route_configuration(name, servers);
        self.routes.insert(name.to_owned(), Arc::new(routes));
        NetworkFilter::Http(HttpConnection {
            route_configuration: name.to_owned(),
            ..self.connection.clone()
        })
    }

    fn tcp(&mut self, server: &GatewayServer) -> Option<FilterChain> {
        let Some(binding) = &server.bindings.tcp else {
            self.nothing_bound(server);
            return None;
        };
        let mut chain = chain(server, NetworkFilter::Tcp(binding.proxy.clone()));
        chain.origin = binding.origin.clone();
        Some(chain)
    }

    /// The chains of a server that passes TLS on. Server names that another server of the socket
    /// passes on already are left out, with their whole rule.
    fn passthrough(
        &mut self,
        server: &GatewayServer,
        passed_on: &mut HashSet<String>,
    ) -> Vec<FilterChain> {
        if server.tls.as_ref().map(|tls| tls.mode) == Some(ServerTlsMode::AutoPassthrough) {
            return auto_passthrough::filter_chain(self.context, server)
                .into_iter()
                .collect();
        }
        if server.bindings.tls.is_empty() {
            self.nothing_bound(server);
        }
        let mut chains = Vec::new();
        for binding in &server.bindings.tls {
            let mut names = binding.server_names.iter();
            if let Some(name) = names.find(|name| passed_on.contains(*name)) {
                self.notices.push(Notice {
                    origin: binding.origin.clone(),
                    message: format!("an earlier rule has the server name `{name}`"),
                });
                continue;
            }
            passed_on.extend(binding.server_names.iter().cloned());
            chains.push(by_server_name(
                &binding.server_names,
                &binding.proxy,
                &binding.origin,
            ));
        }
        chains
    }

    fn nothing_bound(&mut self, server: &GatewayServer) {
        self.notices.push(Notice {
            origin: server.origin.clone(),
            message: "nothing is bound to the server, so that it takes no connection".into(),
        });
    }
}

/// The chain of a server that terminates TLS, or has none.
fn chain(server: &GatewayServer, filter: NetworkFilter) -> FilterChain {
    let tls = server.tls.as_ref();
    let server_names = tls.map(|_| server.server_names()).unwrap_or_default();
    FilterChain {
        matches: FilterChainMatch {
            server_names,
            ..FilterChainMatch::default()
        },
        tls: tls.map(|tls| ServerTls::Gateway(Box::new(tls.clone()))),
        origin: server.origin.clone(),
        ..FilterChain::new(filter)
    }
}

fn by_server_name(names: &[String], proxy: &TcpProxy, origin: &Origin) -> FilterChain {
    FilterChain {
        matches: FilterChainMatch {
            server_names: server_names(names.iter().cloned()),
            ..FilterChainMatch::default()
        },
        origin: origin.clone(),
        ..FilterChain::new(NetworkFilter::Tcp(proxy.clone()))
    }
}

/// What all HTTP connections of the gateway have in common, from the mesh's default settings of
/// proxies.
fn connection(context: &Context<'_>) -> HttpConnection {
    let mut connection = HttpConnection::new("");
    if let Some(topology) = context.config.options().gateway_topology() {
        connection.trusted_hops = topology.num_trusted_proxies;
    }
    connection
}
