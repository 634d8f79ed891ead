//! An inner service that forgives nothing.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::Service;

/// The error of a service that fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failure(pub(crate) u32);

/// What the service does with those who call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour<E> {
    Answer,
    Fail(E),
    /// Fails those who ask whether it is ready.
    FailReadiness(E),
    /// Answers when it is told to.
    Hang,
}

/// A service with a number of places. A place is reserved by readiness, and taken by a call until
/// that is over.
///
/// Its clones share the places, and are not ready because another is.
pub(crate) struct Strict<E> {
    shared: Arc<Shared<E>>,
    reserved: Option<Place<E>>,
}

/// The test's view of a [`Strict`].
pub(crate) struct Probe<E> {
    shared: Arc<Shared<E>>,
}

struct Shared<E>(Mutex<State<E>>);

struct State<E> {
    behaviour: Behaviour<E>,
    calls: usize,
    free: usize,
    waiting: Vec<Waker>,
}

/// A place, given back when it is dropped.
pub(crate) struct Place<E>(Arc<Shared<E>>);

impl<E> Strict<E> {
    /// A service with this many places, which answers.
    pub(crate) fn new(places: usize) -> (Self, Probe<E>) {
        let shared = Arc::new(Shared(Mutex::new(State {
            behaviour: Behaviour::Answer,
            calls: 0,
            free: places,
            waiting: Vec::new(),
        })));
        let probe = Probe {
            shared: Arc::clone(&shared),
        };
        let reserved = None;
        (Self { shared, reserved }, probe)
    }
}

impl<E> Probe<E> {
    pub(crate) fn calls(&self) -> usize {
        self.shared.lock().calls
    }

    /// Places that are neither reserved nor taken.
    pub(crate) fn free(&self) -> usize {
        self.shared.lock().free
    }

    /// Takes a place, so that the service has one less.
    pub(crate) fn take_place(&self) -> Place<E> {
        self.shared.take().expect("there is a free place")
    }

    /// Changes what the service does, calls under way included.
    pub(crate) fn set(&self, behaviour: Behaviour<E>) {
        self.shared.lock().behaviour = behaviour;
        self.shared.wake();
    }
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>) -> Option<Place<E>> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        Some(Place(Arc::clone(self)))
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<E> Drop for Place<E> {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.wake();
    }
}

impl<E> Clone for Strict<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            reserved: None,
        }
    }
}

impl<E: Copy, B> Service<Request<B>> for Strict<E> {
    type Response = Response<OwnBody>;
    type Error = E;
    type Future = Reply<E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if let Behaviour::FailReadiness(error) = self.shared.lock().behaviour {
            return Poll::Ready(Err(error));
        }
        if self.reserved.is_none() {
            self.reserved = self.shared.take();
        }
        if self.reserved.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.shared.lock().waiting.push(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, _request: Request<B>) -> Reply<E> {
        let place = self.reserved.take();
        let place = place.expect("the service was called before it was ready");
        self.shared.lock().calls += 1;
        Reply { place: Some(place) }
    }
}

/// An answer under way.
pub(crate) struct Reply<E> {
    // `None` once it is over.
    place: Option<Place<E>>,
}

impl<E: Copy> Future for Reply<E> {
    type Output = Result<Response<OwnBody>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place.as_ref();
        let shared = &place.expect("a reply is not polled after its end").0;
        let mut state = shared.lock();
        let reply = match state.behaviour {
            Behaviour::Hang => {
                state.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            Behaviour::Fail(error) => Err(error),
            Behaviour::Answer | Behaviour::FailReadiness(_) => {
                Ok(Response::new(OwnBody::from(Bytes::from_static(b"cart"))))
            }
        };
        drop(state);
        self.place = None;
        Poll::Ready(reply)
    }
}

impl<E> fmt::Debug for Strict<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ready = self.reserved.is_some();
        f.debug_struct("Strict")
            .field("is_ready", &is_ready)
            .finish_non_exhaustive()
    }
}

/// A body that can neither be cloned nor shared among threads.
#[derive(Debug, Default)]
pub(crate) struct OwnBody {
    data: Option<Bytes>,
    _not_sync: PhantomData<Cell<()>>,
}

impl From<Bytes> for OwnBody {
    fn from(data: Bytes) -> Self {
        let _not_sync = PhantomData;
        let data = Some(data);
        Self { data, _not_sync }
    }
}

impl Body for OwnBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take();
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }
}
