//! A connection, and those that wait for the next request.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use mesh_core::attributes::UpstreamConnection;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::head::Parser;
use crate::upstream::endpoint::Protocol;
use crate::upstream::limits::Life;
use crate::upstream::transport::{Established, Transport, Trust};

/// How many bytes are read at once, at least and at most.
const MIN_READ: usize = 8 * 1024;
const MAX_READ: usize = 64 * 1024;

/// A connection that is in use, or waits for the next request.
pub(in crate::upstream) struct Connection {
    pub(super) transport: Transport,
    /// What responses tell of it.
    pub(super) known: UpstreamConnection,
    pub(super) received: Received,
    /// Where requests are encoded; kept for its capacity.
    pub(super) scratch: Vec<u8>,
    idle_sweeps: u32,
    /// `None` if that has no limits.
    life: Option<Life>,
    trust: Trust,
}

impl Connection {
    pub(in crate::upstream) fn new(established: Established, life: Option<Life>) -> Box<Self> {
        let Established {
            transport,
            known,
            trust,
        } = established;
        Box::new(Self {
            transport,
            known,
            received: Received {
                buffer: BytesMut::new(),
                parser: Parser::default(),
                next_read: MIN_READ,
            },
            scratch: Vec::new(),
            idle_sweeps: 0,
            life,
            trust,
        })
    }

    /// Counts a request that is sent on it.
    pub(super) fn begin(&self) {
        if let Some(life) = &self.life {
            life.begin();
        }
    }

    fn is_over(&self) -> bool {
        self.trust.is_lost() || self.life.as_ref().is_some_and(Life::is_over)
    }

    /// Receives more into the buffer; the number of bytes, zero if there will be no more.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Received {
            buffer, next_read, ..
        } = &mut self.received;
        buffer.reserve(*next_read);
        let room = buffer.capacity() - buffer.len();
        let polled = pin!(self.transport.read_buf(buffer)).poll(cx);
        if let Poll::Ready(Ok(read)) = polled {
            // Much at once is the begin of more.
            if read == room {
                *next_read = (2 * *next_read).min(MAX_READ);
            }
        }
        polled
    }

    /// Gives up HTTP.
    pub(super) fn switch(self) -> Switched {
        Switched {
            stream: self.transport,
            received: self.received.buffer,
            trust: self.trust,
            _life: self.life,
        }
    }
}

/// What is received on a connection.
pub(super) struct Received {
    /// What is not yet taken of it.
    pub(super) buffer: BytesMut,
    pub(super) parser: Parser,
    next_read: usize,
}

/// A connection that no longer speaks HTTP.
pub(in crate::upstream) struct Switched {
    pub(in crate::upstream) stream: Transport,
    /// What was already received on it.
    pub(in crate::upstream) received: BytesMut,
    pub(in crate::upstream) trust: Trust,
    // It is counted as a connection as long as it is one.
    _life: Option<Life>,
}

/// The connections to an upstream that wait for the next request.
#[derive(Default)]
pub(in crate::upstream) struct Idle {
    // The most recently used is the last, and the next.
    #[expect(clippy::vec_box, reason = "moved to and from requests, as pointers")]
    connections: RefCell<Vec<Box<Connection>>>,
}

impl Idle {
    /// The most recently used connection that is still open.
    pub(in crate::upstream) fn checkout(&self) -> Option<Box<Connection>> {
        let mut connections = self.connections.borrow_mut();
        while let Some(mut connection) = connections.pop() {
            if !connection.is_over() && connection.transport.is_silent() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection on which a response has ended, or that was made for a request that is gone, to
    /// be used again.
    pub(in crate::upstream) fn release(&self, mut connection: Box<Connection>) {
        // What comes after the end belongs to nothing.
        if !connection.received.buffer.is_empty() || connection.is_over() {
            return;
        }
        connection.idle_sweeps = 0;
        if connection.received.next_read > MIN_READ {
            connection.received.next_read = MIN_READ;
            connection.received.buffer = BytesMut::new();
        }
        if let Some(life) = &connection.life {
            life.notify(Protocol::Http1);
        }
        self.connections.borrow_mut().push(connection);
    }

    /// Drops what is closed, or unused for `max_sweeps`; false if nothing is left.
    pub(in crate::upstream) fn sweep(&self, max_sweeps: u32) -> bool {
        let mut connections = self.connections.borrow_mut();
        connections.retain_mut(|connection| {
            connection.idle_sweeps += 1;
            connection.idle_sweeps <= max_sweeps
                && !connection.is_over()
                && connection.transport.is_silent()
        });
        !connections.is_empty()
    }
}

/// Writes what it can of `bytes` from `*sent` on; ready when all is written, and nothing of it waits
/// to be encrypted and sent.
pub(super) fn poll_write_all(
    transport: &mut Transport,
    bytes: &[u8],
    sent: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *sent < bytes.len() {
        match Pin::new(&mut *transport).poll_write(cx, &bytes[*sent..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => *sent += written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Pin::new(transport).poll_flush(cx)
}
