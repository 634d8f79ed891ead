//! A value that is replaced whole while others read it.
//!
//! A [`Publisher`] replaces the value, each [`Watch`] loads the current one. Loading takes no lock
//! and never waits, so a request can load its configuration once and keep that generation.
//!
//! # Example
//!
//! ```
//! use mesh_core::watch;
//!
//! let (publisher, watch) = watch::channel("first");
//! let generation = watch.load();
//! publisher.publish("second");
//!
//! assert_eq!(**generation, "first", "a generation does not change under its reader");
//! assert_eq!(**watch.load(), "second");
//! ```

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use arc_swap::{ArcSwap, Guard};

/// A pair that shares `value`.
pub fn channel<T>(value: T) -> (Publisher<T>, Watch<T>) {
    let shared = Arc::new(Shared {
        value: ArcSwap::from_pointee(value),
        version: AtomicU64::new(0),
        wakers: Mutex::new(Vec::new()),
    });
    let watch = Watch {
        shared: Arc::clone(&shared),
        seen: 0,
    };
    (Publisher { shared }, watch)
}

/// Replaces the value that its [`Watch`]es load.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Publisher<T> {
    /// Replaces the value, for all loads from now on, and wakes those who wait for a change.
    pub fn publish(&self, value: T) {
        self.shared.value.store(Arc::new(value));
        self.shared.version.fetch_add(1, Ordering::Release);
        let mut wakers = self
            .shared
            .wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for waker in wakers.drain(..) {
            waker.wake();
        }
    }

    /// A reader of the value.
    pub fn watch(&self) -> Watch<T> {
        Watch {
            shared: Arc::clone(&self.shared),
            seen: self.shared.version.load(Ordering::Acquire),
        }
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

/// Reads a value that a [`Publisher`] replaces.
///
/// A `Watch` made from a plain value never changes.
pub struct Watch<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Watch<T> {
    /// The current value. Cheap; held for a request at most, use [`load_full`](Self::load_full)
    /// to keep it.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.shared.value.load()
    }

    /// The current value, to keep.
    pub fn load_full(&self) -> Arc<T> {
        self.shared.value.load_full()
    }

    /// Waits until a value is published that this `Watch` has not waited for before.
    ///
    /// # Cancel safety
    ///
    /// A change is reported by the next call if this one is dropped before it returns.
    pub async fn changed(&mut self) {
        poll_fn(|cx| {
            if self.advance() {
                return Poll::Ready(());
            }
            self.shared.register(cx.waker());
            // A publication between the look above and the registration would wake nobody.
            if self.advance() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn advance(&mut self) -> bool {
        let version = self.shared.version.load(Ordering::Acquire);
        let changed = version != self.seen;
        self.seen = version;
        changed
    }
}

impl<T> From<T> for Watch<T> {
    fn from(value: T) -> Self {
        channel(value).1
    }
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

struct Shared<T> {
    value: ArcSwap<T>,
    version: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
}

impl<T> Shared<T> {
    fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn a_change_is_reported_once() {
        let (publisher, mut watch) = channel(1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(watch.changed()).poll(&mut cx).is_pending());
        publisher.publish(2);
        assert!(pin!(watch.changed()).poll(&mut cx).is_ready());
        assert!(pin!(watch.changed()).poll(&mut cx).is_pending());
    }

    #[test]
    fn a_watch_made_later_starts_at_the_current_value() {
        let (publisher, _) = channel(1);
        publisher.publish(2);
        let mut watch = publisher.watch();
        assert_eq!(**watch.load(), 2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(watch.changed()).poll(&mut cx).is_pending());
    }
}
