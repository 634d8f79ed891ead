//! A request body that can be sent more than once.
//!
//! [`ReplayBody`] passes the frames of the body it wraps on as they come, and keeps those that have
//! passed: reference-counted [`Bytes`], of which only small ones that follow others are copied, so
//! that the limit is one of memory and not only of length. A further attempt begins with what is kept
//! and goes on where the earlier one stopped reading, so that an attempt need not wait
//! until the body is there whole. A body that outgrows the limit is no longer kept, and cannot be
//! sent again. Nor is one kept once it is settled that there is no further attempt
//! ([`Replay::finish`]): a stream may go on for long after its response has begun.
//!
//! Where attempts are timed, the body is read ahead of them as far as it is kept, to learn when it has come
//! whole though an upstream does not read it. An attempt gets what is ahead before the rest.
//!
//! An attempt that has been given up may still be read by its connection for a moment. Its body then
//! fails with [`Superseded`], and takes nothing from the attempt that follows. That is what the lock
//! is for: it is that of one request, and nobody else waits for it.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use mesh_policy::retry::replay_body::Replay;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let replay = Replay::new(Full::new(Bytes::from_static(b"two books")), 1024);
//! for _attempt in 0..3 {
//!     let body = replay.attempt().expect("nine bytes are kept");
//!     assert_eq!(body.collect().await?.to_bytes(), "two books");
//! }
//! # Ok(())
//! # }
//! ```

mod shared;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use self::shared::Shared;
use crate::BoxError;

/// The body of one attempt.
///
/// See the [module docs](self) for an example.
pub struct ReplayBody<B>(Source<B>);

enum Source<B> {
    Empty,
    Kept {
        shared: Arc<Mutex<Shared<B>>>,
        attempt: u32,
    },
    /// A body that is sent once.
    Once(B),
}

impl<B> ReplayBody<B> {
    /// A body of nothing.
    pub fn empty() -> Self {
        Self(Source::Empty)
    }

    /// A body that is sent once, at no cost.
    pub fn once(body: B) -> Self {
        Self(Source::Once(body))
    }
}

/// What a body is sent again from.
pub struct Replay<B>(Option<Arc<Mutex<Shared<B>>>>);

impl<B: Body<Data = Bytes>> Replay<B> {
    /// Keeps up to `limit` bytes of `body`.
    pub fn new(body: B, limit: usize) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(Shared::new(body, limit)))))
    }

    /// The body of the next attempt, after which earlier ones read no more. `None` if it cannot be
    /// sent again: it has outgrown the limit, or it has failed. The first attempt has a body in any
    /// case.
    pub fn attempt(&self) -> Option<ReplayBody<B>> {
        let Some(shared) = &self.0 else {
            return Some(ReplayBody(Source::Empty));
        };
        let mut state = lock(shared);
        if state.attempt > 0 && !state.can_replay() {
            return None;
        }
        let (attempt, superseded) = state.begin();
        drop(state);
        // It has to learn that nothing more comes: the inner body will wake the new attempt only.
        wake(superseded);
        Some(ReplayBody(Source::Kept {
            shared: Arc::clone(shared),
            attempt,
        }))
    }

    /// Whether the body can be sent again, for now: an attempt that is still read may change it.
    pub fn can_replay(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|shared| lock(shared).can_replay())
    }
}

impl<B> Replay<B> {
    /// Settles that there is no further attempt. What the last one has read already is let go of, and
    /// nothing more is kept. So it is when this is dropped.
    pub fn finish(&self) {
        if let Some(shared) = &self.0 {
            let mut shared = lock(shared);
            shared.settle();
            // Nobody reads ahead any more, whom the inner body would wake in its place.
            let reader = shared.moved.and_then(|_| shared.reader.take());
            drop(shared);
            wake(reader);
        }
    }
}

impl<B> Replay<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Reads ahead, and says when the attempt has last moved on: something came from the client or was
    /// read by the upstream, or this was asked for the first time. It moves no more once the body has come
    /// whole. `None` if there is no body.
    ///
    /// The task is woken when there may be more to read ahead, not whenever the upstream reads.
    pub(super) fn poll_progress(&self, cx: &mut Context<'_>) -> Option<Instant> {
        let mut shared = lock(self.0.as_ref()?);
        shared.timed();
        let reader = match shared.read_ahead(cx) {
            true => shared.reader.take(),
            false => None,
        };
        let moved = shared.moved;
        shared.receiver = (!shared.is_received()).then(|| cx.waker().clone());
        drop(shared);
        wake(reader);
        moved
    }
}

impl<B> Replay<B> {
    /// Whether the attempt has read all that the client has sent, and wants more.
    pub(super) fn waits_for_client(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| lock(shared).waits_for_client())
    }
}

impl<B> Drop for Replay<B> {
    fn drop(&mut self) {
        self.finish();
    }
}

fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    // A body that panicked while it was read is left where it was.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(None),
            Source::Once(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Source::Kept { shared, attempt } => {
                let mut shared = lock(shared);
                if shared.attempt != *attempt {
                    return Poll::Ready(Some(Err(Superseded.into())));
                }
                if let Some(frame) = shared.next_kept() {
                    return Poll::Ready(frame);
                }
                let frame = shared.poll_next(cx);
                shared.reader = frame.is_pending().then(|| cx.waker().clone());
                // This task will not be woken for what follows before it asks again.
                let receiver = match frame.is_ready() {
                    true => shared.receiver.take(),
                    false => None,
                };
                drop(shared);
                wake(receiver);
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Once(body) => body.is_end_stream(),
            Source::Kept { shared, attempt } => {
                let shared = lock(shared);
                shared.attempt == *attempt && shared.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Once(body) => body.size_hint(),
            Source::Kept { shared, attempt } => {
                let shared = lock(shared);
                match shared.attempt == *attempt {
                    true => shared.size_hint(),
                    // It fails before anything.
                    false => SizeHint::default(),
                }
            }
        }
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        if let Source::Kept { shared, attempt } = &self.0 {
            let mut shared = lock(shared);
            if shared.attempt == *attempt {
                shared.abandon();
                let receiver = shared.receiver.take();
                drop(shared);
                wake(receiver);
            }
        }
    }
}

/// Wakes a task, which may ask for the lock at once.
fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

