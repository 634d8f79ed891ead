//! A connection as long as it is counted: until its stream is closed, whoever has it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::host::Host;
use crate::circuit_breaker::Permit;
use crate::service::Switched;

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
    _switched: Switched,
}

impl<T, B> Counted<T, B> {
    pub(super) fn new(stream: T, open: &Arc<Open<B>>, switched: &Switched) -> Self {
        Self {
            stream,
            _open: Arc::clone(open),
            _switched: switched.clone(),
        }
    }
}

impl<T: AsyncRead + Unpin, B> AsyncRead for Counted<T, B> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
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
