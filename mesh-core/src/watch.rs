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

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use arc_swap::{ArcSwap, Guard};

/// A pair that shares `value`.
pub fn channel<T>(value: T) -> (Publisher<T>, Watch<T>) {
    let shared = Arc::new(Shared {
        value: ArcSwap::from_pointee(value),
        version: AtomicU64::new(0),
        waiting: Mutex::default(),
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
        // What is woken may publish in its turn.
        let waiting = mem::take(&mut self.shared.waiting().wakers);
        waiting.into_values().for_each(Waker::wake);
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

    /// Waits until a value is published that this `Watch` has not waited for before; for ever, if
    /// its [`Publisher`] is gone.
    ///
    /// # Cancel safety
    ///
    /// A change is reported by the next call if this one is dropped before it returns.
    pub fn changed(&mut self) -> impl Future<Output = ()> + use<'_, T> {
        Changed {
            watch: self,
            id: None,
        }
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
    waiting: Mutex<Waiting>,
}

impl<T> Shared<T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who waits for the next value.
#[derive(Default)]
struct Waiting {
    wakers: BTreeMap<u64, Waker>,
    next_id: u64,
}

impl Waiting {
    /// Wakes `waker` next, in place of the one that was registered by `id`.
    fn register(&mut self, id: Option<u64>, waker: &Waker) -> u64 {
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id
        });
        self.wakers.insert(id, waker.clone());
        id
    }
}

/// A wait for the next value. Nothing of it is left once it is dropped.
struct Changed<'w, T> {
    watch: &'w mut Watch<T>,
    id: Option<u64>,
}

impl<T> Future for Changed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.watch.advance() {
            return Poll::Ready(());
        }
        let id = self.watch.shared.waiting().register(self.id, cx.waker());
        self.id = Some(id);
        // A publication between the look above and the registration would wake nobody.
        match self.watch.advance() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.watch.shared.waiting().wakers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

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

    #[test]
    fn nothing_is_left_of_a_wait_that_is_dropped() {
        let (publisher, mut watch) = channel(1);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(pin!(watch.changed()).poll(&mut cx).is_pending());
        }
        assert!(publisher.shared.waiting().wakers.is_empty());
    }

    #[test]
    fn all_who_wait_are_woken() {
        let (publisher, mut first) = channel(1);
        let mut second = first.clone();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut one, mut other) = (pin!(first.changed()), pin!(second.changed()));
        assert!(one.as_mut().poll(&mut cx).is_pending());
        assert!(other.as_mut().poll(&mut cx).is_pending());
        publisher.publish(2);
        assert!(one.poll(&mut cx).is_ready());
        assert!(other.poll(&mut cx).is_ready());
    }

    #[test]
    fn whoever_is_woken_may_publish() {
        struct Publish(Publisher<u8>);

        impl std::task::Wake for Publish {
            fn wake(self: Arc<Self>) {
                self.0.publish(3);
            }
        }

        let (publisher, mut watch) = channel(1);
        let other = Publisher {
            shared: Arc::clone(&publisher.shared),
        };
        let waker = Waker::from(Arc::new(Publish(other)));
        let mut cx = Context::from_waker(&waker);
        let mut changed = pin!(watch.changed());
        assert!(changed.as_mut().poll(&mut cx).is_pending());
        publisher.publish(2);
        assert_eq!(**publisher.shared.value.load(), 3);
    }
}
