//! The servers of all Gateways of a workload, put together by socket.
//!
//! Plaintext HTTP servers of one socket share a filter chain; servers with TLS each have their own,
//! told apart by server name; anything else is alone, and of two in conflict the one that came
//! first stays (`mergeGateways` in `pilot/pkg/model/gateway.go`). Sockets of the same port and of
//! different addresses have nothing to do with each other.
//!
//! Plaintext and TLS do not share a socket, whichever comes first. Istio refuses only the TLS server
//! that comes after a plaintext one. In the other order its listener has a chain without a condition
//! beside those of the server names, so that TLS for any other name would be read as HTTP; that is left
//! out here on purpose.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Notice;
use crate::model::listener::Bind;
use crate::resolve::gateway::server::GatewayServer;
use crate::workload::Workload;

/// A socket, and the servers that listen on it in the order in which they came.
#[derive(Debug)]
pub(super) struct Socket<'a> {
    /// The socket.
    pub(super) bind: Bind,
    /// The address part of the listener's name.
    pub(super) address: String,
    /// The port part of the listener's name, which only for a Unix socket is not in `bind`.
    pub(super) port: u16,
    /// The servers, at least one.
    pub(super) servers: Vec<&'a GatewayServer>,
    tls_hosts: HashSet<String>,
    https_routes: HashSet<String>,
}

/// Puts `servers` together. One that cannot be is left out, with a notice.
pub(super) fn merge<'a>(
    servers: &'a [GatewayServer],
    workload: &Workload,
    notices: &mut Vec<Notice>,
) -> Vec<Socket<'a>> {
    let mut sockets: Vec<Socket<'a>> = Vec::new();
    let mut indices: HashMap<Bind, usize> = HashMap::new();
    for server in servers {
        for &port in &server.bound_ports {
            let Some((bind, address)) = bind(server, port, workload) else {
                let bind = &server.bind;
                notices.push(left_out(server, &format!("`{bind}` is no address")));
                continue;
            };
            let index = *indices.entry(bind.clone()).or_insert(sockets.len());
            if index == sockets.len() {
                sockets.push(Socket {
                    bind,
                    address,
                    port,
                    servers: Vec::new(),
                    tls_hosts: HashSet::new(),
                    https_routes: HashSet::new(),
                });
            }
            if let Err(reason) = sockets[index].add(server) {
                notices.push(left_out(server, &reason));
            }
        }
    }
    for socket in &sockets {
        notices.extend(socket.ambiguities());
    }
    sockets
}

impl<'a> Socket<'a> {
    fn add(&mut self, server: &'a GatewayServer) -> Result<(), String> {
        if let Some(first) = self.servers.first() {
            if first.is_tls() {
                self.check_among_tls(server)?;
            } else {
                check_among_plaintext(server, first)?;
            }
        }
        if server.tls.is_some() {
            let hosts: Vec<String> = server.host_keys().collect();
            if let Some(host) = hosts.iter().find(|host| self.tls_hosts.contains(*host)) {
                return Err(format!(
                    "an earlier server of the same port has the host `{host}`"
                ));
            }
            self.tls_hosts.extend(hosts);
        }
        self.https_routes.extend(server.https_routes_name());
        self.servers.push(server);
        Ok(())
    }

    fn check_among_tls(&self, server: &GatewayServer) -> Result<(), String> {
        let port = self.port;
        if server.tls.is_none() {
            let protocol = server.protocol;
            return Err(format!(
                "an earlier server has TLS on port {port}, which `{protocol}` cannot share"
            ));
        }
        let name = server.https_routes_name();
        if name.is_some_and(|name| self.https_routes.contains(&name)) {
            let name = &server.port_name;
            return Err(format!(
                "an earlier server of the Gateway has the port name `{name}`"
            ));
        }
        Ok(())
    }

    /// Chains that take the same connections, of which the first does. Istio makes them when two
    /// servers have the same host for different namespaces, and so do we; an Envoy refuses them.
    fn ambiguities(&self) -> Vec<Notice> {
        let mut seen = HashSet::new();
        let with_tls = self.servers.iter().filter(|server| server.is_tls());
        let chains = with_tls.filter(|server| !server.is_passthrough());
        let repeated = chains.filter(|server| !seen.insert(server.server_names()));
        let notice = |server: &&GatewayServer| Notice {
            origin: server.origin.clone(),
            message:
                "an earlier server has the same server names for another namespace, and takes \
                      the connections"
                    .into(),
        };
        repeated.map(notice).collect()
    }
}

/// Plaintext HTTP shares a port with plaintext HTTP only, and TCP with nothing.
fn check_among_plaintext(server: &GatewayServer, first: &GatewayServer) -> Result<(), String> {
    if server.protocol.is_http() && first.protocol.is_http() {
        return Ok(());
    }
    let (other, protocol, origin) = (first.protocol, server.protocol, &first.origin);
    Err(format!(
        "`{protocol}` cannot share the port with `{other}` of {origin}"
    ))
}

fn bind(server: &GatewayServer, port: u16, workload: &Workload) -> Option<(Bind, String)> {
    if let Some(path) = server.bind.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path).to_owned();
        return Some((Bind::Unix(path), server.bind.clone()));
    }
    let address = match server.bind.as_str() {
        "" => unspecified(workload),
        text => text.parse().ok()?,
    };
    Some((Bind::Ip { address, port }, address.to_string()))
}

/// Every IPv4 address, or every IPv6 address for a workload that has only those.
fn unspecified(workload: &Workload) -> IpAddr {
    let mut addresses = workload.addresses.iter();
    if workload.addresses.is_empty() || addresses.any(IpAddr::is_ipv4) {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}

fn left_out(server: &GatewayServer, reason: &str) -> Notice {
    Notice {
        origin: server.origin.clone(),
        message: format!("{reason}; the server is left out"),
    }
}
