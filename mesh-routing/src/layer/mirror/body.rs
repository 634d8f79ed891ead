use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::mpsc;

pin_project! {
    /// A request body that leaves its frames to [`MirrorBody`]s as they pass.
    ///
    /// It behaves as the body it wraps. Frames are shared; small ones that have to wait are copied, as
    /// they would keep the whole buffer that they were read into.
    #[derive(Debug)]
    pub struct TeeBody<B> {
        #[pin]
        inner: B,
        branches: Vec<Branch>,
    }
}

/// Pieces that are shorter are copied if others wait before them.
const SMALL: usize = 1024;
/// About what a piece that waits costs beside its bytes.
const PIECE_COST: usize = 64;
/// How many pieces may wait, however few bytes may.
const MIN_PIECES: usize = 64;

/// The end of a [`MirrorBody`] that is written to.
#[derive(Debug)]
struct Branch {
    pieces: mpsc::UnboundedSender<Piece>,
    behind: Arc<Behind>,
    limit: usize,
}

/// What is written and not yet read.
#[derive(Debug, Default)]
struct Behind {
    bytes: AtomicUsize,
    pieces: AtomicUsize,
}

impl Behind {
    /// Counts a piece. Returns how many bytes and pieces wait before it.
    fn add(&self, bytes: usize) -> (usize, usize) {
        (
            self.bytes.fetch_add(bytes, Ordering::Relaxed),
            self.pieces.fetch_add(1, Ordering::Relaxed),
        )
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.pieces.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
    Trailers(HeaderMap),
}

impl<B: Body<Data = Bytes>> TeeBody<B> {
    pub(super) fn new(inner: B) -> Self {
        let branches = Vec::new();
        Self { inner, branches }
    }

    /// Adds a body that gets all frames from now on, as long as it is not more than `limit` bytes
    /// behind, nor so many pieces that their bookkeeping takes more.
    pub(super) fn share(&mut self, limit: usize) -> MirrorBody {
        let (sender, pieces) = mpsc::unbounded_channel();
        let behind = Arc::new(Behind::default());
        let ended = self.inner.is_end_stream();
        if !ended {
            self.branches.push(Branch {
                pieces: sender,
                behind: Arc::clone(&behind),
                limit,
            });
        }
        MirrorBody {
            pieces,
            behind,
            size: self.inner.size_hint(),
            ended,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for TeeBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if this.branches.is_empty() {
            return Poll::Ready(frame);
        }
        match &frame {
            Some(Ok(frame)) => this.branches.retain(|branch| branch.write(frame)),
            // Without its end, the copy of a body that fails is known to be cut short.
            Some(Err(_)) => this.branches.clear(),
            None => {}
        }
        // Who reads the body need not ask again once it says that it has ended.
        if frame.is_none() || this.inner.is_end_stream() {
            for branch in this.branches.drain(..) {
                branch.end();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Branch {
    /// Passes a frame on. Returns whether the branch keeps up.
    fn write(&self, frame: &Frame<Bytes>) -> bool {
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            // However many there are, they are not queued.
            (Some(data), _) if data.is_empty() => return true,
            (Some(data), _) => {
                let (bytes, pieces) = self.behind.add(data.len());
                let max_pieces = MIN_PIECES.saturating_add(self.limit / PIECE_COST);
                if bytes.saturating_add(data.len()) > self.limit || pieces >= max_pieces {
                    return false;
                }
                Piece::Data(match pieces > 0 && data.len() < SMALL {
                    true => Bytes::copy_from_slice(data),
                    false => data.clone(),
                })
            }
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return true,
        };
        self.pieces.send(piece).is_ok()
    }

    fn end(self) {
        // Nobody reads the end of a copy that has been given up.
        let _ = self.pieces.send(Piece::End);
    }
}

/// The body of a copy: what passes through a [`TeeBody`].
#[derive(Debug)]
pub struct MirrorBody {
    pieces: mpsc::UnboundedReceiver<Piece>,
    behind: Arc<Behind>,
    size: SizeHint,
    ended: bool,
}

impl Body for MirrorBody {
    type Data = Bytes;
    type Error = MirrorBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, MirrorBodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                self.behind.remove(data.len());
                self.size = without(self.size, data.len() as u64);
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => None,
            None => Some(Err(MirrorBodyError)),
        };
        self.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

/// The hint for what is left after `read` bytes.
fn without(size: SizeHint, read: u64) -> SizeHint {
    let mut left = SizeHint::new();
    left.set_lower(size.lower().saturating_sub(read));
    if let Some(upper) = size.upper() {
        left.set_upper(upper.saturating_sub(read));
    }
    left
}

/// A copy has not got the whole body: it was too far behind, or the request was cut short.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the copied body is incomplete")]
#[non_exhaustive]
pub struct MirrorBodyError;

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty, Full, StreamBody};

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    fn body(frames: Frames) -> TeeBody<impl Body<Data = Bytes, Error = &'static str> + Unpin> {
        TeeBody::new(StreamBody::new(futures_stream(frames)))
    }

    /// A stream of `frames` that are there at once.
    fn futures_stream(
        frames: Frames,
    ) -> impl futures_core::Stream<Item = Result<Frame<Bytes>, &'static str>> + Unpin {
        struct Ready(std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>);

        impl futures_core::Stream for Ready {
            type Item = Result<Frame<Bytes>, &'static str>;

            fn poll_next(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                Poll::Ready(self.0.next())
            }
        }

        Ready(frames.into_iter())
    }

