//! Headers in front of connections, on tokio.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_core::resource::istio::destination_rule::ProxyProtocolVersion;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::{DecodeError, Decoded, Header, Limits, decode, encode};

/// How headers are accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AcceptOptions {
    /// How long a header may be.
    pub limits: Limits,
    /// How long a header may take to arrive. Default: 15 s, as Envoy's listener filters.
    pub timeout: Duration,
    /// Whether connections without a header are accepted (Envoy's
    /// `allow_requests_without_proxy_protocol`). Default: no. Where they are, clients may write
    /// headers of their own.
    pub optional: bool,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeout: Duration::from_secs(15),
            optional: false,
        }
    }
}

/// A connection whose header has been taken off.
#[derive(Debug)]
pub struct Accepted<I> {
    /// The header; `None` if the connection has none.
    pub header: Option<Header>,
    /// The connection, from the byte after the header on.
    pub stream: Stream<I>,
}

/// Takes the header off a connection.
///
/// # Errors
///
/// The header is malformed, missing, late or cut off, or the connection fails.
///
/// # Cancel safety
///
/// The connection is lost if the future is dropped before it is ready.
pub async fn accept<I: AsyncRead + Unpin>(
    io: I,
    options: &AcceptOptions,
) -> Result<Accepted<I>, AcceptError> {
    let accepted = timeout(options.timeout, read_header(io, options)).await;
    accepted.unwrap_or(Err(AcceptError::Timeout))
}

async fn read_header<I: AsyncRead + Unpin>(
    mut io: I,
    options: &AcceptOptions,
) -> Result<Accepted<I>, AcceptError> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        let (header, length) = match decode(&bytes, &options.limits)? {
            Decoded::Header { header, length } => (Some(header), length),
            Decoded::Absent if options.optional => (None, 0),
            Decoded::Absent => return Err(AcceptError::Absent),
            Decoded::Incomplete => {
                // A client that waits for the server to speak first sends no header and no more.
                if io.read_buf(&mut bytes).await? == 0 {
                    return Err(AcceptError::Closed);
                }
                continue;
            }
        };
        bytes.drain(..length);
        let stream = Stream { bytes, read: 0, io };
        return Ok(Accepted { header, stream });
    }
}

/// Writes a header in front of a connection.
///
/// # Errors
///
/// The connection fails.
///
/// # Cancel safety
///
/// A part of the header may have been written if the future is dropped before it is ready; the
/// connection is of no more use then.
pub async fn send<I: AsyncWrite + Unpin>(
    io: &mut I,
    version: ProxyProtocolVersion,
    header: &Header,
) -> io::Result<()> {
    io.write_all(&encode(version, header)).await?;
    io.flush().await
}

/// Why a connection has no header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// It begins with something else.
    #[error("the connection has no PROXY protocol header")]
    Absent,
    /// It ended before the header did.
    #[error("the connection ended before its PROXY protocol header did")]
    Closed,
    /// The header is malformed.
    #[error("the PROXY protocol header is refused")]
    Header(#[from] DecodeError),
    /// The connection failed.
    #[error("the connection failed before its PROXY protocol header was read")]
    Io(#[from] io::Error),
    /// The header did not arrive in time.
    #[error("the PROXY protocol header did not arrive in time")]
    Timeout,
}

pin_project! {
    /// A connection, from the byte after its header on.
    #[derive(Debug)]
    pub struct Stream<I> {
        // What was read together with the header, and how much of it was given out.
        bytes: Vec<u8>,
        read: usize,
        #[pin]
        io: I,
    }
}

impl<I> Stream<I> {
    /// The connection itself. Bytes that were read and not yet given out are not lost as long as it
    /// is only looked at.
    pub fn get_ref(&self) -> &I {
        &self.io
    }
}

impl<I: AsyncRead> AsyncRead for Stream<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let rest = &this.bytes[*this.read..];
        if rest.is_empty() {
            return this.io.poll_read(cx, buf);
        }
        let length = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..length]);
        *this.read += length;
        if *this.read == this.bytes.len() {
            *this.bytes = Vec::new();
            *this.read = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite> AsyncWrite for Stream<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn header() -> Header {
        Header::tcp(
            "192.0.2.1:1000".parse().unwrap(),
            "192.0.2.9:443".parse().unwrap(),
        )
    }

    #[tokio::test]
    async fn what_follows_a_header_belongs_to_the_connection_however_it_arrives() {
        for version in [ProxyProtocolVersion::V1, ProxyProtocolVersion::V2] {
            for capacity in [1, 7, 1024] {
                let (client, server) = duplex(capacity);
                let (_, rest) = tokio::join!(greet(client, version), receive(server));
                assert_eq!(rest, "hello", "{version:?} {capacity}");
            }
        }
    }

    async fn greet(mut client: DuplexStream, version: ProxyProtocolVersion) {
        send(&mut client, version, &header()).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
    }

    /// What follows the header.
    async fn receive(server: DuplexStream) -> String {
        let mut accepted = accept(server, &AcceptOptions::default()).await.unwrap();
        assert_eq!(accepted.header, Some(header()));
        let mut rest = String::new();
        accepted.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }

    #[tokio::test]
    async fn a_connection_without_a_header_is_refused_unless_it_need_not_have_one() {
        let options = AcceptOptions::default();
        let refused = accept(&b"GET / HTTP/1.1\r\n"[..], &options).await;
        assert!(matches!(refused, Err(AcceptError::Absent)), "{refused:?}");

        let optional = AcceptOptions {
            optional: true,
            ..options
        };
        let mut accepted = accept(&b"GET /"[..], &optional).await.unwrap();
        assert_eq!(accepted.header, None);
        let mut whole = String::new();
        accepted.stream.read_to_string(&mut whole).await.unwrap();
        assert_eq!(whole, "GET /");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_is_late_cut_off_or_wrong_is_refused() {
        let options = AcceptOptions::default();
        let cut = accept(&b"PROXY TCP4"[..], &options).await;
        assert!(matches!(cut, Err(AcceptError::Closed)), "{cut:?}");
        let wrong = accept(&b"PROXY TCP9 \r\n"[..], &options).await;
        assert!(matches!(wrong, Err(AcceptError::Header(_))), "{wrong:?}");
        let (_client, server) = duplex(64);
        let late = accept(server, &options).await;
        assert!(matches!(late, Err(AcceptError::Timeout)), "{late:?}");
    }
}
