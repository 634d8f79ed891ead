//! The open connections of a thread: drain them, close the idle ones.
//!
//! A connection is told to end by a flag in its [`Slot`], which it looks at whenever it is woken.
//! That costs a request nothing; timers and notifications of its own would.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;

/// How many times the connections are looked at within the idle timeout.
const LOOKS: u32 = 4;

/// The open connections of a thread.
#[derive(Default)]
pub(super) struct OpenConnections {
    slots: RefCell<Vec<Rc<Slot>>>,
    closed: Notify,
    draining: Cell<bool>,
}

/// One open connection.
#[derive(Default)]
pub(super) struct Slot {
    ending: Cell<bool>,
    // How often it was looked at since the last request.
    idle_looks: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

/// Keeps a connection listed until it is dropped.
pub(super) struct Listed {
    connections: Weak<OpenConnections>,
    pub(super) slot: Rc<Slot>,
}

impl OpenConnections {
    /// Lists a connection.
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

    /// Waits until no connection is open.
    pub(super) async fn closed(&self) {
        while !self.slots.borrow().is_empty() {
            self.closed.notified().await;
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

    pub(super) fn request_arrived(&self) {
        self.idle_looks.set(0);
    }

    fn look(&self) {
        let looks = self.idle_looks.get() + 1;
        self.idle_looks.set(looks);
        // The first look may come right after the last request.
        if looks > LOOKS {
            self.end();
        }
    }

    fn end(&self) {
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
            if slots.is_empty() {
                connections.closed.notify_waiters();
            }
        }
    }
}