/// The body belongs to an attempt that has been given up for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("another attempt has taken over the body")]
#[non_exhaustive]
pub struct Superseded;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Wake;

    use http::HeaderMap;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    /// A body of frames that are there at once.
    #[derive(Debug)]
    struct Frames(VecDeque<Result<Frame<Bytes>, BoxError>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front())
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn frames(pieces: &[&'static str]) -> Frames {
        let pieces = pieces
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        Frames(pieces.collect())
    }

    #[tokio::test]
    async fn an_attempt_goes_on_where_the_earlier_one_stopped() {
        let mut body = frames(&["ab", "cd", "ef"]);
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        body.0.push_back(Ok(Frame::trailers(trailers.clone())));
        let replay = Replay::new(body, 100);
        let mut first = replay.attempt().unwrap();
        first.frame().await.unwrap().unwrap();
        let second = replay.attempt().unwrap().collect().await.unwrap();
        assert_eq!(second.trailers(), Some(&trailers));
        assert_eq!(second.to_bytes(), "abcdef");
        let third = replay.attempt().unwrap().collect().await.unwrap();
        assert_eq!(third.trailers(), Some(&trailers));
    }

    #[tokio::test]
    async fn an_attempt_that_is_over_takes_nothing_from_the_next() {
        let replay = Replay::new(frames(&["ab", "cd"]), 100);
        let mut first = replay.attempt().unwrap();
        let second = replay.attempt().unwrap();
        let error = first.frame().await.unwrap().unwrap_err();
        assert!(error.is::<Superseded>());
        assert!(!first.is_end_stream());
        assert_eq!(second.collect().await.unwrap().to_bytes(), "abcd");
    }

    #[tokio::test]
    async fn an_attempt_that_waits_for_the_body_learns_that_it_is_over() {
        let replay = Replay::new(Silence, 100);
        let mut first = replay.attempt().unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
        let _second = replay.attempt().unwrap();
        assert!(woken.0.load(Ordering::Relaxed));
        let error = first.frame().await.unwrap().unwrap_err();
        assert!(error.is::<Superseded>());
    }

    /// Whether a task has been woken.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A body of which nothing comes.
    struct Silence;

    impl Body for Silence {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_sent_once() {
        for (limit, again) in [(4, true), (3, false)] {
            let replay = Replay::new(frames(&["ab", "cd"]), limit);
            let first = replay.attempt().unwrap();
            assert_eq!(first.collect().await.unwrap().to_bytes(), "abcd", "{limit}");
            assert_eq!(replay.can_replay(), again, "{limit}");
            assert_eq!(replay.attempt().is_some(), again, "{limit}");
        }
    }

    #[tokio::test]
    async fn a_body_that_fails_is_not_sent_again() {
        let mut body = frames(&["ab"]);
        body.0.push_back(Err("the client is gone".into()));
        let replay = Replay::new(body, 100);
        replay.attempt().unwrap().collect().await.unwrap_err();
        assert!(replay.attempt().is_none());
    }

    #[tokio::test]
    async fn what_is_read_ahead_comes_before_what_went_wrong_behind_it() {
        let mut body = frames(&["ab", "cd"]);
        body.0.push_back(Err("the client is gone".into()));
        let replay = Replay::new(body, 100);
        let mut first = replay.attempt().unwrap();
        assert!(replay.poll_progress(&mut noop()).is_some());
        assert!(!replay.can_replay());
        for piece in ["ab", "cd"] {
            let frame = first.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        let error = first.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the client is gone");
        assert!(first.frame().await.is_none());
    }

    #[tokio::test]
    async fn no_more_is_read_ahead_than_is_kept() {
        let kept = Arc::new(AtomicUsize::new(0));
        let count = || kept.load(Ordering::Relaxed);
        let stream = Stream {
            pieces: 6,
            kept: Arc::clone(&kept),
        };
        let replay = Replay::new(stream, 5000);
        let first = replay.attempt().unwrap();
        for _ in 0..3 {
            replay.poll_progress(&mut noop());
            assert_eq!(count(), 3, "the first to reach the limit is the last");
        }
        drop(first);
        assert!(replay.can_replay(), "nothing of it has been sent");
        let mut second = replay.attempt().unwrap();
        for (again, left) in [(true, 3), (true, 3), (false, 0), (false, 0)] {
            second.frame().await.unwrap().unwrap();
            assert_eq!((replay.can_replay(), count()), (again, left));
        }
        let rest = second.collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), 2 * 2048);
    }

    fn noop() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[tokio::test]
    async fn the_length_counts_what_is_sent_again() {
        let replay = Replay::new(http_body_util::Full::new(Bytes::from_static(b"abc")), 100);
        let mut first = replay.attempt().unwrap();
        assert_eq!(first.size_hint().exact(), Some(3));
        first.frame().await.unwrap().unwrap();
        assert_eq!(first.size_hint().exact(), Some(0));
        assert!(first.is_end_stream());
        assert_eq!(replay.attempt().unwrap().size_hint().exact(), Some(3));
    }

    /// A piece that counts as kept while it is.
    struct Counted(Arc<AtomicUsize>);

    impl Counted {
        fn piece(kept: &Arc<AtomicUsize>) -> Bytes {
            kept.fetch_add(1, Ordering::Relaxed);
            Bytes::from_owner(Self(Arc::clone(kept)))
        }
    }

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &[7; 2048]
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A body that makes its pieces as they are read.
    struct Stream {
        pieces: usize,
        kept: Arc<AtomicUsize>,
    }

    impl Body for Stream {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let left = self.pieces.checked_sub(1);
            self.pieces = left.unwrap_or(0);
            Poll::Ready(left.map(|_| Ok(Frame::data(Counted::piece(&self.kept)))))
        }
    }

    #[tokio::test]
    async fn what_is_not_sent_again_is_let_go_of() {
        let kept = Arc::new(AtomicUsize::new(0));
        let count = || kept.load(Ordering::Relaxed);
        let stream = Stream {
            pieces: 6,
            kept: Arc::clone(&kept),
        };
        let replay = Replay::new(stream, 1 << 20);
        let mut first = replay.attempt().unwrap();
        for read in 1..=3 {
            first.frame().await.unwrap().unwrap();
            assert_eq!(count(), read);
        }
        let mut second = replay.attempt().unwrap();
        second.frame().await.unwrap().unwrap();
        replay.finish();
        assert!(!replay.can_replay());
        assert_eq!(count(), 2, "what the attempt has still to read");
        for left in [1, 0, 0, 0, 0] {
            let frame = second.frame().await.unwrap().unwrap();
            assert_eq!(frame.data_ref().unwrap().len(), 2048);
            drop(frame);
            assert_eq!(count(), left);
        }
        assert!(second.frame().await.is_none());
    }

    #[tokio::test]
    async fn who_gives_a_request_up_keeps_nothing_of_its_body() {
        let kept = Arc::new(AtomicUsize::new(0));
        let stream = Stream {
            pieces: 6,
            kept: Arc::clone(&kept),
        };
        let replay = Replay::new(stream, 1 << 20);
        let mut body = replay.attempt().unwrap();
        body.frame().await.unwrap().unwrap();
        drop(replay);
        assert_eq!(kept.load(Ordering::Relaxed), 0);
        body.frame().await.unwrap().unwrap();
        assert_eq!(kept.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_body_in_tiny_pieces_is_kept_in_few() {
        let pieces = ["a", ""].into_iter().cycle().take(40_000);
        let replay = Replay::new(frames(&pieces.collect::<Vec<_>>()), 20_000);
        replay.attempt().unwrap().collect().await.unwrap();
        let mut again = replay.attempt().unwrap();
        assert_eq!(again.size_hint().exact(), Some(20_000));
        let (mut frames, mut length) = (0, 0);
        while let Some(frame) = again.frame().await {
            frames += 1;
            length += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(length, 20_000);
        assert!(frames < 5, "{frames}");
    }

    #[test]
    fn pieces_are_shared_and_not_copied() {
        let replay = Replay::new(frames(&["abc"]), 100);
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = || {
            let mut body = replay.attempt().unwrap();
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap().as_ptr(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read(), read());
    }

    proptest! {
        #[test]
        fn every_attempt_sends_the_same(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..10),
            reads in proptest::collection::vec((0_usize..12, 0_usize..12), 0..5),
        ) {
            let whole = pieces.concat();
            let frames = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece))));
            let replay = Replay::new(Frames(frames.collect()), 1000);
            let mut cx = Context::from_waker(Waker::noop());
            for (frames, before) in reads {
                let mut body = replay.attempt().unwrap();
                for frame in 0..frames {
                    if frame == before {
                        replay.poll_progress(&mut cx);
                    }
                    prop_assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
                }
            }
            let mut sent = Vec::new();
            let mut body = replay.attempt().unwrap();
            while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
                sent.extend(frame.unwrap().into_data().unwrap());
            }
            prop_assert_eq!(sent, whole);
        }
    }
}
