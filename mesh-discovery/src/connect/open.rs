//! A connection as long as it is counted: until its stream is closed, whoever has it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Usage;
use super::host::Host;
use crate::circuit_breaker::Permit;

/// A connection that is there or being made, as its host and its cluster count it.
pub(super) struct Open<B> {
    pub(super) host: Arc<Host<B>>,
    /// `None` once it is over.
    permit: Option<Permit>,
}

impl<B> Open<B> {
    pub(super) fn new(host: &Arc<Host<B>>, permit: Permit) -> Self {
        Self {
            host: Arc::clone(host),
            permit: Some(permit),
        }
    }
}

impl<B> Drop for Open<B> {
    fn drop(&mut self) {
        // Those who wait for it are told by the host.
        drop(self.permit.take());
        self.host.closed();
    }
}

/// The stream of a connection, which counts as open until this is dropped: also when it goes on in another
/// protocol and belongs to somebody else.
pub(super) struct Counted<T, B> {
    stream: T,
    _open: Arc<Open<B>>,
    usage: Arc<Usage>,
    heard: Heard,
}

/// What of the endpoint is known by what it sent.
enum Heard {
    /// Nothing.
    Nothing,
    /// What has just been read.
    First,
    /// All that it begins with.
    Beginning,
}

impl<T, B> Counted<T, B> {
    pub(super) fn new(stream: T, open: &Arc<Open<B>>, usage: &Arc<Usage>) -> Self {
        Self {
            stream,
            _open: Arc::clone(open),
            usage: Arc::clone(usage),
            heard: Heard::Nothing,
        }
    }
}

impl<T: AsyncRead + Unpin, B> AsyncRead for Counted<T, B> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Who asks for more has understood what came before.
        if matches!(self.heard, Heard::First) {
            self.heard = Heard::Beginning;
            self.usage.begun();
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(self.heard, Heard::Nothing) && read.is_ready() {
            self.heard = Heard::First;
        }
        read
    }
}

impl<T: AsyncWrite + Unpin, B> AsyncWrite for Counted<T, B> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
