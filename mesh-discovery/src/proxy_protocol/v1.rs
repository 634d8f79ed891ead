//! Version 1, section 2.1 of the specification.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::header::{Addresses, Header};
use super::{DecodeError, Decoded};

pub(super) const SIGNATURE: &[u8] = b"PROXY";

/// The longest line, its end included.
const MAX_LINE: usize = 107;

pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let most = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = most.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() < MAX_LINE {
            true => Ok(Decoded::Incomplete),
            false => Err(DecodeError::LineTooLong),
        };
    };
    let line = std::str::from_utf8(&most[..end]).map_err(|_| DecodeError::MalformedLine)?;
    let addresses = addresses(line).ok_or(DecodeError::MalformedLine)?;
    Ok(Decoded::Header {
        header: Header::from(addresses),
        length: end + 2,
    })
}

fn addresses(line: &str) -> Option<Addresses> {
    let mut words = line.split(' ');
    words.next().filter(|word| *word == "PROXY")?;
    let (source, destination) = match words.next()? {
        // What follows is to be ignored.
        "UNKNOWN" => return Some(Addresses::Unknown),
        "TCP4" => pair::<Ipv4Addr>(&mut words)?,
        "TCP6" => pair::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    words.next().is_none().then_some(Addresses::Tcp {
        source,
        destination,
    })
}

fn pair<'a, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<(SocketAddr, SocketAddr)> {
    let source: A = words.next()?.parse().ok()?;
    let destination: A = words.next()?.parse().ok()?;
    let source = SocketAddr::new(source.into(), port(words.next()?)?);
    let destination = SocketAddr::new(destination.into(), port(words.next()?)?);
    Some((source, destination))
}

/// A port: decimal, without a sign or zeroes in front.
fn port(word: &str) -> Option<u16> {
    let canonical = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| canonical)
}
