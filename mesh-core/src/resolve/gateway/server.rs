//! A server of a gateway, whichever resource asked for it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::host::{HostPattern, NamespaceScope, ScopedHost};
use crate::model::listener::TcpProxy;
use crate::model::route::Route;
use crate::origin::Origin;
use crate::resource::istio::gateway::ServerTlsSettings;
use crate::resource::timestamp::Timestamp;
use crate::service::Protocol;

/// The name by which VirtualServices refer to a gateway, `namespace/name`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::resolve) struct GatewayName {
    /// Its namespace.
    pub(in crate::resolve) namespace: String,
    /// Its name.
    pub(in crate::resolve) name: String,
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port that a gateway serves, the hosts it serves there, and what is bound to them.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct GatewayServer {
    /// The gateway.
    pub(in crate::resolve) gateway: GatewayName,
    /// When the gateway was made. Of servers in conflict the oldest stays.
    pub(in crate::resolve) created: Option<Timestamp>,
    /// The port as declared, which is one of the gateway's service.
    pub(in crate::resolve) port: u16,
    /// Name of the port.
    pub(in crate::resolve) port_name: String,
    /// The ports that are listened on: what the service makes of `port`.
    pub(in crate::resolve) bound_ports: Vec<u16>,
    /// What is spoken.
    pub(in crate::resolve) protocol: Protocol,
    /// The address or Unix socket to listen on. Empty is every address.
    pub(in crate::resolve) bind: String,
    /// The hosts, with the namespaces whose routes may bind to them.
    pub(in crate::resolve) hosts: Vec<ScopedHost>,
    /// How TLS is treated. `None` leaves the bytes as they are.
    pub(in crate::resolve) tls: Option<ServerTlsSettings>,
    /// What asked for it.
    pub(in crate::resolve) origin: Origin,
    /// What is bound to it.
    pub(in crate::resolve) bindings: Bindings,
}

/// What is bound to a server. Of the three the server's protocol uses one.
#[derive(Clone, Debug, Default)]
pub(in crate::resolve) struct Bindings {
    /// Routes for requests, in the order in which they compete.
    pub(in crate::resolve) http: Vec<HttpBinding>,
    /// Where connections go whole, whatever their server name.
    pub(in crate::resolve) tcp: Option<TcpBinding>,
    /// Where TLS connections go whole, by their server names.
    pub(in crate::resolve) tls: Vec<TlsBinding>,
}

/// Routes for hosts of a server.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct HttpBinding {
    /// The hosts: each within one of the server.
    pub(in crate::resolve) hosts: Vec<HostPattern>,
    /// The routes, shared by all bindings of the same rules.
    pub(in crate::resolve) routes: Arc<[Arc<Route>]>,
    /// What asked for them.
    pub(in crate::resolve) origin: Origin,
}

/// Where the connections of a server go.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct TcpBinding {
    /// Where they go.
    pub(in crate::resolve) proxy: TcpProxy,
    /// What asked for it.
    pub(in crate::resolve) origin: Origin,
}

/// Where connections with some server names go, without being decrypted.
#[derive(Clone, Debug)]
pub(in crate::resolve) struct TlsBinding {
    /// The server names: exact, `*.suffix`, or `*`.
    pub(in crate::resolve) server_names: Vec<String>,
    /// Where they go.
    pub(in crate::resolve) proxy: TcpProxy,
    /// What asked for it.
    pub(in crate::resolve) origin: Origin,
}

impl GatewayServer {
    /// Whether requests are routed one by one (`IsHTTPServer`).
    pub(in crate::resolve) fn is_http(&self) -> bool {
        self.protocol.is_http() || self.terminates_https()
    }

    /// Whether it ends TLS to route the requests in it.
    pub(super) fn terminates_https(&self) -> bool {
        self.protocol == Protocol::Https && self.tls.is_some() && !self.is_passthrough()
    }

    /// Whether TLS is passed on.
    pub(super) fn is_passthrough(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(ServerTlsSettings::is_passthrough)
    }

    /// Whether its port carries TLS, so that other servers can share it (`IsTLSServer`).
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some() && !self.protocol.is_http()
    }

    /// Whether it answers plaintext requests with a redirect to `https`.
    pub(super) fn redirects_to_https(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.https_redirect)
    }

    /// What tells its hosts from those of other servers with TLS: host and namespace.
    pub(super) fn host_keys(&self) -> impl Iterator<Item = String> {
        let own = &self.gateway.namespace;
        self.hosts.iter().map(move |host| match host.namespace() {
            NamespaceScope::Any => host.host().to_string(),
            NamespaceScope::Own => format!("{own}/{}", host.host()),
            NamespaceScope::Named(_) | NamespaceScope::Nowhere => host.to_string(),
        })
    }

    /// The server names of its connections, sorted. Empty is every name, and none.
    pub(super) fn server_names(&self) -> Vec<String> {
        let names = self.hosts.iter().map(|host| host.host().to_string());
        server_names(names)
    }

    /// The name of the route configuration that is its own. `None` unless it terminates HTTPS.
    pub(super) fn https_routes_name(&self) -> Option<String> {
        let Self {
            port,
            port_name,
            gateway: GatewayName { namespace, name },
            ..
        } = self;
        let bind = self.bind_suffix();
        self.terminates_https()
            .then(|| format!("https.{port}.{port_name}.{name}.{namespace}{bind}"))
    }

    /// The name of the route configuration that it shares with other plaintext servers.
    pub(super) fn http_routes_name(&self, bound_port: u16) -> String {
        format!("http.{bound_port}{}", self.bind_suffix())
    }

    fn bind_suffix(&self) -> String {
        match self.bind.as_str() {
            "" => String::new(),
            bind => format!(".{bind}"),
        }
    }
}

/// Server names for a filter chain: sorted, each once, and none where `*` is among them.
pub(super) fn server_names(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.collect();
    if names.contains("*") {
        return Vec::new();
    }
    names.into_iter().collect()
}
