//! Connections that are being made, which do not end with the requests that they were begun for.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::error::UpstreamError;
use super::h1::{Connection, Idle};

/// What came of an attempt.
type Made = Result<Box<Connection>, UpstreamError>;

/// The attempts to connect to a host by HTTP/1.1, the oldest first.
#[derive(Default)]
pub(super) struct Attempts {
    running: RefCell<Vec<Rc<Attempt>>>,
}

/// An attempt, and the request that waits for what comes of it.
pub(super) struct Attempt {
    request: RefCell<Option<oneshot::Sender<Made>>>,
}

impl Attempt {
    /// Whether its request is gone.
    fn is_unclaimed(&self) -> bool {
        let request = self.request.borrow();
        request.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Attempts {
    /// Notes another one, which ends with [`end`](Self::end).
    pub(super) fn begin(&self, idle: &Rc<Idle>) -> (Rc<Attempt>, Claim) {
        let (request, claim) = Claim::new(idle);
        let attempt = Rc::new(Attempt {
            request: RefCell::new(Some(request)),
        });
        self.running.borrow_mut().push(Rc::clone(&attempt));
        (attempt, claim)
    }

    /// Gives another request the oldest one whose request is gone.
    pub(super) fn claim(&self, idle: &Rc<Idle>) -> Option<Claim> {
        let running = self.running.borrow();
        let unclaimed = running.iter().find(|attempt| attempt.is_unclaimed())?;
        let (request, claim) = Claim::new(idle);
        unclaimed.request.replace(Some(request));
        Some(claim)
    }

    /// Tells what came of an attempt: who waits for it, or else who waits for any connection.
    pub(super) fn end(&self, attempt: &Rc<Attempt>, made: Made, idle: &Idle) {
        let is_other = |running: &Rc<Attempt>| !Rc::ptr_eq(running, attempt);
        self.running.borrow_mut().retain(is_other);
        let untold = match attempt.request.take() {
            Some(request) => request.send(made).err(),
            None => Some(made),
        };
        if let Some(Ok(connection)) = untold {
            idle.release(connection);
        }
    }
}

/// The right of a request to what comes of an attempt. Given up, it leaves the connection to others.
pub(super) struct Claim {
    made: oneshot::Receiver<Made>,
    idle: Rc<Idle>,
}

impl Claim {
    fn new(idle: &Rc<Idle>) -> (oneshot::Sender<Made>, Self) {
        let (request, made) = oneshot::channel();
        let idle = Rc::clone(idle);
        (request, Self { made, idle })
    }
}

impl Future for Claim {
    type Output = Made;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Made> {
        let made = ready!(Pin::new(&mut self.made).poll(cx));
        // An attempt that says nothing ended with its runtime.
        Poll::Ready(made.unwrap_or(Err(UpstreamError::ConnectTimeout)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.made.close();
        if let Ok(Ok(connection)) = self.made.try_recv() {
            self.idle.release(connection);
        }
    }
}