    #[tokio::test]
    async fn all_copies_get_the_frames_and_trailers() {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let mut main = body(vec![
            data("ab"),
            data("c"),
            Ok(Frame::trailers(trailers.clone())),
        ]);
        let copies = [main.share(10), main.share(10)];
        main.collect().await.unwrap();
        for copy in copies {
            let copy = copy.collect().await.unwrap();
            assert_eq!(copy.trailers(), Some(&trailers));
            assert_eq!(copy.to_bytes(), "abc");
        }
    }

    #[tokio::test]
    async fn a_copy_that_falls_behind_fails_and_the_body_does_not() {
        let mut main = body(vec![data("abc"), data("de")]);
        let (slow, fast) = (main.share(4), main.share(5));
        assert_eq!(main.collect().await.unwrap().to_bytes(), "abcde");
        assert_eq!(slow.collect().await.unwrap_err(), MirrorBodyError);
        assert_eq!(fast.collect().await.unwrap().to_bytes(), "abcde");
    }

    #[tokio::test]
    async fn tiny_and_empty_pieces_that_wait_are_bounded_too() {
        let limit = 64 * PIECE_COST;
        for (pieces, text, is_whole) in [(128, "a", true), (129, "a", false), (5_000, "", true)] {
            let mut main = body((0..pieces).map(|_| data(text)).collect());
            let copy = main.share(limit);
            main.collect().await.unwrap();
            assert!(copy.pieces.len() <= 129, "{pieces} of `{text}`");
            let collected = copy.collect().await;
            assert_eq!(collected.is_ok(), is_whole, "{pieces} of `{text}`");
        }
    }

    #[tokio::test]
    async fn a_small_piece_that_waits_does_not_keep_the_buffer_it_came_in() {
        let buffer = Bytes::from(vec![b'a'; 64 * 1024]);
        let (first, second) = (buffer.slice(..2), buffer.slice(2..4));
        let mut main = body(vec![
            Ok(Frame::data(first.clone())),
            Ok(Frame::data(second.clone())),
        ]);
        let mut copy = main.share(10);
        main.collect().await.unwrap();
        for (given, is_shared) in [(first, true), (second, false)] {
            let read = copy.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(read, given);
            assert_eq!(read.as_ptr() == given.as_ptr(), is_shared);
        }
    }

    #[tokio::test]
    async fn what_has_been_read_does_not_count() {
        let mut main = body(vec![data("abc"), data("de")]);
        let mut copy = main.share(3);
        for expected in ["abc", "de"] {
            main.frame().await.unwrap().unwrap();
            let frame = copy.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn copies_of_a_body_that_is_cut_short_fail() {
        let mut failing = body(vec![data("ab"), Err("reset")]);
        let copy = failing.share(10);
        failing.collect().await.unwrap_err();
        assert_eq!(copy.collect().await.unwrap_err(), MirrorBodyError);

        let mut dropped = body(vec![data("ab"), data("cd")]);
        let copy = dropped.share(10);
        dropped.frame().await.unwrap().unwrap();
        drop(dropped);
        assert_eq!(copy.collect().await.unwrap_err(), MirrorBodyError);
    }

    #[tokio::test]
    async fn a_copy_that_is_given_up_does_not_disturb_the_body() {
        let mut main = body(vec![data("ab"), data("cd")]);
        drop(main.share(10));
        assert_eq!(main.collect().await.unwrap().to_bytes(), "abcd");
    }

    #[tokio::test]
    async fn the_length_of_a_copy_is_known_if_that_of_the_body_is() {
        let mut main = TeeBody::new(Full::new(Bytes::from_static(b"abc")));
        let mut copy = main.share(10);
        assert_eq!(copy.size_hint().exact(), Some(3));
        // A reader that knows the end does not ask for it.
        main.frame().await.unwrap().unwrap();
        assert!(main.is_end_stream());
        copy.frame().await.unwrap().unwrap();
        assert_eq!(copy.size_hint().exact(), Some(0));
        assert!(copy.frame().await.is_none());
    }

    #[tokio::test]
    async fn the_copy_of_an_empty_body_has_ended() {
        let copy = TeeBody::new(Empty::<Bytes>::new()).share(10);
        assert!(copy.is_end_stream());
        assert!(copy.collect().await.unwrap().to_bytes().is_empty());
    }
}
