//! The open connections of a thread: drain them, close the idle ones.
//!
//! A connection is told to end by a flag in its [`Slot`], which it looks at whenever it is woken.
//! That costs a request nothing; timers and notifications of its own would.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many times the connections are looked at within the idle timeout.
const LOOKS: u32 = 4;

/// The open connections of a thread.
pub(super) struct OpenConnections {
    slots: RefCell<Vec<Rc<Slot>>>,
    draining: Cell<bool>,
    // Nothing is ever sent: the channel is closed once the last of its senders is dropped.
    open: RefCell<Option<Open>>,
    closed: RefCell<Option<Receiver<Infallible>>>,
}

/// Counts a connection as open until it is dropped with all its clones, from its handshake to the end
/// of what it has been upgraded to.
pub(super) type Open = Sender<Infallible>;

/// One open connection.
#[derive(Default)]
pub(super) struct Slot {
    ending: Cell<bool>,
    // Whether it may be silent for as long as it likes.
    is_unsettled: Cell<bool>,
    // How often it was looked at since the last request.
    idle_looks: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

/// Keeps a connection listed until it is dropped.
pub(super) struct Listed {
    connections: Weak<OpenConnections>,
    pub(super) slot: Rc<Slot>,
}

impl Default for OpenConnections {
    fn default() -> Self {
        let (open, closed) = channel(1);
        Self {
            slots: RefCell::default(),
            draining: Cell::default(),
            open: RefCell::new(Some(open)),
            closed: RefCell::new(Some(closed)),
        }
    }
}

impl OpenConnections {
    /// Counts a connection as open; `None` once it is waited for the last one to be closed.
    pub(super) fn open(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// Lists a connection that can be told to end.
    pub(super) fn add(self: &Rc<Self>) -> Listed {
        let slot = Rc::new(Slot::default());
        slot.ending.set(self.draining.get());
        self.slots.borrow_mut().push(Rc::clone(&slot));
        Listed {
            connections: Rc::downgrade(self),
            slot,
        }
    }

    /// Asks all connections, also those to come, to end.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        for slot in self.slots.borrow().iter() {
            slot.end();
        }
    }

    /// Waits until no connection is open. No more are opened from here on.
    pub(super) async fn closed(&self) {
        self.open.take();
        let closed = self.closed.take();
        if let Some(mut closed) = closed {
            closed.recv().await;
        }
    }

    /// Ends connections that are idle for `timeout`, until this is dropped.
    pub(super) async fn close_idle(&self, timeout: Duration) {
        loop {
            tokio::time::sleep(timeout / LOOKS).await;
            for slot in self.slots.borrow().iter() {
                slot.look();
            }
        }
    }
}

impl Slot {
    /// Whether the connection shall end after the requests that it has.
    ///
    /// If not, the task of `cx` is woken when it shall.
    pub(super) fn poll_ending(&self, cx: &Context<'_>) -> bool {
        if self.ending.get() {
            return true;
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
        false
    }

    /// Waits until the connection shall end.
    pub(super) async fn ended(&self) {
        poll_fn(|cx| match self.poll_ending(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Says whether it is settled what the connection carries. Until then it is not idle.
    pub(super) fn settle(&self, is_settled: bool) {
        self.is_unsettled.set(!is_settled);
    }

    pub(super) fn request_arrived(&self) {
        self.idle_looks.set(0);
    }

    fn look(&self) {
        if self.is_unsettled.get() {
            return;
        }
        let looks = self.idle_looks.get() + 1;
        self.idle_looks.set(looks);
        // The first look may come right after the last request.
        if looks > LOOKS {
            self.end();
        }
    }

    /// Asks the connection to end after the requests that it has.
    pub(super) fn end(&self) {
        self.ending.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            let mut slots = connections.slots.borrow_mut();
            slots.retain(|slot| !Rc::ptr_eq(slot, &self.slot));
        }
    }
}
