//! The protocol of a port, and how Istio finds it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::PortNumber;

/// Ports on which the server speaks first, so that waiting for the client's first bytes would
/// stall both: SMTP, DNS, MySQL and MongoDB.
const SERVER_FIRST_PORTS: [u16; 4] = [25, 53, 3306, 27017];

/// The transport of a Kubernetes port, its `protocol` field.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// Stream Control Transmission Protocol, which Istio treats as TCP.
    Sctp,
    /// Transmission Control Protocol, the default.
    #[default]
    Tcp,
    /// User Datagram Protocol, which no proxy of the mesh carries.
    Udp,
}

/// What is spoken on a port (`pkg/config/protocol`).
///
/// Text and serde form are Istio's, in any case when parsed; every other text is
/// [`Unsupported`](Self::Unsupported).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "&'static str")]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, which browsers speak.
    GrpcWeb,
    /// HTTP/2 CONNECT tunnels over mutual TLS.
    Hbone,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// HTTP to a forward proxy, on egress listeners of sidecars.
    HttpProxy,
    /// HTTP inside TLS that is not terminated.
    Https,
    /// MongoDB, as TCP.
    Mongo,
    /// MySQL, as TCP.
    MySql,
    /// Redis, as TCP.
    Redis,
    /// Bytes.
    Tcp,
    /// TLS that is not terminated, routed by its SNI.
    Tls,
    /// Datagrams, which are not carried.
    Udp,
    /// Not told: a sidecar finds out from the first bytes of a connection.
    Unsupported,
}

impl Protocol {
    /// Reads a protocol in any case; a text that is none is [`Unsupported`](Self::Unsupported).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "hbone" => Self::Hbone,
            "http" => Self::Http,
            "http2" => Self::Http2,
            "http_proxy" => Self::HttpProxy,
            "https" => Self::Https,
            "mongo" => Self::Mongo,
            "mysql" => Self::MySql,
            "redis" => Self::Redis,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            "udp" => Self::Udp,
            _ => Self::Unsupported,
        }
    }

    /// Finds the protocol of a port of a Kubernetes Service (`ConvertProtocol`).
    ///
    /// UDP ports are UDP. Otherwise `appProtocol` decides, and the port's name where there is none:
    /// its part before the first `-`, with `grpc-web` as one part. What remains unknown is to be
    /// detected, except on ports 25, 53, 3306 and 27017, where servers speak first.
    #[must_use]
    pub fn select(
        port: PortNumber,
        name: &str,
        transport: Transport,
        app_protocol: Option<&str>,
    ) -> Self {
        if transport == Transport::Udp {
            return Self::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            _ => {}
        }
        match Self::from_port_name(app_protocol.unwrap_or(name)) {
            Self::Unsupported if SERVER_FIRST_PORTS.contains(&port.get()) => Self::Tcp,
            protocol => protocol,
        }
    }

    fn from_port_name(name: &str) -> Self {
        const GRPC_WEB: &str = "grpc-web";
        let is_grpc_web = name
            .get(..GRPC_WEB.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(GRPC_WEB));
        if is_grpc_web {
            return Self::GrpcWeb;
        }
        Self::parse(name.split('-').next().unwrap_or(name))
    }

    /// Istio's name of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Hbone => "HBONE",
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::HttpProxy => "HTTP_PROXY",
            Self::Https => "HTTPS",
            Self::Mongo => "Mongo",
            Self::MySql => "MySQL",
            Self::Redis => "Redis",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::Unsupported => "UnsupportedProtocol",
        }
    }

    /// Whether requests are routed by HTTP rules.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(
            self,
            Self::Grpc | Self::GrpcWeb | Self::Hbone | Self::Http | Self::Http2 | Self::HttpProxy
        )
    }

    /// Whether HTTP/2 is spoken without being negotiated.
    #[must_use]
    pub const fn is_http2(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb | Self::Hbone | Self::Http2)
    }

    /// Whether gRPC is spoken.
    #[must_use]
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcWeb)
    }

    /// Whether connections are routed whole, by TCP or TLS rules.
    #[must_use]
    pub const fn is_tcp(self) -> bool {
        matches!(
            self,
            Self::Https | Self::Mongo | Self::MySql | Self::Redis | Self::Tcp | Self::Tls
        )
    }

    /// Whether the bytes are TLS, so that a gateway needs certificates or passes them through.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether the protocol is not told.
    #[must_use]
    pub const fn is_unsupported(self) -> bool {
        matches!(self, Self::Unsupported)
    }

    /// What is left once TLS is terminated.
    #[must_use]
    pub const fn after_tls_termination(self) -> Self {
        match self {
            Self::Https => Self::Http,
            Self::Tls => Self::Tcp,
            other => other,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for Protocol {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Protocol> for &'static str {
    fn from(protocol: Protocol) -> Self {
        protocol.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Protocol; 14] = [
        Protocol::Grpc,
        Protocol::GrpcWeb,
        Protocol::Hbone,
        Protocol::Http,
        Protocol::Http2,
        Protocol::HttpProxy,
        Protocol::Https,
        Protocol::Mongo,
        Protocol::MySql,
        Protocol::Redis,
        Protocol::Tcp,
        Protocol::Tls,
        Protocol::Udp,
        Protocol::Unsupported,
    ];

    #[test]
    fn the_application_protocol_beats_the_port_name() {
        let cases = [
            (80, "", None, Protocol::Unsupported),
            (80, "http", None, Protocol::Http),
            (80, "HTTP2-web", None, Protocol::Http2),
            (80, "web-http", None, Protocol::Unsupported),
            (80, "grpc-web", None, Protocol::GrpcWeb),
            (80, "GRPC-WEB-x", None, Protocol::GrpcWeb),
            (80, "grpc-website", None, Protocol::GrpcWeb),
            (80, "grpc-x", None, Protocol::Grpc),
            (80, "grpcweb-x", None, Protocol::Unsupported),
            (80, "é", None, Protocol::Unsupported),
            (80, "http", Some("tcp"), Protocol::Tcp),
            (80, "http", Some("other"), Protocol::Unsupported),
            (80, "http", Some("kubernetes.io/h2c"), Protocol::Http2),
            (80, "tcp", Some("kubernetes.io/ws"), Protocol::Http),
            (80, "tcp", Some("kubernetes.io/wss"), Protocol::Https),
            (3306, "db", None, Protocol::Tcp),
            (3306, "http", None, Protocol::Http),
            (25, "", Some("other"), Protocol::Tcp),
        ];
        for (port, name, app_protocol, expected) in cases {
            let port = PortNumber::new(port).unwrap();
            let protocol = Protocol::select(port, name, Transport::Tcp, app_protocol);
            assert_eq!(protocol, expected, "{port} {name} {app_protocol:?}");
            let protocol = Protocol::select(port, name, Transport::Udp, app_protocol);
            assert_eq!(protocol, Protocol::Udp, "{port} {name} {app_protocol:?}");
        }
    }

    #[test]
    fn display_and_parse_are_inverse() {
        for protocol in ALL {
            assert_eq!(Protocol::parse(protocol.as_str()), protocol, "{protocol}");
        }
    }

    #[test]
    fn a_protocol_is_routed_in_one_way() {
        for protocol in ALL {
            let ways = [protocol.is_http(), protocol.is_tcp()];
            let routed = !matches!(protocol, Protocol::Udp | Protocol::Unsupported);
            let count = ways.iter().filter(|way| **way).count();
            assert_eq!(count, usize::from(routed), "{protocol}");
        }
    }
}
