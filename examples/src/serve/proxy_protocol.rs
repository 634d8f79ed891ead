//! Connections that say whose they are, in a header before everything else (the PROXY protocol).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_discovery::proxy_protocol::{AcceptError, AcceptOptions, Decoded, Header, decode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chains::Refused;

/// How many bytes are looked at together. A header has fewer, as a rule.
const LOOK: usize = 256;

/// Takes the header off a connection, and nothing else. Says who the client is, and what it connected
/// to; `None` if the connection is of the other end itself, or that does not know.
///
/// A header has 4,112 bytes at most, and 15 seconds to arrive, as in Envoy.
///
/// It is looked at before it is read, so that the connection stays a plain socket, which need not give
/// back what `mesh_discovery::proxy_protocol::accept` has read beyond.
pub(super) async fn take(
    stream: &mut TcpStream,
) -> Result<Option<(SocketAddr, SocketAddr)>, Refused> {
    let options = AcceptOptions::default();
    let taken = timeout(options.timeout, read(stream, &options)).await;
    match taken.unwrap_or(Err(AcceptError::Timeout)) {
        Ok(Some(header)) => Ok(header.tcp_addresses()),
        // Whoever only looks whether the port is open has no header.
        Ok(None) => Err(Refused::Gone),
        Err(error) => Err(Refused::ProxyProtocol(Arc::new(error))),
    }
}

/// The header; `None` if the connection ended before its first byte.
async fn read(
    stream: &mut TcpStream,
    options: &AcceptOptions,
) -> Result<Option<Header>, AcceptError> {
    let (mut bytes, mut taken) = (Vec::new(), 0);
    loop {
        let mut next = [0; LOOK];
        let found = stream.peek(&mut next).await?;
        bytes.extend_from_slice(&next[..found]);
        match decode(&bytes, &options.limits)? {
            Decoded::Header { header, length } => {
                skip(stream, length - taken).await?;
                return Ok(Some(header));
            }
            Decoded::Absent => return Err(AcceptError::Absent),
            Decoded::Incomplete if found == 0 && bytes.is_empty() => return Ok(None),
            Decoded::Incomplete if found == 0 => return Err(AcceptError::Closed),
            // All of them belong to the header.
            Decoded::Incomplete => skip(stream, found).await?,
        }
        taken = bytes.len();
    }
}

/// Reads as many bytes, which are there.
async fn skip(stream: &mut TcpStream, count: usize) -> io::Result<()> {
    let mut bytes = [0; LOOK];
    stream.read_exact(&mut bytes[..count]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
    use mesh_discovery::proxy_protocol::{Addresses, Tlv, TlvKind, encode};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_follows_a_header_stays_however_the_header_arrives() {
        let mut long = header();
        let value = vec![7; 600];
        long.tlvs.push(Tlv {
            kind: TlvKind(0xe0),
            value,
        });
        for (name, bytes) in [
            ("line", encode(ProxyProtocolVersion::V1, &header())),
            ("binary", encode(ProxyProtocolVersion::V2, &header())),
            ("long", encode(ProxyProtocolVersion::V2, &long)),
        ] {
            for piece in [1, 13, bytes.len()] {
                let (client, mut server) = connection().await;
                let whole = [&bytes[..], b"hello"].concat();
                let (taken, ()) = tokio::join!(take(&mut server), send(client, &whole, piece));
                assert_eq!(taken.unwrap(), header().tcp_addresses(), "{name} {piece}");
                let mut rest = String::new();
                server.read_to_string(&mut rest).await.unwrap();
                assert_eq!(rest, "hello", "{name} {piece}");
            }
        }
    }

    /// Sends `bytes` in pieces.
    async fn send(mut client: TcpStream, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_speaks_for_itself_stays_who_it_is() {
        let local = Header::from(Addresses::Local);
        for version in [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2] {
            let (mut client, mut server) = connection().await;
            client.write_all(&encode(version, &local)).await.unwrap();
            assert_eq!(take(&mut server).await.unwrap(), None, "{version:?}");
        }
    }

    #[tokio::test]
    async fn who_does_not_begin_with_a_header_is_refused() {
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\n", "no PROXY protocol header"),
            (
                "PROXY TCP4 192.0.2.1",
                "ended before its PROXY protocol header",
            ),
            ("PROXY TCP9 \r\n", "header is refused"),
        ] {
            let (mut client, mut server) = connection().await;
            client.write_all(bytes.as_bytes()).await.unwrap();
            drop(client);
            match take(&mut server).await {
                Err(Refused::ProxyProtocol(why)) => {
                    assert!(why.to_string().contains(expected), "{why}");
                }
                other => panic!("{bytes}: {other:?}"),
            }
        }
        let (client, mut server) = connection().await;
        drop(client);
        assert!(matches!(take(&mut server).await, Err(Refused::Gone)));
    }

    fn header() -> Header {
        Header::tcp(([192, 0, 2, 1], 1000).into(), ([192, 0, 2, 9], 443).into())
    }

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }
}
