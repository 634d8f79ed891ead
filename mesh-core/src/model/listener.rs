//! Listeners and filter chains: what a workload accepts, and which routes a connection gets.
//!
//! A connection is given to the filter chain whose [`FilterChainMatch`] is most specific, as in
//! Envoy: destination port, then destination address, server name, transport protocol and
//! application protocols.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::listener::{FilterChain, HttpConnection, Listener, NetworkFilter};
//!
//! let http = HttpConnection::new("http.80");
//! let chain = FilterChain::new(NetworkFilter::Http(http));
//! let listener = Listener::new("0.0.0.0_80", 80, [chain]);
//! assert!(listener.filter_chains[0].matches.is_empty());
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::route::WeightedDestination;
use crate::origin::Origin;
use crate::resource::istio::gateway::ServerTlsSettings;

/// A socket that the workload listens on.
#[derive(Clone, Debug, Serialize)]
pub struct Listener {
    /// Istio's name for it, `0.0.0.0_8080`.
    pub name: String,
    /// The socket.
    pub bind: Bind,
    /// Which way its connections go.
    pub direction: Direction,
    /// The port that the configuration names, before it is translated to the port that is bound.
    pub declared_port: u16,
    /// Whether connections arrive by redirection from [`Bind`] of the capturing listener, so that
    /// this listener binds nothing itself.
    pub captured: bool,
    /// The chain of a connection is the most specific that matches it.
    pub filter_chains: Vec<FilterChain>,
    /// The chain of a connection that no other takes. `None` closes it.
    pub default_filter_chain: Option<Box<FilterChain>>,
    /// How long a protocol is waited for before a connection counts as neither TLS nor HTTP.
    /// `None` waits for ever.
    pub protocol_detection_timeout: Option<Duration>,
    /// Whether connections begin with a header of the PROXY protocol, which says whose they are.
    pub proxy_protocol: bool,
    /// What asked for it.
    pub origin: Origin,
}

impl Listener {
    /// An inbound listener on all IPv4 addresses.
    pub fn new(
        name: impl Into<String>,
        port: u16,
        filter_chains: impl IntoIterator<Item = FilterChain>,
    ) -> Self {
        Self {
            name: name.into(),
            bind: Bind::Ip {
                address: Ipv4Addr::UNSPECIFIED.into(),
                port,
            },
            direction: Direction::Inbound,
            declared_port: port,
            captured: false,
            filter_chains: filter_chains.into_iter().collect(),
            default_filter_chain: None,
            protocol_detection_timeout: None,
            proxy_protocol: false,
            origin: Origin::synthetic("listener"),
        }
    }
}

/// A local socket address.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Bind {
    /// An IP socket.
    Ip {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(String),
}

impl Bind {
    /// The port, if it has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

/// Which way the connections of a listener go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// To the workload, or through a gateway.
    Inbound,
    /// From the workload to others.
    Outbound,
}

/// What is done with the connections that match.
#[derive(Clone, Debug, Serialize)]
pub struct FilterChain {
    /// Istio's name for it; empty where it has none.
    pub name: String,
    /// Which connections it takes.
    pub matches: FilterChainMatch,
    /// How TLS is terminated. `None` leaves the bytes as they are.
    pub tls: Option<ServerTls>,
    /// What reads the bytes.
    pub filter: NetworkFilter,
    /// What asked for it.
    pub origin: Origin,
}

impl FilterChain {
    /// A chain for every connection, without TLS.
    pub fn new(filter: NetworkFilter) -> Self {
        Self {
            name: String::new(),
            matches: FilterChainMatch::default(),
            tls: None,
            filter,
            origin: Origin::synthetic("filter chain"),
        }
    }
}

/// Which connections a filter chain takes. What is empty takes everything.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct FilterChainMatch {
    /// Port that the connection was made to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// Networks that the connection was made to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_networks: Vec<IpNet>,
    /// Server names of the ClientHello: exact, or `*.suffix` for any depth below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_names: Vec<String>,
    /// Whether it is TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Application protocols: of ALPN where it is TLS, else detected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub application_protocols: Vec<String>,
}

impl FilterChainMatch {
    /// Whether it takes every connection.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the bytes of a connection arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// Not TLS.
    Plaintext,
    /// TLS, told by its ClientHello.
    Tls,
}

/// What reads the bytes of a connection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkFilter {
    /// HTTP requests are routed one by one.
    Http(HttpConnection),
    /// The server name is itself the name of a cluster (`AUTO_PASSTHROUGH`).
    SniCluster,
    /// The connection goes to one cluster whole.
    Tcp(TcpProxy),
}

/// How the requests of an HTTP connection are treated.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HttpConnection {
    /// Name of its [`RouteConfiguration`](crate::model::route::RouteConfiguration).
    pub route_configuration: String,
    /// Whether the client's address is that of the connection (gateways) or what
    /// `x-forwarded-for` says (sidecars).
    pub use_remote_address: bool,
    /// How many proxies in front are trusted to append to `x-forwarded-for`.
    pub trusted_hops: u32,
    /// Value of the `server` response header; `None` leaves the application's.
    pub server_name: Option<String>,
    /// Whether requests without an `x-request-id` get one.
    pub generate_request_id: bool,
    /// Whether upstreams are told by `x-envoy-attempt-count` which attempt they see.
    pub count_attempts: bool,
    /// Whether upstreams and clients are told what the router does, by the other headers that begin
    /// with `x-envoy-`: of times, former hosts and paths, and overload. What others have written there
    /// stays.
    pub envoy_debug_headers: bool,
    /// Whether upstreams are told by `x-forwarded-port` which port the client has connected to, unless
    /// a trusted proxy says it. Of no effect without `use_remote_address`, as in Envoy.
    pub append_forwarded_port: bool,
}

impl HttpConnection {
    /// A gateway's connection, by the routes of `route_configuration`.
    pub fn new(route_configuration: impl Into<String>) -> Self {
        Self {
            route_configuration: route_configuration.into(),
            use_remote_address: true,
            trusted_hops: 0,
            server_name: Some("istio-envoy".into()),
            generate_request_id: true,
            count_attempts: true,
            envoy_debug_headers: true,
            append_forwarded_port: false,
        }
    }
}

/// Where a connection goes whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TcpProxy {
    /// One is drawn for each connection, in proportion to the weights. Empty closes it.
    pub destinations: Vec<WeightedDestination>,
    /// How long it may be silent. `None` is Envoy's hour; zero disables it.
    pub idle_timeout: Option<Duration>,
    /// How long it may last, whatever passes. `None` is for ever.
    pub max_duration: Option<Duration>,
}

impl TcpProxy {
    /// Leads to `destinations`, with Envoy's defaults.
    pub fn to(destinations: impl IntoIterator<Item = WeightedDestination>) -> Self {
        Self {
            destinations: destinations.into_iter().collect(),
            idle_timeout: None,
            max_duration: None,
        }
    }
}

/// How a filter chain terminates TLS.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ServerTls {
    /// By a Gateway's settings, as written.
    Gateway(Box<ServerTlsSettings>),
    /// By the workload's own identity, demanding a peer's (mesh mTLS).
    Mesh {
        /// Application protocols offered.
        alpn: Vec<String>,
    },
    /// By the settings of a Sidecar's ingress listener.
    Sidecar(Box<ServerTlsSettings>),
}
