//! A connection, and those that wait for the next request.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How many bytes are read at once, at least and at most.
const MIN_READ: usize = 8 * 1024;
const MAX_READ: usize = 64 * 1024;

/// A connection that is in use, or waits for the next request.
pub(in crate::upstream) struct Connection {
    pub(super) read: Reader,
    pub(super) write: OwnedWriteHalf,
    /// Where requests are encoded; kept for its capacity.
    pub(super) scratch: Vec<u8>,
    idle_sweeps: u32,
}

impl Connection {
    pub(in crate::upstream) fn new(stream: TcpStream) -> Box<Self> {
        let (read, write) = stream.into_split();
        Box::new(Self {
            read: Reader {
                half: read,
                buffer: BytesMut::new(),
                next_read: MIN_READ,
            },
            write,
            scratch: Vec::new(),
            idle_sweeps: 0,
        })
    }

    /// Whether the upstream holds the idle connection open, as far as is known without waiting.
    fn is_open(&self) -> bool {
        let stream = self.read.half.as_ref();
        let mut unwoken = Context::from_waker(Waker::noop());
        match stream.poll_read_ready(&mut unwoken) {
            Poll::Pending => true,
            // It is closed, or it says something that nobody asked for; or it is a false alarm.
            Poll::Ready(_) => {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }
}

/// The receiving half of a connection.
pub(super) struct Reader {
    half: OwnedReadHalf,
    /// What is received and not yet taken.
    pub(super) buffer: BytesMut,
    next_read: usize,
}

impl Reader {
    /// Receives more into the buffer; the number of bytes, zero if there will be no more.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(self.next_read);
        let room = self.buffer.capacity() - self.buffer.len();
        let polled = pin!(self.half.read_buf(&mut self.buffer)).poll(cx);
        if let Poll::Ready(Ok(read)) = polled {
            // Much at once is the begin of more.
            if read == room {
                self.next_read = (2 * self.next_read).min(MAX_READ);
            }
        }
        polled
    }

    /// Gives up HTTP; `None` if the other half is not of the same connection.
    pub(super) fn reunite(self, write: OwnedWriteHalf) -> Option<Switched> {
        let stream = self.half.reunite(write).ok()?;
        let received = self.buffer;
        Some(Switched { stream, received })
    }
}

/// A connection that no longer speaks HTTP.
pub(in crate::upstream) struct Switched {
    pub(in crate::upstream) stream: TcpStream,
    /// What was already received on it.
    pub(in crate::upstream) received: BytesMut,
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
        while let Some(connection) = connections.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection on which a response has ended, to be used again.
    pub(super) fn release(self: &Rc<Self>, mut connection: Box<Connection>) {
        // What comes after the end belongs to nothing.
        if !connection.read.buffer.is_empty() {
            return;
        }
        connection.idle_sweeps = 0;
        if connection.read.next_read > MIN_READ {
            connection.read.next_read = MIN_READ;
            connection.read.buffer = BytesMut::new();
        }
        self.connections.borrow_mut().push(connection);
    }

    /// Drops what is closed, or unused for `max_sweeps`; false if nothing is left.
    pub(in crate::upstream) fn sweep(&self, max_sweeps: u32) -> bool {
        let mut connections = self.connections.borrow_mut();
        connections.retain_mut(|connection| {
            connection.idle_sweeps += 1;
            connection.idle_sweeps <= max_sweeps && connection.is_open()
        });
        !connections.is_empty()
    }
}

/// Writes what it can of `bytes` from `*sent` on; ready when all is written.
pub(super) fn poll_write_all(
    half: &mut OwnedWriteHalf,
    bytes: &[u8],
    sent: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *sent < bytes.len() {
        match Pin::new(&mut *half).poll_write(cx, &bytes[*sent..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => *sent += written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}
