//! Version 2, section 2.2 of the specification.

use std::net::{IpAddr, SocketAddr};

use super::header::{Addresses, Header, Tlv, TlvKind};
use super::{DecodeError, Decoded, Limits};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses.
const FIXED: usize = 16;
/// Bytes of the path of a Unix domain socket.
pub(super) const UNIX_PATH: usize = 108;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    let Some(&version_and_command) = bytes.get(SIGNATURE.len()) else {
        return Ok(Decoded::Incomplete);
    };
    let (version, command) = (version_and_command >> 4, version_and_command & 0xf);
    if version != 2 {
        return Err(DecodeError::UnsupportedVersion { version });
    }
    if command > 1 {
        return Err(DecodeError::UnknownCommand { command });
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else {
        return Ok(Decoded::Incomplete);
    };
    let (family, length) = (fixed[13], u16::from_be_bytes([fixed[14], fixed[15]]));
    let limit = limits.max_v2_length;
    if length > limit {
        return Err(DecodeError::TooLong { length, limit });
    }
    let Some(content) = rest.get(..usize::from(length)) else {
        return Ok(Decoded::Incomplete);
    };
    let is_local = command == 0;
    let mut reader = Reader { bytes: content };
    let addresses = match addresses(family, &mut reader) {
        // Of a LOCAL header the family and addresses are to be ignored, whatever they are.
        _ if is_local => Addresses::Local,
        addresses => addresses?,
    };
    let header = Header {
        addresses,
        tlvs: match is_local {
            true => Vec::new(),
            false => tlvs(&mut reader)?,
        },
    };
    let length = FIXED + content.len();
    verify_checksum(&header, &bytes[..length])?;
    Ok(Decoded::Header { header, length })
}

fn addresses(family: u8, reader: &mut Reader<'_>) -> Result<Addresses, DecodeError> {
    let (source, destination) = match family {
        0x00 => return Ok(Addresses::Unknown),
        0x11 | 0x12 => reader.sockets::<4>()?,
        0x21 | 0x22 => reader.sockets::<16>()?,
        0x31 | 0x32 => {
            return Ok(Addresses::Unix {
                source: reader.path()?,
                destination: reader.path()?,
                is_stream: family == 0x31,
            });
        }
        value => return Err(DecodeError::UnknownFamily { value }),
    };
    Ok(match family & 0xf {
        1 => Addresses::Tcp {
            source,
            destination,
        },
        _ => Addresses::Udp {
            source,
            destination,
        },
    })
}

fn tlvs(reader: &mut Reader<'_>) -> Result<Vec<Tlv>, DecodeError> {
    let mut tlvs = Vec::new();
    while !reader.bytes.is_empty() {
        let [kind] = *reader.take::<1>()?;
        let length = u16::from_be_bytes(*reader.take::<2>()?);
        let value = reader.slice(length.into())?;
        tlvs.push(Tlv {
            kind: TlvKind(kind),
            value: value.to_vec(),
        });
    }
    Ok(tlvs)
}

/// Takes apart the bytes after the first 16.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Two addresses of `N` bytes and their ports.
    fn sockets<const N: usize>(&mut self) -> Result<(SocketAddr, SocketAddr), DecodeError>
    where
        IpAddr: From<[u8; N]>,
    {
        let source = IpAddr::from(*self.take::<N>()?);
        let destination = IpAddr::from(*self.take::<N>()?);
        let source = SocketAddr::new(source, u16::from_be_bytes(*self.take()?));
        let destination = SocketAddr::new(destination, u16::from_be_bytes(*self.take()?));
        Ok((source, destination))
    }

    fn path(&mut self) -> Result<Vec<u8>, DecodeError> {
        let path = self.take::<UNIX_PATH>()?;
        let length = path.iter().rposition(|byte| *byte != 0);
        Ok(path[..length.map_or(0, |last| last + 1)].to_vec())
    }
}

/// Checks the checksum of a header that has one: over the whole header, with zeroes in its place
/// (section 2.2.3).
fn verify_checksum(header: &Header, bytes: &[u8]) -> Result<(), DecodeError> {
    let Some(written) = header.tlv(TlvKind::CRC32C) else {
        return Ok(());
    };
    let written: [u8; 4] = written.try_into().map_err(|_| DecodeError::WrongChecksum)?;
    let after: usize = header
        .tlvs
        .iter()
        .rev()
        .take_while(|tlv| tlv.kind != TlvKind::CRC32C)
        .map(|tlv| tlv.value.len() + 3)
        .sum();
    let first = header.tlvs.iter().filter(|tlv| tlv.kind == TlvKind::CRC32C);
    if first.count() != 1 {
        return Err(DecodeError::WrongChecksum);
    }
    let end = bytes.len() - after;
    let zeroed = bytes[..end - 4].iter().chain(&[0; 4]).chain(&bytes[end..]);
    match crc32c(zeroed.copied()) == u32::from_be_bytes(written) {
        true => Ok(()),
        false => Err(DecodeError::WrongChecksum),
    }
}

/// CRC-32C (RFC 3720 appendix B.4), bit by bit: headers are short.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let polynomial = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc = (crc >> 1) ^ polynomial;
        }
    }
    !crc
}
