//! The body of a response, while it is received.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::connection::{Connection, Idle};
use super::decode::Decoder;
use crate::upstream::error::BodyError;

/// A body that is still being received, and the connection it comes from.
pub(crate) struct Streaming {
    decoder: Decoder,
    // `None` when all is received.
    link: Option<Link>,
    // Where the connection goes then; `None` if it is of no more use.
    idle: Option<Rc<Idle>>,
}

/// The connection that a body comes from.
pub(super) enum Link {
    Exclusive(Box<Connection>),
    /// The request is still being sent by somebody else, who stops with the response.
    Shared {
        connection: Rc<RefCell<Connection>>,
        _sender: Sender,
    },
}

/// The task that sends a request. It ends with this, whatever it waits for.
pub(super) struct Sender(JoinHandle<()>);

impl Sender {
    pub(super) fn new(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    fn with<T>(&mut self, receive: impl FnOnce(&mut Connection) -> T) -> T {
        match self {
            Self::Exclusive(connection) => receive(connection),
            Self::Shared { connection, .. } => receive(&mut connection.borrow_mut()),
        }
    }
}

type FrameResult = Result<Frame<Bytes>, BodyError>;

impl Streaming {
    pub(super) fn new(decoder: Decoder, link: Link, idle: Option<Rc<Idle>>) -> Self {
        Self {
            decoder,
            link: Some(link),
            idle,
        }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let polled = ready!(self.poll_receive(cx));
        if matches!(polled, Some(Err(_))) {
            self.link = None;
        } else if self.decoder.is_end() {
            self.release();
        }
        Poll::Ready(polled)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let decoder = &mut self.decoder;
        let Some(link) = &mut self.link else {
            return Poll::Ready(None);
        };
        link.with(|connection| {
            loop {
                let buffer = &mut connection.received.buffer;
                if let Some(frame) = decoder.decode(buffer).transpose() {
                    decoder.look_for_end(buffer);
                    return Poll::Ready(Some(frame));
                }
                if decoder.is_end() {
                    return Poll::Ready(None);
                }
                match ready!(connection.poll_fill(cx)) {
                    Ok(0) => return Poll::Ready(decoder.close().err().map(Err)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Some(Err(BodyError::Io(error)))),
                }
            }
        })
    }

    fn release(&mut self) {
        if let (Some(Link::Exclusive(connection)), Some(idle)) = (self.link.take(), &self.idle) {
            idle.release(connection);
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.is_end()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.decoder.remaining() {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}
