use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::HeaderName;
use mesh_core::format_string::Constants;
use mesh_core::model::listener::Direction;
use mesh_policy::telemetry::access_log::ChannelSink;
use mesh_tls::resolve::LiveIdentity;

use super::capture::Capture;
use super::handshakes::HandshakeObserver;
use super::keys::KeysObserver;

/// How a gateway listens, and what it records.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of listeners that do not bind one of their own. Default: all of IPv4.
    pub bind: IpAddr,
    /// The port to bind in place of that of the listener for one that a Gateway declares; 0 lets the
    /// system choose. By default that is the declared port, or the target port where a Service of the
    /// gateway says, as in Istio.
    pub ports: BTreeMap<u16, u16>,
    /// Threads, each with its own listening sockets and connection pools. Default 1.
    pub threads: usize,
    /// Whether requests are counted, though neither the mesh nor a Telemetry asks for it. Default:
    /// no.
    pub metrics: bool,
    /// Where lines of Istio's built-in access log go. Default: nowhere.
    pub access_log: Option<ChannelSink>,
    /// Whether all requests are logged where neither the mesh nor a Telemetry says. Default: no.
    pub log_all: bool,
    /// What `%HOSTNAME%` and `%ENVIRONMENT(name)%` stand for in access logs and tags of spans. Default:
    /// nothing is given, and `-` stands for all.
    pub constants: Constants,
    /// Connections that are redirected to the gateway, as those of a sidecar. Default: none.
    pub captures: Vec<Capture>,
    /// Who the gateway is in the mesh, as it proves by mutual TLS. Default: nobody; what demands an
    /// identity is not served, and not connected to.
    pub identity: Option<LiveIdentity>,
    /// Is told of handshakes that fail. Default: nobody; they are counted.
    pub handshakes: Option<HandshakeObserver>,
    /// Is told of keys of issuers that cannot be fetched. Default: nobody.
    pub keys: Option<KeysObserver>,
    /// The header that tells clients the rule because of which they are denied. Default: none; they
    /// are not told.
    pub rule_header: Option<HeaderName>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            ports: BTreeMap::new(),
            threads: 1,
            metrics: false,
            access_log: None,
            log_all: false,
            constants: Constants {
                absent: Some("-".to_owned()),
                ..Constants::default()
            },
            captures: Vec::new(),
            identity: None,
            handshakes: None,
            keys: None,
            rule_header: None,
        }
    }
}

impl Settings {
    /// Whether connections to the workload are redirected to the gateway, so that those from the
    /// gateway to its application would be, too, if nothing told them apart.
    pub(super) fn are_callers_redirected(&self) -> bool {
        let mut captures = self.captures.iter();
        captures.any(|capture| capture.direction == Direction::Inbound && capture.is_redirected())
    }
}
