//! The PROXY protocol: who a connection is from, said in its first bytes.
//!
//! Versions 1 (a line of text) and 2 (binary), as specified by HAProxy (`proxy-protocol.txt`).
//! [`decode`] reads a [`Header`] from the bytes that have arrived so far, [`encode`] writes one; both do
//! no IO. Feature `proxy-protocol` has the edges on tokio: `accept` takes the header off a connection
//! from a downstream, `send` puts one in front of a connection to an upstream. Feature `connect` has a
//! connector that does so where a DestinationRule's `proxyProtocol` asks for it.
//!
//! A receiver has to trust its peer: anyone can write a header. It must not accept the protocol from
//! where clients can reach it, and must not guess whether there is a header unless it wants both
//! ([`Decoded::Absent`]).
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
//! use mesh_discovery::proxy_protocol::{Decoded, Header, Limits, decode, encode};
//!
//! let client = "192.0.2.1:56324".parse().unwrap();
//! let server = "192.0.2.9:443".parse().unwrap();
//! let header = Header::tcp(client, server);
//! let mut bytes = encode(ProxyProtocolVersion::V1, &header);
//! assert_eq!(bytes, b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n");
//!
//! let limits = Limits::default();
//! assert_eq!(decode(&bytes[..20], &limits), Ok(Decoded::Incomplete));
//! let length = bytes.len();
//! bytes.extend(b"GET / HTTP/1.1\r\n");
//! assert_eq!(decode(&bytes, &limits), Ok(Decoded::Header { header, length }));
//! assert_eq!(decode(b"GET / HTTP/1.1\r\n", &limits), Ok(Decoded::Absent));
//! ```

#[cfg(feature = "proxy-protocol")]
mod edge;
mod encode;
mod header;
mod v1;
mod v2;

#[cfg(feature = "proxy-protocol")]
pub use self::edge::{AcceptError, AcceptOptions, Accepted, Stream, accept, send};
pub use self::encode::encode;
pub use self::header::{Addresses, Header, Tlv, TlvKind};

/// How long a header may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The most bytes after the first 16 of a header of version 2: addresses and
    /// [TLVs](Header::tlvs). Default: 4,096. One of version 1 has 107 bytes at most.
    pub max_v2_length: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_v2_length: 4096,
        }
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decoded {
    /// They cannot become a header, whatever follows.
    Absent,
    /// A whole header.
    Header {
        /// The header.
        header: Header,
        /// How many bytes it is long; those after it belong to the connection.
        length: usize,
    },
    /// The beginning of a header.
    Incomplete,
}

/// Reads a header from all bytes of a connection that have arrived so far.
///
/// No bytes are [`Decoded::Incomplete`]. At most 16 bytes and the addresses' and TLVs' length, or 107
/// bytes, are looked at.
///
/// # Errors
///
/// The bytes begin as a header does, and are none; or it is longer than `limits` admit.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    if begins(bytes, v2::SIGNATURE) {
        v2::decode(bytes, limits)
    } else if begins(bytes, v1::SIGNATURE) {
        v1::decode(bytes)
    } else {
        Ok(Decoded::Absent)
    }
}

/// Whether `bytes` begin with `signature`, as far as there are any.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let length = bytes.len().min(signature.len());
    bytes[..length] == signature[..length]
}

/// Bytes that begin as a header of the PROXY protocol does are none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A line of version 1 is not what the protocol allows.
    #[error("the PROXY protocol line is malformed")]
    MalformedLine,
    /// A line of version 1 does not end within 107 bytes.
    #[error("the PROXY protocol line does not end within 107 bytes")]
    LineTooLong,
    /// A binary header is of another version than 2.
    #[error("PROXY protocol version `{version}` is not supported")]
    UnsupportedVersion {
        /// The version.
        version: u8,
    },
    /// A binary header has a command that is neither LOCAL nor PROXY.
    #[error("PROXY protocol command `{command}` is unknown")]
    UnknownCommand {
        /// The command.
        command: u8,
    },
    /// A binary header has a family and transport that the protocol does not know.
    #[error("PROXY protocol family and transport `{value:#04x}` are unknown")]
    UnknownFamily {
        /// Family and transport.
        value: u8,
    },
    /// A binary header is longer than the limit.
    #[error("the PROXY protocol header has {length} bytes, and {limit} are allowed")]
    TooLong {
        /// The length that the header says.
        length: u16,
        /// The limit.
        limit: u16,
    },
    /// A binary header is too short for its addresses, or for one of its TLVs.
    #[error("the PROXY protocol header is cut off")]
    Truncated,
    /// A binary header has a checksum, and it is wrong.
    #[error("the checksum of the PROXY protocol header is wrong")]
    WrongChecksum,
}

#[cfg(test)]
mod tests;
