//! Looking at the first bytes of a connection.
//!
//! [`peek`] reads until it is clear what the bytes are ([`Detected`]), or until time is up, and
//! gives the connection back as a [`Peeked`], from which the same bytes are read again.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mesh_tls::client_hello::Detected;
//! use mesh_tls::peek::peek;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> std::io::Result<()> {
//! let (mut client, server) = tokio::io::duplex(64);
//! client.write_all(b"GET / HTTP/1.1\r\n").await?;
//! let mut peeked = peek(server, Duration::from_millis(100)).await?;
//! assert_eq!(*peeked.detected(), Detected::Plaintext);
//!
//! let mut method = [0; 3];
//! peeked.read_exact(&mut method).await?;
//! assert_eq!(&method, b"GET");
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::client_hello::{Detected, detect};

/// How many bytes are read at a time. A ClientHello has a few hundred, or two thousand with
/// post-quantum key exchange.
const CHUNK: usize = 2_048;

pin_project! {
    /// A connection whose first bytes are known, and will be read again.
    #[derive(Debug)]
    pub struct Peeked<IO> {
        #[pin]
        io: IO,
        first: Vec<u8>,
        read: usize,
        detected: Detected,
        has_ended: bool,
    }
}

impl<IO> Peeked<IO> {
    /// What the first bytes are. [`Detected::Incomplete`] says that no more came in time, or ever.
    pub fn detected(&self) -> &Detected {
        &self.detected
    }

    /// The first bytes, as far as they were read in order to tell.
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Whether no more bytes will come, as the other end has closed its side.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The connection below.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl<IO: AsyncRead + Unpin> Peeked<IO> {
    /// Waits for more bytes, which become the last of the [first ones](Self::first_bytes). `false` if
    /// the other end has closed its side.
    ///
    /// What the bytes are [detected](Self::detected) as stays.
    ///
    /// # Errors
    ///
    /// When reading fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn look_further(&mut self) -> io::Result<bool> {
        self.first.reserve(CHUNK);
        let more = self.io.read_buf(&mut self.first).await? > 0;
        self.has_ended |= !more;
        Ok(more)
    }
}

/// Reads until it is clear what the first bytes are, for `timeout` at most.
///
/// # Errors
///
/// When reading fails. A connection that ends is no error; it is incomplete.
///
/// # Cancel safety
///
/// The connection is lost if this is dropped before it returns.
pub async fn peek<IO>(io: IO, timeout: Duration) -> io::Result<Peeked<IO>>
where
    IO: AsyncRead + Unpin,
{
    peek_until(io, Instant::now().checked_add(timeout)).await
}

/// Reads until it is clear what the first bytes are, until `deadline` at most; `None` is for ever.
///
/// # Errors
///
/// When reading fails. A connection that ends is no error; it is incomplete.
///
/// # Cancel safety
///
/// The connection is lost if this is dropped before it returns.
pub async fn peek_until<IO>(mut io: IO, deadline: Option<Instant>) -> io::Result<Peeked<IO>>
where
    IO: AsyncRead + Unpin,
{
    let mut first = Vec::with_capacity(CHUNK);
    let mut detected = detect(&first);
    let mut has_ended = false;
    while let Detected::Incomplete { needed } = detected {
        let read = until(deadline, fill(&mut io, &mut first, needed));
        let more = read.await.transpose()?;
        detected = detect(&first);
        match more {
            Some(true) => {}
            Some(false) => {
                has_ended = true;
                break;
            }
            None => break,
        }
    }
    Ok(Peeked {
        io,
        first,
        read: 0,
        detected,
        has_ended,
    })
}

/// What `future` gives by `deadline`; `None` if that is too late for it. Without one there is no limit.
pub(crate) async fn until<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Reads more bytes, until there are `needed` of them; whether there may be more.
async fn fill<IO>(io: &mut IO, first: &mut Vec<u8>, needed: usize) -> io::Result<bool>
where
    IO: AsyncRead + Unpin,
{
    while first.len() < needed {
        // What is read is appended at once, so that nothing is lost when time is up.
        let missing = (needed - first.len()).max(CHUNK);
        first.reserve(missing);
        if io.read_buf(first).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<IO: AsyncRead> AsyncRead for Peeked<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let rest = &this.first[*this.read..];
        if rest.is_empty() {
            return this.io.poll_read(cx, buffer);
        }
        let len = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..len]);
        *this.read += len;
        if *this.read == this.first.len() {
            (*this.first, *this.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite> AsyncWrite for Peeked<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::testing::client_bytes;

    const TIMEOUT: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn a_client_hello_that_comes_in_pieces_is_waited_for() {
        let bytes = client_bytes("shop.example", &["istio"]);
        let (mut client, server) = tokio::io::duplex(16);
        let sent = bytes.clone();
        let writer = tokio::spawn(async move {
            for byte in sent {
                client.write_all(&[byte]).await.unwrap();
            }
            client
        });
        let mut peeked = peek(server, TIMEOUT).await.unwrap();
        assert!(matches!(peeked.detected(), Detected::ClientHello(_)));
        assert_eq!(peeked.first_bytes(), bytes);
        drop(writer.await.unwrap());
        let mut again = Vec::new();
        peeked.read_to_end(&mut again).await.unwrap();
        assert_eq!(again, bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_waited_for_no_longer_than_the_timeout() {
        let (mut client, server) = tokio::io::duplex(64);
        let start = Instant::now();
        client.write_all(&[22]).await.unwrap();
        let peeked = peek(server, TIMEOUT).await.unwrap();
        assert_eq!(start.elapsed(), TIMEOUT);
        assert_eq!(*peeked.detected(), Detected::Incomplete { needed: 2 });
        assert_eq!(peeked.first_bytes(), [22]);
        assert!(!peeked.has_ended());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_is_not_waited_for() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        let start = Instant::now();
        let peeked = peek(server, TIMEOUT).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(*peeked.detected(), Detected::Incomplete { needed: 1 });
        assert!(peeked.has_ended());
    }

    #[tokio::test]
    async fn bytes_that_are_looked_at_later_are_read_again_too() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"GET").await.unwrap();
        let mut peeked = peek(server, TIMEOUT).await.unwrap();
        client.write_all(b" / HTTP/1.1").await.unwrap();
        assert!(peeked.look_further().await.unwrap());
        assert_eq!(peeked.first_bytes(), b"GET / HTTP/1.1");
        drop(client);
        assert!(!peeked.look_further().await.unwrap());
        assert!(peeked.has_ended());
        let mut again = Vec::new();
        peeked.read_to_end(&mut again).await.unwrap();
        assert_eq!(again, b"GET / HTTP/1.1");
    }

    #[tokio::test]
    async fn what_is_written_goes_through() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"x").await.unwrap();
        let mut peeked = peek(server, TIMEOUT).await.unwrap();
        peeked.write_all(b"answer").await.unwrap();
        peeked.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
