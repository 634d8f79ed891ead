//! What a header says.

use std::net::SocketAddr;

/// What a header of the PROXY protocol says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Who the connection is from and to.
    pub addresses: Addresses,
    /// More about it; only version 2 has this. In the order of the header.
    pub tlvs: Vec<Tlv>,
}

/// Who a connection is from and to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Addresses {
    /// It is the sender's own, such as a health check (`LOCAL` of version 2).
    Local,
    /// A connection over TCP.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// Datagrams over UDP.
    Udp {
        /// The client.
        source: SocketAddr,
        /// Where the client sent to.
        destination: SocketAddr,
    },
    /// A Unix domain socket. Paths are without the zero bytes at their end; one that begins with a
    /// zero byte is of the abstract namespace.
    Unix {
        /// The client.
        source: Vec<u8>,
        /// Where the client connected to.
        destination: Vec<u8>,
        /// Whether it is a stream, not datagrams.
        is_stream: bool,
    },
    /// The sender does not know, or cannot say (`UNKNOWN` of version 1, `UNSPEC` of version 2).
    Unknown,
}

/// A value of a header, by its kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tlv {
    /// What the value is.
    pub kind: TlvKind,
    /// The value.
    pub value: Vec<u8>,
}

/// The kind of a [`Tlv`] (`PP2_TYPE_…`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TlvKind(pub u8);

impl TlvKind {
    /// The protocol that was negotiated by ALPN.
    pub const ALPN: Self = Self(0x01);
    /// The host name that the client asked for, in UTF-8, such as the server name of TLS.
    pub const AUTHORITY: Self = Self(0x02);
    /// A checksum of the header, CRC32C.
    pub const CRC32C: Self = Self(0x03);
    /// Nothing, for alignment.
    pub const NOOP: Self = Self(0x04);
    /// What identifies the connection, of 128 bytes at most.
    pub const UNIQUE_ID: Self = Self(0x05);
    /// What TLS the client spoke.
    pub const SSL: Self = Self(0x20);
    /// The name of the client's network namespace.
    pub const NETNS: Self = Self(0x30);
}

impl Header {
    /// A connection over TCP from `source`, which connected to `destination`.
    pub fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        let addresses = Addresses::Tcp {
            source,
            destination,
        };
        Self::from(addresses)
    }

    /// The client's address, and the one that it connected to, if it is a connection over TCP.
    pub fn tcp_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match self.addresses {
            Addresses::Tcp {
                source,
                destination,
            } => Some((source, destination)),
            _ => None,
        }
    }

    /// The value of the first TLV of a kind.
    pub fn tlv(&self, kind: TlvKind) -> Option<&[u8]> {
        let found = self.tlvs.iter().find(|tlv| tlv.kind == kind);
        found.map(|tlv| &*tlv.value)
    }

    /// The host name that the client asked for, if the header says and it is text.
    pub fn authority(&self) -> Option<&str> {
        std::str::from_utf8(self.tlv(TlvKind::AUTHORITY)?).ok()
    }
}

impl From<Addresses> for Header {
    fn from(addresses: Addresses) -> Self {
        let tlvs = Vec::new();
        Self { addresses, tlvs }
    }
}
