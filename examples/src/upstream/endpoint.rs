//! Where a request is sent, and how.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::model::cluster::EndpointAddress;
use mesh_tls::config::ApplicationProtocol;

use super::limits::ConnectionLimits;
use super::origination::Origination;
use super::preface::Preface;

/// The HTTP version spoken to an endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    Http1,
    /// HTTP/2: over plain TCP with prior knowledge (RFC 9113 §3.3), as gRPC needs, over TLS by
    /// ALPN.
    Http2,
}

impl From<Protocol> for ApplicationProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1,
            Protocol::Http2 => Self::Http2,
        }
    }
}

/// A socket to connect to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    /// Over TCP.
    Ip(SocketAddr),
    /// A Unix domain socket; a path that begins with `@` is a name without a file (unix(7),
    /// "abstract").
    Unix(Arc<str>),
}

impl Address {
    /// The socket of an endpoint; `None` for a name, which has to be resolved first.
    pub fn of(address: &EndpointAddress) -> Option<Self> {
        match address {
            EndpointAddress::Ip(address) => Some(Self::Ip(*address)),
            EndpointAddress::Unix(path) => Some(Self::Unix(path.as_str().into())),
            EndpointAddress::Dns { .. } => None,
        }
    }
}

/// Where a request is sent, and how.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The socket to connect to.
    pub address: Address,
    /// The version to speak.
    pub protocol: Protocol,
    /// The TLS of its connections; `None` is plaintext.
    pub tls: Option<Origination>,
    /// How long a connection may take to be established, TLS included. `None` is as long as the
    /// pool's settings say.
    pub connect_timeout: Option<Duration>,
    /// The limits of its cluster, if it has any.
    pub limits: Option<ConnectionLimits>,
    /// The address to connect from; `None` leaves it to the system.
    pub source: Option<IpAddr>,
    /// What its connections begin with.
    pub preface: Option<Preface>,
}

impl Endpoint {
    /// The endpoint at `address`, which speaks `protocol` in plaintext.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self::at(Address::Ip(address), protocol)
    }

    /// The endpoint at `address`, which speaks `protocol` in plaintext.
    pub fn at(address: Address, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            tls: None,
            connect_timeout: None,
            limits: None,
            source: None,
            preface: None,
        }
    }

    /// Begins connections with `preface`.
    #[must_use]
    pub fn with_preface(self, preface: Option<Preface>) -> Self {
        Self { preface, ..self }
    }

    /// Speaks `tls`.
    #[must_use]
    pub fn with_tls(self, tls: Option<Origination>) -> Self {
        Self { tls, ..self }
    }

    /// Stays within `limits`.
    #[must_use]
    pub fn with_limits(self, limits: Option<ConnectionLimits>) -> Self {
        Self { limits, ..self }
    }

    /// Connects from `source`.
    #[must_use]
    pub fn with_source(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Gives up connecting after `timeout`.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        let connect_timeout = Some(timeout);
        Self {
            connect_timeout,
            ..self
        }
    }
}
