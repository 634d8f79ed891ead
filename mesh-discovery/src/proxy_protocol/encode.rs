//! Headers, written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;

use super::header::{Addresses, Header, TlvKind};
use super::v2::{SIGNATURE, UNIX_PATH, crc32c};

/// The most bytes after the first 16 of a header of version 2.
const MAX_CONTENT: usize = u16::MAX as usize;

/// Writes a header.
///
/// If one address is of IPv4 and the other of IPv6, both are written as IPv6. What version 1 cannot
/// say, all but TCP, is `UNKNOWN` there, and TLVs are left out. A [`TlvKind::CRC32C`] of version 2 is
/// given the checksum, whatever its value is. TLVs that no longer fit into 65,535 bytes are left out.
pub fn encode(version: ProxyProtocolVersion, header: &Header) -> Vec<u8> {
    match version {
        ProxyProtocolVersion::V1 => v1(header).into_bytes(),
        ProxyProtocolVersion::V2 => v2(header),
    }
}

fn v1(header: &Header) -> String {
    let Some((source, destination)) = header.tcp_addresses() else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let (source, destination) = same_family(source, destination);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    )
}

fn v2(header: &Header) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let (command, family, content) = match &header.addresses {
        Addresses::Local => (0, 0x00, Vec::new()),
        Addresses::Unknown => (1, 0x00, Vec::new()),
        Addresses::Tcp {
            source,
            destination,
        } => sockets(*source, *destination, 1),
        Addresses::Udp {
            source,
            destination,
        } => sockets(*source, *destination, 2),
        Addresses::Unix {
            source,
            destination,
            is_stream,
        } => {
            let paths = [path(source), path(destination)].concat();
            (1, if *is_stream { 0x31 } else { 0x32 }, paths)
        }
    };
    bytes.extend([0x20 | command, family, 0, 0]);
    bytes.extend(content);
    let checksum = tlvs(header, &mut bytes);
    let length = u16::try_from(bytes.len() - 16).unwrap_or(u16::MAX);
    bytes[14..16].copy_from_slice(&length.to_be_bytes());
    if let Some(place) = checksum {
        let checksum = crc32c(bytes.iter().copied());
        bytes[place..place + 4].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

fn sockets(source: SocketAddr, destination: SocketAddr, transport: u8) -> (u8, u8, Vec<u8>) {
    let (source, destination) = same_family(source, destination);
    let mut content = Vec::with_capacity(36);
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(v4) => content.extend(v4.octets()),
            IpAddr::V6(v6) => content.extend(v6.octets()),
        }
    }
    content.extend(source.port().to_be_bytes());
    content.extend(destination.port().to_be_bytes());
    let family = if source.is_ipv4() { 0x10 } else { 0x20 };
    (1, family | transport, content)
}

/// A path in its field, cut if it is longer, which no path of a socket is.
fn path(path: &[u8]) -> [u8; UNIX_PATH] {
    let mut field = [0; UNIX_PATH];
    let length = path.len().min(UNIX_PATH);
    field[..length].copy_from_slice(&path[..length]);
    field
}

/// Writes the TLVs, and says where the checksum is to go.
fn tlvs(header: &Header, bytes: &mut Vec<u8>) -> Option<usize> {
    let mut checksum = None;
    for tlv in &header.tlvs {
        let is_checksum = tlv.kind == TlvKind::CRC32C;
        let value: &[u8] = if is_checksum { &[0; 4] } else { &tlv.value };
        let fits = bytes.len() - 16 + 3 + value.len() <= MAX_CONTENT;
        let Some(length) = u16::try_from(value.len()).ok().filter(|_| fits) else {
            continue;
        };
        if is_checksum && checksum.is_some() {
            continue;
        }
        bytes.push(tlv.kind.0);
        bytes.extend(length.to_be_bytes());
        if is_checksum {
            checksum = Some(bytes.len());
        }
        bytes.extend(value);
    }
    checksum
}

fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |socket: SocketAddr| {
        let ip: Ipv6Addr = match socket.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        SocketAddr::new(ip.into(), socket.port())
    };
    (mapped(source), mapped(destination))
}
