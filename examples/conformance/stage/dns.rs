//! How a workload finds names: our DNS proxy, and a client that asks it.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mesh_discovery::dns_proxy::{DnsProxy, DnsProxyOptions, NameTable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Types of records (RFC 1035, section 3.2.2; RFC 3596).
const A: u16 = 1;
const AAAA: u16 = 28;
/// The most that an answer over UDP has here.
const MAX_MESSAGE: usize = 4096;

/// How a client asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Tcp,
    Udp,
}

/// The addresses of both families that `table` has for a name. The error is why it has none.
pub(super) async fn look_up(
    table: NameTable,
    host: &str,
    over: Over,
) -> Result<BTreeSet<IpAddr>, String> {
    let proxy = DnsProxy::new(Some(table), DnsProxyOptions::default());
    let found = match over {
        Over::Tcp => over_tcp(&proxy, host).await,
        Over::Udp => over_udp(&proxy, host).await,
    };
    let found = found.map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err(format!("`{host}` has no address")),
        false => Ok(found),
    }
}

async fn over_udp(proxy: &DnsProxy, host: &str) -> io::Result<BTreeSet<IpAddr>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    let ask = async {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        client.connect(address).await?;
        let mut found = BTreeSet::new();
        for kind in [A, AAAA] {
            client.send(&query(host, kind)).await?;
            let mut answer = vec![0; MAX_MESSAGE];
            let length = client.recv(&mut answer).await?;
            found.extend(addresses(&answer[..length])?);
        }
        Ok::<_, io::Error>(found)
    };
    tokio::select! {
        served = proxy.serve_udp(socket) => Err(ended(served)),
        found = tokio::time::timeout(TIMEOUT, ask) => found?,
    }
}

async fn over_tcp(proxy: &DnsProxy, host: &str) -> io::Result<BTreeSet<IpAddr>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::select! {
        served = proxy.serve_tcp(listener) => Err(ended(served)),
        found = tokio::time::timeout(TIMEOUT, ask_by_tcp(address, host)) => found?,
    }
}

async fn ask_by_tcp(address: SocketAddr, host: &str) -> io::Result<BTreeSet<IpAddr>> {
    let mut client = TcpStream::connect(address).await?;
    let mut found = BTreeSet::new();
    for kind in [A, AAAA] {
        let query = query(host, kind);
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        client.write_all(&length.to_be_bytes()).await?;
        client.write_all(&query).await?;
        let mut answer = vec![0; client.read_u16().await?.into()];
        client.read_exact(&mut answer).await?;
        found.extend(addresses(&answer)?);
    }
    Ok(found)
}

fn ended(served: io::Result<()>) -> io::Error {
    let ended = || io::Error::other("the proxy has ended");
    served.err().unwrap_or_else(ended)
}

/// A query (RFC 1035, section 4.1), which asks for recursion.
fn query(host: &str, kind: u16) -> Vec<u8> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in host.split('.').filter(|label| !label.is_empty()) {
        query.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend(1_u16.to_be_bytes());
    query
}

/// The addresses of an answer. One that the server refuses has none.
fn addresses(answer: &[u8]) -> io::Result<Vec<IpAddr>> {
    let mut reader = Reader(answer);
    reader.addresses().ok_or_else(|| {
        let message = format!("not an answer: {answer:?}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// The rest of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn addresses(&mut self) -> Option<Vec<IpAddr>> {
        let header = self.take(12)?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        for _ in 0..count(4) {
            self.name()?;
            self.take(4)?;
        }
        let mut addresses = Vec::new();
        for _ in 0..count(6) {
            self.name()?;
            let kind = self.number()?;
            self.take(6)?;
            let length = self.number()?;
            let data = self.take(length.into())?;
            match kind {
                A => addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
                AAAA => addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
                _ => {}
            }
        }
        Some(addresses)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Skips a name: labels, to the last, or to a pointer to others.
    fn name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                pointer if pointer >= 0xc0 => return self.take(1).map(|_| ()),
                length => _ = self.take(length.into())?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_after_questions_and_other_records() {
        let mut answer = vec![0, 7, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        answer.extend(b"\x01a\0\0\x01\0\x01");
        // An alias, then an address, both of the name at offset 12.
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x02\xc0\x0c");
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x07");
        assert_eq!(addresses(&answer).unwrap(), [IpAddr::from([10, 0, 0, 7])]);
        answer.pop();
        assert!(addresses(&answer).is_err());
    }

    #[tokio::test]
    async fn a_name_that_is_not_in_the_table_has_no_address() {
        for over in [Over::Tcp, Over::Udp] {
            let found = look_up(NameTable::default(), "elsewhere.example", over).await;
            assert_eq!(found.unwrap_err(), "`elsewhere.example` has no address");
        }
    }
}
